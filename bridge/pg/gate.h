/*
 * How many connections of one loop may be on their way at once, so that a thousand databases that
 * are wanted at the same time are not all connected to at the same time.
 *
 *   ask ─→ IN: go on ─(ready, lost, closed: leave)→ out
 *    └──→ WAITING ─(somebody leaves)→ enter() ─→ IN
 *
 * Those that hang or are dead must not be waited for by the others: nobody waits longer than
 * WC_PG_GATE_PATIENCE_MS for one attempt, and databases whose last attempt failed, or took longer,
 * wait in a queue of their own until one succeeds. Ownership: all is the callers'; a lane outlives
 * its passes, a gate its lanes. Threads: the loop's.
 */
#ifndef WC_BRIDGE_PG_GATE_H
#define WC_BRIDGE_PG_GATE_H

#include "base/list.h"

enum {
    WC_PG_GATE_ROOM = 32, /* at once in each queue */
    WC_PG_GATE_PATIENCE_MS = 500,
};

struct wc_pg_gate {
    unsigned inside[2]; /* [is_failing] */
    struct wc_list waiting[2];
};

/* One for each database. */
struct wc_pg_lane {
    struct wc_pg_gate *gate;
    bool is_failing;
};

/* One attempt; zeroed is out. */
struct wc_pg_pass {
    enum { WC_PG_PASS_OUT, WC_PG_PASS_WAITING, WC_PG_PASS_IN } state;
    bool is_failing; /* which queue, and which count */
    struct wc_pg_lane *lane;
    struct wc_list link;
    void (*enter)(struct wc_pg_pass *);
};

void wc_pg_gate_init(struct wc_pg_gate *);

/* True: go on. False: `enter` is called when it may, from within somebody's leave. */
bool wc_pg_gate_ask(struct wc_pg_lane *, struct wc_pg_pass *, void (*enter)(struct wc_pg_pass *));
/* It takes long: nobody waits for it any more. */
void wc_pg_gate_is_slow(struct wc_pg_pass *);

enum wc_pg_attempt { WC_PG_ATTEMPT_SUCCEEDED, WC_PG_ATTEMPT_FAILED, WC_PG_ATTEMPT_GIVEN_UP };
void wc_pg_gate_leave(struct wc_pg_pass *, enum wc_pg_attempt); /* one that is out is fine */

#endif

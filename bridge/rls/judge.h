/*
 * What only Postgres can say about changes: may this context see this row, and does this filter's
 * comparison hold for this value. One batch at a time: it is put together, sent down one pipelined
 * connection, and answered as a whole.
 *
 * Row security. For each (relation, context) one segment, an implicit transaction of its own:
 * set role and claims, then ask which of the batch's primary keys the role sees. An error ends that
 * segment only; nothing of it is visible then (fail closed).
 *
 * Visible first: the batch counts only when a snapshot taken on the same connection before it sees
 * every transaction of its changes; else it is asked again a little later.
 *
 * Judge what you deliver: the verdict on the row as it is now stands for the row in the log only
 * when the columns its policies depend on are the same in both (wc_access_col.in_policy).
 *
 * A comparison that takes too long (a pattern with back references can) is found out by itself and
 * left alone for a while, longer each time; until then it does not match. A batch waits for few of
 * those, so that one client's filters do not hold up everybody's changes.
 *
 * A policy's functions are somebody else's code in our session: see session.h.
 *
 * Ownership: changes, access entries and comparisons are borrowed from add to on_answer (or
 * wc_judge_forget); contexts are referenced. Threads: one owner, the bridge thread.
 * Errors: NOMEM. Limits: WC_JUDGE_MAX changes in a batch.
 * Source: design section 5, point 1; database reference 3.2, 3.8.
 */
#ifndef WC_BRIDGE_RLS_JUDGE_H
#define WC_BRIDGE_RLS_JUDGE_H

#include "bridge/match/predicate.h"
#include "bridge/pg/pg.h"
#include "bridge/rls/access.h"
#include "bridge/rls/context.h"

enum { WC_JUDGE_MAX = 256 };

enum wc_verdict {
    WC_VERDICT_NONE, /* not asked, or not answered: ask again */
    WC_VERDICT_VISIBLE,
    WC_VERDICT_HIDDEN,     /* the row is there, the policies hide it, or it is gone; see GONE */
    WC_VERDICT_GONE,       /* no row with this key exists any more (when the login can tell) */
    WC_VERDICT_SUPERSEDED, /* visible now, but not known to have been as it stands in the log */
    WC_VERDICT_FAILED,     /* the check raised an error */
    WC_VERDICT_SUSPENDED,  /* checks of this role on this table time out again and again */
};

/* A comparison of a filter that is not decided in process. The caller keeps equal ones together. */
struct wc_comparison {
    struct wc_slice role;      /* with whose rights it is evaluated */
    struct wc_slice type;      /* as a cast writes it: the column's base type, quoted as needed */
    struct wc_slice collation; /* quoted and qualified; empty: the type's own */
    struct wc_slice schema;    /* of the operator, quoted; empty: pg_catalog */
    enum wc_filter_op op;
    struct wc_slice value_type; /* of the right side: `type`; IN: an array of it; patterns: text */
    struct wc_slice value;      /* text, or array text for IN; NUL-terminated too */
    bool is_null;               /* the value is SQL NULL */
    /* the judge's own: begins as zero */
    bool is_proven;    /* it was evaluated in time before */
    unsigned timeouts; /* in a row */
    wc_us slow_until;  /* it is not evaluated before: it took too long */
};

struct wc_judge_events {
    /* Inside on_answer only, before `answered`: each fact that was asked for. `change` is the
     * number wc_judge_add gave. */
    void (*verdict)(void *arg, unsigned change, const struct wc_context *, enum wc_verdict);
    void (*truth)(void *arg, unsigned change, const struct wc_comparison *, enum wc_truth);
    /* The batch is over. ok: everything was answered; else some of it has to be asked again (the
     * connection was lost, or a transaction is not visible yet); call wc_judge_send again at will.
     */
    void (*answered)(void *arg, bool ok);
    /* A group's checks fail, or work again: for the channels concerned. text: one line, of ours. */
    void (*trouble)(void *arg, wc_oid rel, struct wc_slice role, bool is_over, const char *text);
};

struct wc_judge_options {
    struct wc_pg_options pg; /* DB_RLS_USER if there is one; strings borrowed for the life */
    const char *tenant;      /* borrowed for the life */
    const char *search_path; /* of checks, as users' policies expect it; borrowed for the life */
    uint32_t statement_timeout_ms, lock_timeout_ms, batch_timeout_ms;
};

struct wc_judge;

/* Returns owned; NULL when out of memory. Connects when first needed. */
struct wc_judge *wc_judge_new(struct uv_loop_s *, const struct wc_judge_options *,
                              const struct wc_judge_events *, void *arg);
void wc_judge_free(struct wc_judge *); /* NULL is fine; freed one loop turn later */

bool wc_judge_is_busy(const struct wc_judge *); /* a batch is under way: nothing can be added */

/* Begins or goes on with the batch. Returns the change's number in it, from 0. Not when it is full
 * (WC_JUDGE_MAX) or busy. */
unsigned wc_judge_add(struct wc_judge *, const struct wc_change *, wc_xid);
/* May the context see the row of this change? INSERT or UPDATE, of a relation that has a primary
 * key the role can read. The access entry is copied as far as needed. */
WC_MUST_USE
enum wc_status wc_judge_want(struct wc_judge *, unsigned change, const struct wc_access *,
                             struct wc_context *);
/* Does the comparison hold for this value (not NULL)? */
WC_MUST_USE
enum wc_status wc_judge_compare(struct wc_judge *, unsigned change, struct wc_comparison *,
                                struct wc_slice value);
/* Sends what was added. `answered` follows, whatever happens, never before this returns. */
void wc_judge_send(struct wc_judge *);
/* Drops the batch, under way or not, without answers. */
void wc_judge_forget(struct wc_judge *);

#endif

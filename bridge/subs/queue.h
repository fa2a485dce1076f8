/*
 * Changes that wait for what only Postgres can say, in the order of the log.
 *
 *   append ─→ [ head ... tail ] ─→ deliver        never out of order
 *                  │    ↑
 *              ask ↓    │ answers, kept with the change
 *                 judge, one batch at a time
 *
 * Whenever no batch is under way, the owner looks at the changes again, from the head on. What
 * needs nothing more is delivered. When the head needs answers, all that is missing for it and for
 * the changes behind it goes into one batch. So whoever subscribes, leaves or changes claims while
 * a change waits is taken as things are when it leaves: what is missing then is asked for.
 *
 * An answer is remembered by the serial of its context or comparison, which nothing else ever has.
 * Rules change: when a change still waits `freshness` after its first answer, for whatever reason,
 * its answers are forgotten, all at once, so that one batch brings them all again.
 *
 * Ownership: copies changes, shares their relations; references the comparisons it asks for.
 * Threads: one owner, the bridge thread. Errors: NOMEM; AGAIN: it is full.
 * Limits: changes and bytes as given; one larger change fits alone. WC_QUEUE_FACTS_MAX questions in
 * a batch, unless one change has more.
 */
#ifndef WC_BRIDGE_SUBS_QUEUE_H
#define WC_BRIDGE_SUBS_QUEUE_H

#include "base/clock.h"
#include "base/list.h"
#include "bridge/rls/judge.h"
#include "bridge/subs/comparison.h"

enum { WC_QUEUE_FACTS_MAX = 65536 };

/* Where a change stands in the log. */
struct wc_place {
    wc_xid xid;
    int64_t commit_time; /* microseconds since 2000-01-01 UTC */
    wc_lsn commit_lsn;
    uint64_t ordinal; /* in its transaction, see repl.h */
    wc_lsn passed;    /* everything that committed before this position stands before the change */
    struct wc_access_since since; /* when it was read */
};

struct wc_queue;

struct wc_queued_fact {
    uint64_t key; /* 0: free */
    uint8_t value;
};

struct wc_queued {
    struct wc_list link;
    struct wc_change change;
    struct wc_place place;
    /* the queue's own */
    size_t bytes;
    struct wc_queued_fact *fact; /* open addressing, facts_cap places */
    size_t nfacts, facts_cap;
    unsigned asked; /* its number in the batch being put together */
    wc_us answered; /* when the oldest fact came */
};

enum wc_need {
    WC_NEED_NOTHING,
    WC_NEED_ANSWERS,
    WC_NEED_PATIENCE, /* something else; the owner calls wc_queue_go_on when it may have come */
};

struct wc_queue_hooks {
    enum wc_need (*look)(void *self, const struct wc_queued *);
    /* Right after `look`: one of both, or neither. */
    enum wc_status (*deliver)(void *self, const struct wc_queued *);
    enum wc_status (*ask)(void *self, struct wc_queued *); /* by wc_queue_want, _compare */
    /* At least one change was delivered, and no more can be now. */
    void (*moved)(void *self);
    /* It is time to call wc_queue_go_on a little later: no answer, for a reason that may pass. */
    void (*later)(void *self);
    /* Delivering the head failed: the stream has to begin again before it. */
    void (*failed)(void *self, enum wc_status);
    /* As in judge.h. schema: of the relation, when a change of the batch is about it; else empty.
     */
    void (*trouble)(void *self, wc_oid rel, struct wc_slice schema, struct wc_slice role,
                    bool is_over, const char *text);
};

struct wc_queue_limits {
    size_t changes, bytes;
    wc_us freshness; /* of answers */
};

/* Returns owned; NULL when out of memory. */
struct wc_queue *wc_queue_new(struct uv_loop_s *, const struct wc_judge_options *,
                              const struct wc_queue_limits *, const struct wc_queue_hooks *,
                              void *self);
void wc_queue_free(struct wc_queue *); /* NULL is fine */

/* Copies the change. Does not look at it: wc_queue_go_on does. */
WC_MUST_USE
enum wc_status wc_queue_append(struct wc_queue *, const struct wc_change *,
                               const struct wc_place *);
/* Looks at what waits, unless a batch is under way. May call every hook but `trouble`. */
void wc_queue_go_on(struct wc_queue *);
void wc_queue_forget(struct wc_queue *); /* all that waits */
void wc_queue_stop(struct wc_queue *);   /* what waits stays, and nothing is done about it */

bool wc_queue_is_empty(const struct wc_queue *);
bool wc_queue_is_ripe(const struct wc_queue *); /* enough for a batch, and none is under way */
const struct wc_queued *wc_queue_head(const struct wc_queue *); /* NULL: it is empty */

/* What is known. NONE and UNDECIDED: nothing. */
enum wc_verdict wc_queued_verdict(const struct wc_queued *, const struct wc_context *);
enum wc_truth wc_queued_truth(const struct wc_queued *, const struct wc_shared_comparison *);

/* Within hooks.ask only. What is known is not asked again. */
WC_MUST_USE
enum wc_status wc_queue_want(struct wc_queue *, struct wc_queued *, const struct wc_access *,
                             struct wc_context *);
WC_MUST_USE
enum wc_status wc_queue_compare(struct wc_queue *, struct wc_queued *,
                                struct wc_shared_comparison *, struct wc_slice value);

#endif

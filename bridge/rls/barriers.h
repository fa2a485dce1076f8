/*
 * Transactions that the stream says have changed the rules: an answer of the catalog counts for
 * what stands behind them in the log only if they were over, for every session, before it was asked
 * for.
 *
 * Numbered in the order of the stream. `settled` is the number up to which all are over; what is
 * asked from then on is good for changes behind the first `settled` of them.
 *
 * Over is more than visible. A commit is flushed, and so decoded, first; then it becomes visible to
 * snapshots; then other sessions are told to forget what their caches hold of the catalog, on which
 * privileges and the bodies of functions are decided; then the locks go, that on the transaction's
 * own id among them. So it is over when a snapshot sees it and, looked at after that, nobody holds
 * the lock. A standby has no such lock: there the commit's record must have been replayed.
 *
 * Ownership: embedded; stays where it is while a question is under way.
 * Threads: one owner. Errors: LIMIT: WC_BARRIERS are not over, so another has no room.
 * Source: PostgreSQL, CommitTransaction in xact.c; sql/q_settled.sql.
 */
#ifndef WC_BRIDGE_RLS_BARRIERS_H
#define WC_BRIDGE_RLS_BARRIERS_H

#include "bridge/pg/pg.h"
#include "bridge/rls/snapshot.h"

enum { WC_BARRIERS = 256 }; /* more commits than hang at once; read again after each question */

struct wc_barrier {
    uint64_t number;
    wc_xid xid;
    wc_lsn commit_lsn; /* where its commit's record begins */
};

struct wc_barriers { /* zeroed: none */
    uint64_t last;   /* number of the newest; 0: there was none */
    size_t count;
    struct wc_barrier open[WC_BARRIERS]; /* not known to be over, by rising number */
    bool is_asking;
};

/* What one session saw of them. */
struct wc_settled {
    const struct wc_snapshot *snapshot;
    const char *ending; /* ids whose locks are held, "712,713"; NULL: none; looked at after that */
    wc_lsn replayed;    /* of a standby; 0: it is none */
};

/* The newest one again, as long as it is not over, is not counted twice. */
WC_MUST_USE
enum wc_status wc_barriers_add(struct wc_barriers *, wc_xid, wc_lsn commit_lsn);
uint64_t wc_barriers_settled(const struct wc_barriers *);
void wc_barriers_settle(struct wc_barriers *, const struct wc_settled *);
/* Asks which are over, if any is open. What is asked behind it on the connection may count on the
 * answer. Not while one is under way. */
WC_MUST_USE
enum wc_status wc_barriers_ask(struct wc_barriers *, struct wc_pg *);
/* Another server, or another past of it: none is open. Numbers go on. */
void wc_barriers_forget(struct wc_barriers *);

#endif

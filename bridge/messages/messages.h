/*
 * Broadcasts from a tenant's database: each row that is inserted into realtime.messages, and each
 * signed logical message (sql/README.md), goes to everybody in the room it names, with its id.
 *
 * Order: they leave in the order of the stream, which is that of the commits. They do not wait for
 * changes whose row checks Postgres has not answered yet, and so may overtake changes of the same
 * and of earlier commits: one slow policy would delay all broadcasts otherwise. Only when so many
 * changes wait that the stream is held (subs.h) do broadcasts behind them wait, too.
 *
 * Once per row: the stream may bring what was published again (repl.h, wc_repl_take_back), so the
 * last key is remembered for the epoch.
 *
 * Not delivered, counted by reason, and logged as UnableToBroadcastChanges, with what was dropped
 * since the last such line: rows without one of their values; larger than the tenant's limit; while
 * its events per second are over their limit; whose topic or event has more than 255 bytes with
 * "realtime:", as much as a binary frame can say; and messages under our prefix that are malformed,
 * not signed with the database's secret (forged; unverified: there is no secret), or were used
 * already. Each row and each signed message counts as one event.
 *
 * Ownership: borrows everything in the options for its life. Threads: the bridge thread's.
 * Source: protocol reference, sections 2.4, 4.5; database reference, section 8.3.
 */
#ifndef WC_BRIDGE_MESSAGES_MESSAGES_H
#define WC_BRIDGE_MESSAGES_MESSAGES_H

#include "bridge/pg/pg.h"
#include "decoder/pgoutput.h"
#include "fanout/publish.h"
#include "fanout/quota.h"
#include "fanout/room.h"

struct wc_messages_options {
    const char *tenant;
    struct uv_loop_s *loop;
    struct wc_pg_options pg; /* of the database, for the secret */
    bool has_permanent_slot;
    void (*resume)(void *arg); /* what was answered AGAIN may be offered again */
    void *arg;
    uint64_t tenant_number; /* of its view */
    struct wc_quota *quota;
    struct wc_share *share; /* of the rings; NULL: all */
    struct wc_rooms *rooms;
    struct wc_publisher *publisher; /* its user does not offer rows while it is backlogged */
};

struct wc_messages;

/* Returns owned; NULL when out of memory. */
struct wc_messages *wc_messages_new(const struct wc_messages_options *);
void wc_messages_free(struct wc_messages *); /* NULL is fine */

/* Is it a relation whose rows are broadcasts? */
bool wc_messages_are_in(const struct wc_rel *);

void wc_messages_begin_epoch(struct wc_messages *);
/* A transaction begins in the stream; it was committed then, by the database's clock (Unix time).
 */
void wc_messages_begin(struct wc_messages *, wc_xid, wc_us committed_at);
/* A change of such a relation, with its order key (repl.h). */
void wc_messages_change(struct wc_messages *, const struct wc_change *, wc_lsn commit_lsn,
                        uint64_t ordinal);
/* A logical message, of whatever prefix. OK, or AGAIN: the stream is to be held. */
WC_MUST_USE
enum wc_status wc_messages_logical(struct wc_messages *, const struct wc_event *, wc_lsn,
                                   uint64_t ordinal);

#endif

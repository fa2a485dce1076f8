/*
 * Which signed messages were used already: the last WC_SEEN_MAX ids, and for immediate ones a time
 * that must be later (see sql/README.md).
 *
 *   transactional   its xid is that of the transaction it comes in, whose commit is within a day of
 *                   the time it was signed; its id is not among the last
 *   immediate       its time is later than that of the newest immediate one whose id is forgotten,
 *                   later than the begin of the stream if nothing older can be in it, and at most
 *                   WC_SEEN_WINDOW_US before the last commit, or now if there was none yet; its
 *                   id is not among the last
 *
 * Threads: one owner. Errors: NOMEM at the first use.
 */
#ifndef WC_BRIDGE_MESSAGES_SEEN_H
#define WC_BRIDGE_MESSAGES_SEEN_H

#include "base/clock.h"
#include "base/map.h"
#include "bridge/messages/signed.h"

enum { WC_SEEN_MAX = 16384 };
#define WC_SEEN_WINDOW_US (INT64_C(600) * 1000000)
#define WC_SEEN_DAY_US    (INT64_C(86400) * 1000000)

struct wc_seen_id;

struct wc_seen {
    struct wc_map by_id;
    struct wc_seen_id *id; /* NULL until the first use; a ring of WC_SEEN_MAX */
    size_t next;
    int64_t floor; /* immediate ones are later */
};

/* Where a message comes up in the stream. */
struct wc_seen_at {
    bool in_transaction;
    uint32_t xid;        /* of the transaction */
    int64_t commit_time; /* of the transaction, or of the last one before, or now */
};

void wc_seen_init(struct wc_seen *);
void wc_seen_release(struct wc_seen *);
void wc_seen_not_before(struct wc_seen *, int64_t time);

/* OK: it was not used before, and is now. LIMIT: it was, or may have been. NOMEM. */
WC_MUST_USE
enum wc_status wc_seen_use(struct wc_seen *, const struct wc_signed *, const struct wc_seen_at *);

#endif

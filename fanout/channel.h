/*
 * The channels of one socket thread: one per (connection, topic) from join to leave.
 *
 * A channel is named across threads by its slot in the table and the slot's generation
 * (struct wc_handle); a slot is reused, a generation never, so a late message for an ended channel
 * finds nobody. Within the thread it is found by (session serial, topic).
 *
 * Expiry: channels sit in a binary heap ordered by their token's `exp`, so that one timer serves
 * all and none is ever scanned for.
 * Ownership: the table owns its channels; they share claims. Threads: one owner. Errors: NOMEM.
 */
#ifndef WC_FANOUT_CHANNEL_H
#define WC_FANOUT_CHANNEL_H

#include "auth/jwt.h"
#include "base/list.h"
#include "base/map.h"
#include "fanout/audience.h"
#include "fanout/msg.h"

struct wc_session;

struct wc_channel {
    struct wc_map_node node;   /* key: serial and topic */
    struct wc_list by_session; /* in session->channels */
    struct wc_session *session;
    struct wc_claims *claims; /* a reference */
    uint32_t slot, generation;
    uint32_t heap_index;
    uint32_t weight;    /* bytes it keeps alive, part of session->weight */
    bool is_subscribed; /* the change source knows it */
    struct wc_audience *audience;
    uint32_t audience_index;
    struct wc_slice topic;    /* full, "realtime:room" */
    struct wc_slice join_ref; /* JSON text, as the join had it */
    struct wc_slice ref;      /* of the join; stands in for a null join_ref in V2 */
    uint8_t text[];           /* serial, topic, join_ref, ref */
};

struct wc_channels {
    unsigned thread;
    struct wc_map by_topic;
    struct wc_channel_slot {
        struct wc_channel *channel; /* NULL when free */
        uint32_t generation;
        uint32_t next_free;
    } * slot;
    uint32_t nslots, first_free;
    struct wc_channel **heap; /* by claims->exp, earliest first */
    uint32_t nheap;           /* the heap has room for nslots entries */
};

void wc_channels_init(struct wc_channels *, unsigned thread);
void wc_channels_release(struct wc_channels *); /* all channels must have ended */

struct wc_channel_join {
    struct wc_session *session;
    uint64_t serial; /* the session's */
    struct wc_slice topic, join_ref, ref;
    struct wc_claims *claims; /* shared */
};

/* NULL when out of memory. The topic, of at most WC_PHX_TOPIC_MAX bytes, must not be joined on this
 * session. */
struct wc_channel *wc_channel_new(struct wc_channels *, const struct wc_channel_join *);
/* Takes it out of everything, its audience too. */
void wc_channel_free(struct wc_channels *, struct wc_audiences *, struct wc_channel *);

struct wc_channel *wc_channel_find(const struct wc_channels *, uint64_t serial,
                                   struct wc_slice topic);
struct wc_channel *wc_channel_by_handle(const struct wc_channels *, struct wc_handle);
struct wc_handle wc_channel_handle(const struct wc_channels *, const struct wc_channel *);

/* The one whose token ends first, or NULL. */
struct wc_channel *wc_channel_next_to_expire(const struct wc_channels *);
bool wc_channels_ok(const struct wc_channels *);

/* "room" of "realtime:room". */
static inline struct wc_slice wc_channel_subtopic(struct wc_slice topic)
{
    static const size_t prefix_len = sizeof "realtime:" - 1;
    return wc_slice(topic.p + prefix_len, topic.len - prefix_len);
}

#endif

/*
 * The channels of one socket thread: one per (connection, topic) from join to leave.
 *
 * A channel is named across threads by its slot in the table and the slot's generation
 * (struct wc_handle); a slot is reused, a generation never, so a late message for an ended channel
 * finds nobody. Within the thread it is found by (session serial, topic). What it receives of
 * changes is addressed to a second slot, its subscription's, so that a new token can end what was
 * asked for with the old one and nothing else.
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
#include "fanout/group.h"
#include "fanout/msg.h"
#include "fanout/presence.h"
#include "fanout/source.h"

struct wc_replay_ids;
struct wc_room;
struct wc_session;
struct wc_unready;
struct wc_wait;

#define WC_CHANNEL_NO_SLOT UINT32_MAX

/* What a join's `config` asks for (protocol reference, section 3.2). */
struct wc_channel_config {
    bool is_private;
    bool is_legacy;             /* no config at all: changes come in the shape of section 7.2 */
    bool wants_self, wants_ack; /* broadcast */
    bool wants_presence;
    bool wants_ready;             /* to be told when the database's broadcasts reach us */
    struct wc_slice presence_key; /* empty: to be made up */
};

struct wc_channel {
    struct wc_map_node node;   /* key: serial and topic */
    struct wc_list by_session; /* in session->channels */
    struct wc_session *session;
    struct wc_claims *claims; /* a reference */
    uint32_t slot, generation;
    uint32_t heap_index;
    uint32_t weight;                /* bytes it keeps alive, part of session->weight */
    uint32_t subscription_slot;     /* WC_CHANNEL_NO_SLOT: it never asked for changes */
    bool is_subscribed;             /* the change source knows the subscription */
    struct wc_subscribe *asked;     /* owned: what a new token asks for again; NULL: nothing */
    struct wc_wait *wait;           /* owned: it waits for an answer; NULL: it does not */
    struct wc_unready *unready;     /* owned: it waits to be told (ready.h); NULL: it does not */
    uint8_t may, known;             /* of enum wc_permission: granted, and asked about (permit.h) */
    uint32_t question;              /* number of the last one asked about them */
    struct wc_replay_ids *replayed; /* owned: what it got again; NULL: nothing */
    struct wc_membership in[WC_GROUP_KINDS];
    struct wc_room *room; /* a reference; the hub enters and leaves it */
    struct wc_presence_member presence;
    struct wc_channel_config config; /* its slice is in text */
    struct wc_slice topic;           /* full, "realtime:room" */
    struct wc_slice join_ref;        /* JSON text, as the join had it */
    struct wc_slice ref;             /* of the join; stands in for a null join_ref in V2 */
    uint8_t text[];                  /* serial, topic, join_ref, ref, presence key */
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
    struct wc_channel_config config;
    struct wc_claims *claims; /* shared */
};

/* NULL when out of memory. The topic, of at most WC_PHX_TOPIC_MAX bytes, must not be joined on this
 * session. */
struct wc_channel *wc_channel_new(struct wc_channels *, const struct wc_channel_join *);
/* Takes it out of the table; it must be in no group. */
void wc_channel_free(struct wc_channels *, struct wc_channel *);

struct wc_channel *wc_channel_find(const struct wc_channels *, uint64_t serial,
                                   struct wc_slice topic);
struct wc_channel *wc_channel_by_handle(const struct wc_channels *, struct wc_handle);
struct wc_handle wc_channel_handle(const struct wc_channels *, const struct wc_channel *);

/* The handle of its subscription, made when first asked for. NOMEM. */
WC_MUST_USE
enum wc_status wc_channel_subscription(struct wc_channels *, struct wc_channel *,
                                       struct wc_handle *out);
/* From now on messages for the handle of before find nobody. */
void wc_channel_end_subscription(struct wc_channels *, struct wc_channel *);

void wc_channel_set_claims(struct wc_channels *, struct wc_channel *, struct wc_claims *shared);

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

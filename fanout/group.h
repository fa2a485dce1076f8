/*
 * Numbered sets of channels on one socket thread: to whom is a message of the rings delivered?
 *
 *   audience  channels that always receive the same frames for changes (msg.h); bridges number them
 *   room      channels of one (tenant, public or private, topic); room.h numbers them
 *
 * A channel is in at most one group of each kind. A group exists while it has members; numbers are
 * never used again, so a message for one that is gone is for nobody here.
 * Ownership: borrows the channels. Threads: one owner. Errors: NOMEM.
 */
#ifndef WC_FANOUT_GROUP_H
#define WC_FANOUT_GROUP_H

#include "base/map.h"
#include "fanout/frame.h"

struct wc_channel;

enum wc_group_kind { WC_GROUP_AUDIENCE, WC_GROUP_ROOM, WC_GROUP_KINDS };

struct wc_group {
    struct wc_map_node node;
    uint64_t number;
    struct wc_channel **member;
    uint32_t count, cap;
    uint32_t users[WC_PHX_COUNT]; /* members per serializer */
};

/* A channel's place in a group; group NULL: in none. */
struct wc_membership {
    struct wc_group *group;
    uint32_t index;
};

struct wc_groups {
    enum wc_group_kind kind;
    struct wc_map map;
};

void wc_groups_init(struct wc_groups *, enum wc_group_kind);
void wc_groups_release(struct wc_groups *); /* all channels must have left */

struct wc_group *wc_group_find(const struct wc_groups *, uint64_t number);
/* Leaves the group of this kind that the channel was in before. */
WC_MUST_USE
enum wc_status wc_group_join(struct wc_groups *, uint64_t number, struct wc_channel *);
void wc_group_leave(struct wc_groups *, struct wc_channel *); /* none is fine */

#endif

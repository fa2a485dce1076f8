/*
 * The audiences of one socket thread: audience number → the channels enlisted under it (msg.h).
 * A channel is in at most one. An audience exists while it has members; numbers are never used
 * again, so a message for one that is gone is for nobody here.
 * Ownership: borrows the channels. Threads: one owner. Errors: NOMEM.
 */
#ifndef WC_FANOUT_AUDIENCE_H
#define WC_FANOUT_AUDIENCE_H

#include "base/map.h"

struct wc_channel;

struct wc_audience {
    struct wc_map_node node;
    uint64_t number;
    struct wc_channel **member;
    uint32_t count, cap;
};

struct wc_audiences {
    struct wc_map map;
};

void wc_audiences_init(struct wc_audiences *);
void wc_audiences_release(struct wc_audiences *); /* all channels must have left */

struct wc_audience *wc_audience_find(const struct wc_audiences *, uint64_t number);
/* Leaves the audience the channel was in before. */
WC_MUST_USE
enum wc_status wc_audience_join(struct wc_audiences *, uint64_t number, struct wc_channel *);
void wc_audience_leave(struct wc_audiences *, struct wc_channel *); /* none is fine */

#endif

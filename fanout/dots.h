/*
 * Sets of dots: which events has a replica of replicated state seen? (presence_state.h)
 *
 * A dot (replica, count) names one event for ever: `replica` is the node it happened at, `count` is
 * never used again there. A set is a sorted array of ranges, disjoint and with a gap between any
 * two of one replica, so what arrived in order costs one range however much it is.
 * Ownership: a set owns its array. Threads: one owner. Errors: NOMEM leaves the set as it was.
 */
#ifndef WC_FANOUT_DOTS_H
#define WC_FANOUT_DOTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct wc_dot {
    uint64_t replica, count;
};

struct wc_dot_range {
    uint64_t replica, first, last; /* counts, both included */
};

struct wc_dots { /* zeroed is empty */
    struct wc_dot_range *range;
    size_t count, cap;
};

void wc_dots_release(struct wc_dots *);

bool wc_dots_has(const struct wc_dots *, struct wc_dot);
WC_MUST_USE
enum wc_status wc_dots_add(struct wc_dots *, struct wc_dot_range);
WC_MUST_USE
enum wc_status wc_dots_merge(struct wc_dots *, const struct wc_dots *from);
uint64_t wc_dots_size(const struct wc_dots *); /* dots; saturates */
bool wc_dots_ok(const struct wc_dots *);

#endif

/*
 * What the change being delivered was rendered to: once for each (access, column set, how much of
 * the old row, as what it is), however many audiences get it.
 *
 * Ownership: the JSON is the cache's, valid until the next change. Threads: one owner.
 * Limits: the largest change Postgres can hold, as JSON.
 */
#ifndef WC_BRIDGE_SUBS_RENDERED_H
#define WC_BRIDGE_SUBS_RENDERED_H

#include "base/list.h"
#include "bridge/subs/render.h"

struct wc_rendering;

struct wc_rendered {
    struct wc_map map; /* wc_rendering */
    uint64_t change;   /* counts changes */
    struct wc_rendering *last;
};

struct wc_rendered_change {
    const struct wc_change *change;
    int64_t commit_time;
    size_t max_record_bytes;
};

void wc_rendered_init(struct wc_rendered *);
void wc_rendered_release(struct wc_rendered *);
/* Another change: what was rendered before is void. */
void wc_rendered_next(struct wc_rendered *);
/* The data object of this change. Errors: NOMEM and LIMIT, as of wc_render_change. */
WC_MUST_USE
enum wc_status wc_rendered_get(struct wc_rendered *, const struct wc_rendered_change *,
                               const struct wc_view *, struct wc_slice *out);

#endif

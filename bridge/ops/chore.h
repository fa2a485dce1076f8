/*
 * What is done once in a tenant's database, on a connection of its own: preparing it
 * (bridge/migrate), and dropping a permanent slot of ours once nobody reads it.
 *
 * Ownership: copies what it is given; frees itself after `done`, which is called once and not
 * before return. Threads: the loop's. Limits: 20 s, so that an HTTP request can wait for it.
 * Source: protocol reference, section 10.2.
 */
#ifndef WC_BRIDGE_OPS_CHORE_H
#define WC_BRIDGE_OPS_CHORE_H

#include "bridge/pg/pg.h"

struct wc_chore_outcome {
    bool ok;
    uint32_t steps;          /* prepare: that were done */
    const char *text, *hint; /* when not ok: what went wrong, what helps (may be empty) */
};
typedef void (*wc_chore_done)(void *arg, const struct wc_chore_outcome *);

struct wc_chore;

/* NULL when out of memory. */
struct wc_chore *wc_chore_prepare(struct uv_loop_s *, const struct wc_pg_options *, wc_chore_done,
                                  void *arg);
/* Fine when there is no such slot; one of another database or plugin is left alone. */
struct wc_chore *wc_chore_drop_slot(struct uv_loop_s *, const struct wc_pg_options *,
                                    const char *slot, wc_chore_done, void *arg);
void wc_chore_cancel(struct wc_chore *); /* `done` is not called; NULL is fine */

#endif

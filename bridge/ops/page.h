/*
 * The page of /metrics: the node's numbers (base/metrics.def, base/histograms.def), those of each
 * tenant (base/tenant_metrics.def and what its limits count), and what is read only now: users,
 * slots, rings, the machine (bridge/ops/page.def).
 *
 * Every sample carries `region` (the setting REGION), `host` (the machine's name) and `id` (the
 * port, which tells processes of one machine apart and survives a restart). A tenant is on the page
 * from its first connection, request or stream on, under `tenant`, its external id.
 *
 * Ownership: borrows what the options name. Threads: render: any. Errors: the buffer's.
 * Source: protocol reference, section 12.
 */
#ifndef WC_BRIDGE_OPS_PAGE_H
#define WC_BRIDGE_OPS_PAGE_H

#include "base/exposition.h"
#include "bridge/tenant/registry.h"
#include "fanout/mesh.h"

struct wc_store_state;

struct wc_page_options {
    const char *region;
    uint16_t port;
    struct wc_registry *registry;
    const struct wc_store_state *store; /* NULL: there is none */
};

struct wc_page;

/* Returns owned; NULL when out of memory. */
struct wc_page *wc_page_new(const struct wc_page_options *);
void wc_page_free(struct wc_page *); /* NULL is fine */

/* From when there are rings; borrowed, and before the first render. */
void wc_page_set_mesh(struct wc_page *, const struct wc_mesh *);

void wc_page_render(struct wc_page *, struct wc_buf *out);

#endif

/*
 * The ordinary connection of a tenant on which bindings are checked, privileges read and fences
 * taken. Opened when first wanted, then kept; comes back after a failure with back-off.
 * Threads: the loop's.
 */
#ifndef WC_BRIDGE_SUBS_CATALOG_H
#define WC_BRIDGE_SUBS_CATALOG_H

#include "bridge/pg/pg.h"

struct wc_catalog;

/* on_up: queries may be sent now. Borrows `tenant` and the options' strings for its life.
 * Returns owned; NULL when out of memory. */
struct wc_catalog *wc_catalog_new(struct uv_loop_s *, const struct wc_pg_options *,
                                  const char *tenant, void (*on_up)(void *arg), void *arg);
void wc_catalog_free(struct wc_catalog *); /* freed one loop turn later; NULL is fine */

void wc_catalog_want(struct wc_catalog *);        /* connect unless connected or about to */
struct wc_pg *wc_catalog_pg(struct wc_catalog *); /* NULL while it cannot be asked */
/* The stream is up, so the server has started: a refusal so far says nothing about it now. */
void wc_catalog_server_is_up(struct wc_catalog *);
/* The last attempt was refused because the server is shutting down, or was not up yet. */
bool wc_catalog_is_turned_away(const struct wc_catalog *);

#endif

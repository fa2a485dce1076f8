/*
 * Keeps a tenant's database in order while the tenant is open: at once, and every few hours, it
 * migrates it (migrate.h), or, where that is not wanted, only keeps the partitions of
 * realtime.messages, if there is one. On a connection of its own, which is closed in between.
 *
 * A failure is logged with its remedy, the same one once; it is tried again after a while.
 * Ownership: strings of the options are borrowed for its life. Threads: the loop's.
 */
#ifndef WC_BRIDGE_MIGRATE_UPKEEP_H
#define WC_BRIDGE_MIGRATE_UPKEEP_H

#include "bridge/pg/pg.h"

struct wc_upkeep_options {
    struct wc_pg_options pg; /* application_name and options are set by us */
    const char *tenant;
    bool makes_objects; /* not only partitions */
    uint32_t every_ms;
};

struct wc_upkeep;

/* Returns owned; NULL when out of memory. */
struct wc_upkeep *wc_upkeep_new(struct uv_loop_s *, const struct wc_upkeep_options *);
void wc_upkeep_free(struct wc_upkeep *); /* freed one loop turn later; NULL is fine */

#endif

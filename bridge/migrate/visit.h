/*
 * A visit to a database: connects, migrates it (migrate.h), and closes the connection.
 *
 *   open ─(connected)→ migrating ─→ done, once
 *    └──────(lost, or timeout_ms over)─↗
 *
 * Ownership: freed by itself after `done`, in which it must not be cancelled; a lane outlives it.
 * Threads: the loop's.
 */
#ifndef WC_BRIDGE_MIGRATE_VISIT_H
#define WC_BRIDGE_MIGRATE_VISIT_H

#include "bridge/migrate/migrate.h"

struct wc_visit_options {
    struct wc_pg_options pg; /* application_name and options are set by us */
    struct wc_migrate_options migrate;
    uint32_t timeout_ms; /* longest time for all of it, also at the gate; 0: no limit */
};

/* `step` NULL, and not ok: the database was not reached, or not in time. */
typedef void (*wc_visit_done)(void *arg, const struct wc_migrate_outcome *);

struct wc_visit;

/* NULL when out of memory. No callback before return. */
struct wc_visit *wc_visit_open(struct uv_loop_s *, const struct wc_visit_options *, wc_visit_done,
                               void *arg);
void wc_visit_cancel(struct wc_visit *); /* `done` is not called; NULL is fine */

#endif

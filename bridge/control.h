/*
 * Control-store mode: the store on bridge 0's loop, and what it knows put into the registry.
 *
 *   new (main: keys, seed) ─ bridge begins ─→ store ─on_tenant, on_gone→ registry
 *                          └ bridge ends  ──→ store freed
 *
 * Ownership: borrows its options. Threads: new, free: main; the rest bridge 0; the state: any.
 */
#ifndef WC_BRIDGE_CONTROL_H
#define WC_BRIDGE_CONTROL_H

#include "bridge/config/config.h"
#include "bridge/ops/health.h"
#include "bridge/ops/probe.h"
#include "bridge/ops/tenants.h"

struct wc_control_options {
    const struct wc_config *config;
    struct wc_registry *registry;
    struct wc_admin *admin;
    struct wc_bridge *bridge;     /* not started yet */
    struct wc_store_state *state; /* written, for /health */
    struct wc_probe *ready;       /* when the tenants are known */
};

struct wc_control;

/* Owned; NULL: err names the setting that is wrong. */
struct wc_control *wc_control_new(const struct wc_control_options *, struct wc_err *err);
void wc_control_free(struct wc_control *); /* its bridge has stopped; NULL is fine */

#endif

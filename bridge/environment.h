/*
 * Environment mode: the one tenant as the settings describe it, and what all tenants take from
 * them. Threads: pure. Source: design section 7, "Modes".
 */
#ifndef WC_BRIDGE_ENVIRONMENT_H
#define WC_BRIDGE_ENVIRONMENT_H

#include "bridge/config/config.h"
#include "bridge/tenant/registry.h"

/* Owned; NULL when out of memory. */
struct wc_record *wc_environment_record(const struct wc_config *);

/* Strings are borrowed from the configuration. `producers` of the mesh. */
struct wc_registry_options wc_environment_options(const struct wc_config *, unsigned producers);

#endif

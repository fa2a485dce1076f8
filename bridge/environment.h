/*
 * What the settings say of tenants, in the two modes: environment mode, where they describe the one
 * there is, and control-store mode, where the tenants stand in the database that they name.
 * Threads: pure. Source: design section 7, "Modes"; protocol reference section 13.
 */
#ifndef WC_BRIDGE_ENVIRONMENT_H
#define WC_BRIDGE_ENVIRONMENT_H

#include "bridge/config/config.h"
#include "bridge/tenant/registry.h"

bool wc_environment_is_mode(const struct wc_config *); /* JWT_SECRET is set */

/* Records, owned; NULL when out of memory. */
struct wc_record *wc_environment_record(const struct wc_config *);   /* the one tenant */
struct wc_record *wc_environment_defaults(const struct wc_config *); /* of one made over HTTP */
struct wc_record *wc_environment_seed(const struct wc_config *);     /* of SEED_SELF_HOST */

/* Strings are borrowed from the configuration. `producers` of the mesh. */
struct wc_registry_options wc_environment_options(const struct wc_config *, unsigned producers);
struct wc_janitor_options wc_environment_janitor(const struct wc_config *);
/* The server of DB_*. */
struct wc_pg_options wc_environment_pg(const struct wc_config *);

#endif

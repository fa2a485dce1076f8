/*
 * The tenants of this process: who is found by which request, on which bridge each lives, and what
 * happens to its clients when it changes.
 *
 *   put ─→ known ─(first join: touch)→ open on its bridge ─(nobody for idle_close_ms)→ known
 *    │       └──────────── remove, or put of other keys, database ...: clients told, closed 1012;
 *    └── put of other limits: in place                                closed on its bridge; freed
 *                                                                     with its last view
 *
 * A tenant that is replaced gets a new number, view, quota and rooms; the one before it goes on
 * until its last connection has ended, and no message of one reaches the other.
 *
 * Ownership: copies options and records. Threads: put, remove, restart and each: one at a time, a
 * bridge's or main before the bridges start; the directory and health: any. Source: protocol
 * reference sections 1.1, 8.5, 10.2; design section 7, "Modes".
 */
#ifndef WC_BRIDGE_TENANT_REGISTRY_H
#define WC_BRIDGE_TENANT_REGISTRY_H

#include "bridge/store/record.h"
#include "bridge/tenant/bridge.h"

struct wc_registry_options {
    /* What records do not say. Its external_id, keys, limits, and of
     * pg the host, dbname, user and password are not used; judge.pg.user and pg.sslmode only where
     * they are set (NULL: the record's, mapping_priv.h). */
    struct wc_tenant_options defaults;
    const char *validators;     /* JWT_CLAIM_VALIDATORS */
    const char *slot_suffix;    /* of permanent slots' names; empty: none */
    const char *default_tenant; /* who gets requests that name nobody known; empty: nobody */
    bool always_open;           /* tenants are opened when they are put, and stay open */
    uint32_t idle_close_ms;
};

struct wc_registry;

struct wc_registry *wc_registry_new(const struct wc_registry_options *); /* owned; NULL: NOMEM */
/* Before the first put, once: tenants are spread over these, which are borrowed. NOMEM. */
WC_MUST_USE
enum wc_status wc_registry_use_bridges(struct wc_registry *, struct wc_bridge *const *, size_t n);
void wc_registry_free(struct wc_registry *); /* after the bridges and socket threads have ended */

struct wc_directory wc_registry_directory(struct wc_registry *);

/* INVALID: its keys cannot be used (err says why, without them); the tenant is then suspended
 * rather than served with old keys. NOMEM. */
WC_MUST_USE
enum wc_status wc_registry_put(struct wc_registry *, const struct wc_record *, struct wc_err *err);
void wc_registry_remove(struct wc_registry *, const char *external_id);

/* False: unknown. reload: clients are told and closed, the database is let go; shutdown: only the
 * latter. */
bool wc_registry_reload(struct wc_registry *, const char *external_id);
bool wc_registry_shutdown(struct wc_registry *, const char *external_id);

/* How the database of a record is reached; strings are the record's and the registry's. */
struct wc_tenant_place {
    struct wc_pg_options pg;
    char slot[64]; /* the permanent one; empty: none */
};
void wc_registry_reach(const struct wc_registry *, const struct wc_record *,
                       struct wc_tenant_place *out); /* any thread */

struct wc_tenant_health {
    const char *external_id; /* valid during the call */
    bool is_open, is_suspended;
    bool db_connected;          /* a connection to its database stands */
    bool replication_connected; /* its stream stands */
    uint32_t users;
    struct wc_repl_status repl; /* of an open one */
    struct wc_tenant *tenant;   /* during a call of wc_registry_each; else NULL */
};
/* False: unknown. Any thread. */
bool wc_registry_health(struct wc_registry *, const char *external_id, struct wc_tenant_health *);
/* For who reads many figures at once. */
size_t wc_registry_count(struct wc_registry *); /* any thread */
void wc_registry_each_tenant(struct wc_registry *, void (*)(void *arg, struct wc_tenant *),
                             void *arg); /* as each */
void wc_registry_each(struct wc_registry *, void (*)(void *arg, const struct wc_tenant_health *),
                      void *arg); /* any thread; the callback must not come back here */

#endif

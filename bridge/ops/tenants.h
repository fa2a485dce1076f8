/*
 * The HTTP API for tenants:
 *
 *   GET    /api/tenants               200 {"data":[T ...]}, by external_id
 *   POST   /api/tenants               201 or 200 {"data":T}, 422 {"errors":{...}}
 *   GET    /api/tenants/:id           200 {"data":T}
 *   PUT, PATCH /api/tenants/:id       as POST
 *   DELETE /api/tenants/:id           204, also for one that is not there
 *   POST   /api/tenants/:id/reload    204: its clients are sent away, its database is let go
 *   POST   /api/tenants/:id/shutdown  204: its database is let go
 *   GET    /api/tenants/:id/health    200 {"data":{...}}
 *   GET    /api/openapi               the description of all routes, for everybody
 *
 * T is what render.h shows; an :id is an external_id. Asked in this order: a JSON body that is none
 * 400; Accept without JSON 406; a token that the gate admits, else 403 with an empty body; a body
 * without "tenant" 400; then 404 {"message":"not found"}, and 503 while the control store has never
 * been read, or cannot be reached for a write.
 *
 * Creating prepares the tenant's database before the answer; when that fails the tenant is there
 * and the answer is 401 {"message":"Unauthorized"}, the status that the incumbent has for it, with
 * the reason. Its health is false then, and asking for it tries again. Deleting drops the permanent
 * slot that we may have made; the incumbent drops every slot with "realtime" in its name, which may
 * be somebody else's, or hold what another server has yet to read.
 *
 * In environment mode writes are 409, and the one tenant is shown without its database.
 *
 *   socket thread: gate, body, form ─park, post→ bridge 0: store, registry ─call message→ answer
 *
 * Ownership: options are borrowed. Threads: new, routes, free: main; handlers: socket threads; the
 * others as named. Limits: a request that has no answer after 30 s is 504.
 * Source: protocol reference, sections 10.1 and 10.2.
 */
#ifndef WC_BRIDGE_OPS_TENANTS_H
#define WC_BRIDGE_OPS_TENANTS_H

#include "bridge/ops/gate.h"
#include "bridge/store/store.h"
#include "bridge/tenant/registry.h"
#include "fanout/request.h"

struct wc_admin_options {
    struct wc_registry *registry;
    const struct wc_gate *gate;       /* NULL: nobody is admitted */
    const struct wc_record *defaults; /* of new tenants (form.h) */
    const char *region, *node;        /* this server's, for health */
};

struct wc_admin;

struct wc_admin *wc_admin_new(const struct wc_admin_options *); /* owned; NULL when out of memory */
void wc_admin_free(struct wc_admin *);                          /* no bridge runs; NULL is fine */

/* Where operations run; before anybody asks. */
void wc_admin_use_bridge(struct wc_admin *, struct wc_bridge *);
/* Environment mode: this is the one tenant from now on; on that bridge's thread, or before it runs.
 */
void wc_admin_use_record(struct wc_admin *, struct wc_record *taken);
/* The store is there, on that bridge's thread; NULL: it is gone, and what was under way with it. */
void wc_admin_attach(struct wc_admin *, struct wc_store *);
/* Prepares the database of a tenant that was never prepared; on that thread. */
void wc_admin_prepare(struct wc_admin *, const char *external_id);
/* A tenant is gone: its database is no longer prepared, and who waits for that is told 404. On that
 * thread. */
void wc_admin_forget(struct wc_admin *, const char *external_id);

enum { WC_ADMIN_ROUTES = 10 };

/* Borrows it. */
void wc_admin_routes(struct wc_admin *, struct wc_http_route out[WC_ADMIN_ROUTES]);

#endif

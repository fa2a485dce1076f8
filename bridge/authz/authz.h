/*
 * What tokens may do in a tenant's private rooms, asked of the policies of realtime.messages, and
 * what a channel gets again of its rows: a small pool of connections to the tenant's database.
 *
 * A question is one transaction that is always rolled back: probe rows are inserted as ourselves,
 * then read as the token's role, then others inserted as the role. Questions are pipelined, one
 * behind the other on each connection; none waits for another role's. Connections are opened by the
 * first question and closed when idle; those of row checks are never shared.
 * After three failed connection attempts within 5 s questions are refused without another one.
 *
 * Ownership: copies its options. Threads: the loop's. Errors: a question is always answered, but
 * for those that wait when it is freed.
 * Source: protocol reference sections 4.6, 8.2, 8.3, 8.5; database reference section 7.
 */
#ifndef WC_BRIDGE_AUTHZ_AUTHZ_H
#define WC_BRIDGE_AUTHZ_AUTHZ_H

#include "bridge/pg/pg.h"
#include "fanout/publish.h"
#include "fanout/source.h"

struct uv_loop_s;

struct wc_authz_options {
    struct wc_pg_options pg; /* application_name and options are set by us */
    const char *tenant;      /* for the log */
    uint32_t pool;           /* connections, at least 1 */
};

struct wc_authz;

/* Returns owned; NULL when out of memory. */
struct wc_authz *wc_authz_new(struct uv_loop_s *, const struct wc_authz_options *,
                              struct wc_publisher *);
void wc_authz_free(struct wc_authz *); /* NULL is fine */

/* Takes the question. The permissions message may be published before this returns. */
void wc_authz_ask(struct wc_authz *, struct wc_authorize *);

#endif

/*
 * The probes of an orchestrator:
 *
 *   GET /health/live   200 while a socket thread's loop turns, whatever the databases do: without
 * an answer the process is to be restarted GET /health/ready  200 while clients are to be sent
 * here; 503 with a reason while the tenants are not known yet (`starting`) and from the signal to
 * stop on
 *                      (`shutting_down`, or nobody accepts the connection any more)
 *
 * A tenant's database that is down is no reason for either: its clients would find the same
 * elsewhere, and the others are served. That is what /health tells (health.h).
 * Threads: set: any; the handlers run on socket threads.
 */
#ifndef WC_BRIDGE_OPS_READY_H
#define WC_BRIDGE_OPS_READY_H

#include "fanout/request.h"

#include <stdatomic.h>

enum wc_readiness { WC_READY_STARTING, WC_READY, WC_READY_STOPPING };

struct wc_ready {
    _Atomic unsigned state; /* of enum wc_readiness; zeroed: STARTING */
};

enum { WC_READY_ROUTES = 2 };

/* Borrows it. */
void wc_ready_routes(struct wc_ready *, struct wc_http_route out[WC_READY_ROUTES]);

void wc_ready_set(struct wc_ready *, enum wc_readiness);

#endif

/*
 * The probes of an orchestrator:
 *
 *   GET /health/live   200 while a socket thread's loop turns, whatever the databases do
 *   GET /health/ready  200 while clients are to be sent here; 503 with a reason while the tenants
 *                      are not known yet (`starting`), and from the signal to stop on
 *                      (`shutting_down`, or nobody accepts the connection any more)
 *
 * Without an answer to the first the process is to be restarted.
 *
 * A tenant's database that is down is no reason for either: its clients would find the same
 * elsewhere, and the others are served. That is what /health tells (health.h).
 * Threads: set: any; the handlers run on socket threads.
 */
#ifndef WC_BRIDGE_OPS_PROBE_H
#define WC_BRIDGE_OPS_PROBE_H

#include "fanout/request.h"

#include <stdatomic.h>

enum wc_probe_state { WC_PROBE_STARTING, WC_PROBE_READY, WC_PROBE_STOPPING };

struct wc_probe {
    _Atomic unsigned state; /* of enum wc_probe_state; zeroed: STARTING */
};

enum { WC_PROBE_ROUTES = 2 };

/* Borrows it. */
void wc_probe_routes(struct wc_probe *, struct wc_http_route out[WC_PROBE_ROUTES]);

/* Who is stopping stays so, whatever has become ready meanwhile. */
void wc_probe_set(struct wc_probe *, enum wc_probe_state);

#endif

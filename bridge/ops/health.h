/*
 * The routes an operator's tools ask:
 *
 *   GET /healthcheck  200 `ok`: the process answers
 *   GET /health       JSON: version, uptime_s, connections, how many tenants are known and open,
 *                     and for at most 100 open ones, those in trouble first: state, slot,
 *                     received_lsn, confirmed_lsn, lag_bytes (end of WAL as the server last told us
 *                     minus confirmed); when something is wrong reason (a stable name), error and
 *                     hint; blocked_by (xid, pid, age_s) while a new slot waits for a transaction;
 *                     row_security: how many pairs of table and role are compiled and delegated,
 *                     and for at most WC_REPORT_PAIRS_MAX that bindings name (report.h) table,
 *                     role, mode, why, bindings, waiting.
 *                     503 when the one stream of environment mode should be up and is not, or its
 *                     server does not answer; in control-store mode while the tenants were never
 *                     read. Of the store: connected, reason, hint,
 *                     tenants_unusable (the log names them)
 *   GET /metrics      Prometheus text; with METRICS_JWT_SECRET only with a token it signed
 *                     (gate.h), else 403
 *
 * Threads: handlers run on socket threads.
 */
#ifndef WC_BRIDGE_OPS_HEALTH_H
#define WC_BRIDGE_OPS_HEALTH_H

#include "base/clock.h"
#include "bridge/ops/gate.h"
#include "bridge/ops/scrape.h"
#include "bridge/tenant/registry.h"
#include "fanout/request.h"

#include <stdatomic.h>

/* What the control store tells, by whoever runs it. Each field is read by itself, relaxed. */
struct wc_store_state {
    _Atomic bool is_loaded, is_connected;
    _Atomic(const char *) reason, hint; /* constant strings; NULL: none */
    _Atomic size_t unusable;            /* rows that are no tenants since they cannot be read */
};

struct wc_ops {
    const char *version;
    wc_us started; /* monotonic */
    struct wc_registry *registry;
    bool needs_every_tenant;            /* environment mode: unhealthy when a stream is not up */
    const struct wc_store_state *store; /* NULL: environment mode */
    const struct wc_gate *metrics_gate; /* NULL: /metrics is open */
    struct wc_scrape *scrape;
};

enum { WC_OPS_ROUTES = 3 };

/* Borrows `ops`. */
void wc_ops_routes(struct wc_ops *, struct wc_http_route out[WC_OPS_ROUTES]);

#endif

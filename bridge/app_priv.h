/*
 * The parts of the server process: made and taken down by parts.c, run by app.c.
 *
 * They are made in the order in which they need each other and started last; what is missing when
 * one cannot be made is NULL, so that taking down may follow at any point. Threads: main.
 */
#ifndef WC_BRIDGE_APP_PRIV_H
#define WC_BRIDGE_APP_PRIV_H

#include "bridge/config/config.h"
#include "bridge/control.h"
#include "bridge/ops/health.h"
#include "bridge/ops/probe.h"
#include "bridge/push/push.h"
#include "fanout/server.h"

enum {
    WC_APP_BRIDGES_MAX = 32,
    WC_APP_ROUTES = WC_OPS_ROUTES + WC_PROBE_ROUTES + WC_ADMIN_ROUTES,
    WC_APP_NODE_SIZE = 80, /* "walcast@" and a host name of 64 */
};

struct wc_app {
    struct wc_config *config; /* as it is now */
    struct wc_config *first;  /* as it was at the start: parts borrow its strings */
    struct wc_registry *registry;
    struct wc_gate *metrics_gate, *admin_gate;
    struct wc_record *defaults; /* of tenants made over HTTP */
    struct wc_admin *admin;
    struct wc_control *control; /* NULL: environment mode */
    struct wc_store_state store;
    char node[WC_APP_NODE_SIZE];
    struct wc_page *page;
    struct wc_scrape *scrape;
    struct wc_ops ops;
    struct wc_probe probe;
    struct wc_http_route routes[WC_APP_ROUTES];
    struct wc_server *server;
    struct wc_bridge *bridge[WC_APP_BRIDGES_MAX];
    size_t nbridges;
    struct wc_push *push; /* NULL: metrics are not sent anywhere */
};

/* Makes and starts all of it; `config` and `first` are set. False: err says why. */
WC_MUST_USE
bool wc_app_start(struct wc_app *, struct wc_err *err);
/* All have stopped serving, or never began. */
void wc_app_release(struct wc_app *);

/* What the one tenant of environment mode is by these settings; when they are read again, on bridge
 * 0. Takes the record. */
WC_MUST_USE
bool wc_app_put_tenant(struct wc_app *, struct wc_record *, struct wc_err *err);

/* As the settings say. */
const char *wc_app_address(const struct wc_config *);
unsigned wc_app_socket_threads(const struct wc_config *);

#endif

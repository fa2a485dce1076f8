#include "bridge/app_priv.h"

#include "base/log.h"
#include "base/metrics.h"
#include "bridge/environment.h"

#include <stdio.h>
#include <unistd.h>

enum {
    THREADS_MAX = 64, /* a mask of 64 bits has bridges and socket threads (server.h, quota.h) */
};

const char *wc_app_address(const struct wc_config *c)
{
    if (c->bind_address[0])
        return c->bind_address;
    return c->realtime_ip_version == WC_REALTIME_IP_VERSION_6 ? "::" : "0.0.0.0";
}

unsigned wc_app_socket_threads(const struct wc_config *c)
{
    const unsigned most = THREADS_MAX - c->bridge_threads;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned wanted = c->socket_threads ? c->socket_threads : cores < 1 ? 1 : (unsigned)cores;
    return wanted < most ? wanted : most;
}

bool wc_app_put_tenant(struct wc_app *app, struct wc_record *record, struct wc_err *err)
{
    struct wc_err why = {0};
    enum wc_status st = wc_registry_put(app->registry, record, &why);
    wc_admin_use_record(app->admin, record);
    if (st != WC_OK)
        (void)wc_err_set(err, st, "JWT_SECRET, API_JWT_JWKS, JWT_CLAIM_VALIDATORS: %s", why.text);
    return st == WC_OK;
}

static bool put_first_tenant(struct wc_app *app, struct wc_err *err)
{
    struct wc_record *record = wc_environment_record(app->config);
    if (record)
        return wc_app_put_tenant(app, record, err);
    (void)wc_err_set(err, WC_NOMEM, "out of memory");
    return false;
}

/* The one tenant of environment mode, or the store that knows them all. */
static bool make_tenants(struct wc_app *app, struct wc_err *err)
{
    wc_admin_use_bridge(app->admin, app->bridge[0]);
    if (wc_environment_is_mode(app->config))
        return put_first_tenant(app, err);
    const struct wc_control_options o = {.config = app->config,
                                         .registry = app->registry,
                                         .admin = app->admin,
                                         .bridge = app->bridge[0],
                                         .state = &app->store,
                                         .ready = &app->probe};
    app->control = wc_control_new(&o, err);
    return app->control != NULL;
}

static bool make_registry(struct wc_app *app, struct wc_err *err)
{
    const struct wc_config *c = app->config;
    const struct wc_registry_options o =
        wc_environment_options(c, c->bridge_threads + wc_app_socket_threads(c));
    app->registry = wc_registry_new(&o);
    if (app->registry)
        return true;
    (void)wc_err_set(err, WC_NOMEM, "out of memory");
    return false;
}

/* Without a secret of its own /metrics is open, and /api/tenants closed. */
static bool make_gates(struct wc_app *app, struct wc_err *err)
{
    const struct wc_config *c = app->config;
    const struct wc_gate_options metrics = {.secret = c->metrics_jwt_secret,
                                            .next_secret = "",
                                            .blocklist = c->metrics_token_blocklist,
                                            .validators = c->jwt_claim_validators};
    const struct wc_gate_options admin = {.secret = c->api_jwt_secret,
                                          .next_secret = c->api_jwt_secret_next,
                                          .blocklist = c->api_token_blocklist,
                                          .validators = c->jwt_claim_validators};
    bool is_closed = !c->api_jwt_secret[0] && !c->api_jwt_secret_next[0];
    if (is_closed)
        WC_LOG(WC_LOG_INFO, "app", "tenants_api_closed",
               "hint=\"set API_JWT_SECRET to use /api/tenants\"");
    return (!c->metrics_jwt_secret[0] ||
            wc_gate_make(&metrics, &app->metrics_gate, err) == WC_OK) &&
           (is_closed || wc_gate_make(&admin, &app->admin_gate, err) == WC_OK);
}

static void name_node(struct wc_app *app)
{
    char host[65] = "";
    if (gethostname(host, sizeof host - 1) != 0 || !host[0])
        (void)snprintf(host, sizeof host, "localhost");
    (void)snprintf(app->node, sizeof app->node, "walcast@%s", host); /* both fit */
}

static bool make_admin(struct wc_app *app, struct wc_err *err)
{
    name_node(app);
    app->defaults = wc_environment_defaults(app->config);
    const struct wc_admin_options o = {.registry = app->registry,
                                       .gate = app->admin_gate,
                                       .defaults = app->defaults,
                                       .region = app->config->region,
                                       .node = app->node};
    if (app->defaults)
        app->admin = wc_admin_new(&o);
    if (app->admin)
        return true;
    (void)wc_err_set(err, WC_NOMEM, "out of memory");
    return false;
}

static void make_routes(struct wc_app *app)
{
    bool is_one = wc_environment_is_mode(app->config);
    app->ops = (struct wc_ops){.version = WC_VERSION,
                               .started = wc_clock_mono(),
                               .registry = app->registry,
                               .needs_every_tenant = is_one,
                               .store = is_one ? NULL : &app->store,
                               .metrics_gate = app->metrics_gate,
                               .scrape = app->scrape};
    wc_ops_routes(&app->ops, app->routes);
    wc_probe_routes(&app->probe, app->routes + WC_OPS_ROUTES);
    wc_admin_routes(app->admin, app->routes + WC_OPS_ROUTES + WC_PROBE_ROUTES);
}

static bool make_server(struct wc_app *app, struct wc_err *err)
{
    const struct wc_config *c = app->config;
    app->page = wc_page_new(
        &(struct wc_page_options){.region = c->region,
                                  .port = (uint16_t)c->port,
                                  .registry = app->registry,
                                  .store = wc_environment_is_mode(c) ? NULL : &app->store});
    app->scrape = app->page ? wc_scrape_new(app->page) : NULL;
    if (!app->scrape) {
        (void)wc_err_set(err, WC_NOMEM, "out of memory");
        return false;
    }
    make_routes(app);
    const struct wc_server_options o = {
        .bind_address = wc_app_address(c),
        .port = (uint16_t)c->port,
        .threads = wc_app_socket_threads(c),
        .nbridges = c->bridge_threads,
        .ring_entries = c->ring_entries,
        .max_connections = c->max_connections,
        .request_id_baggage_key = c->request_id_baggage_key,
        .max_header_bytes = c->max_header_length,
        .max_frame_bytes = c->max_frame_bytes,
        .max_queued_bytes = c->max_queued_bytes,
        .pace_bytes_per_second = c->pace_bytes_per_second,
        .idle_timeout_ms = c->idle_timeout_ms,
        .no_channel_timeout_ms = c->no_channel_timeout_ms,
        .guard = {.max_connections = c->max_connections_per_address,
                  .connects_per_second = c->connects_per_second_per_address,
                  .refusals_per_minute = c->refusals_per_minute_per_address},
        .trusted_proxies = c->trusted_proxies,
        .allowed_origins = c->allowed_origins,
        .request_headers = c->request_headers,
        .presence_max_calls = c->client_presence_max_calls,
        .presence_window_ms = c->client_presence_window_ms,
        .presence_max_bytes = c->presence_max_bytes,
        .send_buffer_bytes = c->send_buffer_bytes,
        .tls_cert_file = c->tls_cert_file,
        .tls_key_file = c->tls_key_file,
        .directory = wc_registry_directory(app->registry),
        .source = wc_bridge_source(),
        .routes = app->routes,
        .nroutes = WC_APP_ROUTES};
    app->server = wc_server_new(&o, err);
    if (!app->server)
        return false;
    wc_page_set_mesh(app->page, wc_server_mesh(app->server));
    wc_metric_add(WC_M_CONNECTIONS_MAX, c->max_connections);
    return true;
}

static bool make_bridges(struct wc_app *app, struct wc_err *err)
{
    const struct wc_janitor_options janitor = wc_environment_janitor(app->config);
    for (; app->nbridges < app->config->bridge_threads; app->nbridges++) {
        unsigned index = (unsigned)app->nbridges;
        app->bridge[index] =
            wc_bridge_new(wc_server_mesh(app->server), wc_server_rooms(app->server), index);
        if (!app->bridge[index])
            break;
        wc_bridge_employ(app->bridge[index], &janitor);
    }
    if (app->nbridges == app->config->bridge_threads &&
        wc_registry_use_bridges(app->registry, app->bridge, app->nbridges) == WC_OK)
        return true;
    (void)wc_err_set(err, WC_NOMEM, "out of memory");
    return false;
}

static void render_page(void *self, struct wc_buf *out)
{
    wc_page_render(self, out);
}

static bool start_push(struct wc_app *app, struct wc_err *err)
{
    const struct wc_config *c = app->config;
    if (c->metrics_pusher_enabled == WC_METRICS_PUSHER_ENABLED_FALSE)
        return true;
    app->push =
        wc_push_new(&(struct wc_push_options){.url = c->metrics_pusher_url,
                                              .user = c->metrics_pusher_user,
                                              .auth = c->metrics_pusher_auth,
                                              .extra_labels = c->metrics_pusher_extra_labels,
                                              .interval_ms = c->metrics_pusher_interval_ms,
                                              .timeout_ms = c->metrics_pusher_timeout_ms,
                                              .is_compressed = c->metrics_pusher_compress ==
                                                               WC_METRICS_PUSHER_COMPRESS_TRUE,
                                              .render = render_page,
                                              .self = app->page},
                    err);
    return app->push && wc_push_start(app->push, err) == WC_OK;
}

static bool start_parts(struct wc_app *app, struct wc_err *err)
{
    for (size_t i = 0; i < app->nbridges; i++)
        if (wc_bridge_start(app->bridge[i], err) != WC_OK)
            return false;
    return wc_scrape_start(app->scrape, app->bridge[0], err) == WC_OK &&
           wc_server_start(app->server, err) == WC_OK && start_push(app, err);
}

bool wc_app_start(struct wc_app *app, struct wc_err *err)
{
    return make_registry(app, err) && make_gates(app, err) && make_admin(app, err) &&
           make_server(app, err) && make_bridges(app, err) && make_tenants(app, err) &&
           start_parts(app, err);
}

void wc_app_release(struct wc_app *app)
{
    wc_push_stop(app->push);
    wc_push_free(app->push);
    wc_scrape_stop(app->scrape);
    wc_bridges_stop(app->bridge, app->nbridges);
    for (size_t i = 0; i < app->nbridges; i++)
        wc_bridge_free(app->bridge[i]);
    wc_server_free(app->server);
    wc_registry_free(app->registry);
    wc_scrape_free(app->scrape);
    wc_control_free(app->control);
    wc_admin_free(app->admin);
    wc_record_free(app->defaults);
    wc_page_free(app->page);
    wc_gate_free(app->metrics_gate);
    wc_gate_free(app->admin_gate);
    if (app->config != app->first)
        wc_config_free(app->config);
    wc_config_free(app->first);
}

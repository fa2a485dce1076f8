#include "bridge/app.h"

#include "base/log.h"
#include "base/metrics.h"
#include "bridge/control.h"
#include "bridge/environment.h"
#include "bridge/ops/health.h"
#include "bridge/ops/probe.h"
#include "bridge/push/push.h"
#include "fanout/server.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    LAST_RESORT_S = 10, /* beyond the time clients have to take the close */
    THREADS_MAX = 64,   /* a mask of 64 bits has bridges and socket threads (server.h, quota.h) */
    BRIDGES_MAX = 32,
    TRIM_SECONDS = 10,
    ROUTES = WC_OPS_ROUTES + WC_PROBE_ROUTES + WC_ADMIN_ROUTES,
    NODE_SIZE = 80,          /* "walcast@" and a host name of 64 */
    SPARE_DESCRIPTORS = 256, /* listeners, event queues, Postgres, requests over HTTP */
};

struct app {
    struct wc_config *config; /* as it is now */
    struct wc_config *first;  /* as it was at the start: parts borrow its strings */
    struct wc_registry *registry;
    struct wc_gate *metrics_gate, *admin_gate;
    struct wc_record *defaults; /* of tenants made over HTTP */
    struct wc_admin *admin;
    struct wc_control *control; /* NULL: environment mode */
    struct wc_store_state store;
    char node[NODE_SIZE];
    struct wc_page *page;
    struct wc_scrape *scrape;
    struct wc_ops ops;
    struct wc_probe probe;
    struct wc_http_route routes[ROUTES];
    struct wc_server *server;
    struct wc_bridge *bridge[BRIDGES_MAX];
    size_t nbridges;
    struct wc_push *push; /* NULL: metrics are not sent anywhere */
};

static void set_log_level(const struct wc_config *c)
{
    enum wc_log_level level = WC_LOG_INFO;
    if (c->log_level == WC_LOG_LEVEL_DEBUG)
        level = WC_LOG_DEBUG;
    else if (c->log_level == WC_LOG_LEVEL_WARN || c->log_level == WC_LOG_LEVEL_WARNING)
        level = WC_LOG_WARN;
    else if (c->log_level == WC_LOG_LEVEL_ERROR)
        level = WC_LOG_ERROR;
    wc_log_set_level(level);
}

static const char *bind_address(const struct wc_config *c)
{
    if (c->bind_address[0])
        return c->bind_address;
    return c->realtime_ip_version == WC_REALTIME_IP_VERSION_6 ? "::" : "0.0.0.0";
}

static unsigned socket_threads(const struct wc_config *c)
{
    const unsigned most = THREADS_MAX - c->bridge_threads;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned wanted = c->socket_threads ? c->socket_threads : cores < 1 ? 1 : (unsigned)cores;
    return wanted < most ? wanted : most;
}

/* Every connection is a descriptor, and the usual soft limit is 1024. Where it is a billion it is
 * lowered: libwebsockets has a table with an entry for each descriptor there may be. */
static void fit_descriptors(const struct wc_config *c)
{
    struct rlimit r;
    const rlim_t wanted = c->max_connections + (rlim_t)SPARE_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == wanted)
        return;
    const rlim_t earlier = r.rlim_cur;
    r.rlim_cur = r.rlim_max < wanted ? r.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0)
        r.rlim_cur = earlier;
    bool is_enough = r.rlim_cur >= wanted;
    WC_LOG(is_enough ? WC_LOG_INFO : WC_LOG_WARN, "app", "open_files",
           "was=%llu is=%llu max_connections=%u%s", (unsigned long long)earlier,
           (unsigned long long)r.rlim_cur, c->max_connections,
           is_enough ? ""
                     : " hint=\"raise the hard limit of open files, or lower MAX_CONNECTIONS\"");
}

/* What the one tenant is by these settings; when they are read again, on bridge 0. Takes the
 * record. */
static bool put_tenant(struct app *app, struct wc_record *record, struct wc_err *err)
{
    struct wc_err why = {0};
    enum wc_status st = wc_registry_put(app->registry, record, &why);
    wc_admin_use_record(app->admin, record);
    if (st != WC_OK)
        (void)wc_err_set(err, st, "JWT_SECRET, API_JWT_JWKS, JWT_CLAIM_VALIDATORS: %s", why.text);
    return st == WC_OK;
}

static bool put_first_tenant(struct app *app, struct wc_err *err)
{
    struct wc_record *record = wc_environment_record(app->config);
    if (record)
        return put_tenant(app, record, err);
    (void)wc_err_set(err, WC_NOMEM, "out of memory");
    return false;
}

/* The one tenant of environment mode, or the store that knows them all. */
static bool make_tenants(struct app *app, struct wc_err *err)
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

static bool make_registry(struct app *app, struct wc_err *err)
{
    const struct wc_config *c = app->config;
    const struct wc_registry_options o =
        wc_environment_options(c, c->bridge_threads + socket_threads(c));
    app->registry = wc_registry_new(&o);
    if (app->registry)
        return true;
    (void)wc_err_set(err, WC_NOMEM, "out of memory");
    return false;
}

/* Without a secret of its own /metrics is open, and /api/tenants closed. */
static bool make_gates(struct app *app, struct wc_err *err)
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

static void name_node(struct app *app)
{
    char host[65] = "";
    if (gethostname(host, sizeof host - 1) != 0 || !host[0])
        (void)snprintf(host, sizeof host, "localhost");
    (void)snprintf(app->node, sizeof app->node, "walcast@%s", host); /* both fit */
}

static bool make_admin(struct app *app, struct wc_err *err)
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

static void make_routes(struct app *app)
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

static bool make_server(struct app *app, struct wc_err *err)
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
        .bind_address = bind_address(c),
        .port = (uint16_t)c->port,
        .threads = socket_threads(c),
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
        .nroutes = ROUTES};
    app->server = wc_server_new(&o, err);
    if (!app->server)
        return false;
    wc_page_set_mesh(app->page, wc_server_mesh(app->server));
    wc_metric_add(WC_M_CONNECTIONS_MAX, c->max_connections);
    return true;
}

static bool make_bridges(struct app *app, struct wc_err *err)
{
    for (; app->nbridges < app->config->bridge_threads; app->nbridges++) {
        unsigned index = (unsigned)app->nbridges;
        app->bridge[index] =
            wc_bridge_new(wc_server_mesh(app->server), wc_server_rooms(app->server), index);
        if (!app->bridge[index])
            break;
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

static bool start_push(struct app *app, struct wc_err *err)
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

static bool start(struct app *app, struct wc_err *err)
{
    for (size_t i = 0; i < app->nbridges; i++)
        if (wc_bridge_start(app->bridge[i], err) != WC_OK)
            return false;
    return wc_scrape_start(app->scrape, app->bridge[0], err) == WC_OK &&
           wc_server_start(app->server, err) == WC_OK && start_push(app, err);
}

/* Once, so that whoever has moved here knows what to take out. */
static void tell_accepted(void)
{
    struct wc_buf names;
    wc_buf_init(&names, 4096);
    wc_config_accepted(environ, &names);
    if (names.len)
        WC_LOG(WC_LOG_INFO, "app", "settings_without_effect",
               "names=%.*s hint=\"the README says why; they can be taken out\"",
               WC_SLICE_ARG(wc_buf_view(&names)));
    wc_buf_release(&names);
}

/* Threads inherit this mask, so every signal waits for the main thread's sigwait. */
static sigset_t block_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* none of these can fail with valid arguments */
    return set;
}

/* The tenant of environment mode on its way to bridge 0, where it is changed. */
struct renewal {
    struct app *app;
    struct wc_record *record;
};

static void discard_renewal(void *arg)
{
    struct renewal *n = arg;
    wc_record_free(n->record);
    free(n);
}

static void run_renewal(void *arg)
{
    struct renewal *n = arg;
    struct wc_err err = {.code = WC_OK};
    if (!put_tenant(n->app, n->record, &err))
        WC_LOG(WC_LOG_ERROR, "app", "limits_stay", "error=\"%s\"", err.text);
    free(n);
}

static void renew_tenant(struct app *app, const struct wc_config *fresh)
{
    struct renewal *n = calloc(1, sizeof *n);
    if (n)
        *n = (struct renewal){app, wc_environment_record(fresh)};
    const struct wc_bridge_call call = {run_renewal, discard_renewal, n};
    if (n && n->record && wc_bridge_post(app->bridge[0], &call) == WC_OK)
        return;
    WC_LOG(WC_LOG_ERROR, "app", "limits_stay", "error=\"out of memory\"");
    if (n)
        discard_renewal(n);
}

/* The log level last: the line about the reload is judged by the old one. */
static void apply(struct app *app, struct wc_config *fresh)
{
    if (!app->control)
        renew_tenant(app, fresh);
    if (app->config != app->first)
        wc_config_free(app->config);
    app->config = fresh;
}

/* Of the same files, whatever has become of the settings. */
static void reload_certificate(struct app *app)
{
    struct wc_err err = {.code = WC_OK};
    if (wc_server_reload_tls(app->server, &err) != WC_OK)
        WC_LOG(WC_LOG_ERROR, "app", "certificate_not_loaded",
               "error=\"%s\" hint=\"the one before stays in use; mend the files and send SIGHUP "
               "again\"",
               err.text);
}

static void reload(struct app *app, int argc, char **argv)
{
    struct wc_buf notes;
    wc_buf_init(&notes, 64 << 10);
    const struct wc_config_input in = {
        .use = WC_CONFIG_SERVE, .argc = argc, .argv = argv, .env = environ};
    struct wc_config *fresh = NULL;
    enum wc_status st = wc_config_reload(app->config, &in, &notes, &fresh);
    if (st == WC_OK)
        apply(app, fresh);
    wc_buf_byte(&notes, '\0');
    WC_LOG(st == WC_OK ? WC_LOG_INFO : WC_LOG_ERROR, "app", "reload", "status=\"%s\" notes=\"%s\"",
           wc_status_text(st), notes.p ? (const char *)notes.p : "");
    wc_buf_release(&notes);
    set_log_level(app->config);
    reload_certificate(app);
}

/* malloc keeps the pages of a flood that is over: 30 clients that did not read left 270 MB behind,
 * of which this gives all but 9 back. Here, because it takes milliseconds that the other threads do
 * not have. */
static void trim_memory(int64_t *trimmed_at)
{
    int64_t ended = wc_metric_sum(WC_M_CONNECTIONS_TOTAL) - wc_metric_sum(WC_M_CONNECTIONS);
    if (ended == *trimmed_at)
        return;
    *trimmed_at = ended;
    (void)malloc_trim(0); /* whether there was anything to give back */
}

static void run_until_told(struct app *app, const sigset_t *signals, int argc, char **argv)
{
    static const struct timespec wait = {.tv_sec = TRIM_SECONDS};
    int64_t trimmed_at = 0;
    int sig;
    while ((sig = sigtimedwait(signals, NULL, &wait)) < 0 || sig == SIGHUP) {
        if (sig == SIGHUP)
            reload(app, argc, argv);
        else
            trim_memory(&trimmed_at);
    }
    WC_LOG(WC_LOG_INFO, "app", "stopping", "signal=%d", sig);
    /* A name server that does not answer can hold a thread of the loop: then SIGALRM ends us. */
    (void)alarm(app->config->shutdown_timeout_ms / 1000 + LAST_RESORT_S); /* none was set */
    sigset_t ending = *signals;
    (void)sigdelset(&ending, SIGHUP); /* too late to reload, and no reason to hurry */
    (void)pthread_sigmask(SIG_UNBLOCK, &ending, NULL); /* the next one ends us at once */
}

/* Joins are refused; what was taken from Postgres reaches the connections and is confirmed; then
 * the clients are told and sent away. Half of the time for each. */
static void stop_serving(struct app *app)
{
    wc_probe_set(&app->probe, WC_PROBE_STOPPING);
    uint32_t half_ms = app->config->shutdown_timeout_ms / 2;
    if (app->server)
        wc_server_drain(app->server);
    if (!wc_bridges_end_streams(app->bridge, app->nbridges, half_ms))
        WC_LOG(WC_LOG_WARN, "app", "not_drained",
               "waited_ms=%u hint=\"a permanent slot holds what was not delivered\"", half_ms);
    if (app->server)
        wc_server_stop(app->server, app->config->shutdown_timeout_ms - half_ms);
}

static void take_down(struct app *app)
{
    stop_serving(app);
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

int wc_app_serve(struct wc_config *config, int argc, char **argv)
{
    struct app app = {.config = config, .first = config};
    struct wc_err err = {.code = WC_OK};
    set_log_level(config);
    sigset_t signals = block_signals();
    fit_descriptors(config);
    tell_accepted();
    bool ok = wc_metrics_attach() == WC_OK && make_registry(&app, &err) && make_gates(&app, &err) &&
              make_admin(&app, &err) && make_server(&app, &err) && make_bridges(&app, &err) &&
              make_tenants(&app, &err) && start(&app, &err);
    if (ok) {
        if (!app.control)
            wc_probe_set(&app.probe, WC_PROBE_READY);
        WC_LOG(WC_LOG_INFO, "app", "listening",
               "address=%s port=%u tls=%s socket_threads=%u version=%s mode=%s",
               bind_address(config), config->port, config->tls_cert_file[0] ? "on" : "off",
               socket_threads(config), WC_VERSION, app.control ? "control_store" : "environment");
        run_until_told(&app, &signals, argc, argv);
    } else {
        WC_LOG(WC_LOG_ERROR, "app", "start_failed", "error=\"%s\" hint=\"%s\"", err.text, err.hint);
    }
    take_down(&app);
    return ok ? 0 : 1;
}

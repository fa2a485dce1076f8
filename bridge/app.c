#include "bridge/app.h"

#include "base/log.h"
#include "base/metrics.h"
#include "bridge/app_priv.h"
#include "bridge/environment.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    LAST_RESORT_S = 10, /* beyond the time clients have to take the close */
    TRIM_SECONDS = 10,
    SPARE_DESCRIPTORS = 256, /* listeners, event queues, Postgres, requests over HTTP */
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
    struct wc_app *app;
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
    if (!wc_app_put_tenant(n->app, n->record, &err))
        WC_LOG(WC_LOG_ERROR, "app", "limits_stay", "error=\"%s\"", err.text);
    free(n);
}

static void renew_tenant(struct wc_app *app, const struct wc_config *fresh)
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
static void apply(struct wc_app *app, struct wc_config *fresh)
{
    if (!app->control)
        renew_tenant(app, fresh);
    if (app->config != app->first)
        wc_config_free(app->config);
    app->config = fresh;
}

/* Of the same files, whatever has become of the settings. */
static void reload_certificate(struct wc_app *app)
{
    struct wc_err err = {.code = WC_OK};
    if (wc_server_reload_tls(app->server, &err) != WC_OK)
        WC_LOG(WC_LOG_ERROR, "app", "certificate_not_loaded",
               "error=\"%s\" hint=\"the one before stays in use; mend the files and send SIGHUP "
               "again\"",
               err.text);
}

static void reload(struct wc_app *app, int argc, char **argv)
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

static void run_until_told(struct wc_app *app, const sigset_t *signals, int argc, char **argv)
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
static void stop_serving(struct wc_app *app)
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

int wc_app_serve(struct wc_config *config, int argc, char **argv)
{
    struct wc_app app = {.config = config, .first = config};
    struct wc_err err = {.code = WC_OK};
    set_log_level(config);
    sigset_t signals = block_signals();
    fit_descriptors(config);
    tell_accepted();
    bool ok = wc_metrics_attach() == WC_OK && wc_app_start(&app, &err);
    if (ok) {
        if (!app.control)
            wc_probe_set(&app.probe, WC_PROBE_READY);
        WC_LOG(WC_LOG_INFO, "app", "listening",
               "address=%s port=%u tls=%s socket_threads=%u version=%s mode=%s",
               wc_app_address(config), config->port, config->tls_cert_file[0] ? "on" : "off",
               wc_app_socket_threads(config), WC_VERSION,
               app.control ? "control_store" : "environment");
        run_until_told(&app, &signals, argc, argv);
    } else {
        WC_LOG(WC_LOG_ERROR, "app", "start_failed", "error=\"%s\" hint=\"%s\"", err.text, err.hint);
    }
    stop_serving(&app);
    wc_app_release(&app);
    return ok ? 0 : 1;
}

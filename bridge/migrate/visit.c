#include "bridge/migrate/visit.h"

#include "base/clock.h"
#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static const char session_options[] =
    "-c search_path=pg_catalog -c TimeZone=UTC -c lock_timeout=5000 -c statement_timeout=60000 "
    "-c client_min_messages=warning";

struct wc_visit {
    struct wc_visit_options opt; /* pg: not used after open */
    wc_visit_done done;
    void *arg;
    struct wc_pg *pg;
    struct wc_migrate *migrate; /* NULL: none runs */
    wc_us since;                /* when that began */
    uv_timer_t deadline;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void wc_visit_cancel(struct wc_visit *v)
{
    if (!v)
        return;
    wc_pg_close(v->pg);
    wc_migrate_cancel(v->migrate);
    uv_close((uv_handle_t *)&v->deadline, on_closed);
}

static void end(struct wc_visit *v, const struct wc_migrate_outcome *o)
{
    v->done(v->arg, o); /* first: the message may be the connection's */
    wc_visit_cancel(v);
}

static void fail(struct wc_visit *v, const char *sqlstate, const char *message)
{
    struct wc_migrate_outcome o = {.message = message};
    (void)snprintf(o.sqlstate, sizeof o.sqlstate, "%s", sqlstate); /* of five letters, or none */
    end(v, &o);
}

static void on_deadline(uv_timer_t *timer)
{
    struct wc_visit *v = timer->data;
    char text[64];
    (void)snprintf(text, sizeof text, "timeout: not done in %u ms", v->opt.timeout_ms); /* fits */
    fail(v, "", text);
}

static void on_migrated(void *arg, const struct wc_migrate_outcome *o)
{
    struct wc_visit *v = arg;
    v->migrate = NULL;
    if (o->ok)
        wc_metric_observe(WC_H_MIGRATIONS, (uint64_t)(wc_clock_mono() - v->since), 1);
    end(v, o);
}

static void on_ready(void *arg)
{
    static const struct wc_migrate_hooks hooks = {.on_done = on_migrated};
    struct wc_visit *v = arg;
    v->since = wc_clock_mono();
    v->migrate = wc_migrate_run(v->pg, &v->opt.migrate, &hooks, v);
    if (!v->migrate)
        fail(v, "", "out of memory");
}

/* A migration under way has ended before, and the visit with it. */
static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    fail(arg, sqlstate, message);
}

struct wc_visit *wc_visit_open(uv_loop_t *loop, const struct wc_visit_options *options,
                               wc_visit_done done, void *arg)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    struct wc_visit *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    *v = (struct wc_visit){.opt = *options, .done = done, .arg = arg};
    v->opt.pg.replication = false;
    v->opt.pg.application_name = "walcast_migrate";
    v->opt.pg.options = session_options;
    v->pg = wc_pg_open(loop, &v->opt.pg, &events, v);
    if (!v->pg) {
        free(v);
        return NULL;
    }
    (void)uv_timer_init(loop, &v->deadline); /* cannot fail */
    v->deadline.data = v;
    if (options->timeout_ms) /* valid handle and callback */
        (void)uv_timer_start(&v->deadline, on_deadline, options->timeout_ms, 0);
    return v;
}

#include "bridge/migrate/upkeep.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bridge/migrate/migrate.h"
#include "bridge/pg/backoff.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { RETRY_MS = 60000 };

static const char session_options[] =
    "-c search_path=pg_catalog -c TimeZone=UTC -c lock_timeout=5000 -c statement_timeout=60000 "
    "-c client_min_messages=warning";

struct wc_upkeep {
    struct wc_upkeep_options opt;
    uv_loop_t *loop;
    uv_timer_t timer;
    struct wc_pg *pg;
    struct wc_migrate *migrate;
    wc_us since; /* when it began */
    struct wc_backoff backoff;
    bool was_told;
    char told[6]; /* SQLSTATE of the failure logged last */
};

static void on_timer(uv_timer_t *);

static void again_in(struct wc_upkeep *u, uint32_t ms)
{
    wc_pg_close(u->pg);
    u->pg = NULL;
    (void)uv_timer_start(&u->timer, on_timer, ms, 0); /* valid handle and callback */
}

static void fail(struct wc_upkeep *u, const struct wc_migrate_outcome *o)
{
    wc_metric_add(WC_M_MIGRATION_FAILURES, 1);
    bool is_news = !u->was_told || strcmp(u->told, o->sqlstate) != 0;
    if (is_news)
        WC_LOG(WC_LOG_WARN, "migrate", "not_migrated",
               "tenant=%s step=\"%s\" sqlstate=%s error=\"%s\" hint=\"%s\"", u->opt.tenant, o->step,
               o->sqlstate[0] ? o->sqlstate : "-", o->message,
               o->remedy ? o->remedy : "see what walcast migrate says");
    u->was_told = true;
    (void)snprintf(u->told, sizeof u->told, "%s", o->sqlstate);
    again_in(u, wc_backoff_next(&u->backoff, RETRY_MS));
}

static void on_done(void *arg, const struct wc_migrate_outcome *o)
{
    struct wc_upkeep *u = arg;
    u->migrate = NULL;
    if (!o->ok) {
        fail(u, o);
        return;
    }
    wc_metric_observe(WC_H_MIGRATIONS, (uint64_t)(wc_clock_mono() - u->since), 1);
    WC_LOG(u->was_told ? WC_LOG_INFO : WC_LOG_DEBUG, "migrate", "in_order", "tenant=%s objects=%d",
           u->opt.tenant, u->opt.makes_objects);
    u->was_told = false;
    u->backoff.ms = 0;
    again_in(u, u->opt.every_ms);
}

static void on_ready(void *arg)
{
    static const struct wc_migrate_hooks hooks = {.on_done = on_done};
    struct wc_upkeep *u = arg;
    const struct wc_migrate_options o = {.only_partitions = !u->opt.makes_objects};
    u->since = wc_clock_mono();
    u->migrate = wc_migrate_run(u->pg, &o, &hooks, u);
    if (!u->migrate)
        again_in(u, wc_backoff_next(&u->backoff, RETRY_MS));
}

/* The stream's own connection says what is wrong with the server. What was under way has ended
 * before. */
static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    struct wc_upkeep *u = arg;
    (void)sqlstate;
    (void)message;
    again_in(u, wc_backoff_next(&u->backoff, RETRY_MS));
}

static void on_timer(uv_timer_t *t)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    struct wc_upkeep *u = t->data;
    u->pg = wc_pg_open(u->loop, &u->opt.pg, &events, u);
    if (!u->pg)
        again_in(u, wc_backoff_next(&u->backoff, RETRY_MS));
}

struct wc_upkeep *wc_upkeep_new(uv_loop_t *loop, const struct wc_upkeep_options *options)
{
    struct wc_upkeep *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    u->loop = loop;
    u->opt = *options;
    u->opt.pg.replication = false;
    u->opt.pg.application_name = "walcast_migrate";
    u->opt.pg.options = session_options;
    (void)uv_timer_init(loop, &u->timer); /* cannot fail */
    u->timer.data = u;
    (void)uv_timer_start(&u->timer, on_timer, 0, 0); /* valid handle and callback */
    return u;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void wc_upkeep_free(struct wc_upkeep *u)
{
    if (!u)
        return;
    wc_pg_close(u->pg);
    wc_migrate_cancel(u->migrate);
    uv_close((uv_handle_t *)&u->timer, on_closed);
}

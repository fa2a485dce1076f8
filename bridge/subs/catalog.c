#include "bridge/subs/catalog.h"

#include "base/log.h"
#include "bridge/pg/backoff.h"
#include "bridge/pg/reason.h"
#include "bridge/rls/access.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct wc_catalog {
    uv_loop_t *loop;
    struct wc_pg_options opt;
    const char *tenant;
    void (*on_up)(void *arg);
    void *arg;
    struct wc_pg *pg;
    bool up, turned_away;
    uv_timer_t retry;
    struct wc_backoff backoff;
    struct wc_log_limit complaint;
};

static void on_retry(uv_timer_t *t)
{
    wc_catalog_want(t->data);
}

static void on_ready(void *arg)
{
    struct wc_catalog *c = arg;
    c->up = true;
    c->turned_away = false;
    c->backoff.ms = 0;
    c->on_up(c->arg);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    struct wc_catalog *c = arg;
    struct wc_pg_reason why = wc_pg_reason(sqlstate, message);
    uint32_t wait_ms = wc_backoff_next(&c->backoff, why.least_wait_ms);
    unsigned long repeated = 0;
    if (wc_log_limit(&c->complaint, 60 * 1000000, &repeated))
        WC_LOG(WC_LOG_WARN, "catalog", why.event,
               "tenant=%s sqlstate=%s error=\"%s\" hint=\"%s\" retry_in_ms=%u repeated=%lu",
               c->tenant, sqlstate[0] ? sqlstate : "-", message, why.hint, wait_ms, repeated);
    c->up = false;
    c->turned_away = strcmp(sqlstate, "57P03") == 0; /* cannot_connect_now */
    wc_pg_close(c->pg);
    c->pg = NULL;
    (void)uv_timer_start(&c->retry, on_retry, wait_ms, 0); /* valid handle and callback */
}

struct wc_catalog *wc_catalog_new(uv_loop_t *loop, const struct wc_pg_options *options,
                                  const char *tenant, void (*on_up)(void *arg), void *arg)
{
    struct wc_catalog *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->loop = loop;
    c->opt = *options;
    c->opt.replication = false;
    c->opt.application_name = "walcast_catalog";
    c->opt.options = wc_access_session;
    c->tenant = tenant;
    c->on_up = on_up;
    c->arg = arg;
    (void)uv_timer_init(loop, &c->retry); /* cannot fail */
    c->retry.data = c;
    return c;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void wc_catalog_free(struct wc_catalog *c)
{
    if (!c)
        return;
    wc_pg_close(c->pg);
    c->pg = NULL;
    c->up = false;
    uv_close((uv_handle_t *)&c->retry, on_closed);
}

void wc_catalog_want(struct wc_catalog *c)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    if (c->pg || uv_is_active((uv_handle_t *)&c->retry))
        return;
    c->pg = wc_pg_open(c->loop, &c->opt, &events, c);
    if (!c->pg)
        (void)uv_timer_start(&c->retry, on_retry, wc_backoff_next(&c->backoff, 0), 0);
}

void wc_catalog_server_is_up(struct wc_catalog *c)
{
    c->turned_away = false;
}

bool wc_catalog_is_turned_away(const struct wc_catalog *c)
{
    return c->turned_away;
}

struct wc_pg *wc_catalog_pg(struct wc_catalog *c)
{
    return c->up ? c->pg : NULL;
}

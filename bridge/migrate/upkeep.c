#include "bridge/migrate/upkeep.h"

#include "bridge/migrate/news.h"
#include "bridge/migrate/visit.h"
#include "bridge/pg/backoff.h"

#include <stdlib.h>
#include <uv.h>

enum { RETRY_MS = 60000 };

struct wc_upkeep {
    struct wc_visit_options visits;
    const char *tenant;
    uint32_t every_ms;
    uv_loop_t *loop;
    uv_timer_t timer;
    struct wc_visit *visit; /* NULL: between two */
    struct wc_backoff backoff;
    struct wc_migrate_news news;
};

static void on_timer(uv_timer_t *);

static void again_in(struct wc_upkeep *u, uint32_t ms)
{
    (void)uv_timer_start(&u->timer, on_timer, ms, 0); /* valid handle and callback */
}

/* What is wrong with a server that is not reached, the stream's own connection says. */
static void on_done(void *arg, const struct wc_migrate_outcome *o)
{
    struct wc_upkeep *u = arg;
    u->visit = NULL;
    if (o->ok || o->step)
        wc_migrate_news_tell(&u->news, u->tenant, &u->visits.migrate, o);
    if (o->ok)
        u->backoff.ms = 0;
    again_in(u, o->ok ? u->every_ms : wc_backoff_next(&u->backoff, RETRY_MS));
}

static void on_timer(uv_timer_t *t)
{
    struct wc_upkeep *u = t->data;
    u->visit = wc_visit_open(u->loop, &u->visits, on_done, u);
    if (!u->visit)
        again_in(u, wc_backoff_next(&u->backoff, RETRY_MS));
}

struct wc_upkeep *wc_upkeep_new(uv_loop_t *loop, const struct wc_upkeep_options *options)
{
    struct wc_upkeep *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    u->loop = loop;
    u->visits = (struct wc_visit_options){.pg = options->pg,
                                          .migrate = {.only_partitions = !options->makes_objects}};
    u->tenant = options->tenant;
    u->every_ms = options->every_ms;
    (void)uv_timer_init(loop, &u->timer); /* cannot fail */
    u->timer.data = u;
    again_in(u, 0);
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
    wc_visit_cancel(u->visit);
    uv_close((uv_handle_t *)&u->timer, on_closed);
}

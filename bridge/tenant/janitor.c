#include "bridge/tenant/janitor_priv.h"

#include "bridge/migrate/visit.h"
#include "bridge/pg/backoff.h"

enum { SPREAD = 8 }; /* part of the time between two visits by which one may be late */

static const struct wc_migrate_options partitions = {.only_partitions = true};

static void visit_in(struct wc_seat *s, wc_us now, uint32_t ms, uint32_t spread_ms)
{
    s->visit_at = now + ((wc_us)ms + wc_backoff_jitter(spread_ms)) * 1000;
}

void wc_janitor_expect(const struct wc_janitor *j, struct wc_seat *s, bool is_new, wc_us now)
{
    const struct wc_janitor_options *o = &j->opt;
    if (is_new)
        visit_in(s, now, o->first_ms, o->first_ms);
    else
        visit_in(s, now, o->every_ms, o->every_ms / SPREAD);
}

static void end_visit(struct wc_seat *s)
{
    s->visit = NULL;
    s->visitor->visits--;
}

static void on_done(void *arg, const struct wc_migrate_outcome *o)
{
    struct wc_seat *s = arg;
    end_visit(s);
    wc_janitor_expect(s->visitor, s, false, wc_clock_mono());
    wc_migrate_news_tell(&s->news, wc_tenant_name(s->tenant), &partitions, o);
}

static void visit(struct wc_janitor *j, struct wc_seat *s)
{
    struct wc_visit_options o = {.pg = wc_tenant_options(s->tenant)->pg,
                                 .migrate = partitions,
                                 .timeout_ms = j->opt.timeout_ms};
    if (o.pg.connect_timeout_ms > o.timeout_ms)
        o.pg.connect_timeout_ms = o.timeout_ms;
    s->visitor = j;
    s->visit = wc_visit_open(j->loop, &o, on_done, s);
    if (s->visit)
        j->visits++;
}

bool wc_janitor_come_by(struct wc_janitor *j, struct wc_seat *s, wc_us now)
{
    if (s->visit || now < s->visit_at || j->visits >= j->opt.visits_max)
        return false;
    visit(j, s);
    return s->visit != NULL;
}

void wc_janitor_leave(struct wc_seat *s)
{
    if (!s->visit)
        return;
    wc_visit_cancel(s->visit);
    end_visit(s);
}

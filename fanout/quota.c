#include "fanout/quota.h"

#include "base/assert.h"

#include <stdlib.h>

enum {
    PRODUCERS_MAX = 64,
    WINDOW_S = 60,
    MILLI = 1000, /* averages are kept in thousandths */
};

static const struct kind {
    uint32_t tick_s;
    bool is_strict; /* triggered above the limit, not at it */
    enum wc_metric metric;
} kinds[WC_QUOTA_KINDS] = {
    [WC_QUOTA_JOINS] = {5, false, WC_M_QUOTA_JOINS},
    [WC_QUOTA_EVENTS] = {5, false, WC_M_QUOTA_EVENTS},
    [WC_QUOTA_DB_EVENTS] = {5, false, WC_M_QUOTA_DB_EVENTS},
    [WC_QUOTA_PRESENCE] = {5, true, WC_M_QUOTA_PRESENCE},
    [WC_QUOTA_REQUESTS] = {1, false, WC_M_QUOTA_REQUESTS},
};

/* One producer's; on cache lines of its own. */
struct block {
    _Alignas(64) _Atomic uint64_t count[WC_QUOTA_KINDS];
};

/* The ticker's, per kind. */
struct window {
    wc_us next;
    uint64_t total;          /* at the last tick */
    uint32_t limit;          /* the averages were begun under */
    uint32_t nticks;         /* ever, under this limit */
    uint64_t tick[WINDOW_S]; /* the last ones, a ring */
};

struct wc_quota {
    unsigned producers;
    _Atomic uint32_t max_users, max_channels, max_joins, max_events, max_presence;
    _Atomic uint32_t max_payload_kb, presence_calls, presence_window_ms, presence_enabled;
    _Atomic uint32_t users;
    _Atomic uint64_t average[WC_QUOTA_KINDS]; /* milli per second */
    _Atomic bool is_triggered[WC_QUOTA_KINDS];
    struct window window[WC_QUOTA_KINDS];
    struct block *block;
    struct wc_tenant_metrics *metrics;
};

static uint32_t load(const _Atomic uint32_t *p)
{
    return atomic_load_explicit(p, memory_order_relaxed);
}

static void store(_Atomic uint32_t *p, uint32_t v)
{
    atomic_store_explicit(p, v, memory_order_relaxed);
}

struct wc_quota *wc_quota_new(unsigned producers, const struct wc_tenant_limits *limits)
{
    WC_ASSERT(producers >= 1 && producers <= PRODUCERS_MAX);
    struct wc_quota *q = calloc(1, sizeof *q);
    struct block *b = aligned_alloc(_Alignof(struct block), producers * sizeof *b);
    struct wc_tenant_metrics *metrics = wc_tenant_metrics_new(producers);
    if (!q || !b || !metrics) {
        free(q);
        free(b);
        wc_tenant_metrics_free(metrics);
        return NULL;
    }
    memset(b, 0, producers * sizeof *b);
    q->producers = producers;
    q->block = b;
    q->metrics = metrics;
    wc_quota_set_limits(q, limits);
    return q;
}

void wc_quota_free(struct wc_quota *q)
{
    if (!q)
        return;
    wc_tenant_metrics_free(q->metrics);
    free(q->block);
    free(q);
}

void wc_quota_set_limits(struct wc_quota *q, const struct wc_tenant_limits *l)
{
    store(&q->max_users, l->max_concurrent_users);
    store(&q->max_channels, l->max_channels_per_client);
    store(&q->max_joins, l->max_joins_per_second);
    store(&q->max_events, l->max_events_per_second);
    store(&q->max_presence, l->max_presence_events_per_second);
    store(&q->max_payload_kb, l->max_payload_kb);
    store(&q->presence_calls, l->presence_max_calls);
    store(&q->presence_window_ms, l->presence_window_ms);
    store(&q->presence_enabled, l->presence_enabled);
}

struct wc_tenant_limits wc_quota_limits(const struct wc_quota *q)
{
    return (struct wc_tenant_limits){.max_concurrent_users = load(&q->max_users),
                                     .max_channels_per_client = load(&q->max_channels),
                                     .max_joins_per_second = load(&q->max_joins),
                                     .max_events_per_second = load(&q->max_events),
                                     .max_presence_events_per_second = load(&q->max_presence),
                                     .max_payload_kb = load(&q->max_payload_kb),
                                     .presence_max_calls = load(&q->presence_calls),
                                     .presence_window_ms = load(&q->presence_window_ms),
                                     .presence_enabled = load(&q->presence_enabled) != 0};
}

uint32_t wc_quota_max_payload_kb(const struct wc_quota *q)
{
    return load(&q->max_payload_kb);
}

static uint32_t limit_of(const struct wc_quota *q, enum wc_quota_kind k)
{
    if (k == WC_QUOTA_JOINS)
        return load(&q->max_joins);
    return load(k == WC_QUOTA_PRESENCE ? &q->max_presence : &q->max_events);
}

/* ---- counting ---- */

void wc_quota_count(struct wc_quota *q, unsigned producer, enum wc_quota_kind k, uint64_t n)
{
    WC_DASSERT(producer < q->producers);
    /* The only writer: no read-modify-write. */
    _Atomic uint64_t *c = &q->block[producer].count[k];
    uint64_t before = atomic_load_explicit(c, memory_order_relaxed);
    atomic_store_explicit(c, before + n, memory_order_relaxed);
    wc_metric_add(kinds[k].metric, (int64_t)n);
}

struct wc_tenant_metrics *wc_quota_metrics(const struct wc_quota *q)
{
    return q->metrics;
}

uint64_t wc_quota_total(const struct wc_quota *q, enum wc_quota_kind k)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < q->producers; i++)
        sum += atomic_load_explicit(&q->block[i].count[k], memory_order_relaxed);
    return sum;
}

/* ---- averages ---- */

static uint64_t average_of(const struct window *w, uint32_t tick_s)
{
    uint32_t held = WINDOW_S / tick_s;
    uint32_t n = w->nticks < held ? w->nticks : held;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += w->tick[i];
    return n ? sum * MILLI / ((uint64_t)n * tick_s) : 0;
}

static void publish(struct wc_quota *q, enum wc_quota_kind k)
{
    const struct window *w = &q->window[k];
    uint64_t average = average_of(w, kinds[k].tick_s), limit = (uint64_t)w->limit * MILLI;
    bool is_over = w->limit && (kinds[k].is_strict ? average > limit : average >= limit);
    atomic_store_explicit(&q->average[k], average, memory_order_relaxed);
    atomic_store_explicit(&q->is_triggered[k], is_over, memory_order_relaxed);
}

static void begin(struct wc_quota *q, enum wc_quota_kind k, wc_us now)
{
    q->window[k] = (struct window){.next = now + (wc_us)kinds[k].tick_s * 1000000,
                                   .limit = limit_of(q, k),
                                   .total = wc_quota_total(q, k)};
    publish(q, k);
}

/* A ticker that comes late counts what it missed into the first tick; the others were empty. */
static void tick(struct wc_quota *q, enum wc_quota_kind k, wc_us now)
{
    struct window *w = &q->window[k];
    uint32_t held = WINDOW_S / kinds[k].tick_s;
    for (uint32_t n = 0; w->next <= now && n < held; n++) {
        uint64_t total = wc_quota_total(q, k);
        w->tick[w->nticks++ % held] = total - w->total;
        w->total = total;
        w->next += (wc_us)kinds[k].tick_s * 1000000;
    }
    if (w->next <= now) /* slept for more than a window */
        w->next = now + (wc_us)kinds[k].tick_s * 1000000;
    publish(q, k);
}

void wc_quota_tick(struct wc_quota *q, wc_us now)
{
    for (enum wc_quota_kind k = WC_QUOTA_JOINS; k < WC_QUOTA_KINDS; k++) {
        const struct window *w = &q->window[k];
        if (!w->next || w->limit != limit_of(q, k))
            begin(q, k, now);
        else if (w->next <= now)
            tick(q, k, now);
    }
}

bool wc_quota_is_triggered(const struct wc_quota *q, enum wc_quota_kind k)
{
    return atomic_load_explicit(&q->is_triggered[k], memory_order_relaxed);
}

struct wc_quota_rate wc_quota_rate(const struct wc_quota *q, enum wc_quota_kind k)
{
    struct wc_quota_rate r = {.limit = limit_of(q, k)};
    r.average = atomic_load_explicit(&q->average[k], memory_order_relaxed) / MILLI;
    r.remaining = r.average < r.limit ? r.limit - (uint32_t)r.average : 0;
    return r;
}

bool wc_quota_would_pass(const struct wc_quota *q, enum wc_quota_kind k, uint64_t n)
{
    uint64_t limit = (uint64_t)limit_of(q, k) * MILLI;
    uint64_t average = atomic_load_explicit(&q->average[k], memory_order_relaxed);
    return limit && (n > limit / MILLI || average + n * MILLI > limit);
}

/* ---- users ---- */

bool wc_quota_user_enter(struct wc_quota *q)
{
    uint32_t now = load(&q->users);
    do {
        uint32_t max = load(&q->max_users);
        if (max && now >= max)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&q->users, &now, now + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    wc_metric_add(WC_M_USERS, 1);
    return true;
}

void wc_quota_user_leave(struct wc_quota *q)
{
    uint32_t before = atomic_fetch_sub_explicit(&q->users, 1, memory_order_relaxed);
    WC_ASSERT(before > 0);
    wc_metric_add(WC_M_USERS, -1);
}

bool wc_quota_is_full(const struct wc_quota *q)
{
    uint32_t max = load(&q->max_users);
    return max && load(&q->users) >= max;
}

uint32_t wc_quota_users(const struct wc_quota *q)
{
    return load(&q->users);
}

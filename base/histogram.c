#include "base/histogram.h"

#define WC_BUCKETS(symbol, scale, ...) static const uint64_t bounds_##symbol[] = {__VA_ARGS__};
#include "base/buckets.def"
#undef WC_BUCKETS

static const struct {
    const uint64_t *bound;
    size_t count;
    uint64_t scale;
} kinds[WC_BUCKETS_COUNT] = {
#define WC_BUCKETS(symbol, scale, ...)                                                             \
    {bounds_##symbol, sizeof bounds_##symbol / sizeof *bounds_##symbol, scale},
#include "base/buckets.def"
#undef WC_BUCKETS
};

#define WC_BUCKETS(symbol, scale, ...)                                                             \
    _Static_assert(sizeof bounds_##symbol / sizeof *bounds_##symbol <= WC_BUCKETS_MAX,             \
                   "room for every bucket of " #symbol);
#include "base/buckets.def"
#undef WC_BUCKETS

size_t wc_buckets_bounds(enum wc_buckets k, const uint64_t **bounds)
{
    *bounds = kinds[k].bound;
    return kinds[k].count;
}

uint64_t wc_buckets_scale(enum wc_buckets k)
{
    return kinds[k].scale;
}

/* The only writer: no read-modify-write. */
static void add(_Atomic uint64_t *to, uint64_t n)
{
    uint64_t before = atomic_load_explicit(to, memory_order_relaxed);
    atomic_store_explicit(to, before + n, memory_order_relaxed);
}

void wc_histogram_add(struct wc_histogram *h, enum wc_buckets k, uint64_t value, uint64_t n)
{
    size_t i = 0;
    while (i < kinds[k].count && value > kinds[k].bound[i])
        i++;
    add(&h->count[i < kinds[k].count ? i : WC_BUCKETS_MAX], n);
    add(&h->sum, value * n);
}

void wc_histogram_read(const struct wc_histogram *h, struct wc_histogram_sum *out)
{
    for (size_t i = 0; i <= WC_BUCKETS_MAX; i++)
        out->count[i] += atomic_load_explicit(&h->count[i], memory_order_relaxed);
    out->sum += atomic_load_explicit(&h->sum, memory_order_relaxed);
}

uint64_t wc_histogram_count(const struct wc_histogram_sum *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i <= WC_BUCKETS_MAX; i++)
        n += s->count[i];
    return n;
}

#include "base/tenant_metrics.h"

#include "base/assert.h"

#include <stdlib.h>

struct block {
    _Alignas(64) _Atomic int64_t value[WC_TENANT_METRIC_COUNT];
    struct wc_histogram histogram[WC_TENANT_HISTOGRAM_COUNT];
};

struct wc_tenant_metrics {
    unsigned producers;
    _Atomic(struct block *) block[]; /* NULL: never counted */
};

static const struct {
    const char *name, *labels, *kind, *help;
    enum wc_metric total;
} metrics[WC_TENANT_METRIC_COUNT] = {
#define COUNTER "counter"
#define GAUGE   "gauge"
#define WC_TENANT_METRIC(symbol, name, labels, kind, total, help)                                  \
    {name, labels, kind, help, WC_M_##total},
#define WC_TENANT_HISTOGRAM(symbol, name, labels, buckets, total, help)
#include "base/tenant_metrics.def"
#undef WC_TENANT_METRIC
#undef WC_TENANT_HISTOGRAM
#undef COUNTER
#undef GAUGE
};

static const struct {
    const char *name, *labels, *help;
    enum wc_buckets buckets;
    enum wc_node_histogram total;
} histograms[WC_TENANT_HISTOGRAM_COUNT] = {
#define WC_TENANT_METRIC(symbol, name, labels, kind, total, help)
#define WC_TENANT_HISTOGRAM(symbol, name, labels, buckets, total, help)                            \
    {name, labels, help, WC_BUCKETS_##buckets, WC_H_##total},
#include "base/tenant_metrics.def"
#undef WC_TENANT_METRIC
#undef WC_TENANT_HISTOGRAM
};

static const struct {
    const char *code;
    enum wc_tenant_metric metric;
} errors[] = {
#define WC_CHANNEL_ERROR(code) {#code, WC_T_ERROR_##code},
#include "base/channel_error.def"
#undef WC_CHANNEL_ERROR
};

struct wc_tenant_metrics *wc_tenant_metrics_new(unsigned producers)
{
    struct wc_tenant_metrics *t = calloc(1, sizeof *t + producers * sizeof t->block[0]);
    if (t)
        t->producers = producers;
    return t;
}

void wc_tenant_metrics_free(struct wc_tenant_metrics *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < t->producers; i++)
        free(atomic_load_explicit(&t->block[i], memory_order_relaxed)); /* the others have ended */
    free(t);
}

/* ---- counting ---- */

static struct block *make_block(struct wc_tenant_metrics *t, unsigned producer)
{
    struct block *b = aligned_alloc(_Alignof(struct block), sizeof *b);
    if (!b)
        return NULL;
    memset(b, 0, sizeof *b);
    /* M2 release: a reader that finds the block sees it zeroed */
    atomic_store_explicit(&t->block[producer], b, memory_order_release);
    return b;
}

/* The producer's own; NULL when out of memory. */
static struct block *block_of(struct wc_tenant_metrics *t, unsigned producer)
{
    WC_DASSERT(producer < t->producers);
    /* Relaxed: only this thread stores it. */
    struct block *b = atomic_load_explicit(&t->block[producer], memory_order_relaxed);
    return b ? b : make_block(t, producer);
}

void wc_tenant_metric_add(struct wc_tenant_metrics *t, unsigned producer, enum wc_tenant_metric m,
                          int64_t n)
{
    struct block *b = block_of(t, producer);
    if (metrics[m].total != WC_M_NONE)
        wc_metric_add(metrics[m].total, n);
    if (!b)
        return;
    /* The only writer: no read-modify-write. */
    int64_t before = atomic_load_explicit(&b->value[m], memory_order_relaxed);
    atomic_store_explicit(&b->value[m], before + n, memory_order_relaxed);
}

void wc_tenant_metric_observe(struct wc_tenant_metrics *t, unsigned producer,
                              enum wc_tenant_histogram h, uint64_t value)
{
    struct block *b = block_of(t, producer);
    if (histograms[h].total != WC_H_NONE)
        wc_metric_observe(histograms[h].total, value, 1);
    if (b)
        wc_histogram_add(&b->histogram[h], histograms[h].buckets, value, 1);
}

void wc_tenant_metric_error(struct wc_tenant_metrics *t, unsigned producer, struct wc_slice code)
{
    const uint8_t *colon = code.len ? memchr(code.p, ':', code.len) : NULL;
    enum wc_tenant_metric m = WC_T_ERROR_UnknownErrorOnChannel;
    if (colon)
        code.len = (size_t)(colon - code.p);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (wc_slice_is(code, errors[i].code))
            m = errors[i].metric;
    wc_tenant_metric_add(t, producer, m, 1);
}

/* ---- reading ---- */

static void add_block(const struct block *b, struct wc_tenant_sums *out)
{
    for (size_t m = 0; m < WC_TENANT_METRIC_COUNT; m++)
        out->value[m] += atomic_load_explicit(&b->value[m], memory_order_relaxed);
    for (size_t h = 0; h < WC_TENANT_HISTOGRAM_COUNT; h++)
        wc_histogram_read(&b->histogram[h], &out->histogram[h]);
}

bool wc_tenant_metrics_read(const struct wc_tenant_metrics *t, struct wc_tenant_sums *out)
{
    bool found = false;
    for (unsigned i = 0; i < t->producers; i++) {
        /* M2 acquire */
        const struct block *b = atomic_load_explicit(&t->block[i], memory_order_acquire);
        if (b && !found)
            *out = (struct wc_tenant_sums){0};
        found |= b != NULL;
        if (b)
            add_block(b, out);
    }
    return found;
}

/* ---- rendering ---- */

/* Writes this tenant's samples. */
static struct wc_exposition of(const struct wc_exposition *x, const struct wc_tenant_row *row)
{
    return (struct wc_exposition){.out = x->out, .node = x->node, .tenant = row->label};
}

static bool is_error(enum wc_tenant_metric m)
{
    return m >= errors[0].metric && m <= WC_T_ERROR_UnknownErrorOnChannel;
}

static void render_metrics(const struct wc_exposition *x, const struct wc_tenant_row *row,
                           size_t count)
{
    const char *before = "";
    for (enum wc_tenant_metric m = 0; m < WC_TENANT_METRIC_COUNT; m++) {
        if (strcmp(before, metrics[m].name) != 0)
            wc_exposition_family(x, metrics[m].name, metrics[m].kind, metrics[m].help);
        before = metrics[m].name;
        for (size_t i = 0; i < count; i++) {
            const struct wc_exposition one = of(x, &row[i]);
            if (row[i].sums.value[m] || !is_error(m))
                wc_exposition_sample(&one, metrics[m].name, wc_slice_str(metrics[m].labels),
                                     row[i].sums.value[m]);
        }
    }
}

static void render_histograms(const struct wc_exposition *x, const struct wc_tenant_row *row,
                              size_t count)
{
    const char *before = "";
    for (enum wc_tenant_histogram h = 0; h < WC_TENANT_HISTOGRAM_COUNT; h++) {
        if (strcmp(before, histograms[h].name) != 0)
            wc_exposition_family(x, histograms[h].name, "histogram", histograms[h].help);
        before = histograms[h].name;
        for (size_t i = 0; i < count; i++) {
            const struct wc_exposition one = of(x, &row[i]);
            if (wc_histogram_count(&row[i].sums.histogram[h]))
                wc_exposition_histogram(&one, histograms[h].name,
                                        wc_slice_str(histograms[h].labels), histograms[h].buckets,
                                        &row[i].sums.histogram[h]);
        }
    }
}

void wc_tenant_metrics_render(const struct wc_exposition *x, const struct wc_tenant_row *row,
                              size_t count)
{
    render_metrics(x, row, count);
    render_histograms(x, row, count);
}

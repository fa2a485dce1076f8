#include "base/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>

struct block {
    struct block *next; /* const once published */
    _Alignas(64) _Atomic int64_t value[WC_METRIC_COUNT];
    struct wc_histogram histogram[WC_HISTOGRAM_COUNT];
};

static struct block shared; /* for threads that never attached; contended */
static _Atomic(struct block *) blocks = &shared;
static _Thread_local struct block *mine;

/* In the order of rendering. */
static const struct row {
    enum wc_metric metric;
    const char *name, *labels, *kind, *help;
} rows[] = {
#define COUNTER                                     "counter"
#define GAUGE                                       "gauge"
#define WC_METRIC(symbol, name, labels, kind, help) {WC_M_##symbol, name, labels, kind, help},
#define WC_ALIAS                                    WC_METRIC
#include "base/metrics.def"
#undef WC_METRIC
#undef WC_ALIAS
#undef COUNTER
#undef GAUGE
};

static const struct {
    const char *name, *labels, *help;
    enum wc_buckets buckets;
} histograms[WC_HISTOGRAM_COUNT] = {
#define WC_HISTOGRAM(symbol, name, labels, buckets, help)                                          \
    {name, labels, help, WC_BUCKETS_##buckets},
#include "base/histograms.def"
#undef WC_HISTOGRAM
};

enum wc_status wc_metrics_attach(void)
{
    if (mine)
        return WC_OK;
    struct block *b = aligned_alloc(64, sizeof *b);
    if (!b)
        return WC_NOMEM;
    memset(b, 0, sizeof *b);
    b->next = atomic_load_explicit(&blocks, memory_order_acquire);
    /* M1 release: whoever reads the list head sees a zeroed block and its next pointer */
    while (!atomic_compare_exchange_weak_explicit(&blocks, &b->next, b, memory_order_acq_rel,
                                                  memory_order_acquire))
        ;
    mine = b;
    return WC_OK;
}

void wc_metric_add(enum wc_metric m, int64_t n)
{
    if (!mine) {
        (void)atomic_fetch_add_explicit(&shared.value[m], n, memory_order_relaxed);
        return;
    }
    /* The only writer: no read-modify-write. */
    int64_t before = atomic_load_explicit(&mine->value[m], memory_order_relaxed);
    atomic_store_explicit(&mine->value[m], before + n, memory_order_relaxed);
}

int64_t wc_metric_sum(enum wc_metric m)
{
    int64_t sum = 0;
    /* M1 acquire */
    for (struct block *b = atomic_load_explicit(&blocks, memory_order_acquire); b; b = b->next)
        sum += atomic_load_explicit(&b->value[m], memory_order_relaxed);
    return sum;
}

void wc_metric_observe(enum wc_node_histogram h, uint64_t value, uint64_t n)
{
    struct block *b = mine ? mine : &shared;
    wc_histogram_add(&b->histogram[h], histograms[h].buckets, value, n);
}

void wc_metric_distribution(enum wc_node_histogram h, struct wc_histogram_sum *out)
{
    *out = (struct wc_histogram_sum){0};
    /* M1 acquire */
    for (struct block *b = atomic_load_explicit(&blocks, memory_order_acquire); b; b = b->next)
        wc_histogram_read(&b->histogram[h], out);
}

static void render_histograms(const struct wc_exposition *x)
{
    const char *before = "";
    for (enum wc_node_histogram h = 0; h < WC_HISTOGRAM_COUNT; h++) {
        struct wc_histogram_sum sum;
        wc_metric_distribution(h, &sum);
        if (strcmp(before, histograms[h].name) != 0)
            wc_exposition_family(x, histograms[h].name, "histogram", histograms[h].help);
        before = histograms[h].name;
        wc_exposition_histogram(x, histograms[h].name, wc_slice_str(histograms[h].labels),
                                histograms[h].buckets, &sum);
    }
}

void wc_metrics_render(const struct wc_exposition *x)
{
    const char *before = "";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        if (strcmp(before, r->name) != 0)
            wc_exposition_family(x, r->name, r->kind, r->help);
        before = r->name;
        wc_exposition_sample(x, r->name, wc_slice_str(r->labels), wc_metric_sum(r->metric));
    }
    render_histograms(x);
}

#include "base/metrics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct block {
    struct block *next; /* const once published */
    _Alignas(64) _Atomic int64_t value[WC_METRIC_COUNT];
};

static struct block shared; /* for threads that never attached; contended, correct */
static _Atomic(struct block *) blocks = &shared;
static _Thread_local struct block *mine;

static const struct {
    const char *name, *labels, *kind, *help;
} table[] = {
#define COUNTER                                     "counter"
#define GAUGE                                       "gauge"
#define WC_METRIC(symbol, name, labels, kind, help) {name, labels, kind, help},
#include "base/metrics.def"
#undef WC_METRIC
#undef COUNTER
#undef GAUGE
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

void wc_metrics_render(struct wc_buf *out)
{
    for (size_t i = 0; i < WC_METRIC_COUNT; i++) {
        if (i == 0 || strcmp(table[i].name, table[i - 1].name) != 0)
            wc_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", table[i].name, table[i].help,
                          table[i].name, table[i].kind);
        wc_buf_printf(out, "%s%s%s%s %lld\n", table[i].name, table[i].labels[0] ? "{" : "",
                      table[i].labels, table[i].labels[0] ? "}" : "",
                      (long long)wc_metric_sum((enum wc_metric)i));
    }
}

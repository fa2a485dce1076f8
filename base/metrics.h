/*
 * Metrics: tables (base/metrics.def, base/histograms.def) of counters, gauges and histograms, kept
 * per thread and summed by the reader, so that counting costs one uncontended store.
 *
 * Each thread calls wc_metrics_attach once, before it counts; its block lives until the process
 * ends, so sums never go backwards. A thread that never attached counts into a shared block.
 * Those of single tenants: tenant_metrics.h.
 * Threads: add, observe: own block, in the shared one observe loses what collides; sum and render:
 * any.
 */
#ifndef WC_BASE_METRICS_H
#define WC_BASE_METRICS_H

#include "base/exposition.h"

enum wc_metric {
#define WC_METRIC(symbol, name, labels, kind, help) WC_M_##symbol,
#define WC_ALIAS(symbol, name, labels, kind, help)
#include "base/metrics.def"
#undef WC_METRIC
#undef WC_ALIAS
    WC_METRIC_COUNT,
    WC_M_NONE = WC_METRIC_COUNT
};

enum wc_node_histogram {
#define WC_HISTOGRAM(symbol, name, labels, buckets, help) WC_H_##symbol,
#include "base/histograms.def"
#undef WC_HISTOGRAM
    WC_HISTOGRAM_COUNT,
    WC_H_NONE = WC_HISTOGRAM_COUNT
};

WC_MUST_USE
enum wc_status wc_metrics_attach(void);
void wc_metric_add(enum wc_metric, int64_t n);
int64_t wc_metric_sum(enum wc_metric);

/* n observations of one value. */
void wc_metric_observe(enum wc_node_histogram, uint64_t value, uint64_t n);
void wc_metric_distribution(enum wc_node_histogram, struct wc_histogram_sum *out);

void wc_metrics_render(const struct wc_exposition *);

#endif

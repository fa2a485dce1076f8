/*
 * Metrics: a table (base/metrics.def) of counters and gauges, kept per thread and summed by the
 * reader, so that counting costs one uncontended store.
 *
 * Each thread calls wc_metrics_attach once, before it counts; its block lives until the process
 * ends, so sums never go backwards. A thread that never attached counts into a shared block.
 * Threads: add: own block; sum and render: any.
 * Source: Prometheus text exposition format 0.0.4.
 */
#ifndef WC_BASE_METRICS_H
#define WC_BASE_METRICS_H

#include "base/buf.h"

enum wc_metric {
#define WC_METRIC(symbol, name, labels, kind, help) WC_M_##symbol,
#include "base/metrics.def"
#undef WC_METRIC
    WC_METRIC_COUNT
};

WC_MUST_USE
enum wc_status wc_metrics_attach(void);
void wc_metric_add(enum wc_metric, int64_t n);
int64_t wc_metric_sum(enum wc_metric);
void wc_metrics_render(struct wc_buf *out);

#endif

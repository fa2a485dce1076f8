/*
 * What is counted for each tenant (base/tenant_metrics.def), next to the node's totals
 * (metrics.h).
 *
 *   tenant ─→ producer 0 ─→ block   counters, histograms: made when the producer first counts
 *             producer 1 ─→ (none)  has never had to do with this tenant
 *
 * So a tenant that is known and idle costs a pointer for each producer thread, and nothing on the
 * page; an active one 2 KB for each thread it is active on. Counting costs one uncontended store,
 * and one more for the total. Where a block finds no memory, its tenant's counts are lost; totals
 * are not.
 * Ownership: the tenant's. Threads: new, free: one, before and after the others; add, observe: the
 * producer's; read: any. Limits: codes of errors are those of channel_error.def, so the number of
 * series is bounded by the number of tenants.
 */
#ifndef WC_BASE_TENANT_METRICS_H
#define WC_BASE_TENANT_METRICS_H

#include "base/metrics.h"

enum wc_tenant_metric {
#define WC_TENANT_METRIC(symbol, name, labels, kind, total, help) WC_T_##symbol,
#define WC_TENANT_HISTOGRAM(symbol, name, labels, buckets, total, help)
#include "base/tenant_metrics.def"
#undef WC_TENANT_METRIC
#undef WC_TENANT_HISTOGRAM
    WC_TENANT_METRIC_COUNT
};

enum wc_tenant_histogram {
#define WC_TENANT_METRIC(symbol, name, labels, kind, total, help)
#define WC_TENANT_HISTOGRAM(symbol, name, labels, buckets, total, help) WC_TH_##symbol,
#include "base/tenant_metrics.def"
#undef WC_TENANT_METRIC
#undef WC_TENANT_HISTOGRAM
    WC_TENANT_HISTOGRAM_COUNT
};

struct wc_tenant_metrics;

/* Returns owned; NULL when out of memory. */
struct wc_tenant_metrics *wc_tenant_metrics_new(unsigned producers);
void wc_tenant_metrics_free(struct wc_tenant_metrics *); /* NULL is fine */

void wc_tenant_metric_add(struct wc_tenant_metrics *, unsigned producer, enum wc_tenant_metric,
                          int64_t n);
/* Microseconds or bytes, as its buckets count. */
void wc_tenant_metric_observe(struct wc_tenant_metrics *, unsigned producer,
                              enum wc_tenant_histogram, uint64_t value);
/* Counts the code, or "Code: text" with it; one that is not in channel_error.def as
 * UnknownErrorOnChannel. */
void wc_tenant_metric_error(struct wc_tenant_metrics *, unsigned producer, struct wc_slice code);

struct wc_tenant_sums {
    int64_t value[WC_TENANT_METRIC_COUNT];
    struct wc_histogram_sum histogram[WC_TENANT_HISTOGRAM_COUNT];
};

/* False: nothing was ever counted, and *out is untouched. */
bool wc_tenant_metrics_read(const struct wc_tenant_metrics *, struct wc_tenant_sums *out);

/* A tenant on the page. */
struct wc_tenant_row {
    struct wc_slice label; /* tenant="..." */
    struct wc_tenant_sums sums;
};

/* Counters of errors that never happened, and histograms that have seen nothing, are left out. */
void wc_tenant_metrics_render(const struct wc_exposition *, const struct wc_tenant_row *,
                              size_t count);

#endif

/*
 * Histograms with fixed buckets (base/buckets.def): what one thread has observed, and sums of that.
 *
 * Adding costs a search among at most WC_BUCKETS_MAX bounds and two uncontended stores. A reader
 * may see the count of an observation before its value in the sum; nothing else depends on them.
 * Ownership: the caller's storage; zeroed is empty. Threads: add: one; read: any.
 */
#ifndef WC_BASE_HISTOGRAM_H
#define WC_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum wc_buckets {
#define WC_BUCKETS(symbol, scale, ...) WC_BUCKETS_##symbol,
#include "base/buckets.def"
#undef WC_BUCKETS
    WC_BUCKETS_COUNT
};

enum { WC_BUCKETS_MAX = 15 };

struct wc_histogram {
    _Atomic uint64_t count[WC_BUCKETS_MAX + 1]; /* the last: above every bound */
    _Atomic uint64_t sum;
};

/* n observations of the same value. */
void wc_histogram_add(struct wc_histogram *, enum wc_buckets, uint64_t value, uint64_t n);

struct wc_histogram_sum {
    uint64_t count[WC_BUCKETS_MAX + 1]; /* each bucket's own, not cumulated */
    uint64_t sum;
};

/* Adds to what is there. */
void wc_histogram_read(const struct wc_histogram *, struct wc_histogram_sum *);
uint64_t wc_histogram_count(const struct wc_histogram_sum *); /* of observations */

size_t wc_buckets_bounds(enum wc_buckets, const uint64_t **bounds); /* how many */
uint64_t wc_buckets_scale(enum wc_buckets);

#endif

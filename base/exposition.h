/*
 * Writes metrics as Prometheus text:
 *
 *   # HELP name help
 *   # TYPE name kind
 *   name{tenant label,labels,node labels} value
 *
 * All samples of a name follow its family line. Labels come as ready text; those whose values are
 * not ours are made by wc_exposition_label.
 * Ownership: borrows everything. Threads: one owner. Errors: the buffer's.
 * Source: Prometheus text exposition format 0.0.4.
 */
#ifndef WC_BASE_EXPOSITION_H
#define WC_BASE_EXPOSITION_H

#include "base/buf.h"
#include "base/histogram.h"

struct wc_exposition {
    struct wc_buf *out;
    struct wc_slice node;   /* labels of every sample */
    struct wc_slice tenant; /* likewise, for one tenant's; empty: the node's own */
};

/* Appends name="value", behind a comma unless it is the first. The value may be any bytes. */
void wc_exposition_label(struct wc_buf *labels, const char *name, struct wc_slice value);

void wc_exposition_family(const struct wc_exposition *, const char *name, const char *kind,
                          const char *help);
void wc_exposition_sample(const struct wc_exposition *, const char *name, struct wc_slice labels,
                          int64_t value);
/* value / scale, a power of ten */
void wc_exposition_fraction(const struct wc_exposition *, const char *name, struct wc_slice labels,
                            int64_t value, uint64_t scale);
void wc_exposition_histogram(const struct wc_exposition *, const char *name, struct wc_slice labels,
                             enum wc_buckets, const struct wc_histogram_sum *);

#endif

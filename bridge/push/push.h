/*
 * Sends the page of metrics to a URL now and then, for those who cannot come and fetch it: POST of
 * Prometheus text, gzip, Basic authentication, `extra_label=name=value` in the query for each label
 * the receiver is to add.
 *
 * Failures are counted (walcast_metrics_pushes_total) and logged at most once a minute, as
 * MetricsPusherTimeout or MetricsPusherFailed with the status or what libcurl says, never with URL
 * or credentials. The next push comes an interval after the one before has begun, or at once if
 * that took longer; nothing is kept for later. Redirects are not followed, certificates are
 * verified.
 *
 * Ownership: copies its options. Threads: one of its own, which calls `render`; new, start, stop,
 * free: main. The only includer of libcurl and zlib. Limits: the page's; answers are not read.
 * Source: protocol reference, section 13 (METRICS_PUSHER_*).
 */
#ifndef WC_BRIDGE_PUSH_PUSH_H
#define WC_BRIDGE_PUSH_PUSH_H

#include "base/buf.h"

struct wc_push_options {
    const char *url;          /* http or https */
    const char *user, *auth;  /* Basic, when auth is not empty */
    const char *extra_labels; /* name=value,name=value */
    uint32_t interval_ms, timeout_ms;
    bool is_compressed;
    void (*render)(void *self, struct wc_buf *out);
    void *self;
};

struct wc_push;

/* Returns owned, or NULL: err says why (no memory; labels or URL that cannot be used). */
struct wc_push *wc_push_new(const struct wc_push_options *, struct wc_err *err);
WC_MUST_USE
enum wc_status wc_push_start(struct wc_push *, struct wc_err *err);
/* A push under way is given up. NULL is fine, as one that was not started. */
void wc_push_stop(struct wc_push *);
void wc_push_free(struct wc_push *); /* stopped; NULL is fine */

#endif

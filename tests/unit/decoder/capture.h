/*
 * Recorded streams (tests/data/pgoutput) as test input: every message in an allocation of exactly
 * its size, so that AddressSanitizer sees a read past its end.
 * Ownership: wc_capture_load and wc_exact_copy return owned. Errors: a capture that cannot be read
 * fails the running test.
 */
#ifndef WC_TESTS_CAPTURE_H
#define WC_TESTS_CAPTURE_H

#include "base/buf.h"

enum { WC_CAPTURE_MAX = 32 };

struct wc_capture {
    size_t count;
    char letter[WC_CAPTURE_MAX];          /* of the pgoutput message; 'k' for a keepalive */
    struct wc_slice copy[WC_CAPTURE_MAX]; /* the CopyData message, envelope included */
};

struct wc_capture *wc_capture_load(const char *name);
void wc_capture_free(struct wc_capture *);

struct wc_slice wc_exact_copy(struct wc_slice);
void wc_exact_free(struct wc_slice);

/* The pgoutput message inside the i-th CopyData message; returns owned. */
struct wc_slice wc_capture_message(const struct wc_capture *, size_t i);

#endif

/*
 * Recorded streams (tests/data/pgoutput) as test input: every message in an allocation of exactly
 * its size, so that AddressSanitizer sees a read past its end.
 * Ownership: capture_load and exact_copy return owned. Errors: a capture that cannot be read fails
 * the running test.
 */
#ifndef WC_TESTS_CAPTURE_H
#define WC_TESTS_CAPTURE_H

#include "base/buf.h"

enum { CAPTURE_MAX = 32 };

struct capture {
    size_t count;
    char letter[CAPTURE_MAX];          /* of the pgoutput message; 'k' for a keepalive */
    struct wc_slice copy[CAPTURE_MAX]; /* the CopyData message, envelope included */
};

struct capture *capture_load(const char *name);
void capture_free(struct capture *);

struct wc_slice exact_copy(struct wc_slice);
void exact_free(struct wc_slice);

/* The pgoutput message inside the i-th CopyData message; returns owned. */
struct wc_slice capture_message(const struct capture *, size_t i);

#endif

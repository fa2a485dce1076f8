/*
 * Outcomes: one status enum for every function that can fail, one detail struct where a human
 * will ask why.
 *
 * WC_AGAIN is not an error, WC_LIMIT is policy, WC_PROTO is the peer's fault, WC_NOMEM is
 * survivable on request paths. Out-parameters are untouched on failure.
 * Threads: pure.
 */
#ifndef WC_BASE_ERR_H
#define WC_BASE_ERR_H

#include <stddef.h>

#define WC_MUST_USE        __attribute__((warn_unused_result))
#define WC_PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))

enum wc_status {
#define WC_STATUS(symbol, text, retryable) WC_##symbol,
#include "base/status.def"
#undef WC_STATUS
};

/* No allocation: lives on the stack or inside its owner. Texts are lower-case, without full stop.
 */
struct wc_err {
    enum wc_status code;
    size_t at;      /* byte offset into the input, where that means something */
    char text[200]; /* what was wrong */
    char hint[200]; /* what to do about it; may be empty */
};

const char *wc_status_text(enum wc_status);

/* Fill `err` (may be NULL) and return `code`, so that a failure is one `return` statement. */
enum wc_status wc_err_set(struct wc_err *err, enum wc_status code, const char *fmt, ...)
    WC_PRINTF(3, 4);
void wc_err_hint(struct wc_err *err, const char *fmt, ...) WC_PRINTF(2, 3);

#endif

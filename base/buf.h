/*
 * Bytes: a slice (borrowed pointer and length) and a growable buffer with a ceiling.
 *
 *   p ──────────────┬─────────┐
 *   │ written (len) │ free    │ alloc <= cap
 *
 * A failed append empties the buffer and marks it failed until wc_buf_reset, so a builder needs
 * one check at the end. Ownership: the buffer owns its bytes; slices of it are valid until the next
 * append. Threads: one owner. Errors: LIMIT (ceiling), NOMEM.
 */
#ifndef WC_BASE_BUF_H
#define WC_BASE_BUF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wc_slice {
    const uint8_t *p;
    size_t len;
};

static inline struct wc_slice wc_slice(const void *p, size_t len)
{
    return (struct wc_slice){.p = p, .len = len};
}

static inline struct wc_slice wc_slice_str(const char *s)
{
    return wc_slice(s, strlen(s));
}

static inline bool wc_slice_eq(struct wc_slice a, struct wc_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool wc_slice_is(struct wc_slice a, const char *s)
{
    return wc_slice_eq(a, wc_slice_str(s));
}

/* For printf: "%.*s", WC_SLICE_ARG(s). Lengths over 64 KiB are cut; logs do not need more. */
#define WC_SLICE_ARG(s) (int)((s).len > 65535 ? 65535 : (s).len), (const char *)(s).p

/* Returns owned, NUL-terminated; NULL when out of memory. Embedded NULs are kept. */
char *wc_slice_dup(struct wc_slice);

struct wc_buf {
    uint8_t *p;
    size_t len;
    size_t alloc;
    size_t cap;
    enum wc_status status; /* OK, or why the last append failed */
};

/* No allocation until the first append. */
void wc_buf_init(struct wc_buf *, size_t cap);
void wc_buf_release(struct wc_buf *);
void wc_buf_reset(struct wc_buf *); /* empty and not failed; keeps the memory */

/* Room for n more bytes at p + len, or NULL (and failed). Advance with wc_buf_commit. */
uint8_t *wc_buf_reserve(struct wc_buf *, size_t n);

static inline void wc_buf_commit(struct wc_buf *b, size_t n)
{
    b->len += n;
}

void wc_buf_append(struct wc_buf *, const void *, size_t n);
void wc_buf_printf(struct wc_buf *, const char *fmt, ...) WC_PRINTF(2, 3);

static inline void wc_buf_byte(struct wc_buf *b, char c)
{
    uint8_t *at = wc_buf_reserve(b, 1);
    if (at) {
        *at = (uint8_t)c;
        b->len++;
    }
}

static inline void wc_buf_slice(struct wc_buf *b, struct wc_slice s)
{
    wc_buf_append(b, s.p, s.len);
}

static inline void wc_buf_str(struct wc_buf *b, const char *s)
{
    wc_buf_append(b, s, strlen(s));
}

static inline struct wc_slice wc_buf_view(const struct wc_buf *b)
{
    return wc_slice(b->p, b->len);
}

bool wc_buf_ok(const struct wc_buf *); /* invariant, for tests and debug builds */

#endif

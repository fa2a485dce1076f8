#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_ALLOC = 256 };

char *wc_slice_dup(struct wc_slice s)
{
    char *copy = malloc(s.len + 1);
    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.p, s.len);
    copy[s.len] = '\0';
    return copy;
}

void wc_buf_init(struct wc_buf *b, size_t cap)
{
    *b = (struct wc_buf){.cap = cap, .status = WC_OK};
}

void wc_buf_release(struct wc_buf *b)
{
    free(b->p);
    *b = (struct wc_buf){.cap = b->cap, .status = WC_OK};
}

void wc_buf_reset(struct wc_buf *b)
{
    b->len = 0;
    b->status = WC_OK;
}

static uint8_t *fail(struct wc_buf *b, enum wc_status why)
{
    b->len = 0;
    b->status = why;
    return NULL;
}

uint8_t *wc_buf_reserve(struct wc_buf *b, size_t n)
{
    if (b->status != WC_OK)
        return NULL;
    if (b->p && b->alloc - b->len >= n)
        return b->p + b->len;
    if (b->cap == 0 || n > b->cap - b->len)
        return fail(b, WC_LIMIT);
    size_t want = b->alloc ? b->alloc : FIRST_ALLOC;
    if (want > b->cap)
        want = b->cap;
    while (want < b->len + n)
        want = want > b->cap / 2 ? b->cap : want * 2;
    uint8_t *p = realloc(b->p, want);
    if (!p)
        return fail(b, WC_NOMEM);
    b->p = p;
    b->alloc = want;
    return b->p + b->len;
}

void wc_buf_append(struct wc_buf *b, const void *bytes, size_t n)
{
    if (n == 0)
        return;
    uint8_t *at = wc_buf_reserve(b, n);
    if (!at)
        return;
    memcpy(at, bytes, n);
    b->len += n;
}

void wc_buf_printf(struct wc_buf *b, const char *fmt, ...)
{
    char small[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0) {
        (void)fail(b, WC_INVALID);
    } else if ((size_t)n < sizeof small) {
        wc_buf_append(b, small, (size_t)n);
    } else {
        uint8_t *at = wc_buf_reserve(b, (size_t)n + 1);
        if (!at)
            return;
        va_start(ap, fmt);
        (void)vsnprintf((char *)at, (size_t)n + 1, fmt, ap);
        va_end(ap);
        b->len += (size_t)n;
    }
}

bool wc_buf_ok(const struct wc_buf *b)
{
    return b->len <= b->alloc && (b->alloc == 0) == (b->p == NULL) &&
           (b->status == WC_OK || b->len == 0);
}

/*
 * A cursor over borrowed bytes for wire formats (big-endian integers, C strings).
 *
 * Sticky: once a read goes past the end the cursor is bad, every later read yields 0 or an empty
 * slice, and it stays bad. Remaining bytes are compared, an end position is never computed, so no
 * length can overflow. One read per statement: the order of two reads in one expression is
 * unspecified in C.
 * Threads: pure.
 */
#ifndef WC_BASE_READER_H
#define WC_BASE_READER_H

#include "base/buf.h"

struct wc_rd {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct wc_rd wc_rd(struct wc_slice s)
{
    if (!s.p)
        s = wc_slice_str(""); /* arithmetic on NULL is undefined, even + 0 */
    return (struct wc_rd){.at = s.p, .end = s.p + s.len, .bad = false};
}

static inline size_t wc_rd_left(const struct wc_rd *rd)
{
    return (size_t)(rd->end - rd->at);
}

static inline const uint8_t *wc_rd_take(struct wc_rd *rd, size_t n)
{
    if (rd->bad || wc_rd_left(rd) < n) {
        rd->bad = true;
        return NULL;
    }
    const uint8_t *p = rd->at;
    rd->at += n;
    return p;
}

static inline uint8_t wc_rd_u8(struct wc_rd *rd)
{
    const uint8_t *p = wc_rd_take(rd, 1);
    return p ? p[0] : 0;
}

static inline uint16_t wc_rd_u16(struct wc_rd *rd)
{
    const uint8_t *p = wc_rd_take(rd, 2);
    return p ? (uint16_t)((unsigned)p[0] << 8 | p[1]) : 0;
}

static inline uint32_t wc_rd_u32(struct wc_rd *rd)
{
    const uint8_t *p = wc_rd_take(rd, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t wc_rd_u64(struct wc_rd *rd)
{
    uint64_t hi = wc_rd_u32(rd);
    uint64_t lo = wc_rd_u32(rd);
    return hi << 32 | lo;
}

/* Bytes up to, not including, the next NUL, which is consumed. */
static inline struct wc_slice wc_rd_cstr(struct wc_rd *rd)
{
    const uint8_t *nul = rd->bad || rd->at == rd->end ? NULL : memchr(rd->at, 0, wc_rd_left(rd));
    if (!nul) {
        rd->bad = true;
        return wc_slice(NULL, 0);
    }
    struct wc_slice s = wc_slice(rd->at, (size_t)(nul - rd->at));
    rd->at = nul + 1;
    return s;
}

#endif

#include "bridge/push/gzip.h"

#include <zlib.h>

enum {
    LEVEL = 1, /* pages compress well: 20 to 1 at the fastest level, 30 to 1 at the usual one */
    GZIP_WINDOW = 15 + 16,
    MEMORY_LEVEL = 8,
};

/* Input in one piece into a room that is large enough for anything. */
static enum wc_status run(z_stream *z, struct wc_slice in, struct wc_buf *out)
{
    uLong bound = deflateBound(z, (uLong)in.len);
    if (in.len > UINT32_MAX || bound > UINT32_MAX)
        return WC_LIMIT;
    uint8_t *to = wc_buf_reserve(out, bound);
    if (!to)
        return out->status;
    union {
        const uint8_t *in; /* zlib only reads there */
        uint8_t *out;
    } from = {.in = in.p};
    z->next_in = from.out;
    z->avail_in = (uInt)in.len;
    z->next_out = to;
    z->avail_out = (uInt)bound;
    if (deflate(z, Z_FINISH) != Z_STREAM_END)
        return WC_NOMEM;
    wc_buf_commit(out, bound - z->avail_out);
    return WC_OK;
}

enum wc_status wc_gzip(struct wc_slice in, struct wc_buf *out)
{
    z_stream z = {0};
    if (deflateInit2(&z, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return WC_NOMEM;
    enum wc_status st = run(&z, in, out);
    (void)deflateEnd(&z); /* what is left of a stream that failed does not matter */
    return st;
}

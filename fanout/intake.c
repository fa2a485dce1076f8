#include "fanout/intake.h"

static size_t drawn_by(size_t len)
{
    return len > WC_INTAKE_FREE ? len - WC_INTAKE_FREE : 0;
}

enum wc_status wc_intake_add(struct wc_intake *in, struct wc_buf *buf, struct wc_slice part)
{
    size_t before = drawn_by(buf->len), after = drawn_by(buf->len + part.len);
    if (after - before > WC_INTAKE_MAX - in->drawn)
        return WC_LIMIT;
    wc_buf_slice(buf, part);
    in->drawn += drawn_by(buf->len) - before; /* a buffer that fails is empty */
    return buf->status;
}

void wc_intake_release(struct wc_intake *in, struct wc_buf *buf)
{
    in->drawn -= drawn_by(buf->len);
    wc_buf_release(buf);
}

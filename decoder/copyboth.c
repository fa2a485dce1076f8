#include "decoder/copyboth.h"

#include "base/reader.h"

static enum wc_status fail(struct wc_err *err, size_t at, const char *text)
{
    (void)wc_err_set(err, WC_PROTO, "%s", text);
    if (err)
        err->at = at;
    return WC_PROTO;
}

static enum wc_status decode_xlog(struct wc_rd rd, struct wc_slice bytes, struct wc_copy_msg *out,
                                  struct wc_err *err)
{
    struct wc_copy_msg msg = {.kind = WC_COPY_XLOG};
    (void)wc_rd_u64(&rd); /* walStart: 0/0 for R and Y messages, so of no use */
    msg.wal_end = wc_rd_u64(&rd);
    msg.send_time = (int64_t)wc_rd_u64(&rd);
    if (rd.bad)
        return fail(err, bytes.len, "XLogData header ends too early");
    msg.payload = wc_slice(rd.at, wc_rd_left(&rd));
    *out = msg;
    return WC_OK;
}

static enum wc_status decode_keepalive(struct wc_rd rd, struct wc_slice bytes,
                                       struct wc_copy_msg *out, struct wc_err *err)
{
    struct wc_copy_msg msg = {.kind = WC_COPY_KEEPALIVE};
    msg.wal_end = wc_rd_u64(&rd);
    msg.send_time = (int64_t)wc_rd_u64(&rd);
    msg.reply_requested = wc_rd_u8(&rd) != 0;
    if (rd.bad)
        return fail(err, bytes.len, "keepalive ends too early");
    if (wc_rd_left(&rd))
        return fail(err, (size_t)(rd.at - bytes.p), "keepalive has bytes left over");
    *out = msg;
    return WC_OK;
}

enum wc_status wc_copyboth_decode(struct wc_slice bytes, struct wc_copy_msg *out,
                                  struct wc_err *err)
{
    if (bytes.len == 0)
        return fail(err, 0, "empty CopyData");
    struct wc_rd rd = wc_rd(bytes);
    uint8_t letter = wc_rd_u8(&rd);
    switch (letter) {
    case 'w': return decode_xlog(rd, bytes, out, err);
    case 'k': return decode_keepalive(rd, bytes, out, err);
    default: return fail(err, 0, "CopyData is neither XLogData nor keepalive");
    }
}

static uint8_t *put_u64(uint8_t *at, uint64_t v)
{
    for (unsigned shift = 64; shift > 0; shift -= 8)
        *at++ = (uint8_t)(v >> (shift - 8));
    return at;
}

void wc_copyboth_status(uint8_t out[WC_STATUS_UPDATE_BYTES], wc_lsn confirmed, int64_t client_time,
                        bool reply_requested)
{
    uint8_t *at = out;
    *at++ = 'r';
    at = put_u64(at, confirmed); /* written */
    at = put_u64(at, confirmed); /* flushed */
    at = put_u64(at, confirmed); /* applied */
    at = put_u64(at, (uint64_t)client_time);
    *at = reply_requested;
}

#include "bridge/messages/signed.h"

#include "auth/hmac.h"
#include "base/reader.h"
#include "base/uuid.h"

enum { VERSION = 1, IMMEDIATE = 1, PRIVATE = 2, BINARY = 4, ALL_FLAGS = 7 };

static struct wc_slice take_text(struct wc_rd *rd)
{
    uint32_t len = wc_rd_u32(rd);
    const uint8_t *p = wc_rd_take(rd, len);
    return wc_slice(p, p ? len : 0);
}

static bool parse(struct wc_slice content, struct wc_signed *out)
{
    struct wc_rd rd = wc_rd(content);
    uint8_t version = wc_rd_u8(&rd);
    uint8_t flags = wc_rd_u8(&rd);
    out->is_immediate = flags & IMMEDIATE;
    out->is_private = flags & PRIVATE;
    out->is_binary = flags & BINARY;
    out->database = wc_rd_u32(&rd);
    out->xid = wc_rd_u64(&rd);
    out->time = (int64_t)wc_rd_u64(&rd);
    out->id = wc_rd_take(&rd, WC_UUID_BYTES);
    out->topic = take_text(&rd);
    out->event = take_text(&rd);
    size_t left = wc_rd_left(&rd);
    out->body = wc_slice(wc_rd_take(&rd, left), left);
    return !rd.bad && version == VERSION && (flags & ~ALL_FLAGS) == 0;
}

enum wc_status wc_signed_open(struct wc_slice bytes, const uint8_t key[WC_SIGNED_KEY_BYTES],
                              struct wc_signed *out)
{
    static const char prefix[] = WC_SIGNED_PREFIX; /* with the zero byte */
    struct wc_signed s = {0};
    if (bytes.len <= WC_HMAC_SHA256_BYTES)
        return WC_INVALID;
    const struct wc_slice content =
        wc_slice(bytes.p + WC_HMAC_SHA256_BYTES, bytes.len - WC_HMAC_SHA256_BYTES);
    const struct wc_slice part[] = {wc_slice(prefix, sizeof prefix), content};
    if (!parse(content, &s))
        return WC_INVALID;
    if (!wc_hmac_sha256_is(bytes.p, wc_slice(key, WC_SIGNED_KEY_BYTES), part, 2))
        return WC_PROTO;
    *out = s;
    return WC_OK;
}

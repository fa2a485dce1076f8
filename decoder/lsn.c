#include "decoder/lsn.h"

#include "base/hex.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    PAGE = 8192,      /* of the log */
    PAGE_HEADER = 40, /* at most */
};

const char *wc_lsn_format(wc_lsn lsn, char out[WC_LSN_TEXT])
{
    /* cannot be cut: the buffer holds the longest */
    (void)snprintf(out, WC_LSN_TEXT, "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
    return out;
}

/* One to eight hexadecimal digits and nothing else. */
static bool parse_half(struct wc_slice digits, uint32_t *out)
{
    if (digits.len < 1 || digits.len > 8)
        return false;
    uint32_t half = 0;
    for (size_t i = 0; i < digits.len; i++) {
        int digit = wc_hex_digit(digits.p[i]);
        if (digit < 0)
            return false;
        half = half << 4 | (uint32_t)digit;
    }
    *out = half;
    return true;
}

enum wc_status wc_lsn_parse(struct wc_slice text, wc_lsn *out)
{
    const uint8_t *slash = text.len ? memchr(text.p, '/', text.len) : NULL;
    if (!slash)
        return WC_INVALID;
    size_t high_len = (size_t)(slash - text.p);
    uint32_t high;
    uint32_t low;
    if (!parse_half(wc_slice(text.p, high_len), &high))
        return WC_INVALID;
    if (!parse_half(wc_slice(slash + 1, text.len - high_len - 1), &low))
        return WC_INVALID;
    *out = (uint64_t)high << 32 | low;
    return WC_OK;
}

wc_lsn wc_lsn_end_of_record(wc_lsn end_of_log)
{
    return end_of_log % PAGE <= PAGE_HEADER ? end_of_log - end_of_log % PAGE : end_of_log;
}

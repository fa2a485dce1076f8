#include "base/uuid.h"

#include "base/assert.h"
#include "base/hex.h"

#include <sys/random.h>

static bool is_hyphen_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void wc_uuid_random(uint8_t out[WC_UUID_BYTES])
{
    ssize_t n = getrandom(out, WC_UUID_BYTES, 0); /* so few bytes come at once */
    WC_ASSERT(n == WC_UUID_BYTES);
    out[6] = (uint8_t)((out[6] & 0x0f) | 0x40); /* version 4 */
    out[8] = (uint8_t)((out[8] & 0x3f) | 0x80); /* variant 10 */
}

void wc_uuid_format(const uint8_t uuid[WC_UUID_BYTES], char out[WC_UUID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < WC_UUID_BYTES; i++) {
        if (is_hyphen_before(i))
            *out++ = '-';
        *out++ = hex[uuid[i] >> 4];
        *out++ = hex[uuid[i] & 15];
    }
    *out = '\0';
}

static int digit(uint8_t c)
{
    return c >= 'A' && c <= 'F' ? -1 : wc_hex_digit(c);
}

bool wc_uuid_parse(struct wc_slice text, uint8_t out[WC_UUID_BYTES])
{
    const uint8_t *at = text.p;
    if (text.len != WC_UUID_TEXT - 1)
        return false;
    for (size_t i = 0; i < WC_UUID_BYTES; i++) {
        if (is_hyphen_before(i) && *at++ != '-')
            return false;
        int high = digit(at[0]), low = digit(at[1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return true;
}

/*
 * Hexadecimal digits. Pure.
 */
#ifndef WC_BASE_HEX_H
#define WC_BASE_HEX_H

#include "base/buf.h"

/* The value of a digit in either case; -1: it is none. */
static inline int wc_hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Pairs of digits to `digits.len / 2` bytes. False: there is something else among them, or half a
 * pair; what is in `out` then means nothing. */
WC_MUST_USE
static inline bool wc_hex_decode(struct wc_slice digits, uint8_t *out)
{
    for (size_t i = 0; i + 1 < digits.len; i += 2) {
        int high = wc_hex_digit(digits.p[i]), low = wc_hex_digit(digits.p[i + 1]);
        if (high < 0 || low < 0)
            return false;
        *out++ = (uint8_t)(high << 4 | low);
    }
    return digits.len % 2 == 0;
}

#endif

#include "bridge/match/key.h"

#include "base/uuid.h"

#include <math.h>
#include <stdlib.h>

/* ---- reading ---- */

struct cursor {
    const uint8_t *at, *end;
    bool bad; /* sticky */
};

static struct cursor cursor(struct wc_slice text)
{
    return (struct cursor){.at = text.p, .end = text.p + text.len};
}

static bool skip(struct cursor *c, const char *literal)
{
    size_t len = strlen(literal);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, literal, len) != 0)
        return false;
    c->at += len;
    return true;
}

static void expect(struct cursor *c, const char *literal)
{
    if (!skip(c, literal))
        c->bad = true;
}

static bool is_digit(uint8_t ch)
{
    return ch >= '0' && ch <= '9';
}

static size_t skip_digits(struct cursor *c)
{
    const uint8_t *from = c->at;
    while (c->at < c->end && is_digit(*c->at))
        c->at++;
    return (size_t)(c->at - from);
}

/* A number of min to max digits, at most `limit`. */
static uint64_t digits(struct cursor *c, size_t min, size_t max, uint64_t limit)
{
    uint64_t n = 0;
    const uint8_t *from = c->at;
    while (c->at < c->end && is_digit(*c->at) && (size_t)(c->at - from) < max)
        n = n * 10 + (uint64_t)(*c->at++ - '0');
    if ((size_t)(c->at - from) < min || n > limit)
        c->bad = true;
    return n;
}

static bool is_whole(const struct cursor *c)
{
    return !c->bad && c->at == c->end;
}

/* ---- writing ---- */

static enum wc_status append_number(struct wc_buf *out, uint64_t value, size_t bytes)
{
    uint8_t *at = wc_buf_reserve(out, bytes);
    if (!at)
        return out->status;
    for (size_t i = bytes; i-- > 0; value >>= 8)
        at[i] = (uint8_t)value;
    wc_buf_commit(out, bytes);
    return WC_OK;
}

/* ---- integers ---- */

/* No sign, no leading zero: as printed. */
static bool read_whole_number(struct wc_slice text, uint64_t limit, uint64_t *out)
{
    struct cursor c = cursor(text);
    if (text.len > 1 && text.p[0] == '0')
        return false;
    *out = digits(&c, 1, 19, limit); /* 19 digits cannot overflow */
    return is_whole(&c);
}

static enum wc_status append_int(struct wc_slice text, struct wc_buf *out)
{
    uint64_t n;
    bool negative = text.len > 0 && text.p[0] == '-';
    if (negative)
        text = wc_slice(text.p + 1, text.len - 1);
    if (!read_whole_number(text, (uint64_t)INT64_MAX + negative, &n) || (negative && n == 0))
        return WC_INVALID;
    const uint64_t zero = (uint64_t)1 << 63;
    return append_number(out, negative ? zero - n : zero + n, 8);
}

static enum wc_status append_uint(struct wc_slice text, struct wc_buf *out)
{
    uint64_t n;
    return read_whole_number(text, UINT32_MAX, &n) ? append_number(out, n, 4) : WC_INVALID;
}

/* ---- numeric ---- */

/*
 * Positive: POSITIVE, exponent, digits. The value is 0.d1d2d3… × 10^exponent with d1 not 0; two
 * digits make a byte of 1 to 100, without trailing zeros, so that a prefix is the lesser number.
 * Negative: NEGATIVE, then the same with every bit turned over, then a byte above all digits.
 */
enum { MINUS_INFINITY, NEGATIVE, ZERO, POSITIVE, INFINITE, NOT_A_NUMBER };
enum { NUMERIC_TEXT = 131072 + 16383 + 2, EXPONENT_BYTES = 3, EXPONENT_ZERO = 1 << 23 };

struct decimal {
    bool negative;
    const uint8_t *first, *end; /* of the digits that count, perhaps with a point; equal: zero */
    int32_t exponent;
};

static bool read_decimal(struct wc_slice text, struct decimal *d)
{
    struct cursor c = cursor(text);
    if (text.len > NUMERIC_TEXT)
        return false;
    d->negative = skip(&c, "-");
    const uint8_t *first = c.at;
    size_t whole = skip_digits(&c);
    const uint8_t *point = c.at;
    if (whole == 0 || (whole > 1 && *first == '0') || (skip(&c, ".") && skip_digits(&c) == 0) ||
        !is_whole(&c))
        return false;
    const uint8_t *end = c.end;
    while (first < end && (*first == '0' || *first == '.'))
        first++;
    while (end > first && (end[-1] == '0' || end[-1] == '.'))
        end--;
    d->first = first;
    d->end = end;
    d->exponent = (int32_t)(point - first) + (first > point);
    return true;
}

static enum wc_status append_decimal(const struct decimal *d, struct wc_buf *out)
{
    size_t most = 1 + EXPONENT_BYTES + (size_t)(d->end - d->first) / 2 + 1 + 1;
    size_t len = 0;
    uint8_t *at = wc_buf_reserve(out, most);
    if (!at)
        return out->status;
    const uint8_t flip = d->negative ? 0xff : 0;
    const uint32_t exponent = (uint32_t)(d->exponent + EXPONENT_ZERO);
    at[len++] = d->negative ? NEGATIVE : POSITIVE;
    for (size_t i = EXPONENT_BYTES; i-- > 0;)
        at[len++] = (uint8_t)(exponent >> (8 * i)) ^ flip;
    bool second = false;
    for (const uint8_t *p = d->first; p < d->end; p++) {
        if (*p == '.')
            continue;
        uint8_t digit = (uint8_t)(*p - '0');
        if (second)
            at[len - 1] = (uint8_t)((at[len - 1] ^ flip) + digit) ^ flip;
        else
            at[len++] = (uint8_t)(1 + 10 * digit) ^ flip;
        second = !second;
    }
    if (d->negative)
        at[len++] = 0xff;
    wc_buf_commit(out, len);
    return WC_OK;
}

static enum wc_status append_numeric(struct wc_slice text, struct wc_buf *out)
{
    struct decimal d;
    if (wc_slice_is(text, "NaN"))
        return append_number(out, NOT_A_NUMBER, 1);
    if (wc_slice_is(text, "Infinity"))
        return append_number(out, INFINITE, 1);
    if (wc_slice_is(text, "-Infinity"))
        return append_number(out, MINUS_INFINITY, 1);
    if (!read_decimal(text, &d))
        return WC_INVALID;
    return d.first == d.end ? append_number(out, ZERO, 1) : append_decimal(&d, out);
}

/* ---- floats ---- */

enum { FLOAT_TEXT = 40 }; /* sign, 17 digits, point, exponent; or zeros down to 0.0001 */

/* The texts strtod reads are many; these are the ones Postgres prints. */
static bool copy_float(struct wc_slice text, char out[FLOAT_TEXT], bool *is_finite)
{
    struct cursor c = cursor(text);
    if (text.len == 0 || text.len >= FLOAT_TEXT)
        return false;
    memcpy(out, text.p, text.len);
    out[text.len] = '\0';
    *is_finite = false;
    if (wc_slice_is(text, "NaN") || wc_slice_is(text, "Infinity") || wc_slice_is(text, "-Infinity"))
        return true;
    *is_finite = true;
    (void)skip(&c, "-"); /* optional */
    if (skip_digits(&c) == 0 || (skip(&c, ".") && skip_digits(&c) == 0))
        return false;
    if (skip(&c, "e") && ((!skip(&c, "+") && !skip(&c, "-")) || skip_digits(&c) == 0))
        return false;
    return is_whole(&c);
}

/* The bits of a float rise with its value, but those of a negative one fall. */
static uint64_t rising(uint64_t bits, uint64_t sign)
{
    return bits & sign ? ~bits & (sign | (sign - 1)) : bits | sign;
}

static enum wc_status append_float8(struct wc_slice text, struct wc_buf *out)
{
    char copy[FLOAT_TEXT];
    bool is_finite;
    uint64_t bits;
    if (!copy_float(text, copy, &is_finite))
        return WC_INVALID;
    double d = strtod(copy, NULL) + 0.0; /* -0 is 0 */
    if (isnan(d))
        return append_number(out, UINT64_MAX, 8);
    memcpy(&bits, &d, sizeof bits);
    return is_finite && isinf(d) ? WC_INVALID
                                 : append_number(out, rising(bits, (uint64_t)1 << 63), 8);
}

static enum wc_status append_float4(struct wc_slice text, struct wc_buf *out)
{
    char copy[FLOAT_TEXT];
    bool is_finite;
    uint32_t bits;
    if (!copy_float(text, copy, &is_finite))
        return WC_INVALID;
    float f = strtof(copy, NULL) + 0.0f; /* -0 is 0 */
    if (isnan(f))
        return append_number(out, UINT32_MAX, 4);
    memcpy(&bits, &f, sizeof bits);
    return is_finite && isinf(f) ? WC_INVALID
                                 : append_number(out, rising(bits, (uint64_t)1 << 31), 4);
}

/* ---- days and times ---- */

enum {
    YEARS_BEFORE = 4800, /* the first day of all types is in 4714 BC */
    LAST_YEAR_DATE = 5874897,
    LAST_YEAR_TIMESTAMP = 294276,
};
static const uint64_t US_PER_DAY = 86400000000u;

struct day {
    uint64_t year, month, day; /* as written, BC or not */
};

static struct day read_day(struct cursor *c, uint64_t last_year)
{
    struct day d;
    d.year = digits(c, 4, 7, last_year);
    expect(c, "-");
    d.month = digits(c, 2, 2, 12);
    expect(c, "-");
    d.day = digits(c, 2, 2, 31);
    if (d.year == 0 || d.month == 0 || d.day == 0)
        c->bad = true;
    return d;
}

/* A number that rises with the day: not of days, there are gaps. The era is written last. */
static uint64_t day_number(struct cursor *c, const struct day *d)
{
    uint64_t year = d->year + YEARS_BEFORE;
    if (skip(c, " BC")) {
        if (d->year > YEARS_BEFORE)
            c->bad = true;
        year = YEARS_BEFORE + 1 - d->year;
    }
    return (year * 16 + d->month) * 32 + d->day;
}

/* Microseconds. */
static uint64_t read_time(struct cursor *c)
{
    uint64_t us = digits(c, 2, 2, 24) * 3600000000u;
    expect(c, ":");
    us += digits(c, 2, 2, 59) * 60000000u;
    expect(c, ":");
    us += digits(c, 2, 2, 59) * 1000000u;
    if (skip(c, ".")) {
        const uint8_t *from = c->at;
        uint64_t fraction = digits(c, 1, 6, 999999);
        for (size_t n = (size_t)(c->at - from); n < 6; n++)
            fraction *= 10;
        us += fraction;
    }
    if (us > US_PER_DAY)
        c->bad = true;
    return us;
}

static enum wc_status append_date(struct wc_slice text, struct wc_buf *out)
{
    struct cursor c = cursor(text);
    if (wc_slice_is(text, "infinity"))
        return append_number(out, UINT32_MAX, 4);
    if (wc_slice_is(text, "-infinity"))
        return append_number(out, 0, 4);
    struct day d = read_day(&c, LAST_YEAR_DATE);
    uint64_t number = day_number(&c, &d);
    return is_whole(&c) ? append_number(out, number, 4) : WC_INVALID;
}

static enum wc_status append_timestamp(struct wc_slice text, const char *zone, struct wc_buf *out)
{
    struct cursor c = cursor(text);
    if (wc_slice_is(text, "infinity"))
        return append_number(out, UINT64_MAX, 8);
    if (wc_slice_is(text, "-infinity"))
        return append_number(out, 0, 8);
    struct day d = read_day(&c, LAST_YEAR_TIMESTAMP);
    expect(&c, " ");
    uint64_t us = read_time(&c);
    expect(&c, zone);
    uint64_t number = day_number(&c, &d) * US_PER_DAY + us;
    return is_whole(&c) && us < US_PER_DAY ? append_number(out, number, 8) : WC_INVALID;
}

static enum wc_status append_time(struct wc_slice text, struct wc_buf *out)
{
    struct cursor c = cursor(text);
    uint64_t us = read_time(&c);
    return is_whole(&c) ? append_number(out, us, 8) : WC_INVALID;
}

/* ---- uuid, "char" ---- */

static enum wc_status append_uuid(struct wc_slice text, struct wc_buf *out)
{
    uint8_t bytes[WC_UUID_BYTES];
    if (!wc_uuid_parse(text, bytes))
        return WC_INVALID;
    wc_buf_append(out, bytes, sizeof bytes);
    return out->status;
}

/* Nothing for the byte 0; a byte above 127 as it is before Postgres 16, as \ooo since. */
static enum wc_status append_char(struct wc_slice text, struct wc_buf *out)
{
    if (text.len <= 1)
        return append_number(out, text.len ? text.p[0] : 0, 1);
    if (text.len != 4 || text.p[0] != '\\')
        return WC_INVALID;
    unsigned value = 0;
    for (size_t i = 1; i < 4; i++) {
        if (text.p[i] < '0' || text.p[i] > '7')
            return WC_INVALID;
        value = value * 8 + (unsigned)(text.p[i] - '0');
    }
    return value >= 128 && value <= 255 ? append_number(out, value, 1) : WC_INVALID;
}

/* ---- keys that stand in the text ---- */

static struct wc_slice without_blanks(struct wc_slice text)
{
    while (text.len && text.p[text.len - 1] == ' ')
        text.len--;
    return text;
}

static enum wc_status hex_digits(struct wc_slice text, struct wc_slice *out)
{
    if (text.len < 2 || text.len % 2 || text.p[0] != '\\' || text.p[1] != 'x')
        return WC_INVALID;
    for (size_t i = 2; i < text.len; i++)
        if (!is_digit(text.p[i]) && !(text.p[i] >= 'a' && text.p[i] <= 'f'))
            return WC_INVALID;
    *out = wc_slice(text.p + 2, text.len - 2);
    return WC_OK;
}

/* AGAIN: the key must be made. */
static enum wc_status key_in_text(enum wc_key_kind kind, struct wc_slice text, struct wc_slice *out)
{
    switch (kind) {
    case WC_KEY_TEXT:
    case WC_KEY_ENUM: *out = text; return WC_OK;
    case WC_KEY_BLANKS: *out = without_blanks(text); return WC_OK;
    case WC_KEY_BYTES: return hex_digits(text, out);
    case WC_KEY_BOOL:
        *out = text;
        return wc_slice_is(text, "t") || wc_slice_is(text, "f") ? WC_OK : WC_INVALID;
    case WC_KEY_NONE: return WC_INVALID;
    case WC_KEY_CHAR:
    case WC_KEY_INT:
    case WC_KEY_UINT:
    case WC_KEY_NUMERIC:
    case WC_KEY_FLOAT4:
    case WC_KEY_FLOAT8:
    case WC_KEY_UUID:
    case WC_KEY_DATE:
    case WC_KEY_TIMESTAMP:
    case WC_KEY_TIMESTAMPTZ:
    case WC_KEY_TIME: break;
    }
    return WC_AGAIN;
}

/* ---- all kinds ---- */

enum wc_status wc_key_append(enum wc_key_kind kind, struct wc_slice text, struct wc_buf *out)
{
    struct wc_slice key;
    switch (kind) {
    case WC_KEY_NONE: return WC_INVALID;
    case WC_KEY_TEXT:
    case WC_KEY_BLANKS:
    case WC_KEY_ENUM:
    case WC_KEY_BOOL:
    case WC_KEY_BYTES: break;
    case WC_KEY_CHAR: return append_char(text, out);
    case WC_KEY_INT: return append_int(text, out);
    case WC_KEY_UINT: return append_uint(text, out);
    case WC_KEY_NUMERIC: return append_numeric(text, out);
    case WC_KEY_FLOAT4: return append_float4(text, out);
    case WC_KEY_FLOAT8: return append_float8(text, out);
    case WC_KEY_UUID: return append_uuid(text, out);
    case WC_KEY_DATE: return append_date(text, out);
    case WC_KEY_TIMESTAMP: return append_timestamp(text, "", out);
    case WC_KEY_TIMESTAMPTZ: return append_timestamp(text, "+00", out);
    case WC_KEY_TIME: return append_time(text, out);
    }
    enum wc_status st = key_in_text(kind, text, &key);
    if (st != WC_OK)
        return st;
    wc_buf_slice(out, key);
    return out->status;
}

enum wc_status wc_key_view(enum wc_key_kind kind, struct wc_slice text, struct wc_buf *scratch,
                           struct wc_slice *out)
{
    struct wc_slice key;
    enum wc_status st = key_in_text(kind, text, &key);
    if (st == WC_AGAIN) {
        wc_buf_reset(scratch);
        st = wc_key_append(kind, text, scratch);
        key = wc_buf_view(scratch);
    }
    if (st == WC_OK)
        *out = key;
    return st;
}

int wc_key_compare(struct wc_slice a, struct wc_slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.p, b.p, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

enum wc_key_kind wc_key_kind_of(const struct wc_key_type *type, bool *ordered)
{
    static const struct {
        wc_oid oid;
        enum wc_key_kind kind;
    } table[] = {
        {16, WC_KEY_BOOL},          {17, WC_KEY_BYTES},
        {18, WC_KEY_CHAR},          {19, WC_KEY_TEXT} /* name */,
        {20, WC_KEY_INT},           {21, WC_KEY_INT},
        {23, WC_KEY_INT},           {25, WC_KEY_TEXT},
        {26, WC_KEY_UINT},          {700, WC_KEY_FLOAT4},
        {701, WC_KEY_FLOAT8},       {1042, WC_KEY_BLANKS},
        {1043, WC_KEY_TEXT},        {1082, WC_KEY_DATE},
        {1083, WC_KEY_TIME},        {1114, WC_KEY_TIMESTAMP},
        {1184, WC_KEY_TIMESTAMPTZ}, {1700, WC_KEY_NUMERIC},
        {2950, WC_KEY_UUID},
    };
    enum wc_key_kind kind = type->is_enum ? WC_KEY_ENUM : WC_KEY_NONE;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].oid == type->base_type)
            kind = table[i].kind;
    bool is_text = kind == WC_KEY_TEXT || kind == WC_KEY_BLANKS;
    if (is_text && !type->is_deterministic)
        kind = WC_KEY_NONE;
    *ordered = kind != WC_KEY_NONE && kind != WC_KEY_ENUM && (!is_text || type->is_c);
    return kind;
}

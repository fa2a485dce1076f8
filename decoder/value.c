/*
 * Every renderer checks its text completely before it appends, so a refused value leaves the buffer
 * as it was; what it lets through needs no escaping (only STRING escapes).
 */
#include "decoder/value.h"

#include "base/jsonw.h"
#include "base/reader.h"
#include "decoder/value_priv.h"

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool take_char(struct wc_rd *rd, char c)
{
    if (rd->at == rd->end || *rd->at != (uint8_t)c)
        return false;
    rd->at++;
    return true;
}

static size_t take_digits(struct wc_rd *rd)
{
    const uint8_t *first = rd->at;
    while (rd->at < rd->end && is_digit(*rd->at))
        rd->at++;
    return (size_t)(rd->at - first);
}

static enum wc_status render_string(struct wc_buf *out, struct wc_slice text)
{
    wc_jsonw_string(out, text);
    return WC_OK;
}

static enum wc_status render_bool(struct wc_buf *out, struct wc_slice text)
{
    if (wc_slice_is(text, "t"))
        wc_buf_str(out, "true");
    else if (wc_slice_is(text, "f"))
        wc_buf_str(out, "false");
    else
        return WC_PROTO;
    return WC_OK;
}

/* The number grammar of RFC 8259; PostgreSQL's exponents ("1e+20", "1e-07") are within it. */
static bool is_json_number(struct wc_slice text)
{
    struct wc_rd rd = wc_rd(text);
    (void)take_char(&rd, '-'); /* optional */
    const uint8_t *first = rd.at;
    size_t digits = take_digits(&rd);
    if (digits == 0 || (digits > 1 && *first == '0'))
        return false;
    if (take_char(&rd, '.') && take_digits(&rd) == 0)
        return false;
    if (take_char(&rd, 'e') || take_char(&rd, 'E')) {
        if (!take_char(&rd, '+'))
            (void)take_char(&rd, '-'); /* either sign or none */
        if (take_digits(&rd) == 0)
            return false;
    }
    return rd.at == rd.end;
}

static bool is_not_finite(struct wc_slice text)
{
    return wc_slice_is(text, "NaN") || wc_slice_is(text, "Infinity") ||
           wc_slice_is(text, "-Infinity");
}

static enum wc_status render_number(struct wc_buf *out, struct wc_slice text)
{
    if (text.len == 0)
        return WC_PROTO;
    if (wc_slice_is(text, "-0"))
        wc_buf_byte(out, '0'); /* numeric, which to_jsonb turns floats into, has no other zero */
    else if (is_json_number(text))
        wc_buf_slice(out, text);
    else if (is_not_finite(text))
        wc_buf_str(out, "null");
    else
        return WC_PROTO;
    return WC_OK;
}

static enum wc_status render_exact_number(struct wc_buf *out, struct wc_slice text)
{
    return is_json_number(text) || is_not_finite(text) ? render_string(out, text) : WC_PROTO;
}

static bool is_infinite_time(struct wc_slice text)
{
    return wc_slice_is(text, "infinity") || wc_slice_is(text, "-infinity");
}

/* "2024-02-29" of at least four digits of year; the cursor stops at the blank after it. */
static bool take_date(struct wc_rd *rd)
{
    return take_digits(rd) >= 4 && take_char(rd, '-') && take_digits(rd) == 2 &&
           take_char(rd, '-') && take_digits(rd) == 2;
}

/* "13:14:15" or "13:14:15.123456". */
static bool take_time(struct wc_rd *rd)
{
    bool whole = take_digits(rd) == 2 && take_char(rd, ':') && take_digits(rd) == 2 &&
                 take_char(rd, ':') && take_digits(rd) == 2;
    return whole && (!take_char(rd, '.') || take_digits(rd) > 0);
}

/* "+00", "+05:30", and "+00:53:28" of local mean times long ago. */
static bool take_zone(struct wc_rd *rd)
{
    if ((!take_char(rd, '+') && !take_char(rd, '-')) || take_digits(rd) != 2)
        return false;
    if (take_char(rd, ':') && take_digits(rd) != 2)
        return false;
    return !take_char(rd, ':') || take_digits(rd) == 2;
}

/* Nothing, or the era, up to the end of the text. */
static bool is_era(const struct wc_rd *rd)
{
    struct wc_slice rest = wc_slice(rd->at, wc_rd_left(rd));
    return rest.len == 0 || wc_slice_is(rest, " BC");
}

/*   2024-02-29 13:14:15.1+00 BC
 *             └ date_len      └ zone_end: `minutes` go in here */
static void put_iso(struct wc_buf *out, struct wc_slice text, size_t date_len, size_t zone_end,
                    struct wc_slice minutes)
{
    size_t len = text.len + minutes.len + 2; /* two quotes */
    uint8_t *at = wc_buf_reserve(out, len);
    if (!at)
        return;
    at[0] = '"';
    memcpy(at + 1, text.p, zone_end);
    at[1 + date_len] = 'T';
    memcpy(at + 1 + zone_end, minutes.p, minutes.len);
    memcpy(at + 1 + zone_end + minutes.len, text.p + zone_end, text.len - zone_end);
    at[len - 1] = '"';
    wc_buf_commit(out, len);
}

static enum wc_status render_timestamp(struct wc_buf *out, struct wc_slice text)
{
    if (text.len == 0)
        return WC_PROTO;
    if (is_infinite_time(text))
        return render_string(out, text);
    struct wc_rd rd = wc_rd(text);
    if (!take_date(&rd))
        return WC_PROTO;
    size_t date_len = (size_t)(rd.at - text.p);
    if (!take_char(&rd, ' ') || !take_time(&rd) || !is_era(&rd))
        return WC_PROTO;
    put_iso(out, text, date_len, text.len, wc_slice_str(""));
    return WC_OK;
}

static enum wc_status render_timestamptz(struct wc_buf *out, struct wc_slice text)
{
    if (text.len == 0)
        return WC_PROTO;
    if (is_infinite_time(text))
        return render_string(out, text);
    struct wc_rd rd = wc_rd(text);
    if (!take_date(&rd))
        return WC_PROTO;
    size_t date_len = (size_t)(rd.at - text.p);
    if (!take_char(&rd, ' ') || !take_time(&rd))
        return WC_PROTO;
    size_t zone_at = (size_t)(rd.at - text.p);
    if (!take_zone(&rd))
        return WC_PROTO;
    size_t zone_end = (size_t)(rd.at - text.p);
    if (!is_era(&rd))
        return WC_PROTO;
    bool whole_hours = zone_end - zone_at == strlen("+00");
    put_iso(out, text, date_len, zone_end, wc_slice_str(whole_hours ? ":00" : ""));
    return WC_OK;
}

/* Trusted: PostgreSQL parsed it when it was stored. An empty text it never stores. */
static enum wc_status render_json(struct wc_buf *out, struct wc_slice text)
{
    if (text.len == 0)
        return WC_PROTO;
    wc_buf_slice(out, text);
    return WC_OK;
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool is_hex_bytea(struct wc_slice text)
{
    if (text.len < 2 || text.len % 2 != 0 || text.p[0] != '\\' || text.p[1] != 'x')
        return false;
    for (size_t i = 2; i < text.len; i++)
        if (!is_hex(text.p[i]))
            return false;
    return true;
}

static enum wc_status render_bytea(struct wc_buf *out, struct wc_slice text)
{
    if (!is_hex_bytea(text))
        return WC_PROTO;
    struct wc_slice hex = wc_slice(text.p + 2, text.len - 2);
    uint8_t *at = wc_buf_reserve(out, hex.len + 2);
    if (!at)
        return WC_OK; /* out->status says why */
    at[0] = '"';
    memcpy(at + 1, hex.p, hex.len);
    at[1 + hex.len] = '"';
    wc_buf_commit(out, hex.len + 2);
    return WC_OK;
}

/* True for what is rendered here, the rest is nested.c's. */
static inline bool is_scalar(const struct wc_type *type)
{
    return type->value_class <= WC_VALUE_BYTEA;
}

static enum wc_status render_scalar(struct wc_buf *out, enum wc_value_class value_class,
                                    struct wc_slice text)
{
    static enum wc_status (*const render[])(struct wc_buf *, struct wc_slice) = {
        [WC_VALUE_STRING] = render_string,       [WC_VALUE_BOOL] = render_bool,
        [WC_VALUE_NUMBER] = render_number,       [WC_VALUE_LONG_NUMBER] = render_number,
        [WC_VALUE_TIMESTAMP] = render_timestamp, [WC_VALUE_TIMESTAMPTZ] = render_timestamptz,
        [WC_VALUE_JSON] = render_json,           [WC_VALUE_BYTEA] = render_bytea,
    };
    return render[value_class](out, text);
}

static enum wc_status render_nested(struct wc_buf *out, const struct wc_type *type,
                                    struct wc_slice text, struct wc_value_place place)
{
    size_t start = out->len;
    enum wc_status st = wc_nested_render(out, type, text, place);
    if (st != WC_OK && out->status == WC_OK)
        out->len = start;
    return st;
}

enum wc_status wc_value_render(struct wc_buf *out, const struct wc_type *type, struct wc_slice text)
{
    if (is_scalar(type))
        return render_scalar(out, type->value_class, text);
    return render_nested(out, type, text, (struct wc_value_place){.is_exact = false});
}

enum wc_status wc_value_render_exact(struct wc_buf *out, const struct wc_type *type,
                                     struct wc_slice text)
{
    if (type->value_class == WC_VALUE_LONG_NUMBER)
        return render_exact_number(out, text);
    if (is_scalar(type))
        return render_scalar(out, type->value_class, text);
    return render_nested(out, type, text, (struct wc_value_place){.is_exact = true});
}

enum wc_status wc_value_render_inner(struct wc_buf *out, const struct wc_type *type,
                                     struct wc_slice text, struct wc_value_place place)
{
    if (!type)
        return WC_PROTO; /* the catalog did not know it */
    if (!is_scalar(type))
        return wc_nested_render(out, type, text, place);
    bool is_long = type->value_class == WC_VALUE_LONG_NUMBER;
    if (is_long && place.is_exact)
        return render_exact_number(out, text);
    bool as_string = is_long || type->value_class == WC_VALUE_NUMBER ? is_not_finite(text)
                     : type->value_class == WC_VALUE_BYTEA           ? is_hex_bytea(text)
                                                                     : false;
    return render_scalar(out, as_string ? WC_VALUE_STRING : type->value_class, text);
}

/*
 * Every renderer checks its text completely before it appends, so a refused value leaves the buffer
 * as it was; what it lets through needs no escaping (only STRING escapes).
 */
#include "decoder/value.h"

#include "base/jsonw.h"
#include "base/reader.h"

enum { PER_CLASS = WC_VALUE_BYTEA + 1 };

/* Types that are more than a string; OIDs from PostgreSQL's pg_type.dat, fixed for ever. */
static const struct {
    wc_oid oid;
    enum wc_value_class value_class;
} type_table[] = {
    {16, WC_VALUE_BOOL},          /* bool */
    {17, WC_VALUE_BYTEA},         /* bytea */
    {20, WC_VALUE_NUMBER},        /* int8 */
    {21, WC_VALUE_NUMBER},        /* int2 */
    {23, WC_VALUE_NUMBER},        /* int4 */
    {114, WC_VALUE_JSON},         /* json */
    {700, WC_VALUE_NUMBER},       /* float4 */
    {701, WC_VALUE_NUMBER},       /* float8 */
    {1114, WC_VALUE_TIMESTAMP},   /* timestamp */
    {1184, WC_VALUE_TIMESTAMPTZ}, /* timestamptz */
    {1700, WC_VALUE_NUMBER},      /* numeric */
    {3802, WC_VALUE_JSON},        /* jsonb */
};

enum wc_value_class wc_value_class(wc_oid base_type)
{
    for (size_t i = 0; i < sizeof type_table / sizeof type_table[0]; i++)
        if (type_table[i].oid == base_type)
            return type_table[i].value_class;
    return WC_VALUE_STRING;
}

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

static enum wc_status render_number(struct wc_buf *out, struct wc_slice text)
{
    if (text.len == 0)
        return WC_PROTO;
    if (is_json_number(text))
        wc_buf_slice(out, text);
    else if (wc_slice_is(text, "NaN") || wc_slice_is(text, "Infinity") ||
             wc_slice_is(text, "-Infinity"))
        wc_buf_str(out, "null");
    else
        return WC_PROTO;
    return WC_OK;
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

static enum wc_status render_bytea(struct wc_buf *out, struct wc_slice text)
{
    if (text.len < 2 || text.len % 2 != 0 || text.p[0] != '\\' || text.p[1] != 'x')
        return WC_PROTO;
    struct wc_slice hex = wc_slice(text.p + 2, text.len - 2);
    for (size_t i = 0; i < hex.len; i++)
        if (!is_hex(hex.p[i]))
            return WC_PROTO;
    uint8_t *at = wc_buf_reserve(out, hex.len + 2);
    if (!at)
        return WC_OK; /* out->status says why */
    at[0] = '"';
    memcpy(at + 1, hex.p, hex.len);
    at[1 + hex.len] = '"';
    wc_buf_commit(out, hex.len + 2);
    return WC_OK;
}

enum wc_status wc_value_render(struct wc_buf *out, enum wc_value_class value_class,
                               struct wc_slice text)
{
    static enum wc_status (*const render[PER_CLASS])(struct wc_buf *, struct wc_slice) = {
        [WC_VALUE_STRING] = render_string,
        [WC_VALUE_BOOL] = render_bool,
        [WC_VALUE_NUMBER] = render_number,
        [WC_VALUE_TIMESTAMP] = render_timestamp,
        [WC_VALUE_TIMESTAMPTZ] = render_timestamptz,
        [WC_VALUE_JSON] = render_json,
        [WC_VALUE_BYTEA] = render_bytea,
    };
    return render[value_class](out, text);
}

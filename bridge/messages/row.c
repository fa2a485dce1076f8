#include "bridge/messages/row.h"

#include "base/hex.h"
#include "base/uuid.h"

#include <stdio.h>
#include <time.h>

enum { BYTEA_OID = 17, JSON_OID = 114, JSONB_OID = 3802 };

bool wc_row_is_message(const struct wc_rel *rel)
{
    static const char leaf[] = "messages_";
    enum { LEAF = sizeof leaf - 1 };
    if (!wc_slice_is(rel->schema, "realtime"))
        return false;
    return wc_slice_is(rel->name, "messages") ||
           (rel->name.len > LEAF && memcmp(rel->name.p, leaf, LEAF) == 0);
}

/* ".123456" and such, in microseconds; nothing is 0. */
static const char *read_fraction(const char *at, wc_us *out)
{
    *out = 0;
    if (*at != '.')
        return at;
    for (wc_us unit = 100000; *++at >= '0' && *at <= '9'; unit /= 10)
        *out += (*at - '0') * unit;
    return at;
}

/* "+05", "-03:30", "+01:02:03"; nothing is 0. */
static bool read_offset(const char *at, wc_us *out)
{
    unsigned h = 0, m = 0, s = 0;
    *out = 0;
    if (!*at)
        return true;
    if ((*at != '+' && *at != '-') || sscanf(at + 1, "%2u:%2u:%2u", &h, &m, &s) < 1)
        return false;
    *out = ((wc_us)h * 3600 + m * 60 + s) * (*at == '-' ? -1000000 : 1000000);
    return true;
}

bool wc_row_time(struct wc_slice text, wc_us *out)
{
    enum { TEXT_MAX = 64 };
    char copy[TEXT_MAX];
    struct tm tm = {0};
    int len = 0;
    wc_us fraction, offset;
    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    if (sscanf(copy, "%4d-%2d-%2d %2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &len) != 6)
        return false;
    if (!read_offset(read_fraction(copy + len, &fraction), &offset))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *out = (wc_us)timegm(&tm) * 1000000 + fraction - offset;
    return true;
}

size_t wc_row_binary_len(struct wc_slice printed)
{
    return printed.len < 2 ? 0 : (printed.len - 2) / 2;
}

bool wc_row_binary(struct wc_slice printed, uint8_t *out)
{
    if (printed.len < 2 || printed.len % 2 || printed.p[0] != '\\' || printed.p[1] != 'x')
        return false;
    return wc_hex_decode(wc_slice(printed.p + 2, printed.len - 2), out);
}

/* NULL: there is no such column, or no value in it. */
static const struct wc_col *value(const struct wc_rel *rel, const struct wc_row *row,
                                  const char *name, wc_oid *type)
{
    for (uint16_t i = 0; i < rel->ncols; i++) {
        if (!wc_slice_is(rel->col[i].name, name))
            continue;
        *type = rel->col[i].type;
        return row->col[i].kind == WC_COL_TEXT ? &row->col[i] : NULL;
    }
    return NULL;
}

static bool text_of(const struct wc_rel *rel, const struct wc_row *row, const char *name,
                    struct wc_slice *out)
{
    wc_oid type;
    const struct wc_col *c = value(rel, row, name, &type);
    if (c)
        *out = c->val;
    return c != NULL;
}

static bool payload_of(const struct wc_rel *rel, const struct wc_row *row,
                       struct wc_row_broadcast *out)
{
    wc_oid type;
    const struct wc_col *c = value(rel, row, "binary_payload", &type);
    out->is_binary = c != NULL;
    if (!c)
        c = value(rel, row, "payload", &type);
    if (!c || (out->is_binary ? type != BYTEA_OID : type != JSON_OID && type != JSONB_OID))
        return false;
    out->payload = c->val;
    return true;
}

const char *wc_row_read(const struct wc_rel *rel, const struct wc_row *row,
                        struct wc_row_broadcast *out)
{
    struct wc_row_broadcast b = {0};
    struct wc_slice inserted_at, is_private;
    if (!text_of(rel, row, "inserted_at", &inserted_at))
        return "inserted_at_missing";
    if (!text_of(rel, row, "event", &b.event))
        return "event_missing";
    if (!text_of(rel, row, "id", &b.id) || !wc_uuid_parse(b.id, b.uuid))
        return "id_missing";
    if (!text_of(rel, row, "topic", &b.topic))
        return "topic_missing";
    if (!text_of(rel, row, "private", &is_private) || is_private.len != 1)
        return "private_missing";
    if (!payload_of(rel, row, &b))
        return "payload_missing";
    b.is_private = is_private.p[0] == 't';
    if (!wc_row_time(inserted_at, &b.inserted_at))
        b.inserted_at = 0;
    *out = b;
    return NULL;
}

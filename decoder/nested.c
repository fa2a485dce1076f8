/*
 * Values made of values. Each container's text is walked once; an element is handed on as a slice
 * of it, or, when it has escapes, as a copy without them. So a text that is nested n deep is copied
 * at most n times, and no element is looked at before its container's quotes are known to close.
 *
 * Only what the output functions of PostgreSQL write is understood, not all that its input
 * functions accept: no blanks around elements, NULL in capitals, quotes around the whole element.
 */
#include "base/jsonw.h"
#include "base/reader.h"
#include "decoder/value_priv.h"

enum { MAX_DIMENSIONS = 6 }; /* PostgreSQL's MAXDIM */

/* One container being walked. */
struct walk {
    struct wc_buf *out;
    const struct wc_type *type;
    struct wc_rd rd;
    struct wc_value_place place;
    struct wc_buf plain; /* the element at hand without its escapes */
};

/* What may stand in quotes in quotes. */
enum quoting { BACKSLASH, BACKSLASH_AND_DOUBLING };

static bool take(struct wc_rd *rd, char c)
{
    if (rd->at == rd->end || *rd->at != (uint8_t)c)
        return false;
    rd->at++;
    return true;
}

static bool take_text(struct wc_rd *rd, const char *text)
{
    size_t len = strlen(text);
    if (wc_rd_left(rd) < len || memcmp(rd->at, text, len) != 0)
        return false;
    rd->at += len;
    return true;
}

static bool is_at(const struct wc_rd *rd, char c)
{
    return rd->at < rd->end && *rd->at == (uint8_t)c;
}

/* Does an escape, two bytes of which the second counts, stand here? */
static bool is_escape(const struct wc_rd *rd, enum quoting quoting)
{
    if (wc_rd_left(rd) < 2)
        return false;
    return rd->at[0] == '\\' || (quoting == BACKSLASH_AND_DOUBLING && rd->at[1] == '"');
}

/* From behind the opening quote to behind the closing one. */
static enum wc_status take_quoted(struct walk *w, enum quoting quoting, struct wc_slice *element)
{
    struct wc_rd *rd = &w->rd;
    const uint8_t *first = rd->at, *run = first;
    wc_buf_reset(&w->plain);
    for (;;) {
        while (rd->at < rd->end && *rd->at != '"' && *rd->at != '\\')
            rd->at++;
        if (!is_escape(rd, quoting))
            break;
        wc_buf_append(&w->plain, run, (size_t)(rd->at - run));
        run = rd->at + 1;
        rd->at += 2;
    }
    const uint8_t *end = rd->at;
    if (!take(rd, '"'))
        return WC_PROTO;
    *element = wc_slice(run, (size_t)(end - run));
    if (run == first)
        return WC_OK;
    wc_buf_slice(&w->plain, *element);
    *element = wc_buf_view(&w->plain);
    return w->plain.status;
}

static enum wc_status put(struct walk *w, const struct wc_type *type, struct wc_slice text)
{
    const struct wc_value_place inside = {w->place.depth + 1, w->place.is_exact};
    return wc_value_render_inner(w->out, type, text, inside);
}

/* ---- arrays ---- */

static bool take_number(struct wc_rd *rd)
{
    (void)take(rd, '-'); /* optional */
    const uint8_t *first = rd->at;
    while (rd->at < rd->end && *rd->at >= '0' && *rd->at <= '9')
        rd->at++;
    return rd->at > first;
}

/* "[0:1][-2:4]=" of arrays that do not begin at 1. */
static bool skip_bounds(struct wc_rd *rd)
{
    if (!is_at(rd, '['))
        return true;
    while (take(rd, '['))
        if (!take_number(rd) || !take(rd, ':') || !take_number(rd) || !take(rd, ']'))
            return false;
    return take(rd, '=');
}

static enum wc_status array_element(struct walk *w)
{
    struct wc_rd *rd = &w->rd;
    struct wc_slice element;
    if (take(rd, '"')) {
        enum wc_status st = take_quoted(w, BACKSLASH, &element);
        return st == WC_OK ? put(w, w->type->element, element) : st;
    }
    const uint8_t *first = rd->at;
    while (rd->at < rd->end && *rd->at != (uint8_t)w->type->delimiter && *rd->at != '}') {
        if (*rd->at == '"' || *rd->at == '\\' || *rd->at == '{')
            return WC_PROTO;
        rd->at++;
    }
    element = wc_slice(first, (size_t)(rd->at - first));
    if (element.len == 0)
        return WC_PROTO;
    if (!wc_slice_is(element, "NULL"))
        return put(w, w->type->element, element);
    wc_buf_str(w->out, "null");
    return WC_OK;
}

/* Elements all stand at the same level of braces: the number of dimensions. */
static enum wc_status render_array(struct walk *w)
{
    struct wc_rd *rd = &w->rd;
    unsigned level = 0, dimensions = MAX_DIMENSIONS;
    if (!skip_bounds(rd))
        return WC_PROTO;
    if (take_text(rd, "{}")) {
        wc_buf_str(w->out, "[]");
        return rd->at == rd->end ? WC_OK : WC_PROTO;
    }
    for (bool first = true;; first = false) {
        while (take(rd, '{')) {
            if (++level > dimensions)
                return WC_PROTO;
            wc_buf_byte(w->out, '[');
        }
        if (first)
            dimensions = level;
        if (level == 0 || level != dimensions)
            return WC_PROTO;
        enum wc_status st = array_element(w);
        if (st != WC_OK)
            return st;
        while (level > 0 && take(rd, '}')) {
            level--;
            wc_buf_byte(w->out, ']');
        }
        if (level == 0)
            return rd->at == rd->end ? WC_OK : WC_PROTO;
        if (!take(rd, w->type->delimiter))
            return WC_PROTO;
        wc_buf_byte(w->out, ',');
    }
}

static enum wc_status render_vector(struct walk *w)
{
    struct wc_rd *rd = &w->rd;
    wc_buf_byte(w->out, '[');
    while (rd->at < rd->end) {
        const uint8_t *first = rd->at;
        while (rd->at < rd->end && *rd->at != ' ')
            rd->at++;
        struct wc_slice element = wc_slice(first, (size_t)(rd->at - first));
        enum wc_status st = element.len ? put(w, w->type->element, element) : WC_PROTO;
        if (st != WC_OK)
            return st;
        if (!take(rd, ' '))
            break;
        if (rd->at == rd->end)
            return WC_PROTO;
        wc_buf_byte(w->out, ',');
    }
    wc_buf_byte(w->out, ']');
    return WC_OK;
}

/* ---- composites ---- */

static bool ends_bare_field(uint8_t c)
{
    return c == ',' || c == ')';
}

static enum wc_status composite_field(struct walk *w, const struct wc_type *type)
{
    struct wc_rd *rd = &w->rd;
    struct wc_slice field;
    if (take(rd, '"')) {
        enum wc_status st = take_quoted(w, BACKSLASH_AND_DOUBLING, &field);
        return st == WC_OK ? put(w, type, field) : st;
    }
    const uint8_t *first = rd->at;
    while (rd->at < rd->end && !ends_bare_field(*rd->at)) {
        if (*rd->at == '"' || *rd->at == '\\' || *rd->at == '(')
            return WC_PROTO;
        rd->at++;
    }
    field = wc_slice(first, (size_t)(rd->at - first));
    if (field.len)
        return put(w, type, field);
    wc_buf_str(w->out, "null");
    return WC_OK;
}

static enum wc_status render_composite(struct walk *w)
{
    struct wc_rd *rd = &w->rd;
    if (!take(rd, '('))
        return WC_PROTO;
    wc_buf_byte(w->out, '{');
    for (uint16_t i = 0; i < w->type->nattrs; i++) {
        if (i > 0 && !take(rd, ','))
            return WC_PROTO;
        if (i > 0)
            wc_buf_byte(w->out, ',');
        wc_buf_slice(w->out, w->type->attr[i].json_key);
        enum wc_status st = composite_field(w, w->type->attr[i].type);
        if (st != WC_OK)
            return st;
    }
    wc_buf_byte(w->out, '}');
    return take(rd, ')') && rd->at == rd->end ? WC_OK : WC_PROTO;
}

/* ---- hstore ---- */

static enum wc_status hstore_text(struct walk *w)
{
    struct wc_slice text;
    if (!take(&w->rd, '"'))
        return WC_PROTO;
    enum wc_status st = take_quoted(w, BACKSLASH, &text);
    if (st == WC_OK)
        wc_jsonw_string(w->out, text);
    return st;
}

static enum wc_status render_hstore(struct walk *w)
{
    struct wc_rd *rd = &w->rd;
    wc_buf_byte(w->out, '{');
    for (bool first = true; rd->at < rd->end; first = false) {
        if (!first && !take_text(rd, ", "))
            return WC_PROTO;
        if (!first)
            wc_buf_byte(w->out, ',');
        enum wc_status st = hstore_text(w);
        if (st == WC_OK && !take_text(rd, "=>"))
            st = WC_PROTO;
        if (st != WC_OK)
            return st;
        wc_buf_byte(w->out, ':');
        if (take_text(rd, "NULL"))
            wc_buf_str(w->out, "null");
        else
            st = hstore_text(w);
        if (st != WC_OK)
            return st;
    }
    wc_buf_byte(w->out, '}');
    return WC_OK;
}

enum wc_status wc_nested_render(struct wc_buf *out, const struct wc_type *type,
                                struct wc_slice text, struct wc_value_place place)
{
    static enum wc_status (*const render[])(struct walk *) = {
        [WC_VALUE_ARRAY] = render_array,
        [WC_VALUE_VECTOR] = render_vector,
        [WC_VALUE_COMPOSITE] = render_composite,
        [WC_VALUE_HSTORE] = render_hstore,
    };
    if (place.depth >= WC_VALUE_DEPTH)
        return WC_PROTO;
    struct walk w = {.out = out, .type = type, .rd = wc_rd(text), .place = place};
    wc_buf_init(&w.plain, text.len);
    enum wc_status st = render[type->value_class](&w);
    wc_buf_release(&w.plain);
    return st;
}

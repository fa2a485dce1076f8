/*
 * Texts in the reference's messages are Elixir terms (its own language), so a little of that
 * notation is written here: lists, tuples, maps, nil, strings with escapes.
 */
#include "bridge/subs/spec.h"

#include "base/json.h"
#include "decoder/pgoutput.h"

#include <strings.h>

enum { MAX_NODES = 2000, MAX_DEPTH = 32, MAX_FILTERS = 32 };

static const char filter_prefix[] = "Error parsing `filter` params: ";

static bool find_op(struct wc_slice text, enum wc_filter_op *out)
{
#define WC_FILTER_OP(symbol, name)                                                                 \
    if (wc_slice_is(text, name)) {                                                                 \
        *out = WC_FILTER_##symbol;                                                                 \
        return true;                                                                               \
    }
#include "bridge/match/filter_op.def"
#undef WC_FILTER_OP
    return false;
}

/* ---- Elixir notation ---- */

static void inspect_string(struct wc_buf *out, struct wc_slice s)
{
    wc_buf_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            wc_buf_byte(out, '\\');
        wc_buf_byte(out, (char)s.p[i]);
    }
    wc_buf_byte(out, '"');
}

static void inspect_strings(struct wc_buf *out, const struct wc_slice *s, size_t n)
{
    wc_buf_byte(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            wc_buf_str(out, ", ");
        inspect_string(out, s[i]);
    }
    wc_buf_byte(out, ']');
}

static void inspect_scalar(struct wc_buf *out, const struct wc_json *doc, uint32_t node)
{
    switch (wc_json_type(doc, node)) {
    case WC_JSON_NULL: wc_buf_str(out, "nil"); break;
    case WC_JSON_STRING: /* the raw text has its quotes and escapes already */
    case WC_JSON_NUMBER:
    case WC_JSON_TRUE:
    case WC_JSON_FALSE: wc_buf_slice(out, wc_json_raw(doc, node)); break;
    case WC_JSON_ARRAY: wc_buf_str(out, "[...]"); break; /* one level says what was sent */
    case WC_JSON_OBJECT: wc_buf_str(out, "%{...}"); break;
    case WC_JSON_ABSENT: break;
    }
}

static void inspect_map(struct wc_buf *out, const struct wc_json *doc, uint32_t object)
{
    if (wc_json_get(doc, object, "user_token") != WC_JSON_NONE ||
        wc_json_get(doc, object, "auth_token") != WC_JSON_NONE) {
        wc_buf_str(out, "<redacted>");
        return;
    }
    wc_buf_str(out, "%{");
    uint32_t key = wc_json_first(doc, object);
    for (bool first = true; key != WC_JSON_NONE; first = false) {
        uint32_t value = wc_json_next(doc, key);
        if (!first)
            wc_buf_str(out, ", ");
        wc_buf_slice(out, wc_json_raw(doc, key));
        wc_buf_str(out, " => ");
        inspect_scalar(out, doc, value);
        key = wc_json_next(doc, value);
    }
    wc_buf_byte(out, '}');
}

void wc_spec_describe(const struct wc_spec *s, struct wc_buf *out)
{
    wc_buf_printf(out, "[event: %s, schema: ", s->event);
    wc_buf_slice(out, s->schema);
    wc_buf_str(out, ", table: ");
    wc_buf_slice(out, s->table);
    wc_buf_str(out, ", filters: [");
    for (size_t i = 0; i < s->nfilters; i++) {
        const struct wc_filter *f = &s->filter[i];
        wc_buf_str(out, i ? ", {" : "{");
        inspect_string(out, f->column);
        wc_buf_printf(out, ", \"%s\", ", wc_filter_op_text(f->op));
        inspect_string(out, f->value);
        wc_buf_str(out, f->negate ? ", true}" : ", false}");
    }
    wc_buf_str(out, "], select: ");
    if (s->nselect)
        inspect_strings(out, s->select, s->nselect);
    else
        wc_buf_str(out, "nil");
    wc_buf_byte(out, ']');
}

/* ---- filter ---- */

static struct wc_slice trim(struct wc_slice s)
{
    while (s.len && (s.p[0] == ' ' || (s.p[0] >= '\t' && s.p[0] <= '\r'))) {
        s.p++;
        s.len--;
    }
    while (s.len && (s.p[s.len - 1] == ' ' || (s.p[s.len - 1] >= '\t' && s.p[s.len - 1] <= '\r')))
        s.len--;
    return s;
}

/* Length of the segment at the start of `s`: up to a comma at depth 0 outside quotes. */
static size_t segment_len(struct wc_slice s)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.p[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else
                quoted = c != '"';
        } else if (c == '"') {
            quoted = i > 0 && (s.p[i - 1] == '.' || s.p[i - 1] == '(' || s.p[i - 1] == ',');
        } else if (c == '(') {
            depth++;
        } else if (c == ')') {
            depth -= depth > 0;
        } else if (c == ',' && depth == 0) {
            return i;
        }
    }
    return s.len;
}

static bool split_at(struct wc_slice s, char c, struct wc_slice *before, struct wc_slice *after)
{
    const uint8_t *at = s.len ? memchr(s.p, c, s.len) : NULL;
    if (!at)
        return false;
    *before = wc_slice(s.p, (size_t)(at - s.p));
    *after = wc_slice(at + 1, s.len - before->len - 1);
    return true;
}

/* A value that is one quoted string whole is unquoted; anything else is literal. */
static bool unquote(struct wc_slice v, struct wc_arena *arena, struct wc_slice *out)
{
    char *copy = wc_arena_strdup(arena, v);
    if (!copy)
        return false;
    *out = wc_slice(copy, v.len);
    if (v.len < 2 || v.p[0] != '"')
        return true;
    char *plain = wc_arena_alloc(arena, v.len);
    if (!plain)
        return false;
    size_t n = 0, i = 1;
    while (i < v.len && v.p[i] != '"') {
        if (v.p[i] == '\\' && i + 1 < v.len)
            i++;
        plain[n++] = (char)v.p[i++];
    }
    if (i + 1 != v.len) /* unterminated, or text after the closing quote */
        return true;
    plain[n] = '\0';
    *out = wc_slice(plain, n);
    return true;
}

/* The inside of "( ... )" becomes an array literal, as it stands. */
static enum wc_status in_value(struct wc_slice v, struct wc_arena *arena, struct wc_slice *out,
                               struct wc_buf *message)
{
    if (v.len < 2 || v.p[0] != '(' || v.p[v.len - 1] != ')') {
        wc_buf_printf(message, "%s`in` filter value must be wrapped by parentheses", filter_prefix);
        return WC_INVALID;
    }
    char *copy = wc_arena_strdup(arena, v);
    if (!copy)
        return WC_NOMEM;
    copy[0] = '{';
    copy[v.len - 1] = '}';
    *out = wc_slice(copy, v.len);
    return WC_OK;
}

static enum wc_status refuse_parts(struct wc_buf *message, const struct wc_slice *parts, size_t n)
{
    wc_buf_str(message, filter_prefix);
    inspect_strings(message, parts, n);
    return WC_INVALID;
}

static enum wc_status parse_segment(struct wc_slice seg, struct wc_arena *arena,
                                    struct wc_filter *out, struct wc_buf *message)
{
    struct wc_slice column, rest, op, value;
    if (seg.len == 0) {
        wc_buf_printf(message, "%sfilter must not contain empty segments (check for extra commas)",
                      filter_prefix);
        return WC_INVALID;
    }
    if (!split_at(seg, '=', &column, &rest))
        return refuse_parts(message, &seg, 1);
    out->negate = rest.len >= 4 && memcmp(rest.p, "not.", 4) == 0;
    if (out->negate)
        rest = wc_slice(rest.p + 4, rest.len - 4);
    if (!split_at(rest, '.', &op, &value))
        return refuse_parts(message, &rest, 1);
    if (!find_op(op, &out->op)) {
        const struct wc_slice parts[] = {op, value};
        return refuse_parts(message, parts, 2);
    }
    char *name = wc_arena_strdup(arena, column);
    if (!name)
        return WC_NOMEM;
    out->column = wc_slice(name, column.len);
    if (out->op == WC_FILTER_IN)
        return in_value(value, arena, &out->value, message);
    return unquote(value, arena, &out->value) ? WC_OK : WC_NOMEM;
}

static enum wc_status parse_filter(struct wc_slice text, struct wc_arena *arena,
                                   struct wc_spec *out, struct wc_buf *message)
{
    text = trim(text);
    if (text.len == 0)
        return WC_OK;
    struct wc_filter *filters = wc_arena_calloc(arena, MAX_FILTERS, sizeof *filters);
    if (!filters)
        return WC_NOMEM;
    out->filter = filters;
    for (;;) {
        size_t len = segment_len(text);
        if (out->nfilters == MAX_FILTERS) {
            wc_buf_printf(message, "%stoo many conditions, at most %d", filter_prefix, MAX_FILTERS);
            return WC_INVALID;
        }
        enum wc_status st =
            parse_segment(trim(wc_slice(text.p, len)), arena, &filters[out->nfilters], message);
        if (st != WC_OK)
            return st;
        out->nfilters++;
        if (len == text.len)
            return WC_OK;
        text = wc_slice(text.p + len + 1, text.len - len - 1);
    }
}

/* ---- the binding ---- */

/* INVALID: no string, or one with a NUL in it. */
static enum wc_status copy_string(const struct wc_json *doc, uint32_t node, struct wc_arena *arena,
                                  struct wc_slice *out)
{
    struct wc_slice s;
    if (wc_json_type(doc, node) != WC_JSON_STRING)
        return WC_INVALID;
    if (!wc_json_string(doc, node, arena, &s))
        return WC_NOMEM;
    if (s.len && memchr(s.p, 0, s.len))
        return WC_INVALID;
    char *copy = wc_arena_strdup(arena, s);
    if (!copy)
        return WC_NOMEM;
    *out = wc_slice(copy, s.len);
    return WC_OK;
}

/* A member that must be a string without NUL (Postgres holds none), else INVALID. Absent: OK, p
 * NULL.
 */
static enum wc_status get_string(const struct wc_json *doc, const char *key, struct wc_arena *arena,
                                 struct wc_slice *out)
{
    uint32_t node = wc_json_get(doc, 0, key);
    *out = wc_slice(NULL, 0);
    return node == WC_JSON_NONE ? WC_OK : copy_string(doc, node, arena, out);
}

static enum wc_status parse_event(const struct wc_json *doc, struct wc_arena *arena,
                                  struct wc_spec *out)
{
    static const struct {
        const char *name;
        enum wc_op op;
    } ops[] = {{"INSERT", WC_OP_INSERT}, {"UPDATE", WC_OP_UPDATE}, {"DELETE", WC_OP_DELETE}};
    out->event = "*";
    out->events = WC_OP_INSERT | WC_OP_UPDATE | WC_OP_DELETE;
    struct wc_slice event;
    enum wc_status st = get_string(doc, "event", arena, &event);
    if (st != WC_OK || !event.p)
        return st == WC_NOMEM ? st : WC_OK; /* what is no event name stands for all */
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (strcasecmp((const char *)event.p, ops[i].name) == 0) {
            out->event = ops[i].name;
            out->events = (uint32_t)ops[i].op;
        }
    }
    return WC_OK;
}

static enum wc_status refuse_params(const struct wc_json *doc, struct wc_buf *message)
{
    wc_buf_str(message, "No subscription params provided. Please provide at least a `schema` or "
                        "`table` to subscribe to: ");
    inspect_map(message, doc, 0);
    return WC_INVALID;
}

static enum wc_status parse_place(const struct wc_json *doc, struct wc_arena *arena,
                                  struct wc_spec *out, struct wc_slice *filter,
                                  struct wc_buf *message)
{
    enum wc_status st = get_string(doc, "schema", arena, &out->schema);
    if (st == WC_OK)
        st = get_string(doc, "table", arena, &out->table);
    if (st == WC_OK)
        st = get_string(doc, "filter", arena, filter);
    if (st == WC_NOMEM)
        return st;
    bool enough = filter->p ? out->schema.p && out->table.p : out->schema.p || out->table.p;
    if (st != WC_OK || !enough)
        return refuse_params(doc, message);
    if (!out->schema.p)
        out->schema = wc_slice_str("public");
    if (!out->table.p)
        out->table = wc_slice_str("*");
    return WC_OK;
}

static enum wc_status refuse_select(struct wc_buf *message)
{
    wc_buf_str(message, "Error parsing `select` params: expected a list of column name strings, "
                        "e.g. select: [\"col1\", \"col2\"]");
    return WC_INVALID;
}

/* Elements that are no strings do not count, and neither does a select that is neither list nor
 * string. */
static enum wc_status parse_select(const struct wc_json *doc, struct wc_arena *arena,
                                   struct wc_spec *out, struct wc_buf *message)
{
    uint32_t node = wc_json_get(doc, 0, "select");
    enum wc_json_type type = wc_json_type(doc, node);
    if (type == WC_JSON_STRING)
        return refuse_select(message);
    if (type != WC_JSON_ARRAY)
        return WC_OK;
    struct wc_slice *names = wc_arena_calloc(arena, wc_json_count(doc, node) + 1, sizeof *names);
    if (!names)
        return WC_NOMEM;
    for (uint32_t n = wc_json_first(doc, node); n != WC_JSON_NONE; n = wc_json_next(doc, n)) {
        if (wc_json_type(doc, n) != WC_JSON_STRING)
            continue;
        enum wc_status st = copy_string(doc, n, arena, &names[out->nselect]);
        if (st != WC_OK)
            return st == WC_NOMEM ? st : refuse_select(message);
        out->nselect++;
    }
    out->select = names;
    return WC_OK;
}

static enum wc_status check_select(const struct wc_spec *s, struct wc_buf *message)
{
    if (s->nselect == 0 || (!wc_slice_is(s->schema, "*") && !wc_slice_is(s->table, "*")))
        return WC_OK;
    wc_buf_str(message, "Column selection is not supported for wildcard subscriptions. Provide an "
                        "explicit schema and table name.");
    return WC_INVALID;
}

enum wc_status wc_spec_parse(struct wc_slice json, struct wc_arena *arena, struct wc_spec *out,
                             struct wc_buf *message)
{
    struct wc_json doc;
    struct wc_spec spec = {0};
    struct wc_slice filter = {0};
    enum wc_status st =
        wc_json_parse(&doc, json, arena, (struct wc_json_limits){MAX_DEPTH, MAX_NODES}, NULL);
    if (st == WC_NOMEM)
        return st;
    if (st != WC_OK) {
        wc_buf_str(message, "the binding is too large");
        return WC_INVALID;
    }
    st = parse_event(&doc, arena, &spec);
    if (st == WC_OK)
        st = parse_select(&doc, arena, &spec, message);
    if (st == WC_OK)
        st = parse_place(&doc, arena, &spec, &filter, message);
    if (st == WC_OK && filter.p)
        st = parse_filter(filter, arena, &spec, message);
    if (st == WC_OK)
        st = check_select(&spec, message);
    if (st == WC_OK)
        *out = spec;
    return st;
}

static bool copy_slice(struct wc_slice from, struct wc_arena *arena, struct wc_slice *to)
{
    char *copy = wc_arena_strdup(arena, from);
    *to = wc_slice(copy, copy ? from.len : 0);
    return copy != NULL;
}

enum wc_status wc_spec_copy(const struct wc_spec *from, struct wc_arena *arena, struct wc_spec *out)
{
    struct wc_spec to = *from;
    struct wc_filter *filter = wc_arena_calloc(arena, from->nfilters, sizeof *filter);
    struct wc_slice *select = wc_arena_calloc(arena, from->nselect, sizeof *select);
    bool ok = filter && select && copy_slice(from->schema, arena, &to.schema) &&
              copy_slice(from->table, arena, &to.table);
    for (size_t i = 0; i < from->nfilters && ok; i++) {
        filter[i] = from->filter[i];
        ok = copy_slice(from->filter[i].column, arena, &filter[i].column) &&
             copy_slice(from->filter[i].value, arena, &filter[i].value);
    }
    for (size_t i = 0; i < from->nselect && ok; i++)
        ok = copy_slice(from->select[i], arena, &select[i]);
    if (!ok)
        return WC_NOMEM;
    to.filter = filter;
    to.select = select;
    *out = to;
    return WC_OK;
}

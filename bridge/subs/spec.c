/*
 * Texts in the reference's messages are Elixir terms (its own language), so a little of that
 * notation is written here: lists, tuples, maps, nil, strings with escapes.
 */
#include "bridge/subs/spec.h"

#include "base/json.h"
#include "decoder/pgoutput.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

enum { MAX_NODES = 2000, MAX_DEPTH = 32, MAX_FILTERS = 32, MAX_GROUPS = 32, GROUP_DEPTH = 8 };

static const char filter_prefix[] = "Error parsing `filter` params: ";

static bool find_op(struct wc_slice text, enum wc_filter_op *out)
{
#define WC_FILTER_OP(symbol, name, operator)                                                       \
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

static void inspect_filter(struct wc_buf *out, const struct wc_filter *f)
{
    wc_buf_byte(out, '{');
    inspect_string(out, f->column);
    wc_buf_printf(out, ", \"%s\", ", wc_filter_op_text(f->op));
    inspect_string(out, f->value);
    wc_buf_str(out, f->negate ? ", true}" : ", false}");
}

/* Goes on behind the last node written. */
struct inspection {
    struct wc_buf *out;
    const struct wc_condition *node;
    const struct wc_filter *filter;
};

static void inspect_conditions(struct inspection *at, size_t n) /* GROUP_DEPTH deep at most */
{
    wc_buf_byte(at->out, '[');
    for (size_t i = 0; i < n; i++) {
        const struct wc_condition *c = at->node++;
        if (i)
            wc_buf_str(at->out, ", ");
        if (c->kind == WC_CONDITION_FILTER) {
            inspect_filter(at->out, at->filter++);
            continue;
        }
        wc_buf_str(at->out, c->kind == WC_CONDITION_OR ? "{\"or\", " : "{\"and\", ");
        inspect_conditions(at, c->nmembers);
        wc_buf_str(at->out, c->negate ? ", true}" : ", false}");
    }
    wc_buf_byte(at->out, ']');
}

void wc_spec_describe(const struct wc_spec *s, struct wc_buf *out)
{
    struct inspection at = {out, s->condition, s->filter};
    wc_buf_printf(out, "[event: %s, schema: ", s->event);
    wc_buf_slice(out, s->schema);
    wc_buf_str(out, ", table: ");
    wc_buf_slice(out, s->table);
    wc_buf_str(out, ", filters: ");
    inspect_conditions(&at, s->ntop);
    wc_buf_str(out, ", select: ");
    if (s->nselect)
        inspect_strings(out, s->select, s->nselect);
    else
        wc_buf_str(out, "nil");
    if (s->has_exact_numbers)
        wc_buf_str(out, ", numbers: \"string\"");
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

/* A walk along a filter: what a byte means depends on what stands before it. */
struct scan {
    struct wc_slice text;
    size_t at, depth;
    bool quoted;
};

/* Takes the next byte, or an escape of two. */
static void scan_next(struct scan *s)
{
    const uint8_t *p = s->text.p + s->at;
    uint8_t before = s->at > 0 ? p[-1] : 0;
    s->at++;
    if (s->quoted) {
        s->quoted = *p != '"';
        s->at += *p == '\\' && s->at < s->text.len;
    } else if (*p == '"') {
        s->quoted = before == '.' || before == '(' || before == ',';
    } else if (*p == '(') {
        s->depth++;
    } else if (*p == ')') {
        s->depth -= s->depth > 0;
    }
}

/* Moves to the comma that ends this segment, or to `end`. */
static void scan_segment(struct scan *s, size_t end)
{
    s->depth = 0;
    s->quoted = false;
    while (s->at < end && (s->text.p[s->at] != ',' || s->depth || s->quoted))
        scan_next(s);
    if (s->at > end) /* an escape in quotes that do not close */
        s->at = end;
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

/* Where the quote at the start of `s` closes; s.len: nowhere. */
static size_t closing_quote(struct wc_slice s)
{
    size_t i = 1;
    while (i < s.len && s.p[i] != '"')
        i += s.p[i] == '\\' && i + 1 < s.len ? 2 : 1;
    return i;
}

static bool copy_slice(struct wc_slice from, struct wc_arena *arena, struct wc_slice *to)
{
    char *copy = wc_arena_strdup(arena, from);
    *to = wc_slice(copy, copy ? from.len : 0);
    return copy != NULL;
}

/* A value that is one quoted string whole is unquoted; anything else is literal. */
static bool unquote(struct wc_slice v, struct wc_arena *arena, struct wc_slice *out)
{
    if (v.len < 2 || v.p[0] != '"' || closing_quote(v) + 1 != v.len)
        return copy_slice(v, arena, out);
    char *plain = wc_arena_alloc(arena, v.len);
    if (!plain)
        return false;
    size_t n = 0;
    for (size_t i = 1; i + 1 < v.len; i++) {
        if (v.p[i] == '\\' && i + 2 < v.len)
            i++;
        plain[n++] = (char)v.p[i];
    }
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

/* What a filter is made into. */
struct parsing {
    struct wc_arena *arena;
    struct wc_buf *message;
    struct wc_filter *filter;
    struct wc_condition *condition;
    size_t nfilters, nconditions;
};

WC_PRINTF(2, 3)
static enum wc_status refuse_filter(struct parsing *p, const char *format, ...)
{
    va_list args;
    char why[128];
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    wc_buf_printf(p->message, "%s%s", filter_prefix, why);
    return WC_INVALID;
}

/* [ "not." ] operator "." value */
static enum wc_status parse_comparison(struct parsing *p, struct wc_slice rest,
                                       struct wc_filter *out)
{
    struct wc_slice op, value;
    out->negate = rest.len >= 4 && memcmp(rest.p, "not.", 4) == 0;
    if (out->negate)
        rest = wc_slice(rest.p + 4, rest.len - 4);
    if (!split_at(rest, '.', &op, &value))
        return refuse_parts(p->message, &rest, 1);
    if (!find_op(op, &out->op)) {
        const struct wc_slice parts[] = {op, value};
        return refuse_parts(p->message, parts, 2);
    }
    if (out->op == WC_FILTER_IN)
        return in_value(value, p->arena, &out->value, p->message);
    return unquote(value, p->arena, &out->value) ? WC_OK : WC_NOMEM;
}

/* A column of a member, up to the dot behind it. */
static bool split_member(struct wc_slice s, struct wc_slice *column, struct wc_slice *rest)
{
    size_t quoted = s.len && s.p[0] == '"' ? closing_quote(s) + 1 : 0;
    if (!quoted || quoted >= s.len || s.p[quoted] != '.')
        return split_at(s, '.', column, rest);
    *column = wc_slice(s.p, quoted);
    *rest = wc_slice(s.p + quoted + 1, s.len - quoted - 1);
    return true;
}

static enum wc_status parse_filter(struct parsing *p, struct wc_slice s, bool is_member)
{
    struct wc_slice column, rest;
    if (is_member ? !split_member(s, &column, &rest) : !split_at(s, '=', &column, &rest))
        return refuse_parts(p->message, &s, 1);
    struct wc_filter *f = &p->filter[p->nfilters++];
    p->condition[p->nconditions++] = (struct wc_condition){.kind = WC_CONDITION_FILTER};
    bool ok = is_member ? unquote(column, p->arena, &f->column)
                        : copy_slice(column, p->arena, &f->column);
    return ok ? parse_comparison(p, rest, f) : WC_NOMEM;
}

static bool skip(struct wc_slice *s, const char *word)
{
    size_t len = strlen(word);
    if (s->len < len || memcmp(s->p, word, len) != 0)
        return false;
    *s = wc_slice(s->p + len, s->len - len);
    return true;
}

/* Does the parenthesis at the start close at the end? */
static bool is_parenthesised(struct wc_slice s)
{
    if (s.len == 0 || s.p[0] != '(')
        return false;
    struct scan scan = {.text = s};
    do
        scan_next(&scan);
    while (scan.at < s.len && scan.depth > 0);
    return scan.at == s.len && scan.depth == 0;
}

/* False: it is none. *list: the members in their parentheses. */
static bool split_group(struct wc_slice s, struct wc_condition *out, struct wc_slice *list)
{
    *out = (struct wc_condition){.negate = skip(&s, "not.")};
    if (skip(&s, "or"))
        out->kind = WC_CONDITION_OR;
    else if (skip(&s, "and"))
        out->kind = WC_CONDITION_AND;
    else
        return false;
    (void)skip(&s, "="); /* with or without */
    *list = s;
    return is_parenthesised(s);
}

static enum wc_status parse_conditions(struct parsing *p, struct wc_slice text, size_t from,
                                       size_t end, unsigned depth, uint32_t *count);

static enum wc_status parse_condition(struct parsing *p, struct wc_slice s, unsigned depth)
{
    struct wc_condition group;
    struct wc_slice list;
    if (p->nfilters == MAX_FILTERS)
        return refuse_filter(p, "too many conditions, at most %d", MAX_FILTERS);
    if (s.len == 0)
        return refuse_filter(p, "filter must not contain empty segments (check for extra commas)");
    if (!split_group(s, &group, &list))
        return parse_filter(p, s, depth > 0);
    if (depth == GROUP_DEPTH)
        return refuse_filter(p, "groups in groups, at most %d deep", GROUP_DEPTH);
    if (p->nconditions - p->nfilters == MAX_GROUPS)
        return refuse_filter(p, "too many groups, at most %d", MAX_GROUPS);
    size_t at = p->nconditions++;
    enum wc_status st = parse_conditions(p, list, 1, list.len - 1, depth + 1, &group.nmembers);
    p->condition[at] = group;
    return st;
}

/* The conditions in text[from, end). */
static enum wc_status parse_conditions(struct parsing *p, struct wc_slice text, size_t from,
                                       size_t end, unsigned depth, uint32_t *count)
{
    struct scan scan = {.text = text, .at = from};
    for (*count = 0;;) {
        size_t start = scan.at;
        scan_segment(&scan, end);
        enum wc_status st =
            parse_condition(p, trim(wc_slice(text.p + start, scan.at - start)), depth);
        ++*count;
        if (st != WC_OK || scan.at == end)
            return st;
        scan.at++;
    }
}

static enum wc_status parse_filters(struct wc_slice text, struct wc_arena *arena,
                                    struct wc_spec *out, struct wc_buf *message)
{
    text = trim(text);
    if (text.len == 0)
        return WC_OK;
    struct parsing p = {
        .arena = arena,
        .message = message,
        .filter = wc_arena_calloc(arena, MAX_FILTERS, sizeof *p.filter),
        .condition = wc_arena_calloc(arena, (size_t)MAX_FILTERS + MAX_GROUPS, sizeof *p.condition)};
    if (!p.filter || !p.condition)
        return WC_NOMEM;
    enum wc_status st = parse_conditions(&p, text, 0, text.len, 0, &out->ntop);
    out->filter = p.filter;
    out->nfilters = p.nfilters;
    out->condition = p.condition;
    out->nconditions = p.nconditions;
    return st;
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

/* Our own: what is not understood is refused, or a client would find its numbers rounded. */
static enum wc_status parse_numbers(const struct wc_json *doc, struct wc_arena *arena,
                                    struct wc_spec *out, struct wc_buf *message)
{
    struct wc_slice numbers;
    enum wc_status st = get_string(doc, "numbers", arena, &numbers);
    if (st == WC_NOMEM || (st == WC_OK && !numbers.p))
        return st;
    out->has_exact_numbers = st == WC_OK && wc_slice_is(numbers, "string");
    if (out->has_exact_numbers || (st == WC_OK && wc_slice_is(numbers, "number")))
        return WC_OK;
    wc_buf_str(message, "Error parsing `numbers` params: expected \"number\" or \"string\"");
    return WC_INVALID;
}

static enum wc_status parse_removals(const struct wc_json *doc, struct wc_spec *out,
                                     struct wc_buf *message)
{
    out->removals = wc_json_type(doc, wc_json_get(doc, 0, "removals")) == WC_JSON_TRUE;
    if (!out->removals || out->events & WC_OP_DELETE)
        return WC_OK;
    wc_buf_str(message,
               "Error parsing `removals` params: removals are DELETEs, which an event of ");
    wc_buf_printf(message, "%s does not ask for", out->event);
    return WC_INVALID;
}

uint32_t wc_spec_looked_at(const struct wc_spec *s)
{
    return s->events | (s->removals ? WC_OP_UPDATE | WC_SPEC_OLD_ROW : 0u);
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
    if (st == WC_OK)
        st = parse_numbers(&doc, arena, &spec, message);
    if (st == WC_OK)
        st = parse_removals(&doc, &spec, message);
    spec.explain = wc_json_type(&doc, wc_json_get(&doc, 0, "explain")) == WC_JSON_TRUE;
    if (st == WC_OK && filter.p)
        st = parse_filters(filter, arena, &spec, message);
    if (st == WC_OK)
        st = check_select(&spec, message);
    if (st == WC_OK)
        *out = spec;
    return st;
}

enum wc_status wc_spec_copy(const struct wc_spec *from, struct wc_arena *arena, struct wc_spec *out)
{
    struct wc_spec to = *from;
    struct wc_filter *filter = wc_arena_calloc(arena, from->nfilters, sizeof *filter);
    struct wc_condition *condition = wc_arena_calloc(arena, from->nconditions, sizeof *condition);
    struct wc_slice *select = wc_arena_calloc(arena, from->nselect, sizeof *select);
    bool ok = filter && condition && select && copy_slice(from->schema, arena, &to.schema) &&
              copy_slice(from->table, arena, &to.table);
    for (size_t i = 0; i < from->nfilters && ok; i++) {
        filter[i] = from->filter[i];
        ok = copy_slice(from->filter[i].column, arena, &filter[i].column) &&
             copy_slice(from->filter[i].value, arena, &filter[i].value);
    }
    for (size_t i = 0; i < from->nconditions && ok; i++)
        condition[i] = from->condition[i];
    for (size_t i = 0; i < from->nselect && ok; i++)
        ok = copy_slice(from->select[i], arena, &select[i]);
    if (!ok)
        return WC_NOMEM;
    to.filter = filter;
    to.condition = condition;
    to.select = select;
    *out = to;
    return WC_OK;
}

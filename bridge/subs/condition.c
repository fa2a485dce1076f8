#include "bridge/subs/condition.h"

#include "bridge/subs/refuse.h"

#include <stdlib.h>

enum { BOOL_OID = 16, MAX_IN = 100 };

/* ---- checks that need no value ---- */

static bool is_pattern(enum wc_filter_op op)
{
    return op == WC_FILTER_LIKE || op == WC_FILTER_ILIKE || op == WC_FILTER_MATCH ||
           op == WC_FILTER_IMATCH;
}

static enum wc_check_step refuse(struct wc_audience *a, const struct wc_comparand *c,
                                 const char *what, struct wc_slice detail)
{
    wc_refuse_exception(a, c->spec, "P0001", "%s%.*s", what, WC_SLICE_ARG(detail));
    return WC_CHECK_REFUSED;
}

static enum wc_check_step check_is(struct wc_audience *a, const struct wc_comparand *c,
                                   struct wc_leaf *leaf)
{
    static const char *const words[] = {[WC_IS_NULL] = "null",
                                        [WC_IS_TRUE] = "true",
                                        [WC_IS_FALSE] = "false",
                                        [WC_IS_UNKNOWN] = "unknown"};
    size_t is = 0;
    while (is <= WC_IS_UNKNOWN && !wc_slice_is(c->filter->value, words[is]))
        is++;
    if (is > WC_IS_UNKNOWN)
        return refuse(a, c, "invalid value for is filter: must be null, true, false, or unknown",
                      wc_slice(NULL, 0));
    leaf->is = (enum wc_is)is;
    if (is == WC_IS_NULL || c->type->core == BOOL_OID)
        return WC_CHECK_DONE;
    wc_refuse_exception(a, c->spec, "P0001", "is %s filter requires a boolean column, got %s",
                        words[is], (const char *)c->type->name.p);
    return WC_CHECK_REFUSED;
}

/* An escape with nothing behind it fails as soon as a value matches up to there. */
static bool ends_in_escape(struct wc_slice pattern)
{
    size_t n = 0;
    while (n < pattern.len && pattern.p[pattern.len - 1 - n] == '\\')
        n++;
    return n % 2 == 1;
}

static enum wc_check_step check_pattern(struct wc_audience *a, const struct wc_comparand *c)
{
    enum wc_filter_op op = c->filter->op;
    if (!(c->type->patterns & 1u << op)) {
        wc_refuse_exception(a, c->spec, "P0001",
                            "operator %s requires a text-compatible column type, got %s",
                            wc_filter_op_text(op), (const char *)c->type->name.p);
        return WC_CHECK_REFUSED;
    }
    bool is_like = op == WC_FILTER_LIKE || op == WC_FILTER_ILIKE;
    if (!is_like || !ends_in_escape(c->filter->value))
        return WC_CHECK_CAST;
    wc_refuse_exception(a, c->spec, "22025", "LIKE pattern must not end with escape character");
    return WC_CHECK_REFUSED;
}

static enum wc_check_step check_comparable(struct wc_audience *a, const struct wc_comparand *c)
{
    if (!c->type->holds_domain)
        return WC_CHECK_CAST;
    wc_refuse_exception(a, c->spec, "0A000", "values of type %s are not compared: it holds domains",
                        (const char *)c->type->name.p);
    return WC_CHECK_REFUSED;
}

enum wc_check_step wc_condition_check(struct wc_audience *a, const struct wc_comparand *c,
                                      struct wc_leaf *out)
{
    const struct wc_filter *f = c->filter;
    *out = (struct wc_leaf){.column = f->column, .op = f->op, .negate = f->negate};
    if (!c->column->type)
        return refuse(a, c, "invalid column for filter ", f->column);
    if (!c->type)
        return refuse(a, c, "failed to lookup type for column ", f->column);
    if (f->op == WC_FILTER_IS)
        return check_is(a, c, out);
    return is_pattern(f->op) ? check_pattern(a, c) : check_comparable(a, c);
}

/* ---- values ---- */

static struct wc_slice collate(const struct wc_comparand *c)
{
    bool is_own = c->column->collation == 0 || c->column->collation == c->type->collation;
    return is_own ? wc_slice(NULL, 0) : c->column->collate;
}

struct wc_cast_question wc_condition_question(const struct wc_comparand *c)
{
    return (struct wc_cast_question){
        .type = c->type, .collate = collate(c), .op = c->filter->op, .value = c->filter->value};
}

/* As the column is compared; NONE: by Postgres. */
static enum wc_key_kind key_kind(const struct wc_comparand *c)
{
    const struct wc_key_type type = {.base_type = c->type->core,
                                     .is_enum = c->type->is_enum,
                                     .is_deterministic = c->column->is_deterministic,
                                     .is_c = c->column->is_c};
    bool is_ordered;
    enum wc_key_kind kind = wc_key_kind_of(&type, &is_ordered);
    switch (c->filter->op) {
    case WC_FILTER_EQ:
    case WC_FILTER_NEQ:
    case WC_FILTER_IN:
    case WC_FILTER_ISDISTINCT: return kind;
    case WC_FILTER_LT:
    case WC_FILTER_LTE:
    case WC_FILTER_GT:
    case WC_FILTER_GTE: return is_ordered ? kind : WC_KEY_NONE;
    case WC_FILTER_LIKE:
    case WC_FILTER_ILIKE:
    case WC_FILTER_MATCH:
    case WC_FILTER_IMATCH:
    case WC_FILTER_IS: break;
    }
    return WC_KEY_NONE;
}

/* OK, NOMEM, or INVALID: Postgres printed what keys do not know. */
static enum wc_status make_key(struct wc_arena *arena, enum wc_key_kind kind, struct wc_slice text,
                               struct wc_slice *out)
{
    struct wc_buf scratch;
    struct wc_slice key;
    wc_buf_init(&scratch, WC_KEY_MAX);
    enum wc_status st = wc_key_view(kind, text, &scratch, &key);
    if (st == WC_OK) {
        char *copy = wc_arena_strdup(arena, key);
        *out = wc_slice(copy, key.len);
        st = copy ? WC_OK : WC_NOMEM;
    }
    wc_buf_release(&scratch);
    return st;
}

static int by_key(const void *a, const void *b)
{
    const struct wc_slice *x = a, *y = b;
    return wc_key_compare(*x, *y);
}

/* The keys of all rows of the answer, ascending and distinct. */
static enum wc_status make_keys(struct wc_audience *a, enum wc_key_kind kind,
                                const struct wc_pg_result *res, struct wc_leaf *leaf)
{
    struct wc_slice *key = wc_arena_calloc(&a->arena, (size_t)res->nrows, sizeof *key);
    enum wc_status st = key ? WC_OK : WC_NOMEM;
    size_t n = 0;
    for (int row = 0; row < res->nrows && st == WC_OK; row++)
        if (wc_pg_value(res, row, 0))
            st = make_key(&a->arena, kind, wc_pg_slice(res, row, 0), &key[n++]);
    if (st != WC_OK)
        return st;
    if (n)
        qsort(key, n, sizeof *key, by_key);
    leaf->kind = kind;
    leaf->key = key;
    for (size_t i = 0; i < n; i++)
        if (leaf->nkeys == 0 || !wc_slice_eq(key[leaf->nkeys - 1], key[i]))
            key[leaf->nkeys++] = key[i];
    return WC_OK;
}

static enum wc_status make_comparison(struct wc_audience *a, const struct wc_comparand *c,
                                      const struct wc_pg_result *res, struct wc_leaf *leaf)
{
    bool is_in = c->filter->op == WC_FILTER_IN;
    struct wc_slice value_type = is_in                       ? c->type->array
                                 : is_pattern(c->filter->op) ? wc_cast_pattern_type(c->type)
                                                             : c->type->cast;
    const struct wc_comparison is = {.role = a->claims->role,
                                     .type = c->type->cast,
                                     .collation = collate(c),
                                     .schema = c->type->schema,
                                     .op = c->filter->op,
                                     .value_type = value_type,
                                     .value = wc_pg_slice(res, 0, is_in ? 1 : 0),
                                     .is_null = !is_in && !wc_pg_value(res, 0, 0)};
    struct wc_asked *asked = wc_arena_alloc(&a->arena, sizeof *asked);
    struct wc_shared_comparison *shared =
        asked ? wc_comparison_get(a->subs->comparisons, c->filter->column, &is) : NULL;
    if (!shared)
        return WC_NOMEM;
    *asked = (struct wc_asked){.next = a->asked, .is = shared};
    a->asked = asked;
    leaf->kind = WC_KEY_NONE;
    leaf->asked = shared;
    return WC_OK;
}

static enum wc_status make_leaf(struct wc_audience *a, const struct wc_comparand *c,
                                const struct wc_pg_result *res, struct wc_leaf *leaf)
{
    enum wc_key_kind kind = key_kind(c);
    if (res->nrows == 0) /* no element: nothing to compare with, so any kind will do */
        kind = WC_KEY_TEXT;
    for (int row = 0; row < res->nrows; row++)
        leaf->has_null |= !wc_pg_value(res, row, 0);
    enum wc_status st = kind == WC_KEY_NONE ? WC_INVALID : make_keys(a, kind, res, leaf);
    return st == WC_INVALID ? make_comparison(a, c, res, leaf) : st;
}

/* Postgres qualifies the names of types outside the search_path, which here is all of users'. */
static void refuse_error(struct wc_audience *a, const struct wc_comparand *c,
                         const struct wc_pg_result *res)
{
    struct wc_slice cast = c->type->cast, name = c->type->name;
    const char *message = res->message, *at = strstr(message, (const char *)cast.p);
    enum wc_filter_op op = c->filter->op;
    if (op == WC_FILTER_MATCH || op == WC_FILTER_IMATCH)
        wc_refuse_exception(a, c->spec, "P0001", "invalid regular expression for %s filter: %s",
                            wc_filter_op_text(op), message);
    else if (at && c->type->oid == c->type->core)
        wc_refuse_exception(a, c->spec, res->sqlstate, "%.*s%s%s", (int)(at - message), message,
                            (const char *)name.p, at + cast.len);
    else
        wc_refuse_exception(a, c->spec, res->sqlstate, "%s", message);
}

enum wc_check_step wc_condition_take(struct wc_audience *a, const struct wc_comparand *c,
                                     const struct wc_pg_result *res, struct wc_leaf *leaf)
{
    if (!res->ok) {
        refuse_error(a, c, res);
        return WC_CHECK_REFUSED;
    }
    if (c->filter->op == WC_FILTER_IN && res->nrows > MAX_IN)
        return refuse(a, c, "too many values for `in` filter. Maximum 100", wc_slice(NULL, 0));
    if (make_leaf(a, c, res, leaf) == WC_OK)
        return WC_CHECK_DONE;
    wc_refuse_no_memory(a);
    return WC_CHECK_REFUSED;
}

/* ---- the tree ---- */

/* Goes on behind the last node built. */
struct building {
    struct wc_arena *arena;
    const struct wc_condition *node;
    const struct wc_leaf *leaf;
};

static bool build(struct building *at, struct wc_predicate *out, size_t n);

/* As deep as groups are in groups. */
static bool build_one(struct building *at, struct wc_predicate *out)
{
    const struct wc_condition *c = at->node++;
    if (c->kind == WC_CONDITION_FILTER) {
        *out = (struct wc_predicate){.kind = WC_PREDICATE_LEAF, .leaf = at->leaf++};
        return true;
    }
    struct wc_predicate *child = wc_arena_calloc(at->arena, c->nmembers, sizeof *child);
    *out = (struct wc_predicate){.kind = c->kind == WC_CONDITION_OR ? WC_PREDICATE_OR
                                                                    : WC_PREDICATE_AND,
                                 .negate = c->negate,
                                 .nchildren = c->nmembers,
                                 .child = child};
    return child && build(at, child, c->nmembers);
}

static bool build(struct building *at, struct wc_predicate *out, size_t n)
{
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++)
        ok = build_one(at, &out[i]);
    return ok;
}

const struct wc_predicate *wc_condition_build(struct wc_arena *arena, const struct wc_spec *spec,
                                              const struct wc_leaf *leaf)
{
    struct building at = {arena, spec->condition, leaf};
    struct wc_predicate *all = wc_arena_calloc(arena, spec->ntop + 1u, sizeof *all);
    if (!all || !build(&at, all + 1, spec->ntop))
        return NULL;
    if (spec->ntop == 1)
        return all + 1;
    *all =
        (struct wc_predicate){.kind = WC_PREDICATE_AND, .nchildren = spec->ntop, .child = all + 1};
    return all;
}

void wc_condition_release(struct wc_audience *a)
{
    for (; a->asked; a->asked = a->asked->next)
        wc_comparison_unref(a->asked->is);
}

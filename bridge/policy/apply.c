/* A policy and the values of its slots become a predicate. */
#include "bridge/policy/policy.h"

#include <stdlib.h>

struct applier {
    const struct wc_policy *policy;
    const struct wc_slice *value;
    struct wc_arena *arena;
    enum wc_status status; /* sticky */
};

/* What a part says once its slots are known. */
struct part {
    enum wc_policy_outcome outcome;
    struct wc_predicate predicate; /* SOME */
};

static const struct part nobody = {.outcome = WC_POLICY_NOBODY};
static const struct part everybody = {.outcome = WC_POLICY_EVERYBODY};

static struct part fail(struct applier *a, enum wc_status st)
{
    a->status = st;
    return nobody;
}

/* ---- keys ---- */

static bool take_key(struct applier *a, enum wc_key_kind kind, struct wc_slice text,
                     struct wc_slice *out)
{
    struct wc_buf key;
    wc_buf_init(&key, WC_KEY_MAX > text.len ? WC_KEY_MAX : text.len + 1);
    enum wc_status st = wc_key_append(kind, text, &key);
    char *kept = st == WC_OK ? wc_arena_strdup(a->arena, wc_buf_view(&key)) : NULL;
    *out = wc_slice(kept, key.len);
    wc_buf_release(&key);
    if (st == WC_OK && !kept)
        st = WC_NOMEM;
    if (st != WC_OK)
        (void)fail(a, st); /* remembered */
    return st == WC_OK;
}

struct keys {
    struct wc_slice *key; /* room for all that may come */
    size_t count;
    bool has_null;
};

static bool add_key(struct applier *a, struct keys *k, enum wc_key_kind kind, struct wc_slice text)
{
    return take_key(a, kind, text, &k->key[k->count++]);
}

static int compare_keys(const void *a, const void *b)
{
    return wc_key_compare(*(const struct wc_slice *)a, *(const struct wc_slice *)b);
}

/* Ascending and distinct, as a leaf wants them. */
static void sort_keys(struct keys *k)
{
    size_t distinct = 0;
    if (k->count)
        qsort(k->key, k->count, sizeof *k->key, compare_keys);
    for (size_t i = 0; i < k->count; i++)
        if (i == 0 || wc_key_compare(k->key[distinct - 1], k->key[i]) != 0)
            k->key[distinct++] = k->key[i];
    k->count = distinct;
}

/* ---- arrays, as the server prints them: {a,"b \" c",NULL} ---- */

/* Its text goes to `to`, which has room for all of the rest. */
static bool take_element(struct wc_slice *rest, uint8_t *to, struct wc_slice *out, bool *is_null)
{
    size_t len = 0, at = 0;
    bool is_quoted = rest->len && rest->p[0] == '"';
    for (at = is_quoted; at < rest->len; at++) {
        uint8_t c = rest->p[at];
        if (is_quoted ? c == '"' : (c == ',' || c == '}'))
            break;
        if (c == '\\' && at + 1 < rest->len)
            c = rest->p[++at];
        to[len++] = c;
    }
    if (at == rest->len)
        return false;
    at += is_quoted;
    *rest = wc_slice(rest->p + at, rest->len - at);
    *out = wc_slice(to, len);
    *is_null = !is_quoted && wc_slice_is(*out, "NULL");
    return true;
}

static struct wc_slice skip_one(struct wc_slice s)
{
    return wc_slice(s.p + 1, s.len - 1);
}

/* Of one dimension; false: anything else. */
static bool add_array(struct applier *a, struct keys *k, enum wc_key_kind kind,
                      struct wc_slice text)
{
    if (text.len < 2 || text.p[0] != '{')
        return false;
    uint8_t *scratch = wc_arena_alloc(a->arena, text.len); /* of one element after the other */
    if (!scratch) {
        (void)fail(a, WC_NOMEM); /* remembered */
        return false;
    }
    struct wc_slice rest = skip_one(text);
    while (rest.len && rest.p[0] != '}') {
        struct wc_slice element;
        bool is_null = false;
        if (rest.p[0] == '{' || !take_element(&rest, scratch, &element, &is_null) || !rest.len ||
            (rest.p[0] != ',' && rest.p[0] != '}'))
            return false;
        if (rest.p[0] == ',')
            rest = skip_one(rest);
        k->has_null |= is_null;
        if (!is_null && !add_key(a, k, kind, element))
            return false;
    }
    return rest.len == 1;
}

/* ---- leaves ---- */

/* No fewer keys than the right side has. */
static size_t count_keys(const struct applier *a, const struct wc_policy_node *n)
{
    size_t count = n->nslots;
    for (uint32_t i = 0; i < n->nslots; i++) {
        struct wc_slice v = a->value[n->slot[i]];
        for (size_t k = 0; a->policy->slot[n->slot[i]].is_array && k < v.len; k++)
            count += v.p[k] == ',';
    }
    return count;
}

/* Keys of the right side, sorted; false: status says why, or the array's text is not one. */
static bool take_keys(struct applier *a, const struct wc_policy_node *n, struct keys *k)
{
    k->key = wc_arena_calloc(a->arena, count_keys(a, n), sizeof *k->key);
    if (!k->key) {
        (void)fail(a, WC_NOMEM); /* remembered */
        return false;
    }
    for (uint32_t i = 0; i < n->nslots; i++) {
        struct wc_slice v = a->value[n->slot[i]];
        bool is_array = a->policy->slot[n->slot[i]].is_array;
        if (!v.p)
            k->has_null = true;
        else if (is_array ? !add_array(a, k, n->key, v) : !add_key(a, k, n->key, v))
            return false;
    }
    sort_keys(k);
    return true;
}

static struct part some(struct applier *a, const struct wc_leaf *from)
{
    struct wc_leaf *leaf = wc_arena_alloc(a->arena, sizeof *leaf);
    if (!leaf)
        return fail(a, WC_NOMEM);
    *leaf = *from;
    return (struct part){.outcome = WC_POLICY_SOME,
                         .predicate = {.kind = WC_PREDICATE_LEAF, .leaf = leaf}};
}

static struct part is_leaf(struct applier *a, const struct wc_policy_node *n, enum wc_is is,
                           bool negate)
{
    return some(
        a, &(struct wc_leaf){.column = n->column, .op = WC_FILTER_IS, .is = is, .negate = negate});
}

/* An array that is NULL makes = ANY NULL, whatever the column is. */
static bool is_null_array(const struct applier *a, const struct wc_policy_node *n)
{
    return a->policy->slot[n->slot[0]].is_array && !a->value[n->slot[0]].p;
}

static struct part leaf_part(struct applier *a, const struct wc_policy_node *n)
{
    struct keys k = {0};
    if (n->op == WC_FILTER_IS)
        return is_leaf(a, n, n->is, n->negate);
    if (!take_keys(a, n, &k))
        return fail(a, a->status == WC_OK ? WC_INVALID : a->status);
    struct wc_leaf leaf = {.column = n->column,
                           .op = n->op,
                           .negate = n->negate,
                           .kind = n->key,
                           .nkeys = k.count,
                           .key = k.key,
                           .has_null = k.has_null};
    if (n->op == WC_FILTER_IN)
        return is_null_array(a, n) || (k.count == 0 && k.has_null) ? nobody : some(a, &leaf);
    if (!k.has_null)
        return some(a, &leaf);
    if (n->op == WC_FILTER_ISDISTINCT) /* from NULL: is there a value? */
        return is_leaf(a, n, WC_IS_NULL, !n->negate);
    return nobody; /* a comparison with NULL is NULL, negated or not */
}

/* ---- what joins them ---- */

static struct part truth_part(const struct applier *a, const struct wc_policy_node *n)
{
    struct wc_slice v = a->value[n->slot[0]];
    return v.p && wc_slice_is(v, n->negate ? "f" : "t") ? everybody : nobody;
}

static struct part part_of(struct applier *, const struct wc_policy_node *);

/* Children that decide the whole end it; those that say nothing are left out. */
static struct part joined_part(struct applier *a, const struct wc_policy_node *n)
{
    bool is_and = n->kind == WC_POLICY_AND;
    size_t count = 0, left = 0;
    if (n->first && !n->first->next)
        return part_of(a, n->first); /* it is the whole: of each token's predicate there is one */
    for (const struct wc_policy_node *c = n->first; c; c = c->next)
        count++;
    struct wc_predicate *child = wc_arena_calloc(a->arena, count + 1, sizeof *child);
    if (!child)
        return fail(a, WC_NOMEM);
    for (const struct wc_policy_node *c = n->first; c; c = c->next) {
        struct part p = part_of(a, c);
        if (a->status != WC_OK)
            return nobody;
        if (p.outcome == (is_and ? WC_POLICY_NOBODY : WC_POLICY_EVERYBODY))
            return p;
        if (p.outcome == WC_POLICY_SOME)
            child[left++] = p.predicate;
    }
    if (left == 0)
        return is_and ? everybody : nobody;
    if (left == 1)
        return (struct part){.outcome = WC_POLICY_SOME, .predicate = child[0]};
    return (struct part){.outcome = WC_POLICY_SOME,
                         .predicate = {.kind = is_and ? WC_PREDICATE_AND : WC_PREDICATE_OR,
                                       .nchildren = left,
                                       .child = child}};
}

static struct part part_of(struct applier *a, const struct wc_policy_node *n)
{
    switch (n->kind) {
    case WC_POLICY_AND:
    case WC_POLICY_OR: return joined_part(a, n);
    case WC_POLICY_LEAF: return leaf_part(a, n);
    case WC_POLICY_TRUTH: return truth_part(a, n);
    }
    return fail(a, WC_INVALID);
}

enum wc_status wc_policy_apply(const struct wc_policy *policy, const struct wc_slice *value,
                               struct wc_arena *arena, enum wc_policy_outcome *outcome,
                               const struct wc_predicate **out)
{
    struct applier a = {.policy = policy, .value = value, .arena = arena, .status = WC_OK};
    struct part p = part_of(&a, policy->where);
    struct wc_predicate *kept = NULL;
    if (a.status == WC_OK && p.outcome == WC_POLICY_SOME) {
        kept = wc_arena_alloc(arena, sizeof *kept);
        if (!kept)
            a.status = WC_NOMEM;
    }
    if (a.status != WC_OK)
        return a.status;
    if (kept)
        *kept = p.predicate;
    *outcome = p.outcome;
    *out = kept;
    return WC_OK;
}

#include "bridge/match/filing_priv.h"

#include "base/assert.h"

#include <stdlib.h>

struct wc_filing {
    uint32_t nvalues, nranges; /* filed so far */
    bool is_exact;
    struct wc_range_place *range;
    struct wc_value_place value[];
};

/* ---- what a comparison is good for ---- */

enum method { BY_VALUE, BY_RANGE, ONE_BY_ONE }; /* the best first */

/* A way of filing, and how many places it takes. */
struct plan {
    enum method method;
    bool is_exact;
    size_t nvalues, nranges;
};

static const struct plan one_by_one = {.method = ONE_BY_ONE};
static const struct plan never = {.method = BY_VALUE, .is_exact = true};

/* The operator whose truth is that of this one's negation; others are not filed. */
static enum wc_filter_op opposite(enum wc_filter_op op)
{
    switch (op) {
    case WC_FILTER_NEQ:
    case WC_FILTER_ISDISTINCT: return WC_FILTER_EQ; /* not NULL: see effective_op */
    case WC_FILTER_LT: return WC_FILTER_GTE;
    case WC_FILTER_LTE: return WC_FILTER_GT;
    case WC_FILTER_GT: return WC_FILTER_LTE;
    case WC_FILTER_GTE: return WC_FILTER_LT;
    case WC_FILTER_EQ:
    case WC_FILTER_IN:
    case WC_FILTER_LIKE:
    case WC_FILTER_ILIKE:
    case WC_FILTER_IS:
    case WC_FILTER_MATCH:
    case WC_FILTER_IMATCH: break;
    }
    return WC_FILTER_NEQ;
}

static enum wc_filter_op effective_op(const struct wc_leaf *leaf, bool negated)
{
    return leaf->negate == negated ? leaf->op : opposite(leaf->op);
}

static bool is_range(enum wc_filter_op op)
{
    return op == WC_FILTER_LT || op == WC_FILTER_LTE || op == WC_FILTER_GT || op == WC_FILTER_GTE;
}

static struct plan plan_leaf(const struct wc_leaf *leaf, bool negated)
{
    enum wc_filter_op op = effective_op(leaf, negated);
    if (leaf->kind == WC_KEY_NONE)
        return one_by_one;
    if (op == WC_FILTER_IN)
        return (struct plan){.method = BY_VALUE, .is_exact = true, .nvalues = leaf->nkeys};
    if (op != WC_FILTER_EQ && !is_range(op))
        return one_by_one;
    if (leaf->has_null) /* `not.isdistinct` of NULL holds for NULLs, the others never hold */
        return leaf->op == WC_FILTER_ISDISTINCT ? one_by_one : never;
    if (op == WC_FILTER_EQ)
        return (struct plan){.method = BY_VALUE, .is_exact = true, .nvalues = 1};
    return (struct plan){.method = BY_RANGE, .is_exact = true, .nranges = 1};
}

/* ---- what a group is good for ---- */

static struct plan plan(const struct wc_predicate *, bool negated);

static bool is_better(const struct plan *a, const struct plan *b)
{
    if (a->method != b->method)
        return a->method < b->method;
    return a->nvalues + a->nranges < b->nvalues + b->nranges;
}

static bool is_or(const struct wc_predicate *p, bool negated)
{
    return (p->kind == WC_PREDICATE_OR) != (p->negate != negated);
}

/* Is the comparison one that goes into the same interval as `leaf`? */
static bool joins_range(const struct wc_predicate *p, const struct wc_leaf *leaf, bool negated)
{
    return p->kind == WC_PREDICATE_LEAF && plan_leaf(p->leaf, negated).method == BY_RANGE &&
           p->leaf->kind == leaf->kind && wc_slice_eq(p->leaf->column, leaf->column);
}

/* Is there nothing in an AND but what is filed for this child? */
static bool is_all(const struct wc_predicate *p, const struct wc_predicate *child,
                   const struct plan *of_child, bool negated)
{
    if (p->nchildren == 1)
        return of_child->is_exact;
    for (size_t i = 0; i < p->nchildren; i++)
        if (child->kind != WC_PREDICATE_LEAF || !joins_range(&p->child[i], child->leaf, negated))
            return false;
    return true;
}

/* Of an AND, the child to file, and what filing it is good for. */
static const struct wc_predicate *best_child(const struct wc_predicate *p, bool negated,
                                             struct plan *out)
{
    const struct wc_predicate *best = NULL;
    negated = negated != p->negate;
    for (size_t i = 0; i < p->nchildren; i++) {
        struct plan a = plan(&p->child[i], negated);
        if (best && !is_better(&a, out))
            continue;
        best = &p->child[i];
        *out = a;
    }
    out->is_exact = is_all(p, best, out, negated);
    return best;
}

static struct plan plan(const struct wc_predicate *p, bool negated)
{
    struct plan all = never;
    if (p->kind == WC_PREDICATE_LEAF)
        return plan_leaf(p->leaf, negated);
    if (!is_or(p, negated)) {
        (void)best_child(p, negated, &all); /* the plan is enough */
        return all;
    }
    for (size_t i = 0; i < p->nchildren; i++) {
        struct plan a = plan(&p->child[i], negated != p->negate);
        all.method = a.method > all.method ? a.method : all.method;
        all.is_exact = all.is_exact && a.is_exact;
        all.nvalues += a.nvalues;
        all.nranges += a.nranges;
    }
    return all;
}

/* ---- filing ---- */

static enum wc_status file_values(struct wc_columns *cs, struct wc_match_binding *b,
                                  const struct wc_leaf *leaf)
{
    struct wc_filing *f = b->filing;
    struct wc_column *c = wc_columns_find(cs, leaf);
    size_t count = leaf->op == WC_FILTER_IN || !leaf->has_null ? leaf->nkeys : 0;
    for (size_t i = 0; i < count; i++) {
        struct wc_value_place *place = &f->value[f->nvalues];
        place->binding = b;
        enum wc_status st = wc_column_file(c, leaf->key[i], place);
        if (st != WC_OK)
            return st;
        f->nvalues++;
    }
    return WC_OK;
}

/* The interval becomes what it has in common with the leaf's. */
static void narrow(struct wc_interval *interval, const struct wc_leaf *leaf, enum wc_filter_op op)
{
    bool is_lower = op == WC_FILTER_GT || op == WC_FILTER_GTE;
    bool is_open = op == WC_FILTER_GT || op == WC_FILTER_LT;
    struct wc_bound *bound = is_lower ? &interval->lower : &interval->upper;
    const struct wc_bound b = {.kind = is_open ? WC_BOUND_OPEN : WC_BOUND_CLOSED,
                               .key = leaf->key[0]};
    int order = is_lower ? wc_lower_compare(&b, bound) : wc_upper_compare(bound, &b);
    if (order > 0)
        *bound = b;
}

/* Together with its neighbours in an AND that are about the same column. */
static void file_range(struct wc_columns *cs, struct wc_match_binding *b,
                       const struct wc_leaf *leaf, const struct wc_predicate *group, bool negated)
{
    struct wc_range_place *place = &b->filing->range[b->filing->nranges++];
    *place = (struct wc_range_place){.binding = b, .column = wc_columns_find(cs, leaf)};
    narrow(&place->interval, leaf, effective_op(leaf, negated));
    for (size_t i = 0; group && i < group->nchildren; i++) {
        const struct wc_predicate *p = &group->child[i];
        if (joins_range(p, leaf, negated))
            narrow(&place->interval, p->leaf, effective_op(p->leaf, negated));
    }
    wc_intervals_insert(&place->column->intervals, &place->interval);
}

/* `group`: the AND that a leaf is in, or NULL; it has the leaf's `negated`. */
static enum wc_status file(struct wc_columns *cs, struct wc_match_binding *b,
                           const struct wc_predicate *p, const struct wc_predicate *group,
                           bool negated)
{
    if (p->kind == WC_PREDICATE_LEAF && plan_leaf(p->leaf, negated).method == BY_VALUE)
        return file_values(cs, b, p->leaf);
    if (p->kind == WC_PREDICATE_LEAF) {
        file_range(cs, b, p->leaf, group, negated);
        return WC_OK;
    }
    bool below = negated != p->negate;
    if (!is_or(p, negated)) {
        struct plan unused;
        return file(cs, b, best_child(p, negated, &unused), p, below);
    }
    enum wc_status st = WC_OK;
    for (size_t i = 0; i < p->nchildren && st == WC_OK; i++)
        st = file(cs, b, &p->child[i], NULL, below);
    return st;
}

enum wc_status wc_filing_make(struct wc_columns *cs, struct wc_match_binding *b)
{
    struct plan best = plan(b->where, false);
    if (best.method == ONE_BY_ONE)
        return WC_NOTFOUND;
    size_t values = sizeof *b->filing + best.nvalues * sizeof b->filing->value[0];
    b->filing = calloc(1, values + best.nranges * sizeof *b->filing->range);
    if (!b->filing)
        return WC_NOMEM;
    b->filing->is_exact = best.is_exact;
    b->filing->range = (void *)&b->filing->value[best.nvalues];
    enum wc_status st = file(cs, b, b->where, NULL, false);
    if (st != WC_OK)
        wc_filing_undo(b);
    return st;
}

void wc_filing_undo(struct wc_match_binding *b)
{
    struct wc_filing *f = b->filing;
    b->filing = NULL;
    if (!f)
        return;
    for (size_t i = 0; i < f->nvalues; i++)
        wc_column_unfile(&f->value[i]);
    for (size_t i = 0; i < f->nranges; i++)
        wc_intervals_remove(&f->range[i].column->intervals, &f->range[i].interval);
    free(f);
}

bool wc_filing_is_exact(const struct wc_filing *f)
{
    return f->is_exact;
}

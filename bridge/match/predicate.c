#include "bridge/match/predicate.h"

const char *wc_filter_op_text(enum wc_filter_op op)
{
    switch (op) {
#define WC_FILTER_OP(symbol, text, operator)                                                       \
    case WC_FILTER_##symbol:                                                                       \
        return text;
#include "bridge/match/filter_op.def"
#undef WC_FILTER_OP
    }
    return "?";
}

const char *wc_filter_op_operator(enum wc_filter_op op)
{
    switch (op) {
#define WC_FILTER_OP(symbol, text, operator)                                                       \
    case WC_FILTER_##symbol:                                                                       \
        return operator;
#include "bridge/match/filter_op.def"
#undef WC_FILTER_OP
    }
    return "?";
}

/* ---- values ---- */

static const struct wc_col *carried(const struct wc_col *c)
{
    return c->kind == WC_COL_TEXT || c->kind == WC_COL_NULL ? c : NULL;
}

const struct wc_col *wc_change_value(const struct wc_change *ch, int column)
{
    if (ch->op == WC_OP_DELETE) {
        bool is_there = ch->old_kind == WC_OLD_FULL ||
                        (ch->old_kind == WC_OLD_KEY && ch->rel->col[column].in_identity);
        return is_there ? carried(&ch->old.col[column]) : NULL;
    }
    const struct wc_col *c = &ch->new.col[column];
    if (c->kind == WC_COL_TOAST_UNCHANGED && ch->old_kind == WC_OLD_FULL)
        c = &ch->old.col[column];
    return carried(c);
}

struct wc_change wc_change_of_old_row(const struct wc_change *ch)
{
    return (struct wc_change){
        .op = WC_OP_DELETE, .rel = ch->rel, .old_kind = ch->old_kind, .old = ch->old};
}

/* ---- comparisons ---- */

static enum wc_truth truth(bool is_true)
{
    return is_true ? WC_TRUE : WC_FALSE;
}

static bool is_element(const struct wc_leaf *leaf, struct wc_slice key)
{
    size_t low = 0, high = leaf->nkeys;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = wc_key_compare(leaf->key[middle], key);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Neither the value nor, but for IN, what it is compared with is NULL. */
static enum wc_truth compare(const struct wc_leaf *leaf, struct wc_slice key)
{
    if (leaf->op == WC_FILTER_IN) {
        if (is_element(leaf, key))
            return WC_TRUE;
        return leaf->has_null ? WC_NULL : WC_FALSE;
    }
    int order = wc_key_compare(key, leaf->key[0]);
    switch (leaf->op) {
    case WC_FILTER_EQ: return truth(order == 0);
    case WC_FILTER_NEQ:
    case WC_FILTER_ISDISTINCT: return truth(order != 0);
    case WC_FILTER_LT: return truth(order < 0);
    case WC_FILTER_LTE: return truth(order <= 0);
    case WC_FILTER_GT: return truth(order > 0);
    case WC_FILTER_GTE: return truth(order >= 0);
    case WC_FILTER_IN:
    case WC_FILTER_IS:
    case WC_FILTER_LIKE:
    case WC_FILTER_ILIKE:
    case WC_FILTER_MATCH:
    case WC_FILTER_IMATCH: break; /* not by keys */
    }
    return WC_NULL;
}

static enum wc_truth decide_is(enum wc_is is, const struct wc_col *col)
{
    bool is_null = col->kind == WC_COL_NULL;
    switch (is) {
    case WC_IS_NULL:
    case WC_IS_UNKNOWN: return truth(is_null);
    case WC_IS_TRUE: return truth(!is_null && wc_slice_is(col->val, "t"));
    case WC_IS_FALSE: return truth(!is_null && wc_slice_is(col->val, "f"));
    }
    return WC_NULL;
}

/* Without the leaf's negation. UNDECIDED: must be asked. */
static enum wc_truth decide_plain(const struct wc_leaf *leaf, const struct wc_field *f)
{
    if (!f->col)
        return WC_NULL;
    bool is_null = f->col->kind == WC_COL_NULL;
    if (leaf->op == WC_FILTER_IS)
        return decide_is(leaf->is, f->col);
    if (leaf->op == WC_FILTER_ISDISTINCT && (is_null || leaf->has_null))
        return truth(is_null != leaf->has_null);
    if (leaf->op == WC_FILTER_IN && leaf->kind != WC_KEY_NONE && !leaf->nkeys && !leaf->has_null)
        return WC_FALSE;
    if (is_null || (leaf->has_null && leaf->op != WC_FILTER_IN))
        return WC_NULL;
    if (leaf->kind == WC_KEY_NONE)
        return WC_UNDECIDED;
    return f->has_key ? compare(leaf, f->key) : WC_NULL;
}

static enum wc_truth decide_leaf(const struct wc_leaf *leaf, bool negated,
                                 const struct wc_predicate_view *v, bool may_ask)
{
    enum wc_truth t = decide_plain(leaf, v->field(v->fields, leaf));
    if (t == WC_UNDECIDED && may_ask && v->ask)
        t = v->ask(v->arg, leaf);
    switch (t) {
    case WC_TRUE: return truth(leaf->negate == negated);
    case WC_FALSE: return truth(leaf->negate != negated);
    case WC_NULL: return WC_FALSE;
    case WC_UNDECIDED: break;
    }
    return WC_UNDECIDED;
}

/* ---- trees ---- */

static enum wc_truth decide(const struct wc_predicate *, bool negated,
                            const struct wc_predicate_view *, bool may_ask);

/* One child with the value `decisive` decides for all. */
static enum wc_truth decide_children(const struct wc_predicate *p, bool negated,
                                     enum wc_truth decisive, const struct wc_predicate_view *v,
                                     bool may_ask)
{
    enum wc_truth all = decisive == WC_TRUE ? WC_FALSE : WC_TRUE;
    for (size_t i = 0; i < p->nchildren; i++) {
        enum wc_truth t = decide(&p->child[i], negated, v, may_ask);
        if (t == decisive)
            return t;
        if (t == WC_UNDECIDED)
            all = t;
    }
    return all;
}

static enum wc_truth decide(const struct wc_predicate *p, bool negated,
                            const struct wc_predicate_view *v, bool may_ask)
{
    if (p->kind == WC_PREDICATE_LEAF)
        return decide_leaf(p->leaf, negated, v, may_ask);
    negated = negated != p->negate;
    bool is_or = (p->kind == WC_PREDICATE_OR) != negated;
    enum wc_truth decisive = is_or ? WC_TRUE : WC_FALSE;
    enum wc_truth t = decide_children(p, negated, decisive, v, false);
    if (t == WC_UNDECIDED && may_ask)
        t = decide_children(p, negated, decisive, v, true);
    return t;
}

enum wc_truth wc_predicate_decide(const struct wc_predicate *p, const struct wc_predicate_view *v)
{
    return decide(p, false, v, true);
}

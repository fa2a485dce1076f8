/* What a policy says of a row: comparisons of columns with what is given, and what joins them. A
 * negation is pushed down to the leaves, which SQL's three truth values allow. */
#include "bridge/policy/policy_priv.h"

enum { BOOL = 16, TEXT = 25, VARCHAR = 1043, ANYENUM = 3500 };

static const struct comparator {
    wc_oid oid;
    enum wc_filter_op op;
    wc_oid left, right;
} operators[] = {
#define WC_POLICY_OPERATOR(oid, op, left, right) {oid, WC_FILTER_##op, left, right},
#include "bridge/policy/operator.def"
#undef WC_POLICY_OPERATOR
};

static const struct comparator *find_operator(wc_oid oid)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (operators[i].oid == oid)
            return &operators[i];
    return NULL;
}

/* ---- parts of the result ---- */

static struct wc_policy_node *make(struct wc_prover *p, const struct wc_policy_node *from)
{
    struct wc_policy_node *n = wc_arena_alloc(p->arena, sizeof *n);
    if (n)
        *n = *from;
    else
        p->status = WC_NOMEM;
    return n;
}

/* The slot of what is given; equal texts share one. */
static bool take_slot(struct wc_prover *p, const struct wc_proven *v, bool is_array, uint32_t *out)
{
    struct wc_policy *policy = p->policy;
    const char *sql = NULL;
    p->status = wc_syntax_sql(v->syntax, p->arena, &sql);
    if (p->status == WC_INVALID) {
        p->status = WC_OK;
        return wc_prove_refuse(p, "an expression that does not come back as it was", "");
    }
    if (p->status != WC_OK)
        return false;
    for (uint32_t i = 0; i < policy->nslots; i++)
        if (policy->slot[i].is_array == is_array && policy->slot[i].type == v->type &&
            strcmp(policy->slot[i].sql, sql) == 0) {
            *out = i;
            return true;
        }
    if (policy->nslots == WC_POLICY_SLOTS_MAX)
        return wc_prove_refuse(p, "too many expressions", "");
    *out = policy->nslots;
    policy->slot[policy->nslots++] =
        (struct wc_policy_slot){.sql = sql, .type = v->type, .is_array = is_array};
    return true;
}

static bool set_slots(struct wc_prover *p, struct wc_policy_node *n, const struct wc_proven *v,
                      size_t count, bool is_array)
{
    uint32_t *slot = wc_arena_calloc(p->arena, count, sizeof *slot);
    if (!slot) {
        p->status = WC_NOMEM;
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!take_slot(p, &v[i], is_array, &slot[i]))
            return false;
    n->slot = slot;
    n->nslots = (uint32_t)count;
    return true;
}

static struct wc_policy_node *truth(struct wc_prover *p, const struct wc_proven *v, bool negate)
{
    struct wc_policy_node *n =
        make(p, &(struct wc_policy_node){.kind = WC_POLICY_TRUTH, .negate = negate});
    return n && set_slots(p, n, v, 1, false) ? n : NULL;
}

/* The row must carry the column. */
static struct wc_policy_node *leaf(struct wc_prover *p, const struct wc_proven *column,
                                   const struct wc_policy_node *from)
{
    struct wc_policy *policy = p->policy;
    uint32_t i = 0;
    while (i < policy->ncolumns && !wc_slice_eq(policy->column[i].name, column->column->name))
        i++;
    if (i == WC_POLICY_COLUMNS_MAX) {
        (void)wc_prove_refuse(p, "too many columns", ""); /* always false */
        return NULL;
    }
    if (i == policy->ncolumns)
        policy->column[policy->ncolumns++] = *column->column;
    struct wc_policy_node *n = make(p, from);
    if (n) {
        n->kind = WC_POLICY_LEAF;
        n->column = column->column->name;
    }
    return n;
}

/* ---- comparisons ---- */

/* How values of this type compare under the operator's collation; NONE: refused. */
static enum wc_key_kind key_kind(struct wc_prover *p, const struct wc_proven *column,
                                 const struct wc_node *n, bool needs_order)
{
    struct wc_key_type type = {.base_type = column->type,
                               .is_enum =
                                   column->column->is_enum && column->type == column->column->type,
                               .is_deterministic = true};
    wc_oid collation = wc_node_oid(n, "inputcollid");
    bool is_ordered = false;
    if (collation)
        p->facts->collation(p->facts->arg, collation, &type.is_deterministic, &type.is_c);
    enum wc_key_kind kind = wc_key_kind_of(&type, &is_ordered);
    if (kind == WC_KEY_NONE || (needs_order && !is_ordered)) {
        (void)wc_prove_refuse(p, "a type or collation that is not compared here", ""); /* false */
        return WC_KEY_NONE;
    }
    return kind;
}

/* The types that the operator is for, exactly; for = and <> of an enum, one enum on both sides. */
static bool fits(const struct comparator *op, wc_oid left, wc_oid right, bool is_enum)
{
    if (op->left == ANYENUM)
        return is_enum && left == right;
    return op->left == left && op->right == right;
}

static enum wc_filter_op commuted(enum wc_filter_op op)
{
    if (op == WC_FILTER_LT)
        return WC_FILTER_GT;
    if (op == WC_FILTER_GT)
        return WC_FILTER_LT;
    if (op == WC_FILTER_LTE)
        return WC_FILTER_GTE;
    return op == WC_FILTER_GTE ? WC_FILTER_LTE : op;
}

/* Two sides of which one is a column; false: refused. */
struct sides {
    struct wc_proven column, given;
    bool is_swapped;
};

static bool take_sides(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                       struct sides *out)
{
    struct wc_proven v[2];
    const struct wc_node *second = wc_node_arg(n, 1);
    if (s->nchildren != 2 || !second || second->next)
        return wc_prove_refuse(p, "an operator that is not proven", s->name);
    if (!wc_prove_value(p, s->child[0], wc_node_arg(n, 0), &v[0]) ||
        !wc_prove_value(p, s->child[1], second, &v[1]))
        return false;
    if (v[0].is_column == v[1].is_column)
        return wc_prove_refuse(p, "a comparison between columns", s->name);
    *out = (struct sides){
        .column = v[v[1].is_column], .given = v[v[0].is_column], .is_swapped = v[1].is_column};
    return true;
}

/* The operator of the node, for these sides; NULL: refused. */
static const struct comparator *proven_operator(struct wc_prover *p, const struct wc_syntax *s,
                                                const struct wc_node *n, const struct sides *b)
{
    const struct comparator *op = find_operator(wc_node_oid(n, "opno"));
    wc_oid left = b->is_swapped ? b->given.type : b->column.type;
    wc_oid right = b->is_swapped ? b->column.type : b->given.type;
    if (op && fits(op, left, right, b->column.column->is_enum))
        return op;
    (void)wc_prove_refuse(p, "an operator that is not proven", s->name); /* always false */
    return NULL;
}

static struct wc_policy_node *comparison(struct wc_prover *p, const struct wc_syntax *s,
                                         const struct wc_node *n, bool negate)
{
    struct sides b;
    if (!take_sides(p, s, n, &b))
        return NULL;
    const struct comparator *op = proven_operator(p, s, n, &b);
    if (!op)
        return NULL;
    enum wc_filter_op is = b.is_swapped ? commuted(op->op) : op->op;
    bool needs_order = is != WC_FILTER_EQ && is != WC_FILTER_NEQ;
    enum wc_key_kind kind = key_kind(p, &b.column, n, needs_order);
    struct wc_policy_node *l =
        kind == WC_KEY_NONE
            ? NULL
            : leaf(p, &b.column, &(struct wc_policy_node){.op = is, .negate = negate, .key = kind});
    return l && set_slots(p, l, &b.given, 1, false) ? l : NULL;
}

static struct wc_policy_node *distinct(struct wc_prover *p, const struct wc_syntax *s,
                                       const struct wc_node *n, bool negate)
{
    struct sides b;
    if (!take_sides(p, s, n, &b))
        return NULL;
    const struct comparator *op = proven_operator(p, s, n, &b);
    if (!op || op->op != WC_FILTER_EQ)
        return NULL;
    enum wc_key_kind kind = key_kind(p, &b.column, n, false);
    struct wc_policy_node *l =
        kind == WC_KEY_NONE ? NULL
                            : leaf(p, &b.column,
                                   &(struct wc_policy_node){
                                       .op = WC_FILTER_ISDISTINCT, .negate = negate, .key = kind});
    return l && set_slots(p, l, &b.given, 1, false) ? l : NULL;
}

/* ---- = ANY, <> ALL ---- */

/* The elements of ARRAY[...], or the one thing that is an array. */
struct elements {
    size_t count;
    bool is_array;
    struct wc_proven item[WC_POLICY_BRANCHES_MAX];
};

/* varchar[] as text[]: nothing happens to the elements. */
static bool is_relabeled(const struct wc_node *n)
{
    const struct wc_node *each = wc_node_field(n, "elemexpr");
    return wc_node_is(n, "ARRAYCOERCEEXPR") && wc_node_is(each, "RELABELTYPE") &&
           wc_node_is(wc_node_field(each, "arg"), "CASETESTEXPR") &&
           wc_node_oid(each, "resulttype") == TEXT;
}

static bool is_element(wc_oid type, wc_oid element, bool may_be_varchar)
{
    return type == element || (may_be_varchar && type == VARCHAR);
}

static bool take_elements(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                          wc_oid element, struct elements *out)
{
    bool may_be_varchar = is_relabeled(n);
    if (may_be_varchar) {
        n = wc_node_field(n, "arg");
        s = s->kind == WC_SYNTAX_CAST ? s->child[0] : s;
    }
    out->count = 0;
    out->is_array = !wc_node_is_array(n);
    if (out->is_array) {
        out->count = 1;
        return wc_prove_value(p, s, n, &out->item[0]) &&
               (!out->item[0].is_column ||
                wc_prove_refuse(p, "a column where none is expected", ""));
    }
    const struct wc_node *list = wc_node_field(n, "elements");
    if (s->kind != WC_SYNTAX_ARRAY || s->nchildren > WC_POLICY_BRANCHES_MAX ||
        wc_node_count(list) != s->nchildren || !wc_node_has(n, "multidims", "false"))
        return wc_prove_refuse(p, "a list that is not proven", "");
    for (const struct wc_node *i = list ? list->first : NULL; i; i = i->next, out->count++) {
        struct wc_proven *v = &out->item[out->count];
        if (!wc_prove_value(p, s->child[out->count], i, v) || v->is_column ||
            !is_element(v->type, element, may_be_varchar))
            return wc_prove_refuse(p, "an element that is not given", "");
    }
    return out->count > 0 || wc_prove_refuse(p, "an empty list", "");
}

static struct wc_policy_node *membership(struct wc_prover *p, const struct wc_syntax *s,
                                         const struct wc_node *n, bool negate)
{
    const struct comparator *op = find_operator(wc_node_oid(n, "opno"));
    bool is_any = wc_node_has(n, "useOr", "true");
    struct elements *e = wc_arena_alloc(p->arena, sizeof *e);
    struct wc_proven column;
    if (!e) {
        p->status = WC_NOMEM;
        return NULL;
    }
    if (s->kind != (is_any ? WC_SYNTAX_ANY : WC_SYNTAX_ALL) || s->nchildren != 2 || !op ||
        op->op != (is_any ? WC_FILTER_EQ : WC_FILTER_NEQ)) {
        (void)wc_prove_refuse(p, "an operator that is not proven", s->name); /* always false */
        return NULL;
    }
    if (!wc_prove_value(p, s->child[0], wc_node_arg(n, 0), &column))
        return NULL;
    wc_oid element = op->left == ANYENUM ? column.type : op->right;
    if (!column.is_column || !fits(op, column.type, element, column.column->is_enum)) {
        (void)wc_prove_refuse(p, "a list without a column that is looked for in it", "");
        return NULL;
    }
    if (!take_elements(p, s->child[1], wc_node_arg(n, 1), element, e))
        return NULL;
    enum wc_key_kind kind = key_kind(p, &column, n, false);
    struct wc_policy_node *l =
        kind == WC_KEY_NONE
            ? NULL
            : leaf(p, &column,
                   &(struct wc_policy_node){
                       .op = WC_FILTER_IN, .negate = negate == is_any, .key = kind});
    return l && set_slots(p, l, e->item, e->count, e->is_array) ? l : NULL;
}

/* x IN (SELECT y) is x = ANY (ARRAY(SELECT y)), for NULLs and for no rows, too. */
static struct wc_policy_node *in_select(struct wc_prover *p, const struct wc_syntax *s,
                                        const struct wc_node *n, bool negate)
{
    const struct wc_node *test = wc_node_field(n, "testexpr");
    const struct comparator *op = find_operator(wc_node_oid(test, "opno"));
    struct wc_proven x, y;
    if (!wc_prove_in_select(p, s, n, &x, &y))
        return NULL;
    if (!op || op->op != WC_FILTER_EQ || !x.is_column ||
        !fits(op, x.type, y.type, x.column->is_enum)) {
        (void)wc_prove_refuse(p, "a list without a column that is looked for in it", "");
        return NULL;
    }
    enum wc_key_kind kind = key_kind(p, &x, test, false);
    struct wc_policy_node *l =
        kind == WC_KEY_NONE
            ? NULL
            : leaf(p, &x,
                   &(struct wc_policy_node){.op = WC_FILTER_IN, .negate = negate, .key = kind});
    return l && set_slots(p, l, &y, 1, true) ? l : NULL;
}

/* ---- tests ---- */

static struct wc_policy_node *test(struct wc_prover *p, const struct wc_syntax *s,
                                   const struct wc_node *n, bool negate)
{
    static const enum wc_is is[] = {WC_IS_TRUE, WC_IS_FALSE, WC_IS_UNKNOWN};
    struct wc_proven v;
    bool is_null_test = wc_node_is(n, "NULLTEST");
    if (s->kind != (is_null_test ? WC_SYNTAX_NULL_TEST : WC_SYNTAX_BOOLEAN_TEST) ||
        (is_null_test && !wc_node_has(n, "argisrow", "false")) ||
        !wc_prove_value(p, s->child[0], wc_node_field(n, "arg"), &v) || !v.is_column ||
        (!is_null_test && v.type != BOOL)) {
        (void)wc_prove_refuse(p, "a test that is not proven", ""); /* always false */
        return NULL;
    }
    return leaf(p, &v,
                &(struct wc_policy_node){.op = WC_FILTER_IS,
                                         .is = is_null_test ? WC_IS_NULL : is[s->test],
                                         .negate = negate != s->negate});
}

/* A column of type boolean that is the condition. */
static struct wc_policy_node *boolean_column(struct wc_prover *p, const struct wc_proven *v,
                                             bool negate)
{
    if (v->type != BOOL) {
        (void)wc_prove_refuse(p, "a condition that is no boolean", ""); /* always false */
        return NULL;
    }
    return leaf(
        p, v,
        &(struct wc_policy_node){.op = WC_FILTER_IS, .is = negate ? WC_IS_FALSE : WC_IS_TRUE});
}

/* ---- the whole ---- */

static struct wc_policy_node *joined(struct wc_prover *p, const struct wc_syntax *s,
                                     const struct wc_node *n, bool negate)
{
    struct wc_branches *b = wc_arena_alloc(p->arena, sizeof *b);
    if (!b)
        p->status = WC_NOMEM;
    if (!b || !wc_prove_branches(p, s, n, b))
        return NULL;
    if (s->kind == WC_SYNTAX_NOT)
        return wc_prove_condition(p, s->child[0], b->node[0], !negate);
    bool is_and = (s->kind == WC_SYNTAX_AND) != negate; /* De Morgan */
    struct wc_policy_node *top =
        make(p, &(struct wc_policy_node){.kind = is_and ? WC_POLICY_AND : WC_POLICY_OR});
    struct wc_policy_node **end = top ? &top->first : NULL;
    for (size_t i = 0; top && i < b->count; i++) {
        *end = wc_prove_condition(p, s->child[i], b->node[i], negate);
        if (!*end)
            return NULL;
        end = &(*end)->next;
    }
    return top;
}

static bool is_boolean(const struct wc_node *n)
{
    return wc_node_is(n, "BOOLEXPR") || wc_node_is(n, "OPEXPR") || wc_node_is(n, "DISTINCTEXPR") ||
           wc_node_is(n, "SCALARARRAYOPEXPR") || wc_node_is(n, "NULLTEST") ||
           wc_node_is(n, "BOOLEANTEST") || wc_node_is_in_select(n);
}

/* True: what the node is made of is all given, or it is a column. Tried first, so that one slot
 * holds as much as possible; what it refuses is then told by what comes after. */
static bool is_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                     struct wc_proven *out)
{
    struct wc_err unheard = {0}, *heard = p->err;
    p->err = is_boolean(n) ? &unheard : heard;
    bool is = wc_prove_value(p, s, n, out);
    p->err = heard;
    return is;
}

struct wc_policy_node *wc_prove_condition(struct wc_prover *p, const struct wc_syntax *s,
                                          const struct wc_node *n, bool negate)
{
    struct wc_proven v;
    if (is_value(p, s, n, &v))
        return v.is_column ? boolean_column(p, &v, negate) : truth(p, &v, negate);
    if (p->status != WC_OK)
        return NULL;
    if (wc_node_is(n, "BOOLEXPR"))
        return joined(p, s, n, negate);
    if (wc_node_is(n, "OPEXPR"))
        return comparison(p, s, n, negate);
    if (wc_node_is(n, "DISTINCTEXPR"))
        return distinct(p, s, n, negate);
    if (wc_node_is(n, "SCALARARRAYOPEXPR"))
        return membership(p, s, n, negate);
    if (wc_node_is_in_select(n))
        return in_select(p, s, n, negate);
    if (wc_node_is(n, "NULLTEST") || wc_node_is(n, "BOOLEANTEST"))
        return test(p, s, n, negate);
    return NULL; /* is_value has said why */
}

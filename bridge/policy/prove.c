/* From the two witnesses to a condition in negation normal form. */
#include "bridge/policy/policy_priv.h"

enum oid {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_JSON = 114,
    OID_VARCHAR = 1043,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802,
    FUNCTION_CURRENT_SETTING = 2077,            /* (text) */
    FUNCTION_CURRENT_SETTING_MISSING_OK = 3294, /* (text, boolean) */
};

bool wc_prove_refuse(struct wc_prover *p, const char *what, const char *name)
{
    if (p->status == WC_OK)
        (void)wc_err_set(p->err, WC_INVALID, "%s%s%s", what, *name ? ": " : "", name);
    return false;
}

static bool refuse_cast(struct wc_prover *p, const char *what, const struct wc_syntax *s)
{
    return wc_prove_refuse(p, what, s->kind == WC_SYNTAX_CAST ? s->name : "");
}

const struct wc_node *wc_node_arg(const struct wc_node *n, size_t i)
{
    const struct wc_node *list = wc_node_field(n, "args");
    const struct wc_node *item = list && list->kind == WC_NODE_LIST ? list->first : NULL;
    while (item && i-- > 0)
        item = item->next;
    return item;
}

static size_t nargs(const struct wc_node *n)
{
    return wc_node_count(wc_node_field(n, "args"));
}

bool wc_node_is_array(const struct wc_node *n)
{
    return wc_node_is(n, "ARRAYEXPR") || wc_node_is(n, "ARRAY"); /* before 15 */
}

/* ---- values ---- */

static bool given(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n)
{
    struct wc_proven v;
    return wc_prove_value(p, s, n, &v) &&
           (!v.is_column || wc_prove_refuse(p, "a column where none is expected", ""));
}

/* The children of one against the items of the other's list, all given. */
static bool all_given(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *list)
{
    if (wc_node_count(list) != s->nchildren)
        return wc_prove_refuse(p, "text and catalog disagree", s->name);
    const struct wc_node *item = list ? list->first : NULL;
    for (size_t i = 0; i < s->nchildren; i++, item = item->next)
        if (!given(p, s->child[i], item))
            return false;
    return true;
}

static bool make_given(const struct wc_syntax *s, wc_oid type, struct wc_proven *out)
{
    *out = (struct wc_proven){.type = type, .syntax = s};
    return true;
}

static bool column_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                         struct wc_proven *out)
{
    wc_oid number = wc_node_oid(n, "varattno");
    const struct wc_policy_facts *f = p->facts;
    if (!wc_node_has(n, "varno", "1") || !wc_node_has(n, "varlevelsup", "0") || number == 0 ||
        number > f->ncolumns)
        return wc_prove_refuse(p, "not a column of the table", s->name);
    const struct wc_policy_column *c = &f->column[number - 1];
    if (s->kind != WC_SYNTAX_COLUMN || !c->name.p || !wc_slice_is(c->name, s->name) ||
        wc_node_oid(n, "vartype") != c->type)
        return wc_prove_refuse(p, "text and catalog disagree about a column", s->name);
    *out = (struct wc_proven){.is_column = true, .type = c->type, .column = c};
    return true;
}

static bool constant_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                           struct wc_proven *out)
{
    const struct wc_syntax *c = s->kind == WC_SYNTAX_CAST ? s->child[0] : s;
    if (c->kind != WC_SYNTAX_CONSTANT || wc_node_has(n, "constisnull", "true") != c->is_null)
        return wc_prove_refuse(p, "text and catalog disagree about a constant", c->name);
    return make_given(s, wc_node_oid(n, "consttype"), out);
}

/* ---- conversions ---- */

static bool is_integer(wc_oid type)
{
    return type == OID_INT2 || type == OID_INT4 || type == OID_INT8;
}

/* To a smaller integer it is an error where the value does not fit: such a row is not seen. */
static bool is_wider(wc_oid from, wc_oid to)
{
    return to == OID_INT8 || (to == OID_INT4 && from == OID_INT2);
}

/* Values of a column compare after the conversion as what the log holds of it says. */
static bool keeps_value(wc_oid from, wc_oid to)
{
    if (from == to)
        return true;
    if (is_integer(from))
        return is_wider(from, to) || to == OID_NUMERIC || to == OID_TEXT;
    if (from == OID_UUID || from == OID_VARCHAR)
        return to == OID_TEXT;
    return from == OID_TEXT && to == OID_VARCHAR;
}

/* Types whose input and output functions depend on nothing but the value. */
static bool is_plain(wc_oid type)
{
    return is_integer(type) || type == OID_BOOL || type == OID_TEXT || type == OID_VARCHAR ||
           type == OID_NUMERIC || type == OID_UUID || type == OID_JSON || type == OID_JSONB;
}

/* What is converted; each part is proven once, or nested conversions would take exponential time.
 */
static bool converted(struct wc_prover *p, const struct wc_syntax *s,
                      const struct wc_node *argument, bool is_implicit, struct wc_proven *out)
{
    bool is_written = s->kind == WC_SYNTAX_CAST;
    if (!is_written && !is_implicit)
        return wc_prove_refuse(p, "text and catalog disagree about a conversion", s->name);
    return wc_prove_value(p, is_written ? s->child[0] : s, argument, out);
}

static bool convert(struct wc_prover *p, const struct wc_syntax *s, const struct wc_proven *from,
                    wc_oid to, struct wc_proven *out)
{
    if (!from->is_column)
        return make_given(s, to, out);
    if (!keeps_value(from->type, to))
        return refuse_cast(p, "a column converted to another type", s);
    *out = *from;
    out->type = to;
    return true;
}

static bool conversion(struct wc_prover *p, const struct wc_syntax *s,
                       const struct wc_node *argument, wc_oid to, bool is_implicit,
                       struct wc_proven *out)
{
    struct wc_proven from;
    return converted(p, s, argument, is_implicit, &from) && convert(p, s, &from, to, out);
}

static bool is_implicit(const struct wc_node *n, const char *field)
{
    return wc_node_has(n, field, "2"); /* COERCE_IMPLICIT_CAST */
}

static bool relabel_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                          struct wc_proven *out)
{
    wc_oid to = wc_node_oid(n, "resulttype");
    if (to != OID_TEXT && to != OID_VARCHAR)
        return refuse_cast(p, "a conversion that is not proven", s);
    return conversion(p, s, wc_node_field(n, "arg"), to, is_implicit(n, "relabelformat"), out);
}

static bool io_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                     struct wc_proven *out)
{
    wc_oid to = wc_node_oid(n, "resulttype");
    struct wc_proven from;
    if (!converted(p, s, wc_node_field(n, "arg"), is_implicit(n, "coerceformat"), &from))
        return false;
    if (!is_plain(to) || !is_plain(from.type))
        return refuse_cast(p, "a conversion that is not proven", s);
    return convert(p, s, &from, to, out);
}

/* ---- functions and operators of what is given ---- */

static bool call_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                       struct wc_proven *out)
{
    wc_oid function = wc_node_oid(n, "funcid");
    bool is_setting =
        function == FUNCTION_CURRENT_SETTING || function == FUNCTION_CURRENT_SETTING_MISSING_OK;
    if (s->kind != WC_SYNTAX_CALL || !wc_node_has(n, "funcvariadic", "false"))
        return wc_prove_refuse(p, "text and catalog disagree about a function", s->name);
    if (is_setting && (strcmp(s->name, "current_setting") != 0 || !wc_syntax_is_of_request(s)))
        return wc_prove_refuse(p, "a setting that is not the request's", "");
    if (!is_setting && p->facts->function(p->facts->arg, function) == WC_FUNCTION_UNPROVEN)
        return wc_prove_refuse(p, "a function that is not proven", s->name);
    return all_given(p, s, wc_node_field(n, "args")) &&
           make_given(s, wc_node_oid(n, "funcresulttype"), out);
}

static bool is_immutable(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n)
{
    wc_oid function = wc_node_oid(n, "opfuncid");
    return p->facts->function(p->facts->arg, function) == WC_FUNCTION_IMMUTABLE ||
           wc_prove_refuse(p, "an operator that is not proven", s->name);
}

/* To varchar(20), say: what is behind the value is constant. */
static bool is_conversion_to_length(const struct wc_node *n)
{
    size_t count = nargs(n), constants = 0;
    for (size_t i = 1; i < count; i++)
        constants += wc_node_is(wc_node_arg(n, i), "CONST");
    return (count == 2 || count == 3) && constants == count - 1;
}

static bool function_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                           struct wc_proven *out)
{
    if (wc_node_has(n, "funcformat", "0"))
        return call_value(p, s, n, out);
    wc_oid function = wc_node_oid(n, "funcid");
    bool is_cast = is_implicit(n, "funcformat") || wc_node_has(n, "funcformat", "1");
    bool has_length = is_conversion_to_length(n);
    if (!is_cast || !(nargs(n) == 1 || has_length) ||
        p->facts->function(p->facts->arg, function) != WC_FUNCTION_IMMUTABLE)
        return refuse_cast(p, "a conversion that is not proven", s);
    return conversion(p, s, wc_node_arg(n, 0), wc_node_oid(n, "funcresulttype"),
                      is_implicit(n, "funcformat"), out) &&
           (!(has_length && out->is_column) ||
            wc_prove_refuse(p, "a column converted to a length", ""));
}

/* An operator, = ANY, IS DISTINCT FROM or NULLIF between what is given. */
static bool operator_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                           wc_oid type, struct wc_proven *out)
{
    return is_immutable(p, s, n) && all_given(p, s, wc_node_field(n, "args")) &&
           make_given(s, type, out);
}

/* ---- sub-selects ---- */

/* Nothing but a target list: what the text's witness says, too (syntax.h). */
static bool is_bare(const struct wc_node *query)
{
    const struct wc_node *from = wc_node_field(query, "jointree");
    return wc_node_is(query, "QUERY") && wc_node_has(query, "commandType", "1") &&
           wc_node_lacks(query, "rtable") && wc_node_lacks(query, "cteList") &&
           wc_node_lacks(from, "fromlist") && wc_node_lacks(from, "quals") &&
           wc_node_lacks(query, "setOperations") && wc_node_lacks(query, "limitCount") &&
           wc_node_lacks(query, "limitOffset") && wc_node_has(query, "hasAggs", "false") &&
           wc_node_has(query, "hasWindowFuncs", "false");
}

/* The one column that it selects. */
static bool selected(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                     struct wc_proven *out)
{
    const struct wc_node *query = wc_node_field(n, "subselect");
    const struct wc_node *targets = wc_node_field(query, "targetList");
    if (!is_bare(query) || wc_node_count(targets) != 1)
        return wc_prove_refuse(p, "a sub-select that reads more than the claims", "");
    return wc_prove_value(p, s->child[0], wc_node_field(targets->first, "expr"), out) &&
           (!out->is_column || wc_prove_refuse(p, "a column in a sub-select", ""));
}

bool wc_node_is_in_select(const struct wc_node *n)
{
    return wc_node_is(n, "SUBLINK") && wc_node_has(n, "subLinkType", "2"); /* ANY_SUBLINK */
}

bool wc_prove_in_select(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                        struct wc_proven *x, struct wc_proven *y)
{
    const struct wc_node *test = wc_node_field(n, "testexpr"), *row = wc_node_arg(test, 1);
    if (s->kind != WC_SYNTAX_IN_SELECT || !wc_node_is(test, "OPEXPR") || nargs(test) != 2 ||
        !wc_node_is(row, "PARAM") || !wc_node_has(row, "paramkind", "2") /* PARAM_SUBLINK */)
        return wc_prove_refuse(p, "a sub-select that reads more than the claims", "");
    if (!wc_prove_value(p, s->child[0], wc_node_arg(test, 0), x) || !selected(p, s->child[1], n, y))
        return false;
    y->syntax = s->child[1];
    return wc_node_oid(row, "paramtype") == y->type ||
           wc_prove_refuse(p, "text and catalog disagree about a sub-select", "");
}

static bool in_select_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                            struct wc_proven *out)
{
    struct wc_proven x, y;
    return wc_prove_in_select(p, s, n, &x, &y) &&
           is_immutable(p, s, wc_node_field(n, "testexpr")) &&
           (!x.is_column || wc_prove_refuse(p, "a column where none is expected", "")) &&
           make_given(s, OID_BOOL, out);
}

static bool select_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                         struct wc_proven *out)
{
    if (wc_node_is_in_select(n))
        return in_select_value(p, s, n, out);
    bool is_array = wc_node_has(n, "subLinkType", "6"); /* ARRAY_SUBLINK */
    bool agrees = is_array ? s->kind == WC_SYNTAX_ARRAY_SELECT
                           : s->kind == WC_SYNTAX_SELECT && wc_node_has(n, "subLinkType", "4");
    struct wc_proven v;
    if (!agrees)
        return wc_prove_refuse(p, "a sub-select that reads more than the claims", "");
    return selected(p, s, n, &v) && make_given(s, is_array ? 0 : v.type, out);
}

static bool boolean_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                          struct wc_proven *out)
{
    bool is_null_test = wc_node_is(n, "NULLTEST");
    bool agrees = is_null_test ? s->kind == WC_SYNTAX_NULL_TEST : s->kind == WC_SYNTAX_BOOLEAN_TEST;
    if (!agrees || (is_null_test && !wc_node_has(n, "argisrow", "false")))
        return wc_prove_refuse(p, "text and catalog disagree about a test", "");
    return given(p, s->child[0], wc_node_field(n, "arg")) && make_given(s, OID_BOOL, out);
}

static bool list_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                       struct wc_proven *out)
{
    bool is_array = wc_node_is_array(n);
    if (s->kind != (is_array ? WC_SYNTAX_ARRAY : WC_SYNTAX_COALESCE) ||
        (is_array && !wc_node_has(n, "multidims", "false")))
        return wc_prove_refuse(p, "text and catalog disagree about a list", "");
    return all_given(p, s, wc_node_field(n, is_array ? "elements" : "args")) &&
           make_given(s, wc_node_oid(n, is_array ? "array_typeid" : "coalescetype"), out);
}

static bool gather(struct wc_branches *b, const struct wc_node *n, const char *op)
{
    const struct wc_node *list = wc_node_field(n, "args");
    for (const struct wc_node *i = list ? list->first : NULL; i; i = i->next) {
        bool is_nested =
            strcmp(op, "not") != 0 && wc_node_is(i, "BOOLEXPR") && wc_node_has(i, "boolop", op);
        if (is_nested ? !gather(b, i, op) : b->count == WC_POLICY_BRANCHES_MAX)
            return false;
        if (!is_nested)
            b->node[b->count++] = i;
    }
    return true;
}

bool wc_prove_branches(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                       struct wc_branches *out)
{
    const char *op = s->kind == WC_SYNTAX_AND   ? "and"
                     : s->kind == WC_SYNTAX_OR  ? "or"
                     : s->kind == WC_SYNTAX_NOT ? "not"
                                                : "";
    out->count = 0;
    if (!wc_node_has(n, "boolop", op))
        return wc_prove_refuse(p, "text and catalog disagree about AND, OR, NOT", "");
    if (!gather(out, n, op))
        return wc_prove_refuse(p, "too many branches", "");
    return out->count == s->nchildren ||
           wc_prove_refuse(p, "text and catalog disagree about AND, OR, NOT", "");
}

/* AND, OR and NOT of what is given: joined on one side, nested on the other. */
static bool joined_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                         struct wc_proven *out)
{
    struct wc_branches b;
    if (!wc_prove_branches(p, s, n, &b))
        return false;
    for (size_t i = 0; i < b.count; i++)
        if (!given(p, s->child[i], b.node[i]))
            return false;
    return make_given(s, OID_BOOL, out);
}

bool wc_prove_value(struct wc_prover *p, const struct wc_syntax *s, const struct wc_node *n,
                    struct wc_proven *out)
{
    if (wc_node_is(n, "VAR"))
        return column_value(p, s, n, out);
    if (wc_node_is(n, "CONST"))
        return constant_value(p, s, n, out);
    if (wc_node_is(n, "FUNCEXPR"))
        return function_value(p, s, n, out);
    if (wc_node_is(n, "RELABELTYPE"))
        return relabel_value(p, s, n, out);
    if (wc_node_is(n, "COERCEVIAIO"))
        return io_value(p, s, n, out);
    if (wc_node_is(n, "OPEXPR") && s->kind == WC_SYNTAX_OPERATOR)
        return operator_value(p, s, n, wc_node_oid(n, "opresulttype"), out);
    if (wc_node_is(n, "NULLIFEXPR") && s->kind == WC_SYNTAX_NULLIF)
        return operator_value(p, s, n, wc_node_oid(n, "opresulttype"), out);
    if (wc_node_is(n, "DISTINCTEXPR") && s->kind == WC_SYNTAX_DISTINCT)
        return operator_value(p, s, n, OID_BOOL, out);
    if (wc_node_is(n, "SCALARARRAYOPEXPR") &&
        (s->kind == WC_SYNTAX_ANY || s->kind == WC_SYNTAX_ALL))
        return operator_value(p, s, n, OID_BOOL, out);
    if (wc_node_is(n, "NULLTEST") || wc_node_is(n, "BOOLEANTEST"))
        return boolean_value(p, s, n, out);
    if (wc_node_is(n, "BOOLEXPR"))
        return joined_value(p, s, n, out);
    if (wc_node_is_array(n) || wc_node_is(n, "COALESCEEXPR") || wc_node_is(n, "COALESCE"))
        return list_value(p, s, n, out);
    if (wc_node_is(n, "SUBLINK"))
        return select_value(p, s, n, out);
    return wc_prove_refuse(p, "a form that is not proven", s->name);
}

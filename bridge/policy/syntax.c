#include "bridge/policy/syntax.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <stdlib.h>

/* A statement, as people write it, can nest without brackets, an operator or two bytes deep each
 * time: the parser takes some 2 KiB of stack for one. */
enum { TEXT_MAX = 16 << 10, STATEMENT_MAX = 2 << 10, DEPTH_MAX = 100 };

static const char select_prefix[] = "SELECT ";

struct wc_parse {
    PgQuery__ParseResult *result;
};

struct builder {
    struct wc_arena *arena;
    enum wc_status status; /* sticky */
};

/* ---- from libpg_query's tree to ours ---- */

static struct wc_syntax *build(struct builder *, PgQuery__Node *);

static struct wc_syntax *make(struct builder *b, enum wc_syntax_kind kind, const void *node)
{
    struct wc_syntax *s = wc_arena_calloc(b->arena, 1, sizeof *s);
    if (!s) {
        b->status = WC_NOMEM;
        return NULL;
    }
    *s = (struct wc_syntax){.kind = kind, .name = "", .node = node};
    return s;
}

static void set_children(struct builder *b, struct wc_syntax *s, PgQuery__Node **from, size_t n)
{
    struct wc_syntax **child = wc_arena_calloc(b->arena, n, sizeof *child);
    if (!child) {
        b->status = WC_NOMEM;
        return;
    }
    for (size_t i = 0; i < n; i++)
        child[i] = build(b, from[i]);
    s->child = child;
    s->nchildren = n;
}

/* The last part of a name; NULL: it is not one, "*" for example. */
static const char *last_name(PgQuery__Node **part, size_t n)
{
    if (n == 0 || part[n - 1]->node_case != PG_QUERY__NODE__NODE_STRING)
        return NULL;
    return part[n - 1]->string->sval;
}

static struct wc_syntax *build_named(struct builder *b, enum wc_syntax_kind kind,
                                     PgQuery__Node *node, const char *name)
{
    struct wc_syntax *s = make(b, name ? kind : WC_SYNTAX_OTHER, node);
    if (s && name)
        s->name = name;
    return s;
}

static struct wc_syntax *build_column(struct builder *b, PgQuery__Node *node)
{
    const PgQuery__ColumnRef *c = node->column_ref;
    return build_named(b, WC_SYNTAX_COLUMN, node,
                       c->n_fields == 1 ? last_name(c->fields, 1) : NULL);
}

static struct wc_syntax *build_call(struct builder *b, PgQuery__Node *node)
{
    PgQuery__FuncCall *f = node->func_call;
    bool is_plain = !f->n_agg_order && !f->agg_filter && !f->over && !f->agg_within_group &&
                    !f->agg_star && !f->agg_distinct && !f->func_variadic;
    struct wc_syntax *s = build_named(b, WC_SYNTAX_CALL, node,
                                      is_plain ? last_name(f->funcname, f->n_funcname) : NULL);
    if (s && s->kind == WC_SYNTAX_CALL)
        set_children(b, s, f->args, f->n_args);
    return s;
}

static enum wc_syntax_kind kind_of_a_expr(PgQuery__AExprKind kind)
{
    if (kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP)
        return WC_SYNTAX_OPERATOR;
    if (kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY)
        return WC_SYNTAX_ANY;
    if (kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL)
        return WC_SYNTAX_ALL;
    if (kind == PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT)
        return WC_SYNTAX_DISTINCT;
    return kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF ? WC_SYNTAX_NULLIF : WC_SYNTAX_OTHER;
}

static struct wc_syntax *build_operator(struct builder *b, PgQuery__Node *node)
{
    PgQuery__AExpr *e = node->a_expr;
    struct wc_syntax *s =
        build_named(b, kind_of_a_expr(e->kind), node, last_name(e->name, e->n_name));
    PgQuery__Node *side[2] = {e->lexpr, e->rexpr};
    if (s && s->kind != WC_SYNTAX_OTHER && e->rexpr)
        set_children(b, s, e->lexpr ? side : side + 1, e->lexpr ? 2 : 1);
    else if (s)
        s->kind = WC_SYNTAX_OTHER;
    return s;
}

/* ---- AND, OR, NOT ---- */

static size_t count_flat(PgQuery__Node *node, PgQuery__BoolExprType op)
{
    if (node->node_case != PG_QUERY__NODE__NODE_BOOL_EXPR || node->bool_expr->boolop != op)
        return 1;
    size_t n = 0;
    for (size_t i = 0; i < node->bool_expr->n_args; i++)
        n += count_flat(node->bool_expr->args[i], op);
    return n;
}

static void put_flat(PgQuery__Node *node, PgQuery__BoolExprType op, PgQuery__Node ***at)
{
    if (node->node_case != PG_QUERY__NODE__NODE_BOOL_EXPR || node->bool_expr->boolop != op) {
        *(*at)++ = node;
        return;
    }
    for (size_t i = 0; i < node->bool_expr->n_args; i++)
        put_flat(node->bool_expr->args[i], op, at);
}

static struct wc_syntax *build_bool(struct builder *b, PgQuery__Node *node)
{
    PgQuery__BoolExpr *e = node->bool_expr;
    bool is_not = e->boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR;
    bool is_and = e->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR;
    struct wc_syntax *s = make(b,
                               is_not   ? WC_SYNTAX_NOT
                               : is_and ? WC_SYNTAX_AND
                                        : WC_SYNTAX_OR,
                               node);
    size_t n = is_not ? e->n_args : count_flat(node, e->boolop);
    PgQuery__Node **flat = s ? wc_arena_calloc(b->arena, n, sizeof(PgQuery__Node *)) : NULL;
    if (!flat) {
        b->status = WC_NOMEM;
        return NULL;
    }
    PgQuery__Node **at = flat;
    if (is_not)
        memcpy(flat, e->args, n * sizeof(PgQuery__Node *));
    else
        put_flat(node, e->boolop, &at);
    set_children(b, s, flat, n);
    return s;
}

/* ---- tests, sub-selects ---- */

static struct wc_syntax *build_null_test(struct builder *b, PgQuery__Node *node)
{
    PgQuery__NullTest *t = node->null_test;
    struct wc_syntax *s = make(b, WC_SYNTAX_NULL_TEST, node);
    if (s) {
        s->negate = t->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NOT_NULL;
        set_children(b, s, &t->arg, 1);
    }
    return s;
}

static struct wc_syntax *build_boolean_test(struct builder *b, PgQuery__Node *node)
{
    PgQuery__BooleanTest *t = node->boolean_test;
    struct wc_syntax *s = make(b, WC_SYNTAX_BOOLEAN_TEST, node);
    if (!s)
        return NULL;
    /* IS_TRUE, IS_NOT_TRUE, IS_FALSE ... from 1 on */
    unsigned number = (unsigned)t->booltesttype - 1;
    if (t->booltesttype < 1 || number > 5) {
        s->kind = WC_SYNTAX_OTHER;
        return s;
    }
    s->test = number / 2;
    s->negate = number % 2 == 1;
    set_children(b, s, &t->arg, 1);
    return s;
}

/* The one column that a SELECT without anything else gives; NULL: there is more to it. */
static PgQuery__Node *only_target(const PgQuery__Node *query)
{
    if (!query || query->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        return NULL;
    const PgQuery__SelectStmt *q = query->select_stmt;
    if (q->n_distinct_clause || q->into_clause || q->n_from_clause || q->where_clause ||
        q->n_group_clause || q->having_clause || q->n_window_clause || q->n_values_lists ||
        q->n_sort_clause || q->limit_offset || q->limit_count || q->n_locking_clause ||
        q->with_clause || q->larg || q->rarg || q->n_target_list != 1 ||
        q->target_list[0]->node_case != PG_QUERY__NODE__NODE_RES_TARGET)
        return NULL;
    const PgQuery__ResTarget *t = q->target_list[0]->res_target;
    return t->n_indirection == 0 ? t->val : NULL;
}

/* What x IN (SELECT y) looks for x in: ARRAY(SELECT y). NULL when out of memory. */
static PgQuery__Node *as_array(struct builder *b, const PgQuery__SubLink *from)
{
    PgQuery__Node *node = wc_arena_alloc(b->arena, sizeof *node);
    PgQuery__SubLink *l = wc_arena_alloc(b->arena, sizeof *l);
    if (!node || !l) {
        b->status = WC_NOMEM;
        return NULL;
    }
    pg_query__node__init(node);
    pg_query__sub_link__init(l);
    l->sub_link_type = PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK;
    l->subselect = from->subselect;
    node->node_case = PG_QUERY__NODE__NODE_SUB_LINK;
    node->sub_link = l;
    return node;
}

static struct wc_syntax *build_select(struct builder *b, PgQuery__Node *node)
{
    PgQuery__SubLink *l = node->sub_link;
    PgQuery__Node *child[2] = {only_target(l->subselect)};
    enum wc_syntax_kind kind = WC_SYNTAX_OTHER;
    if (child[0] && l->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK)
        kind = WC_SYNTAX_SELECT;
    else if (child[0] && l->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK)
        kind = WC_SYNTAX_ARRAY_SELECT;
    else if (child[0] && l->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK &&
             l->n_oper_name == 0)
        kind = WC_SYNTAX_IN_SELECT;
    if (kind == WC_SYNTAX_IN_SELECT) {
        child[0] = l->testexpr;
        child[1] = as_array(b, l);
    }
    struct wc_syntax *s = make(b, kind, node);
    if (s && kind != WC_SYNTAX_OTHER)
        set_children(b, s, child, kind == WC_SYNTAX_IN_SELECT ? 2 : 1);
    return s;
}

static struct wc_syntax *build_with(struct builder *b, enum wc_syntax_kind kind,
                                    PgQuery__Node *node, PgQuery__Node **child, size_t n)
{
    struct wc_syntax *s = make(b, kind, node);
    if (s)
        set_children(b, s, child, n);
    return s;
}

static struct wc_syntax *build_cast(struct builder *b, PgQuery__Node *node)
{
    const PgQuery__TypeName *type = node->type_cast->type_name;
    struct wc_syntax *s = build_with(b, WC_SYNTAX_CAST, node, &node->type_cast->arg, 1);
    const char *name = last_name(type->names, type->n_names);
    if (s && name)
        s->name = name;
    return s;
}

static struct wc_syntax *build_constant(struct builder *b, PgQuery__Node *node)
{
    struct wc_syntax *s = make(b, WC_SYNTAX_CONSTANT, node);
    if (!s)
        return NULL;
    s->is_null = node->a_const->isnull;
    if (node->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL)
        s->name = node->a_const->sval->sval;
    return s;
}

static struct wc_syntax *build(struct builder *b, PgQuery__Node *node)
{
    PgQuery__Node__NodeCase is = node ? node->node_case : PG_QUERY__NODE__NODE__NOT_SET;
    if (is == PG_QUERY__NODE__NODE_COLUMN_REF)
        return build_column(b, node);
    if (is == PG_QUERY__NODE__NODE_A_CONST)
        return build_constant(b, node);
    if (is == PG_QUERY__NODE__NODE_TYPE_CAST)
        return build_cast(b, node);
    if (is == PG_QUERY__NODE__NODE_FUNC_CALL)
        return build_call(b, node);
    if (is == PG_QUERY__NODE__NODE_A_EXPR)
        return build_operator(b, node);
    if (is == PG_QUERY__NODE__NODE_BOOL_EXPR)
        return build_bool(b, node);
    if (is == PG_QUERY__NODE__NODE_NULL_TEST)
        return build_null_test(b, node);
    if (is == PG_QUERY__NODE__NODE_BOOLEAN_TEST)
        return build_boolean_test(b, node);
    if (is == PG_QUERY__NODE__NODE_COALESCE_EXPR)
        return build_with(b, WC_SYNTAX_COALESCE, node, node->coalesce_expr->args,
                          node->coalesce_expr->n_args);
    if (is == PG_QUERY__NODE__NODE_A_ARRAY_EXPR)
        return build_with(b, WC_SYNTAX_ARRAY, node, node->a_array_expr->elements,
                          node->a_array_expr->n_elements);
    if (is == PG_QUERY__NODE__NODE_SUB_LINK)
        return build_select(b, node);
    return make(b, WC_SYNTAX_OTHER, node);
}

/* ---- parsing ---- */

/* The parser and what follows it recurse; nothing that applications write comes near. */
static bool is_too_deep(const char *sql)
{
    unsigned depth = 0;
    for (const char *at = sql; *at; at++) {
        if (*at == '(' || *at == '[')
            depth++;
        else if ((*at == ')' || *at == ']') && depth > 0)
            depth--;
        if (depth > DEPTH_MAX)
            return true;
    }
    return false;
}

static void forget_places(ProtobufCMessage *);

static void forget_field(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    uint8_t *base = (uint8_t *)m;
    void *value = base + f->offset;
    const void *count = base + f->quantifier_offset;
    if (f->type == PROTOBUF_C_TYPE_INT32 && strcmp(f->name, "location") == 0) {
        *(int32_t *)value = 0;
    } else if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
        return;
    } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        for (size_t i = 0; i < *(const size_t *)count; i++)
            forget_places((*(ProtobufCMessage ***)value)[i]);
    } else if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) || *(const uint32_t *)count == f->id) {
        forget_places(*(ProtobufCMessage **)value);
    }
}

/* Where in the text things stood: what reads the same is then equal, byte for byte. */
static void forget_places(ProtobufCMessage *m)
{
    for (unsigned i = 0; m && i < m->descriptor->n_fields; i++)
        forget_field(m, &m->descriptor->fields[i]);
}

static enum wc_status parse_statement(const char *sql, PgQuery__ParseResult **out)
{
    if (strlen(sql) > TEXT_MAX || is_too_deep(sql))
        return WC_LIMIT;
    PgQueryProtobufParseResult raw = pg_query_parse_protobuf(sql);
    enum wc_status st = raw.error ? WC_INVALID : WC_OK;
    if (st == WC_OK) {
        *out = pg_query__parse_result__unpack(NULL, raw.parse_tree.len,
                                              (const uint8_t *)raw.parse_tree.data);
        if (*out)
            forget_places(&(*out)->base);
        else
            st = WC_NOMEM;
    }
    pg_query_free_protobuf_parse_result(raw);
    return st;
}

/* "SELECT x" in the arena; NULL when out of memory. */
static const char *as_select(const char *expression, struct wc_arena *arena)
{
    size_t n = strlen(expression);
    char *sql = wc_arena_alloc(arena, sizeof select_prefix + n);
    if (!sql)
        return NULL;
    memcpy(sql, select_prefix, sizeof select_prefix - 1);
    memcpy(sql + sizeof select_prefix - 1, expression, n + 1);
    return sql;
}

enum wc_status wc_syntax_parse(const char *sql, bool is_query, struct wc_arena *arena,
                               struct wc_parse **parse, const struct wc_syntax **tree)
{
    struct builder b = {.arena = arena, .status = WC_OK};
    struct wc_parse *p = calloc(1, sizeof *p);
    const char *statement = is_query ? sql : as_select(sql, arena);
    enum wc_status st = p && statement ? WC_OK : WC_NOMEM;
    if (st == WC_OK && is_query && strlen(sql) > STATEMENT_MAX)
        st = WC_LIMIT;
    if (st == WC_OK)
        st = parse_statement(statement, &p->result);
    PgQuery__Node *expression = NULL;
    if (st == WC_OK && p->result->n_stmts == 1)
        expression = only_target(p->result->stmts[0]->stmt);
    const struct wc_syntax *built = expression ? build(&b, expression) : NULL;
    if (st == WC_OK)
        st = !expression ? WC_INVALID : b.status;
    if (st != WC_OK) {
        wc_syntax_free(p);
        return st;
    }
    *parse = p;
    *tree = built;
    return WC_OK;
}

void wc_syntax_free(struct wc_parse *p)
{
    if (!p)
        return;
    if (p->result)
        pg_query__parse_result__free_unpacked(p->result, NULL);
    free(p);
}

/* ---- asking ---- */

bool wc_syntax_is_of_request(const struct wc_syntax *call)
{
    static const char prefix[] = "request.";
    const struct wc_syntax *name = call->nchildren ? call->child[0] : NULL;
    if (name && name->kind == WC_SYNTAX_CAST)
        name = name->child[0];
    return name && name->kind == WC_SYNTAX_CONSTANT &&
           strncmp(name->name, prefix, sizeof prefix - 1) == 0;
}

const char *wc_syntax_schema(const struct wc_syntax *call)
{
    const PgQuery__FuncCall *f = ((const PgQuery__Node *)call->node)->func_call;
    return f->n_funcname == 2 ? last_name(f->funcname, 1) : NULL;
}

bool wc_syntax_is_plain_cast(const struct wc_syntax *cast)
{
    static const char *const plain[] = {"bool", "int2",    "int4", "int8", "numeric",
                                        "text", "varchar", "uuid", "json", "jsonb"};
    const PgQuery__TypeName *t = ((const PgQuery__Node *)cast->node)->type_cast->type_name;
    const char *name = last_name(t->names, t->n_names);
    if (!name || t->setof || t->pct_type || t->n_typmods || t->n_array_bounds)
        return false;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (strcmp(name, plain[i]) == 0)
            return true;
    return false;
}

/* ---- back to SQL ---- */

/* Packed anew as the one column of a SELECT; *out is released with pg_query_free_deparse_result. */
static enum wc_status deparse(PgQuery__Node *expression, PgQueryDeparseResult *out)
{
    PgQuery__ResTarget target; /* its initializer casts const away */
    PgQuery__Node target_node = PG_QUERY__NODE__INIT, *targets[1] = {&target_node};
    PgQuery__SelectStmt select = PG_QUERY__SELECT_STMT__INIT;
    PgQuery__Node select_node = PG_QUERY__NODE__INIT;
    PgQuery__RawStmt raw = PG_QUERY__RAW_STMT__INIT, *raws[1] = {&raw};
    PgQuery__ParseResult result = PG_QUERY__PARSE_RESULT__INIT;
    pg_query__res_target__init(&target);
    target.val = expression;
    target_node.node_case = PG_QUERY__NODE__NODE_RES_TARGET;
    target_node.res_target = &target;
    select.n_target_list = 1;
    select.target_list = targets;
    select.limit_option = PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_DEFAULT;
    select.op = PG_QUERY__SET_OPERATION__SETOP_NONE;
    select_node.node_case = PG_QUERY__NODE__NODE_SELECT_STMT;
    select_node.select_stmt = &select;
    raw.stmt = &select_node;
    result.version = PG_VERSION_NUM;
    result.n_stmts = 1;
    result.stmts = raws;
    PgQueryProtobuf packed = {.len = pg_query__parse_result__get_packed_size(&result)};
    packed.data = malloc(packed.len);
    if (!packed.data)
        return WC_NOMEM;
    (void)pg_query__parse_result__pack(&result, (uint8_t *)packed.data); /* of the size asked for */
    *out = pg_query_deparse_protobuf(packed);
    free(packed.data);
    return WC_OK;
}

/* Without the prefix, in the arena. */
static enum wc_status deparse_into(PgQuery__Node *expression, struct wc_arena *arena,
                                   const char **out)
{
    static const size_t prefix = sizeof select_prefix - 1;
    PgQueryDeparseResult d;
    enum wc_status st = deparse(expression, &d);
    if (st != WC_OK)
        return st;
    if (d.error || strncmp(d.query, select_prefix, prefix) != 0)
        st = WC_INVALID;
    const char *sql = st == WC_OK ? wc_arena_strdup(arena, wc_slice_str(d.query + prefix)) : NULL;
    pg_query_free_deparse_result(d);
    if (st == WC_OK && !sql)
        st = WC_NOMEM;
    if (st == WC_OK)
        *out = sql;
    return st;
}

/* Deparsing leaves out brackets that matter, (NOT x) IS NULL for one: so the trees are compared. */
static enum wc_status compare(const PgQuery__Node *a, const PgQuery__Node *b)
{
    size_t len = pg_query__node__get_packed_size(a);
    if (len != pg_query__node__get_packed_size(b))
        return WC_INVALID;
    uint8_t *packed = malloc(2 * len + 1);
    if (!packed)
        return WC_NOMEM;
    (void)pg_query__node__pack(a, packed); /* of the size asked for */
    (void)pg_query__node__pack(b, packed + len);
    bool is_same = memcmp(packed, packed + len, len) == 0;
    free(packed);
    return is_same ? WC_OK : WC_INVALID;
}

enum wc_status wc_syntax_sql(const struct wc_syntax *s, struct wc_arena *arena, const char **out)
{
    /* protobuf-c takes no const, and changes nothing. */
    union {
        const void *in;
        PgQuery__Node *out;
    } node = {.in = s->node};
    const char *sql = NULL, *select;
    PgQuery__ParseResult *again = NULL;
    enum wc_status st = deparse_into(node.out, arena, &sql);
    if (st != WC_OK)
        return st;
    select = as_select(sql, arena);
    st = select ? parse_statement(select, &again) : WC_NOMEM;
    if (st != WC_OK)
        return st;
    const PgQuery__Node *target = again->n_stmts == 1 ? only_target(again->stmts[0]->stmt) : NULL;
    st = target ? compare(node.out, target) : WC_INVALID;
    pg_query__parse_result__free_unpacked(again, NULL);
    if (st == WC_OK)
        *out = sql;
    return st;
}

#include "bridge/subs/cast.h"

#include "base/map.h"
#include "sql/sql.h"

#include <stdlib.h>

enum {
    BYTEA_OID = 17,
    EXPRESSIONS_MAX = 16,
    SQL_CAP = 4096 /* eight names of two parts, each 63 bytes and quoted */
};

static const char expression_timeout[] = "250ms";

struct cast {
    struct wc_map_node node; /* key: statement, NUL, value */
    struct wc_list in_line;  /* caster->expressions */
    bool is_expression;
    struct wc_caster *caster;
    struct wc_pg *pg;
    struct wc_list waiters;
    const char *value;
    char text[]; /* the key, and a NUL */
};

struct wc_caster {
    wc_cast_fn on_answer;
    void *arg;
    struct wc_map casts;        /* in flight, or in line */
    struct cast *trying;        /* the regular expression in flight; NULL: none is */
    struct wc_list expressions; /* those in line */
    size_t nexpressions;
};

struct wc_caster *wc_caster_new(wc_cast_fn on_answer, void *arg)
{
    struct wc_caster *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->on_answer = on_answer;
    c->arg = arg;
    wc_map_init(&c->casts);
    wc_list_init(&c->expressions);
    return c;
}

static void leave_line(struct cast *x)
{
    x->caster->nexpressions -= !wc_list_is_empty(&x->in_line);
    wc_list_remove(&x->in_line);
}

static void drop(struct cast *x)
{
    leave_line(x);
    wc_map_remove(&x->caster->casts, &x->node);
    free(x);
}

void wc_caster_free(struct wc_caster *c)
{
    if (!c)
        return;
    struct wc_map_node *n;
    while ((n = wc_map_each(&c->casts, NULL))) {
        struct cast *x = WC_CONTAINER(n, struct cast, node);
        while (!wc_list_is_empty(&x->waiters))
            wc_list_remove(x->waiters.next);
        drop(x);
    }
    wc_map_release(&c->casts);
    free(c);
}

size_t wc_caster_in_flight(const struct wc_caster *c)
{
    return c->casts.count;
}

static void on_result(void *arg, const struct wc_pg_result *res);

static enum wc_status send_cast(struct cast *x, struct wc_pg *pg)
{
    static const char *const timeout = expression_timeout;
    const struct wc_pg_statement statement[] = {
        {.sql = wc_sql_timeout, .nparams = 1, .params = &timeout},
        {.sql = x->text, .nparams = 1, .params = &x->value},
    };
    if (!x->is_expression)
        return wc_pg_query(pg, x->text, 1, &x->value, on_result, x);
    enum wc_status st = wc_pg_segment(pg, statement, 2, on_result, x);
    x->caster->trying = st == WC_OK ? x : NULL;
    return st;
}

/* Whoever asks the same from now on asks anew. */
static void take_waiters(struct cast *x, struct wc_list *out)
{
    wc_list_move_all(&x->waiters, out);
    drop(x);
}

static void tell(struct wc_caster *c, struct wc_list *waiters, const struct wc_pg_result *res)
{
    while (!wc_list_is_empty(waiters)) {
        struct wc_list *waiter = waiters->next;
        wc_list_remove(waiter);
        c->on_answer(c->arg, waiter, res);
    }
}

/* The next regular expression in line; without the connection nobody's turn comes. */
static void try_next(struct wc_caster *c, struct wc_pg *pg, bool is_lost, struct wc_list *stranded)
{
    c->trying = NULL;
    while (!c->trying && !wc_list_is_empty(&c->expressions)) {
        struct cast *x = WC_CONTAINER(c->expressions.next, struct cast, in_line);
        leave_line(x);
        if (is_lost || send_cast(x, pg) != WC_OK)
            take_waiters(x, stranded);
    }
}

static void on_result(void *arg, const struct wc_pg_result *res)
{
    static const struct wc_pg_result lost = {.message = "connection lost", .detail = ""};
    struct cast *x = arg;
    struct wc_caster *c = x->caster;
    struct wc_list waiters, stranded;
    wc_list_init(&waiters);
    wc_list_init(&stranded);
    struct wc_pg *pg = x->pg;
    bool was_trying = c->trying == x;
    take_waiters(x, &waiters);
    if (was_trying)
        try_next(c, pg, !res->ok && !res->sqlstate[0], &stranded);
    tell(c, &waiters, res);
    tell(c, &stranded, &lost);
}

/* ---- statements ---- */

static const char *template_for(enum wc_filter_op op)
{
    switch (op) {
    case WC_FILTER_IN: return wc_sql_values;
    case WC_FILTER_LIKE:
    case WC_FILTER_ILIKE:
    case WC_FILTER_MATCH:
    case WC_FILTER_IMATCH: return wc_sql_pattern;
    case WC_FILTER_EQ:
    case WC_FILTER_NEQ:
    case WC_FILTER_LT:
    case WC_FILTER_LTE:
    case WC_FILTER_GT:
    case WC_FILTER_GTE:
    case WC_FILTER_ISDISTINCT:
    case WC_FILTER_IS: break;
    }
    return wc_sql_value;
}

struct wc_slice wc_cast_pattern_type(const struct wc_filter_type *t)
{
    static const char text[] = "text";
    return t->core == BYTEA_OID || t->schema.len ? t->cast : wc_slice_str(text);
}

/* Plain where it is pg_catalog's, which is all of the search_path: so errors name it as people do.
 */
static void put_operator(struct wc_buf *sql, const struct wc_cast_question *q)
{
    const char *name = wc_filter_op_operator(q->op);
    if (q->type->schema.len)
        wc_buf_printf(sql, "operator(%s.%s)", (const char *)q->type->schema.p, name);
    else
        wc_buf_str(sql, name);
}

static void put_name(struct wc_buf *sql, const struct wc_cast_question *q, struct wc_slice word)
{
    if (wc_slice_is(word, "type"))
        wc_buf_slice(sql, q->type->cast);
    else if (wc_slice_is(word, "array"))
        wc_buf_slice(sql, q->type->array);
    else if (wc_slice_is(word, "pattern"))
        wc_buf_slice(sql, wc_cast_pattern_type(q->type));
    else if (wc_slice_is(word, "operator"))
        put_operator(sql, q);
    else if (wc_slice_is(word, "collate") && q->collate.len)
        wc_buf_printf(sql, "collate %s", (const char *)q->collate.p);
}

/* The template with the names in place of the words in angle brackets. */
static void put_statement(struct wc_buf *sql, const struct wc_cast_question *q)
{
    const char *at = template_for(q->op), *open, *close;
    while ((open = strchr(at, '<')) && (close = strchr(open, '>'))) {
        wc_buf_append(sql, at, (size_t)(open - at));
        put_name(sql, q, wc_slice(open + 1, (size_t)(close - open) - 1));
        at = close + 1;
    }
    wc_buf_str(sql, at);
}

/* ---- asking ---- */

static struct cast *make(struct wc_caster *c, struct wc_pg *pg, const struct wc_cast_question *q)
{
    struct wc_buf sql;
    wc_buf_init(&sql, SQL_CAP);
    put_statement(&sql, q);
    size_t len = sql.len + 1 + q->value.len;
    struct cast *x = sql.status == WC_OK ? malloc(sizeof *x + len + 1) : NULL;
    if (x) {
        *x = (struct cast){.caster = c,
                           .pg = pg,
                           .is_expression = q->op == WC_FILTER_MATCH || q->op == WC_FILTER_IMATCH,
                           .value = x->text + sql.len + 1};
        wc_list_init(&x->waiters);
        wc_list_init(&x->in_line);
        memcpy(x->text, sql.p, sql.len);
        x->text[sql.len] = '\0';
        if (q->value.len)
            memcpy(x->text + sql.len + 1, q->value.p, q->value.len);
        x->text[len] = '\0';
        x->node.key = wc_slice(x->text, len);
    }
    wc_buf_release(&sql);
    return x;
}

/* Sends it, or lets it wait for its turn. */
static enum wc_status begin(struct wc_caster *c, struct cast *x)
{
    if (!x->is_expression || !c->trying)
        return send_cast(x, x->pg);
    if (c->nexpressions == EXPRESSIONS_MAX)
        return WC_LIMIT;
    wc_list_push(&c->expressions, &x->in_line);
    c->nexpressions++;
    return WC_OK;
}

enum wc_status wc_cast(struct wc_caster *c, struct wc_pg *pg, const struct wc_cast_question *q,
                       struct wc_list *waiter)
{
    struct cast *x = make(c, pg, q);
    if (!x)
        return WC_NOMEM;
    struct wc_map_node *n = wc_map_get(&c->casts, x->node.key);
    if (n) {
        free(x);
        wc_list_push(&WC_CONTAINER(n, struct cast, node)->waiters, waiter);
        return WC_OK;
    }
    if (wc_map_insert(&c->casts, &x->node) != WC_OK) {
        free(x);
        return WC_NOMEM;
    }
    enum wc_status st = begin(c, x);
    if (st != WC_OK) {
        drop(x);
        return st;
    }
    wc_list_push(&x->waiters, waiter);
    return WC_OK;
}

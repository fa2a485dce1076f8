/*
 * Comparisons of filters that Postgres evaluates: pairs of a value and a filter's value, many in
 * one statement. When the statement fails its pairs are asked again in two halves, and so on, until
 * the one that fails stands alone: then it is NULL, and nobody else is harmed. When it took too
 * long, each comparison is asked by itself, and one that takes too long again is NULL and left
 * alone for a while. Those that were in time before are not asked together with those that were not
 * yet.
 *
 * Types and operators that did not come with the server run foreign code: such comparisons have a
 * session of their own, and none of them runs where rows are looked at.
 */
#include "bridge/rls/judge_priv.h"

#include "base/metrics.h"
#include "bridge/pg/array.h"

#include <stdlib.h>

enum {
    PAIRS_MAX = 256, /* in one statement */
    SQL_CAP = 4096,  /* seven names of 63 bytes, each quoted */
    KEY_CAP = 4096,
    UNPROVEN_MS = 250,  /* for a statement with comparisons that are not known to be quick */
    SLOW_MS = 10000,    /* left alone after the first time; doubled each time in a row, */
    SLOW_DOUBLINGS = 9, /* up to 85 minutes */
};

/* ---- the statement ---- */

static bool is_qualified(struct wc_slice name)
{
    return name.len > 0 && memchr(name.p, '.', name.len);
}

/* Does it run code that did not come with the server? Names of its types are qualified. */
static bool is_foreign(const struct wc_comparison *c)
{
    bool own = c->schema.len == 0 || wc_slice_is(c->schema, "pg_catalog");
    return !own || is_qualified(c->type) || is_qualified(c->value_type);
}

void wc_compare_sql(struct wc_buf *b, const struct wc_comparison *c)
{
    struct wc_slice schema = c->schema.len ? c->schema : wc_slice_str("pg_catalog");
    wc_buf_printf(b, "select u.n, %s(u.v::%.*s", c->op == WC_FILTER_ISDISTINCT ? "not " : "",
                  WC_SLICE_ARG(c->type));
    if (c->collation.len)
        wc_buf_printf(b, " collate %.*s", WC_SLICE_ARG(c->collation));
    wc_buf_printf(b, " operator(%.*s.%s) ", WC_SLICE_ARG(schema), wc_filter_op_operator(c->op));
    wc_buf_printf(b, "%s(u.p::%.*s))", c->op == WC_FILTER_IN ? "any " : "",
                  WC_SLICE_ARG(c->value_type));
    wc_buf_str(b, " from rows from (pg_catalog.unnest($1::pg_catalog.text[]),"
                  " pg_catalog.unnest($2::pg_catalog.text[])) with ordinality as u (v, p, n)");
    wc_buf_byte(b, '\0');
}

/* ---- kinds ---- */

static void add_key(struct wc_buf *key, const struct wc_comparison *c)
{
    const struct wc_slice part[] = {c->role, c->type, c->collation, c->schema, c->value_type};
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        wc_buf_slice(key, part[i]);
        wc_buf_byte(key, '\0');
    }
    wc_buf_byte(key, (char)c->op);
}

static struct wc_comparison_kind *make_kind(struct wc_judge *j, struct wc_slice key,
                                            const struct wc_comparison *c)
{
    static const char builtin[] = "comparisons", foreign[] = "comparisons of foreign types";
    struct wc_comparison_kind *k = wc_arena_calloc(&j->arena, 1, sizeof *k);
    char *copy = wc_arena_strdup(&j->arena, key);
    struct wc_buf sql;
    wc_buf_init(&sql, SQL_CAP);
    wc_compare_sql(&sql, c);
    bool ok = k && copy && sql.status == WC_OK;
    if (ok) {
        bool code = is_foreign(c);
        k->sql = wc_arena_strdup(&j->arena, wc_buf_view(&sql));
        k->role = wc_arena_strdup(&j->arena, c->role);
        k->lane = wc_run_lane(j, wc_slice_str(code ? foreign : builtin), code);
        k->node.key = wc_slice(copy, key.len);
        wc_list_init(&k->items);
        wc_list_init(&k->unproven);
        ok = k->sql && k->role && k->lane && wc_map_insert(&j->kinds, &k->node) == WC_OK;
    }
    wc_buf_release(&sql);
    if (!ok)
        return NULL;
    wc_list_push(&j->kind_list, &k->all);
    return k;
}

static struct wc_comparison_kind *find_kind(struct wc_judge *j, const struct wc_comparison *c)
{
    struct wc_buf key;
    wc_buf_init(&key, KEY_CAP);
    add_key(&key, c);
    struct wc_comparison_kind *k = NULL;
    if (key.status == WC_OK) {
        struct wc_map_node *n = wc_map_get(&j->kinds, wc_buf_view(&key));
        k = n ? WC_CONTAINER(n, struct wc_comparison_kind, node)
              : make_kind(j, wc_buf_view(&key), c);
    }
    wc_buf_release(&key);
    return k;
}

/* No comparison is asked with somebody who is nobody, or whom the login would not give up for. */
static bool may_ask(const struct wc_comparison *c)
{
    return c->role.len > 0 && !wc_slice_is(c->role, "none") &&
           !memchr(c->role.p, '\0', c->role.len);
}

enum wc_status wc_compare_want(struct wc_judge *j, unsigned change, struct wc_comparison *c,
                               struct wc_slice value)
{
    struct wc_compared *item = wc_arena_calloc(&j->arena, 1, sizeof *item);
    if (!item)
        return WC_NOMEM;
    *item =
        (struct wc_compared){.change = change, .comparison = c, .value = value, .truth = WC_NULL};
    if (c->is_null || !may_ask(c) || wc_clock_mono() < c->slow_until) {
        if (c->is_null && c->op == WC_FILTER_ISDISTINCT)
            item->truth = WC_TRUE;
        wc_list_push(&j->compared, &item->link);
        return WC_OK;
    }
    struct wc_comparison_kind *k = find_kind(j, c);
    if (!k)
        return WC_NOMEM;
    wc_list_push(c->is_proven ? &k->items : &k->unproven, &item->link);
    return WC_OK;
}

/* ---- questions ---- */

static bool ask(struct wc_compare_question *);

static void on_answer(struct wc_question *q, const struct wc_pg_result *res)
{
    struct wc_compare_question *x = WC_CONTAINER(q, struct wc_compare_question, q);
    size_t n = 0;
    WC_LIST_EACH (it, &x->items) {
        struct wc_compared *item = WC_CONTAINER(it, struct wc_compared, link);
        if (n >= (size_t)res->nrows)
            break;
        const char *truth = wc_pg_value(res, (int)n++, 1);
        if (truth)
            item->truth = truth[0] == 't' ? WC_TRUE : WC_FALSE;
        item->comparison->is_proven = true;
        item->comparison->timeouts = 0;
    }
    wc_metric_add(WC_M_COMPARISONS, (int64_t)x->count);
    wc_list_move_all(&x->items, &q->judge->compared);
}

static struct wc_compare_question *make_question(struct wc_judge *j, struct wc_lane *lane,
                                                 const char *role, const char *sql);

static void give_up(struct wc_compare_question *x)
{
    wc_metric_add(WC_M_COMPARISON_ERRORS, (int64_t)x->count);
    wc_list_move_all(&x->items, &x->q.judge->compared); /* NULL from the beginning */
}

/* Another question of the same kind. NULL: out of memory. */
static struct wc_compare_question *make_like(const struct wc_compare_question *x)
{
    const struct wc_session_question *a = &x->q.asked;
    return make_question(x->q.judge, x->q.lane, a->role, a->sql);
}

static void move(struct wc_compared *item, struct wc_compare_question *from,
                 struct wc_compare_question *to)
{
    wc_list_remove(&item->link);
    wc_list_push(&to->items, &item->link);
    from->count--;
    to->count++;
}

/* The first half goes into a question of its own. */
static bool split(struct wc_compare_question *x)
{
    struct wc_compare_question *half = make_like(x);
    if (!half)
        return false;
    for (size_t n = x->count / 2; n > 0; n--)
        move(WC_CONTAINER(x->items.next, struct wc_compared, link), x, half);
    half->is_alone = x->is_alone;
    if (!ask(half))
        give_up(half);
    return ask(x);
}

/* Each comparison gets a question of its own. */
static void part(struct wc_compare_question *x)
{
    while (x->count > 0) {
        struct wc_compare_question *own = make_like(x);
        if (!own) {
            give_up(x);
            return;
        }
        const struct wc_comparison *c =
            WC_CONTAINER(x->items.next, struct wc_compared, link)->comparison;
        WC_LIST_EACH_SAFE (it, &x->items) {
            struct wc_compared *item = WC_CONTAINER(it, struct wc_compared, link);
            if (item->comparison == c)
                move(item, x, own);
        }
        own->is_alone = true;
        if (!ask(own))
            give_up(own);
    }
}

static void suspend(struct wc_judge *j, struct wc_comparison *c)
{
    unsigned doublings = c->timeouts < SLOW_DOUBLINGS ? c->timeouts : SLOW_DOUBLINGS;
    wc_us ms = (wc_us)SLOW_MS << doublings;
    c->timeouts++;
    c->is_proven = false;
    c->slow_until = wc_clock_mono() + ms * 1000;
    wc_metric_add(WC_M_COMPARISONS_SLOW, 1);
    unsigned long more = 0;
    if (wc_log_limit(&j->slow_log, 10 * 1000000, &more))
        WC_LOG(WC_LOG_WARN, "rls", "filter_too_slow",
               "tenant=%s role=%.*s operator=%s type=%.*s for_s=%lld suppressed=%lu hint=\"%s\"",
               j->opt.tenant, WC_SLICE_ARG(c->role), wc_filter_op_text(c->op),
               WC_SLICE_ARG(c->type), (long long)(ms / 1000), more,
               "a client's filter takes Postgres too long; it matches nothing meanwhile");
}

static void on_failure(struct wc_question *q, enum wc_verdict verdict, const char *sqlstate)
{
    static const char canceled[] = "57014";
    struct wc_compare_question *x = WC_CONTAINER(q, struct wc_compare_question, q);
    bool is_slow = strcmp(sqlstate, canceled) == 0;
    if (verdict == WC_VERDICT_FAILED && is_slow && !x->is_alone) {
        part(x);
        return;
    }
    if (verdict == WC_VERDICT_FAILED && !is_slow && x->count > 1 && split(x))
        return;
    if (verdict == WC_VERDICT_FAILED && is_slow)
        suspend(q->judge, WC_CONTAINER(x->items.next, struct wc_compared, link)->comparison);
    give_up(x);
}

static struct wc_compare_question *make_question(struct wc_judge *j, struct wc_lane *lane,
                                                 const char *role, const char *sql)
{
    struct wc_compare_question *x = wc_arena_calloc(&j->arena, 1, sizeof *x);
    if (!x)
        return NULL;
    x->q = (struct wc_question){
        .judge = j, .lane = lane, .on_answer = on_answer, .on_failure = on_failure};
    x->q.asked = (struct wc_session_question){.role = role, .claims = "", .sql = sql};
    wc_list_init(&x->q.link);
    wc_list_init(&x->items);
    return x;
}

static bool ask(struct wc_compare_question *x)
{
    struct wc_arena *arena = &x->q.judge->arena;
    struct wc_buf values, patterns;
    wc_buf_init(&values, INT32_MAX);
    wc_buf_init(&patterns, INT32_MAX);
    bool is_proven = !x->is_alone;
    WC_LIST_EACH (it, &x->items) {
        const struct wc_compared *item = WC_CONTAINER(it, struct wc_compared, link);
        wc_pg_array_add(&values, item->value);
        wc_pg_array_add(&patterns, item->comparison->value);
        is_proven = is_proven && item->comparison->is_proven;
    }
    wc_pg_array_end(&values);
    wc_pg_array_end(&patterns);
    const char **param = wc_arena_calloc(arena, 2, sizeof *param);
    bool ok = param && values.status == WC_OK && patterns.status == WC_OK;
    if (ok) {
        param[0] = wc_arena_strdup(arena, wc_buf_view(&values));
        param[1] = wc_arena_strdup(arena, wc_buf_view(&patterns));
        ok = param[0] && param[1];
    }
    x->q.bytes = values.len + patterns.len;
    wc_buf_release(&values);
    wc_buf_release(&patterns);
    if (!ok)
        return false;
    x->q.asked.nparams = 2;
    x->q.asked.params = param;
    x->q.asked.timeout_ms = is_proven ? 0 : UNPROVEN_MS;
    x->q.may_be_slow = !is_proven;
    x->q.tries = 0;
    wc_run_enqueue(&x->q);
    return true;
}

static enum wc_status ask_all(struct wc_judge *j, const struct wc_comparison_kind *k,
                              struct wc_list *items)
{
    while (!wc_list_is_empty(items)) {
        struct wc_compare_question *x = make_question(j, k->lane, k->role, k->sql);
        if (!x)
            return WC_NOMEM;
        while (x->count < PAIRS_MAX && !wc_list_is_empty(items)) {
            struct wc_list *item = items->next;
            wc_list_remove(item);
            wc_list_push(&x->items, item);
            x->count++;
        }
        if (!ask(x)) {
            wc_list_move_all(&x->items, items);
            return WC_NOMEM;
        }
    }
    return WC_OK;
}

enum wc_status wc_compare_prepare(struct wc_judge *j)
{
    enum wc_status st = WC_OK;
    WC_LIST_EACH (it, &j->kind_list) {
        struct wc_comparison_kind *k = WC_CONTAINER(it, struct wc_comparison_kind, all);
        if (st == WC_OK)
            st = ask_all(j, k, &k->items);
        if (st == WC_OK)
            st = ask_all(j, k, &k->unproven);
    }
    return st;
}

void wc_compare_report(struct wc_judge *j)
{
    while (!wc_list_is_empty(&j->compared)) {
        struct wc_compared *item = WC_CONTAINER(j->compared.next, struct wc_compared, link);
        wc_list_remove(&item->link);
        j->events.truth(j->arg, item->change, item->comparison, item->truth);
    }
}

void wc_compare_release(struct wc_judge *j)
{
    wc_list_init(&j->kind_list);
    wc_list_init(&j->compared);
    wc_map_release(&j->kinds);
}

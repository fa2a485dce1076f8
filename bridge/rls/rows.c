/*
 * Row checks: which rows of the batch does a context see, and are they in the table as they are in
 * the log?
 *
 *   select w.n, same
 *   from (select u.n, u.k1::type as k1, u.c1
 *         from rows from (unnest($1), unnest($2)) with ordinality as u (k1, c1, n) offset 0) w
 *   join only relation t on t.key operator(=) w.k1
 *   join above a1 on a1.tableoid = t.tableoid and a1.ctid = t.ctid and a1.key operator(=) w.k1
 *   where to_regclass('relation') = oid
 *
 * Casts stand in a subquery that is not flattened: they are not leakproof, and row security would
 * keep a condition with them from the index. Names are qualified, operators too. A relation above
 * is looked through by the very row version, so that its policies judge this row and no other.
 *
 * Values are compared as text, byte by byte, as both sessions print them; concat() uses the type's
 * output function like the stream, where a cast to text may be somebody's own or do something else
 * (bool, char(n)).
 */
#include "bridge/rls/judge_priv.h"

#include "base/metrics.h"
#include "bridge/pg/array.h"

#include <stdlib.h>

enum {
    SQL_CAP = 4 << 20, /* 1,600 columns of 63 bytes, several times */
};

/* ---- the statement ---- */

bool wc_rows_compares(const struct wc_access_col *c, enum wc_sameness sameness)
{
    return sameness == WC_SAME_POLICY ? c->in_policy : c->readable;
}

static void add_quoted(struct wc_buf *b, struct wc_slice name)
{
    wc_buf_byte(b, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] == '"')
            wc_buf_byte(b, '"');
        wc_buf_byte(b, (char)name.p[i]);
    }
    wc_buf_byte(b, '"');
}

static void add_literal(struct wc_buf *b, struct wc_slice text)
{
    wc_buf_str(b, "E'");
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '\'' || text.p[i] == '\\')
            wc_buf_byte(b, (char)text.p[i]);
        wc_buf_byte(b, (char)text.p[i]);
    }
    wc_buf_byte(b, '\'');
}

static unsigned count_compared(const struct wc_access *a, enum wc_sameness sameness)
{
    unsigned n = 0;
    for (uint16_t i = 0; i < a->ncols; i++)
        n += wc_rows_compares(&a->col[i], sameness);
    return n;
}

/* Of one column: the same in w and t? */
static void add_comparison(struct wc_buf *b, struct wc_slice name, unsigned c,
                           enum wc_sameness sameness)
{
    wc_buf_str(b, " and ");
    if (sameness == WC_SAME_WHOLE)
        wc_buf_printf(b, "(pg_catalog.substr(w.known, %u, 1) operator(pg_catalog.=) '0' or ", c);
    wc_buf_printf(b, "case when w.c%u is null then pg_catalog.num_nulls(t.", c);
    add_quoted(b, name);
    wc_buf_str(b, ") operator(pg_catalog.=) 1 else pg_catalog.num_nulls(t.");
    add_quoted(b, name);
    wc_buf_str(b, ") operator(pg_catalog.=) 0 and pg_catalog.concat(t.");
    add_quoted(b, name);
    wc_buf_printf(b, ") collate pg_catalog.\"C\" operator(pg_catalog.=) w.c%u end%s", c,
                  sameness == WC_SAME_WHOLE ? ")" : "");
}

static void add_comparisons(struct wc_buf *b, const struct wc_access *a, enum wc_sameness sameness)
{
    unsigned c = 0;
    wc_buf_str(b, "true");
    for (uint16_t i = 0; i < a->ncols; i++)
        if (wc_rows_compares(&a->col[i], sameness))
            add_comparison(b, a->col[i].name, ++c, sameness);
}

/* The rows asked for, as w (n, k1 ..., c1 ..., known). */
static void add_rows(struct wc_buf *b, const struct wc_access *a, enum wc_sameness sameness)
{
    unsigned ncols = count_compared(a, sameness), nparams = a->nkeys + ncols;
    wc_buf_str(b, "(select u.n");
    for (unsigned i = 1; i <= a->nkeys; i++)
        wc_buf_printf(b, ", u.k%u::%.*s as k%u", i, WC_SLICE_ARG(a->key[i - 1].type), i);
    for (unsigned i = 1; i <= ncols; i++)
        wc_buf_printf(b, ", u.c%u", i);
    if (sameness == WC_SAME_WHOLE) {
        wc_buf_str(b, ", u.known");
        nparams++;
    }
    wc_buf_str(b, " from rows from (");
    for (unsigned i = 1; i <= nparams; i++)
        wc_buf_printf(b, "%spg_catalog.unnest($%u::pg_catalog.text[])", i > 1 ? ", " : "", i);
    wc_buf_str(b, ") with ordinality as u (");
    for (unsigned i = 1; i <= a->nkeys; i++)
        wc_buf_printf(b, "k%u, ", i);
    for (unsigned i = 1; i <= ncols; i++)
        wc_buf_printf(b, "c%u, ", i);
    wc_buf_str(b, sameness == WC_SAME_WHOLE ? "known, n) offset 0) w" : "n) offset 0) w");
}

static void add_key_condition(struct wc_buf *b, const struct wc_access *a, const char *alias)
{
    for (unsigned i = 1; i <= a->nkeys; i++) {
        const struct wc_access_key *k = &a->key[i - 1];
        wc_buf_printf(b, "%s%s.", i > 1 ? " and " : "", alias);
        add_quoted(b, a->col[k->col].name);
        wc_buf_printf(b, " %.*s w.k%u", WC_SLICE_ARG(k->op), i);
    }
}

void wc_rows_sql(struct wc_buf *b, const struct wc_access *a, enum wc_sameness sameness)
{
    wc_buf_str(b, "select w.n, ");
    add_comparisons(b, a, sameness);
    wc_buf_str(b, " from ");
    add_rows(b, a, sameness);
    wc_buf_printf(b, " join %s%.*s t on ", a->is_partitioned ? "" : "only ", WC_SLICE_ARG(a->name));
    add_key_condition(b, a, "t");
    for (unsigned i = 1; i <= a->nabove; i++) {
        const struct wc_access_above *above = &a->above[i - 1];
        wc_buf_printf(b,
                      " join %.*s a%u on a%u.tableoid operator(pg_catalog.=) t.tableoid"
                      " and a%u.ctid operator(pg_catalog.=) t.ctid",
                      WC_SLICE_ARG(above->name), i, i, i);
        char alias[12];
        (void)snprintf(alias, sizeof alias, "a%u", i); /* fits: nabove is 16 bits */
        if (above->has_key) {
            wc_buf_str(b, " and ");
            add_key_condition(b, a, alias);
        }
    }
    wc_buf_str(b, " where pg_catalog.to_regclass(");
    add_literal(b, a->name);
    wc_buf_printf(b, ")::pg_catalog.oid operator(pg_catalog.=) %u::pg_catalog.oid", a->rel);
    wc_buf_byte(b, '\0');
}

/* ---- sights ---- */

static bool may_ask(const struct wc_access *a)
{
    bool ok = a->usable && a->exists && a->has_pk && a->pk_readable && a->role.len > 0 &&
              !wc_slice_is(a->role, "none") && !memchr(a->role.p, '\0', a->role.len);
    for (uint16_t i = 0; i < a->nkeys; i++)
        ok = ok && a->key[i].op.len > 0;
    return ok;
}

/* Of a row that is not asked for. Without a policy for the role there is nothing to see. */
static enum wc_verdict never_verdict(const struct wc_access *a)
{
    if (!may_ask(a))
        return WC_VERDICT_FAILED;
    return a->has_policy ? WC_VERDICT_SUPERSEDED : WC_VERDICT_HIDDEN;
}

static bool keep_name(struct wc_arena *arena, struct wc_slice name, struct wc_slice *out)
{
    char *copy = wc_arena_strdup(arena, name);
    *out = wc_slice(copy, copy ? name.len : 0);
    return copy != NULL;
}

static bool keep_columns(struct wc_arena *arena, const struct wc_access *a, struct wc_sight *s,
                         enum wc_sameness sameness)
{
    struct wc_slice *col = wc_arena_calloc(arena, a->ncols + 1u, sizeof *col);
    bool ok = col != NULL;
    size_t n = 0;
    for (uint16_t i = 0; i < a->ncols && ok; i++)
        if (wc_rows_compares(&a->col[i], sameness))
            ok = keep_name(arena, a->col[i].name, &col[n++]);
    s->col[sameness] = col;
    s->ncols[sameness] = n;
    return ok;
}

static bool keep_key(struct wc_arena *arena, const struct wc_access *a, struct wc_sight *s)
{
    struct wc_slice *key = wc_arena_calloc(arena, a->nkeys + 1u, sizeof *key);
    bool ok = key != NULL;
    for (uint16_t i = 0; i < a->nkeys && ok; i++)
        ok = keep_name(arena, a->col[a->key[i].col].name, &key[i]);
    s->key = key;
    s->nkeys = a->nkeys;
    return ok;
}

static const char *keep_sql(struct wc_arena *arena, const struct wc_access *a,
                            enum wc_sameness sameness)
{
    struct wc_buf b;
    wc_buf_init(&b, SQL_CAP);
    wc_rows_sql(&b, a, sameness);
    const char *sql = b.status == WC_OK ? wc_arena_strdup(arena, wc_buf_view(&b)) : NULL;
    wc_buf_release(&b);
    return sql;
}

/* What the checks of a role on a relation need, copied. */
static bool fill_sight(struct wc_judge *j, struct wc_sight *s, const struct wc_access *a)
{
    s->never = never_verdict(a);
    s->role = wc_arena_strdup(&j->arena, a->role);
    s->trouble = wc_trouble_get(j, a->rel, a->role);
    s->lane = wc_run_lane(j, a->owners, a->runs_code);
    bool ok = s->role && s->trouble && s->lane;
    if (!ok || s->never != WC_VERDICT_SUPERSEDED)
        return ok;
    s->can_same_policy = true;
    for (uint16_t i = 0; i < a->ncols; i++)
        s->can_same_policy &= a->col[i].readable || !a->col[i].in_policy;
    ok = keep_key(&j->arena, a, s);
    for (enum wc_sameness k = WC_SAME_POLICY; k < WC_SAME_NEVER && ok; k++) {
        s->sql[k] = keep_sql(&j->arena, a, k);
        ok = s->sql[k] && keep_columns(&j->arena, a, s, k);
    }
    return ok;
}

static struct wc_sight *find_sight(struct wc_judge *j, const struct wc_access *a)
{
    struct wc_map_node *n = wc_map_get(&j->sights, wc_slice(&a->answer, sizeof a->answer));
    if (n)
        return WC_CONTAINER(n, struct wc_sight, node);
    struct wc_sight *s = wc_arena_calloc(&j->arena, 1, sizeof *s);
    if (!s || !fill_sight(j, s, a))
        return NULL;
    s->answer = a->answer;
    s->number = (uint32_t)j->sights.count;
    s->node.key = wc_slice(&s->answer, sizeof s->answer);
    return wc_map_insert(&j->sights, &s->node) == WC_OK ? s : NULL;
}

/* ---- the log's row ---- */

const struct wc_col *wc_rows_value(const struct wc_change *ch, struct wc_slice column)
{
    for (uint16_t i = 0; i < ch->rel->ncols; i++) {
        if (!wc_slice_eq(ch->rel->col[i].name, column))
            continue;
        const struct wc_col *value = wc_change_value(ch, i);
        /* a key that is an unchanged TOAST value is logged in the old key */
        bool in_old = !value && ch->old_kind == WC_OLD_KEY && ch->rel->col[i].in_identity;
        if (in_old && ch->old.col[i].kind == WC_COL_TEXT)
            value = &ch->old.col[i];
        return value;
    }
    return NULL;
}

static enum wc_sameness sameness_of(const struct wc_sight *s, const struct wc_change *ch)
{
    if (s->never != WC_VERDICT_SUPERSEDED)
        return WC_SAME_NEVER;
    for (size_t i = 0; i < s->nkeys; i++) {
        const struct wc_col *v = wc_rows_value(ch, s->key[i]);
        if (!v || v->kind != WC_COL_TEXT)
            return WC_SAME_NEVER;
    }
    if (!s->can_same_policy)
        return WC_SAME_WHOLE;
    for (size_t i = 0; i < s->ncols[WC_SAME_POLICY]; i++)
        if (!wc_rows_value(ch, s->col[WC_SAME_POLICY][i]))
            return WC_SAME_WHOLE;
    return WC_SAME_POLICY;
}

/* ---- questions ---- */

static void on_answer(struct wc_question *q, const struct wc_pg_result *res)
{
    struct wc_row_question *r = WC_CONTAINER(q, struct wc_row_question, q);
    r->is_answered = true;
    r->rest = WC_VERDICT_HIDDEN;
    for (int i = 0; i < res->nrows; i++) {
        unsigned long n = strtoul(wc_pg_value(res, i, 0), NULL, 10);
        if (n < 1 || n > r->rows->count)
            continue;
        bool is_same = wc_slice_is(wc_pg_slice(res, i, 1), "t");
        wc_set_add(is_same ? &r->visible : &r->superseded, r->rows->change[n - 1]);
    }
    wc_metric_add(WC_M_CHECKS, 1);
    wc_metric_add(WC_M_CHECK_ROWS, r->rows->count);
}

static void on_failure(struct wc_question *q, enum wc_verdict verdict, const char *sqlstate)
{
    (void)sqlstate; /* trouble.c has told it */
    struct wc_row_question *r = WC_CONTAINER(q, struct wc_row_question, q);
    r->is_answered = true;
    r->rest = verdict;
}

static struct wc_row_question *find_question(struct wc_judge *j, struct wc_sight *s,
                                             enum wc_sameness sameness, struct wc_context *context)
{
    struct wc_row_question key = {
        .id = {(uint64_t)s->number * WC_SAMENESS_COUNT + sameness, context->serial}};
    struct wc_map_node *n = wc_map_get(&j->row_questions, wc_slice(&key.id, sizeof key.id));
    if (n)
        return WC_CONTAINER(n, struct wc_row_question, node);
    struct wc_row_question *r = wc_arena_calloc(&j->arena, 1, sizeof *r);
    if (!r)
        return NULL;
    r->id = key.id;
    r->node.key = wc_slice(&r->id, sizeof r->id);
    if (wc_map_insert(&j->row_questions, &r->node) != WC_OK)
        return NULL;
    r->sight = s;
    r->sameness = sameness;
    r->context = wc_context_ref(context);
    r->q = (struct wc_question){.judge = j,
                                .lane = s->lane,
                                .trouble = s->trouble,
                                .on_answer = on_answer,
                                .on_failure = on_failure};
    wc_list_init(&r->q.link);
    wc_list_push(&j->rows, &r->all);
    return r;
}

enum wc_status wc_rows_want(struct wc_judge *j, unsigned change, const struct wc_access *a,
                            struct wc_context *context)
{
    struct wc_sight *s = find_sight(j, a);
    if (!s)
        return WC_NOMEM;
    if (!s->sameness[change])
        s->sameness[change] = (uint8_t)(1 + sameness_of(s, j->change[change].change));
    struct wc_row_question *r =
        find_question(j, s, (enum wc_sameness)(s->sameness[change] - 1), context);
    if (!r)
        return WC_NOMEM;
    wc_set_add(&r->wanted, change);
    return WC_OK;
}

/* ---- parameters ---- */

static bool keep_param(struct wc_arena *arena, struct wc_buf *array, const char **out)
{
    wc_pg_array_end(array);
    if (array->status == WC_OK)
        *out = wc_arena_strdup(arena, wc_buf_view(array));
    wc_buf_reset(array);
    return *out != NULL;
}

static void add_value(struct wc_buf *array, const struct wc_col *v)
{
    if (v && v->kind == WC_COL_TEXT)
        wc_pg_array_add(array, v->val);
    else
        wc_pg_array_add_null(array);
}

static bool add_columns(struct wc_judge *j, struct wc_rowset *rows, const struct wc_slice *col,
                        size_t ncols)
{
    struct wc_buf array;
    wc_buf_init(&array, INT32_MAX);
    bool ok = true;
    for (size_t c = 0; c < ncols && ok; c++) {
        for (unsigned i = 0; i < rows->count; i++)
            add_value(&array, wc_rows_value(j->change[rows->change[i]].change, col[c]));
        ok = keep_param(&j->arena, &array, &rows->param[rows->nparams++]);
    }
    wc_buf_release(&array);
    return ok;
}

/* Which of the columns compared the log's rows have. */
static bool add_known(struct wc_judge *j, struct wc_rowset *rows, const struct wc_slice *col,
                      size_t ncols)
{
    struct wc_buf array, known;
    wc_buf_init(&array, INT32_MAX);
    wc_buf_init(&known, INT32_MAX);
    for (unsigned i = 0; i < rows->count; i++) {
        const struct wc_change *ch = j->change[rows->change[i]].change;
        wc_buf_reset(&known);
        for (size_t c = 0; c < ncols; c++)
            wc_buf_byte(&known, wc_rows_value(ch, col[c]) ? '1' : '0');
        wc_pg_array_add(&array, wc_buf_view(&known));
    }
    bool ok = known.status == WC_OK && keep_param(&j->arena, &array, &rows->param[rows->nparams++]);
    wc_buf_release(&array);
    wc_buf_release(&known);
    return ok;
}

static bool fill_rowset(struct wc_judge *j, struct wc_rowset *rows, const struct wc_sight *s,
                        enum wc_sameness sameness)
{
    for (unsigned i = 0; i < j->nchanges; i++)
        if (wc_set_has(&rows->id.set, i))
            rows->change[rows->count++] = (uint16_t)i;
    rows->param =
        wc_arena_calloc(&j->arena, s->nkeys + s->ncols[sameness] + 1, sizeof *rows->param);
    return rows->param && add_columns(j, rows, s->key, s->nkeys) &&
           add_columns(j, rows, s->col[sameness], s->ncols[sameness]) &&
           (sameness == WC_SAME_POLICY || add_known(j, rows, s->col[sameness], s->ncols[sameness]));
}

static const struct wc_rowset *find_rowset(struct wc_judge *j, const struct wc_row_question *r)
{
    struct wc_rowset key = {.id = {r->sight->number, r->sameness, r->wanted}};
    struct wc_map_node *n = wc_map_get(&j->rowsets, wc_slice(&key.id, sizeof key.id));
    if (n)
        return WC_CONTAINER(n, struct wc_rowset, node);
    struct wc_rowset *rows = wc_arena_calloc(&j->arena, 1, sizeof *rows);
    if (!rows)
        return NULL;
    rows->id = key.id;
    rows->node.key = wc_slice(&rows->id, sizeof rows->id);
    bool ok = fill_rowset(j, rows, r->sight, r->sameness);
    return ok && wc_map_insert(&j->rowsets, &rows->node) == WC_OK ? rows : NULL;
}

static bool is_empty(const struct wc_set *s)
{
    uint64_t any = 0;
    for (size_t i = 0; i < WC_SET_WORDS; i++)
        any |= s->word[i];
    return any == 0;
}

enum wc_status wc_rows_prepare(struct wc_judge *j)
{
    WC_LIST_EACH (it, &j->rows) {
        struct wc_row_question *r = WC_CONTAINER(it, struct wc_row_question, all);
        if (is_empty(&r->wanted))
            continue;
        if (r->sameness == WC_SAME_NEVER) {
            on_failure(&r->q, r->sight->never, "");
            continue;
        }
        r->rows = find_rowset(j, r);
        if (!r->rows)
            return WC_NOMEM;
        r->q.asked = (struct wc_session_question){.role = r->sight->role,
                                                  .claims = (const char *)r->context->claims.p,
                                                  .sql = r->sight->sql[r->sameness],
                                                  .nparams = r->rows->nparams,
                                                  .params = r->rows->param};
        wc_run_enqueue(&r->q);
    }
    return WC_OK;
}

/* ---- answers ---- */

static void report(struct wc_judge *j, struct wc_row_question *r)
{
    for (unsigned i = 0; i < j->nchanges; i++) {
        if (!wc_set_has(&r->wanted, i))
            continue;
        enum wc_verdict v = r->rest;
        if (wc_set_has(&r->visible, i))
            v = WC_VERDICT_VISIBLE;
        else if (wc_set_has(&r->superseded, i))
            v = WC_VERDICT_SUPERSEDED;
        j->events.verdict(j->arg, i, r->context, v);
    }
    r->is_answered = false;
    r->wanted = r->visible = r->superseded = (struct wc_set){{0}};
}

void wc_rows_report(struct wc_judge *j)
{
    WC_LIST_EACH (it, &j->rows) {
        struct wc_row_question *r = WC_CONTAINER(it, struct wc_row_question, all);
        if (r->is_answered)
            report(j, r);
    }
}

void wc_rows_release(struct wc_judge *j)
{
    WC_LIST_EACH (it, &j->rows)
        wc_context_unref(WC_CONTAINER(it, struct wc_row_question, all)->context);
    wc_list_init(&j->rows);
    wc_map_release(&j->sights);
    wc_map_release(&j->row_questions);
    wc_map_release(&j->rowsets);
}

/*
 * Row checks: who asks about which rows, with which parameters, and what the answers mean. The
 * statements are rows_sql.c's.
 */
#include "bridge/rls/judge_priv.h"

#include "base/metrics.h"
#include "bridge/pg/array.h"

#include <stdlib.h>

enum {
    SQL_CAP = 4 << 20, /* 1,600 columns of 63 bytes, several times */
};

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
    if (sameness == WC_SAME_NEVER)
        wc_rows_gone_sql(&b, a);
    else
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
    s->replans = !a->rules || a->rules->replans;
    for (uint16_t i = 0; i < a->ncols; i++)
        s->can_same_policy &= a->col[i].readable || !a->col[i].in_policy;
    ok = keep_key(&j->arena, a, s);
    for (enum wc_sameness k = WC_SAME_POLICY; k < WC_SAME_NEVER && ok; k++) {
        s->sql[k] = keep_sql(&j->arena, a, k);
        ok = s->sql[k] && keep_columns(&j->arena, a, s, k);
    }
    if (ok && a->seen_by.len && wc_slice_is(a->seen_by, j->opt.pg.user)) {
        s->gone_sql = keep_sql(&j->arena, a, WC_SAME_NEVER);
        ok = s->gone_sql != NULL;
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
    wc_list_init(&s->gone.q.link);
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

static bool add_param(struct wc_arena *arena, struct wc_buf *array, struct wc_rowset *rows)
{
    const char **out = &rows->param[rows->nparams++];
    wc_pg_array_end(array);
    if (array->status == WC_OK)
        *out = wc_arena_strdup(arena, wc_buf_view(array));
    rows->bytes += array->len;
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
        ok = add_param(&j->arena, &array, rows);
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
    bool ok = known.status == WC_OK && add_param(&j->arena, &array, rows);
    wc_buf_release(&array);
    wc_buf_release(&known);
    return ok;
}

/* NEVER: the key alone. */
static bool fill_rowset(struct wc_judge *j, struct wc_rowset *rows, const struct wc_sight *s,
                        enum wc_sameness sameness)
{
    size_t ncols = sameness < WC_SAME_NEVER ? s->ncols[sameness] : 0;
    for (unsigned i = 0; i < j->nchanges; i++)
        if (wc_set_has(&rows->id.set, i))
            rows->change[rows->count++] = (uint16_t)i;
    rows->param = wc_arena_calloc(&j->arena, s->nkeys + ncols + 1, sizeof *rows->param);
    return rows->param && add_columns(j, rows, s->key, s->nkeys) &&
           (sameness == WC_SAME_NEVER || add_columns(j, rows, s->col[sameness], ncols)) &&
           (sameness != WC_SAME_WHOLE || add_known(j, rows, s->col[sameness], ncols));
}

static const struct wc_rowset *find_rowset(struct wc_judge *j, const struct wc_sight *s,
                                           enum wc_sameness sameness, const struct wc_set *set)
{
    struct wc_rowset key = {.id = {s->number, sameness, *set}};
    struct wc_map_node *n = wc_map_get(&j->rowsets, wc_slice(&key.id, sizeof key.id));
    if (n)
        return WC_CONTAINER(n, struct wc_rowset, node);
    struct wc_rowset *rows = wc_arena_calloc(&j->arena, 1, sizeof *rows);
    if (!rows)
        return NULL;
    rows->id = key.id;
    rows->node.key = wc_slice(&rows->id, sizeof rows->id);
    bool ok = fill_rowset(j, rows, s, sameness);
    return ok && wc_map_insert(&j->rowsets, &rows->node) == WC_OK ? rows : NULL;
}

static bool is_empty(const struct wc_set *s)
{
    uint64_t any = 0;
    for (size_t i = 0; i < WC_SET_WORDS; i++)
        any |= s->word[i];
    return any == 0;
}

static void add_set(struct wc_set *s, const struct wc_set *more)
{
    for (size_t i = 0; i < WC_SET_WORDS; i++)
        s->word[i] |= more->word[i];
}

/* ---- rows that are gone ---- */

static void on_gone(struct wc_question *q, const struct wc_pg_result *res)
{
    struct wc_gone *g = WC_CONTAINER(q, struct wc_gone, q);
    for (int i = 0; i < res->nrows; i++) {
        unsigned long n = strtoul(wc_pg_value(res, i, 0), NULL, 10);
        if (n >= 1 && n <= g->rows->count)
            wc_set_add(&g->found, g->rows->change[n - 1]);
    }
}

static void on_gone_unknown(struct wc_question *q, enum wc_verdict verdict, const char *sqlstate)
{
    (void)q; /* then they count as hidden */
    (void)verdict;
    (void)sqlstate;
}

/* Asked by the login itself, as a role like others, and only where row security does not apply to
 * it: behind the other questions, once for all contexts. */
static enum wc_status prepare_gone(struct wc_judge *j)
{
    for (struct wc_map_node *n = wc_map_each(&j->sights, NULL); n; n = wc_map_each(&j->sights, n)) {
        struct wc_sight *s = WC_CONTAINER(n, struct wc_sight, node);
        struct wc_gone *g = &s->gone;
        if (!s->gone_sql || is_empty(&g->wanted))
            continue;
        g->rows = find_rowset(j, s, WC_SAME_NEVER, &g->wanted);
        if (!g->rows)
            return WC_NOMEM;
        wc_list_remove(&g->q.link);
        g->q = (struct wc_question){.judge = j,
                                    .lane = s->lane,
                                    .on_answer = on_gone,
                                    .on_failure = on_gone_unknown,
                                    .asked = {.role = j->opt.pg.user,
                                              .claims = "",
                                              .sql = s->gone_sql,
                                              .nparams = g->rows->nparams,
                                              .params = g->rows->param}};
        wc_list_init(&g->q.link);
        g->wanted = g->found = (struct wc_set){{0}};
        wc_run_enqueue(&g->q);
    }
    return WC_OK;
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
        r->rows = find_rowset(j, r->sight, r->sameness, &r->wanted);
        if (!r->rows)
            return WC_NOMEM;
        add_set(&r->sight->gone.wanted, &r->wanted);
        r->q.asked = (struct wc_session_question){.role = r->sight->role,
                                                  .claims = (const char *)r->context->claims.p,
                                                  .sql = r->sight->sql[r->sameness],
                                                  .nparams = r->rows->nparams,
                                                  .params = r->rows->param,
                                                  .replans = r->sight->replans};
        r->q.bytes = r->rows->bytes;
        wc_run_enqueue(&r->q);
    }
    return prepare_gone(j);
}

/* ---- answers ---- */

static void report(struct wc_judge *j, struct wc_row_question *r)
{
    for (unsigned i = 0; i < j->nchanges; i++) {
        if (!wc_set_has(&r->wanted, i))
            continue;
        enum wc_verdict v = r->rest;
        if (v == WC_VERDICT_HIDDEN && wc_set_has(&r->sight->gone.found, i))
            v = WC_VERDICT_GONE;
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

/*
 * Drives bridge/rls/judge.h against a real database, by lines of tab-separated fields on standard
 * input; one batch at a time. judge.mjs is its other half.
 *
 *   rel OID NAME...            a relation as the stream describes it: columns by name
 *   context ROLE CLAIMS        contexts are numbered from 0
 *   row OID I|U XID VALUE...   a change; \N is NULL, \U an unchanged TOAST value
 *   old VALUE...               the full old row of the last change
 *   want CHANGE CONTEXT        asks; * for all of them
 *   compare CHANGE ROLE TYPE COLLATION SCHEMA OP VALUE_TYPE VALUE SUBJECT
 *   send [quiet]               prints the verdicts, truths and troubles, then: answered OK MS
 *   ping                       prints: pong
 *   forget                     drops the batch in the middle of its answers
 *   rules OID ROLE             asks the catalog; prints: rules NUMBER KIND WHY, or what the slots
 * ask distrust OID ROLE WHY      of the rules printed last
 *
 * The database is that of DB_HOST, DB_PORT, DB_NAME; the catalog is read as DB_USER, rows are asked
 * for as RLS_USER. STATEMENT_TIMEOUT_MS, LOCK_TIMEOUT_MS, BATCH_TIMEOUT_MS, SEARCH_PATH,
 * FRESHNESS_MS, NO_COMPILING.
 */
#include "base/clock.h"
#include "bridge/rls/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { FIELDS_MAX = 2000, CONTEXTS_MAX = 20000, COMPARISONS_MAX = 4096, RELS_MAX = 64 };
enum { XID_LONG_AGO = 3 };

struct row {
    struct wc_change change;
    wc_xid xid;
    struct wc_col *new_cols, *old_cols;
};

static uv_loop_t loop;
static uv_timer_t tick;
static struct wc_pg *catalog;
static bool is_up, is_over, answered_ok, is_quiet;
static struct wc_access_cache *cache;
static struct wc_contexts *contexts;
static struct wc_context *context[CONTEXTS_MAX];
static unsigned ncontexts, nrows, nrels, ncomparisons;
static struct row row[WC_JUDGE_MAX];
static struct wc_rel *rel[RELS_MAX];
static struct wc_comparison *comparison[COMPARISONS_MAX];
static char *subject[COMPARISONS_MAX];
static unsigned long count[WC_VERDICT_SUSPENDED + 1];
static struct wc_judge *judge;

static const char *const verdict_name[] = {"NONE",       "VISIBLE", "HIDDEN",   "GONE",
                                           "SUPERSEDED", "FAILED",  "SUSPENDED"};
static const char *const truth_name[] = {"false", "true", "null", "undecided"};

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "judge_driver: %s\n", what);
    exit(2);
}

static char *copy_of(const char *s)
{
    char *copy = strdup(s);
    if (!copy)
        die("out of memory");
    return copy;
}

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && value[0] ? value : otherwise;
}

static uint32_t number(const char *name, const char *otherwise)
{
    return (uint32_t)strtoul(setting(name, otherwise), NULL, 10);
}

/* ---- what the judge says ---- */

static void on_verdict(void *arg, unsigned change, const struct wc_context *c, enum wc_verdict v)
{
    (void)arg;
    count[v]++;
    unsigned i = 0;
    while (!is_quiet && context[i] != c)
        i++;
    if (!is_quiet)
        printf("verdict\t%u\t%u\t%s\n", change, i, verdict_name[v]);
}

static void on_truth(void *arg, unsigned change, const struct wc_comparison *c, enum wc_truth t)
{
    (void)arg;
    for (unsigned i = 0; i < ncomparisons; i++)
        if (comparison[i] == c)
            printf("truth\t%u\t%u\t%s\n", change, i, truth_name[t]);
}

static void on_answered(void *arg, bool ok)
{
    (void)arg;
    is_over = true;
    answered_ok = ok;
    uv_stop(&loop); /* else it may wait for what does not come */
}

static void on_trouble(void *arg, wc_oid oid, struct wc_slice role, bool over, const char *text)
{
    (void)arg;
    printf("trouble\t%u\t%.*s\t%d\t%s\n", oid, WC_SLICE_ARG(role), over, text);
}

/* ---- the catalog ---- */

static void on_ready(void *arg)
{
    (void)arg;
    is_up = true;
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    (void)arg;
    (void)fprintf(stderr, "judge_driver: %s %s\n", sqlstate, message);
    is_up = false;
}

static void on_access(void *arg, bool early)
{
    (void)arg;
    (void)early;
}

static struct wc_pg *connect_catalog(const struct wc_pg_options *base)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    struct wc_pg_options o = *base;
    o.user = setting("DB_USER", "postgres");
    o.password = setting("DB_PASSWORD", "");
    o.options = "-c search_path=pg_catalog";
    return wc_pg_open(&loop, &o, &events, NULL);
}

static void turn(void)
{
    (void)uv_run(&loop, UV_RUN_ONCE);
}

static void refresh(void)
{
    enum wc_status st = wc_access_refresh(cache, catalog);
    if (st != WC_OK && st != WC_AGAIN)
        die("the catalog cannot be asked");
    turn();
}

static struct wc_access *access_to(const struct wc_rel *r, struct wc_slice role)
{
    struct wc_access *a;
    while (!is_up)
        turn();
    while (!(a = wc_access_find(cache, r, role)))
        refresh();
    return a;
}

/* ---- rules ---- */

static void on_tick(uv_timer_t *t)
{
    (void)t;
}

static void print_rules(const struct wc_rules *r)
{
    static const char *const kind[] = {"open", "compiled", "delegated"};
    printf("rules\t%llu\t%s\t%s", (unsigned long long)r->number, kind[r->kind],
           r->why ? r->why : "");
    for (uint32_t i = 0; r->policy && r->kind == WC_RULES_COMPILED && i < r->policy->nslots; i++)
        printf("%s%s", i ? ", " : "", r->policy->slot[i].sql);
    printf("\n");
}

static void do_rules(char **f)
{
    struct wc_access *a = wc_access_pin(cache, (wc_oid)strtoul(f[0], NULL, 10), wc_slice_str(f[1]));
    if (!a || wc_access_invalidate(cache, a->rel, XID_LONG_AGO) != WC_OK)
        die("out of memory");
    uint64_t answer = a->answer;
    (void)uv_timer_start(&tick, on_tick, 20, 20); /* what cannot be read now is asked for later */
    while (!is_up)
        turn();
    while (a->answer == answer || !a->rules || a->rules->is_untold)
        refresh();
    (void)uv_timer_stop(&tick);
    print_rules(a->rules);
    wc_access_unpin(a);
}

static void do_distrust(char **f)
{
    struct wc_access *a = wc_access_pin(cache, (wc_oid)strtoul(f[0], NULL, 10), wc_slice_str(f[1]));
    if (!a || !a->rules)
        die("no rules");
    wc_rules_distrust(cache, a->rules, f[2]);
    print_rules(a->rules);
    wc_access_unpin(a);
}

/* ---- commands ---- */

static struct wc_rel *find_rel(const char *oid)
{
    for (unsigned i = 0; i < nrels; i++)
        if (rel[i]->oid == strtoul(oid, NULL, 10))
            return rel[i];
    die("no such relation");
}

static void do_rel(char **f, unsigned n)
{
    struct wc_rel *r = calloc(1, sizeof *r);
    struct wc_rel_col *col = calloc(n, sizeof *col);
    if (!r || !col || nrels == RELS_MAX)
        die("too many relations");
    for (unsigned i = 1; i < n; i++)
        col[i - 1] = (struct wc_rel_col){.name = wc_slice_str(copy_of(f[i])), .type = 25};
    r->oid = (wc_oid)strtoul(f[0], NULL, 10);
    r->generation = nrels + 1;
    r->ncols = (uint16_t)(n - 1);
    r->col = col;
    rel[nrels++] = r;
}

static struct wc_col *values(char **f, unsigned n, const struct wc_rel *r)
{
    struct wc_col *col = calloc(r->ncols + 1u, sizeof *col);
    if (!col || n != r->ncols)
        die("another number of columns");
    for (unsigned i = 0; i < n; i++) {
        col[i].kind = WC_COL_TEXT;
        if (strcmp(f[i], "\\N") == 0)
            col[i].kind = WC_COL_NULL;
        else if (strcmp(f[i], "\\U") == 0)
            col[i].kind = WC_COL_TOAST_UNCHANGED;
        else
            col[i].val = wc_slice_str(copy_of(f[i]));
    }
    return col;
}

static void do_row(char **f, unsigned n)
{
    struct row *x = &row[nrows++];
    const struct wc_rel *r = find_rel(f[0]);
    x->new_cols = values(f + 3, n - 3, r);
    x->xid = (wc_xid)strtoull(f[2], NULL, 10);
    x->change = (struct wc_change){.op = f[1][0] == 'I' ? WC_OP_INSERT : WC_OP_UPDATE,
                                   .rel = r,
                                   .new = {.ncols = r->ncols, .col = x->new_cols}};
    (void)wc_judge_add(judge, &x->change, x->xid);
}

static void do_old(char **f, unsigned n)
{
    struct row *x = &row[nrows - 1];
    x->old_cols = values(f, n, x->change.rel);
    x->change.old_kind = WC_OLD_FULL;
    x->change.old = (struct wc_row){.ncols = x->change.rel->ncols, .col = x->old_cols};
}

static void want(unsigned change, unsigned c)
{
    struct wc_access *a = access_to(row[change].change.rel, context[c]->role);
    if (wc_judge_want(judge, change, a, context[c]) != WC_OK)
        die("out of memory");
}

static void do_want(char **f)
{
    bool all_rows = f[0][0] == '*', all_contexts = f[1][0] == '*';
    unsigned from = all_rows ? 0 : (unsigned)strtoul(f[0], NULL, 10);
    unsigned who = all_contexts ? 0 : (unsigned)strtoul(f[1], NULL, 10);
    for (unsigned i = from; i < (all_rows ? nrows : from + 1); i++)
        for (unsigned c = who; c < (all_contexts ? ncontexts : who + 1); c++)
            want(i, c);
}

static enum wc_filter_op op_of(const char *text)
{
    enum wc_filter_op op = WC_FILTER_EQ;
    while (op < WC_FILTER_ISDISTINCT && strcmp(wc_filter_op_text(op), text) != 0)
        op++;
    return op;
}

static void do_compare(char **f)
{
    struct wc_comparison *c = calloc(1, sizeof *c);
    if (!c || ncomparisons == COMPARISONS_MAX)
        die("too many comparisons");
    c->role = wc_slice_str(copy_of(f[1]));
    c->type = wc_slice_str(copy_of(f[2]));
    c->collation = wc_slice_str(copy_of(f[3]));
    c->schema = wc_slice_str(copy_of(f[4]));
    c->op = op_of(f[5]);
    c->value_type = wc_slice_str(copy_of(f[6]));
    c->is_null = strcmp(f[7], "\\N") == 0;
    c->value = wc_slice_str(copy_of(f[7]));
    subject[ncomparisons] = copy_of(f[8]);
    comparison[ncomparisons] = c;
    if (wc_judge_compare(judge, (unsigned)strtoul(f[0], NULL, 10), c,
                         wc_slice_str(subject[ncomparisons++])) != WC_OK)
        die("out of memory");
}

static void clear_batch(void)
{
    for (unsigned i = 0; i < nrows; i++) {
        const struct wc_col *const cols[] = {row[i].new_cols, row[i].old_cols};
        for (size_t k = 0; k < 2; k++)
            for (uint16_t c = 0; cols[k] && c < row[i].change.rel->ncols; c++)
                free((void *)(uintptr_t)cols[k][c].val.p);
        free(row[i].new_cols);
        free(row[i].old_cols);
        row[i] = (struct row){.xid = 0};
    }
    for (unsigned i = 0; i < ncomparisons; i++) {
        const struct wc_comparison *c = comparison[i];
        const struct wc_slice texts[] = {c->role,   c->type,       c->collation,
                                         c->schema, c->value_type, c->value};
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
            free((void *)(uintptr_t)texts[k].p);
        free(comparison[i]);
        free(subject[i]);
    }
    nrows = ncomparisons = 0;
}

static void do_send(bool quiet)
{
    is_over = false;
    is_quiet = quiet;
    memset(count, 0, sizeof count);
    wc_us begin = wc_clock_mono();
    wc_judge_send(judge);
    while (!is_over)
        turn();
    for (size_t v = 0; quiet && v <= WC_VERDICT_SUSPENDED; v++)
        printf("count\t%s\t%lu\n", verdict_name[v], count[v]);
    printf("answered\t%d\t%.3f\n", answered_ok, (double)(wc_clock_mono() - begin) / 1000);
    if (answered_ok)
        clear_batch();
}

static void do_forget(void)
{
    wc_judge_send(judge);
    for (int i = 0; i < 3 && wc_judge_is_busy(judge); i++) /* else nothing may come any more */
        turn();
    wc_judge_forget(judge);
    clear_batch();
    printf("forgotten\n");
}

static void run(char *line)
{
    char *f[FIELDS_MAX];
    unsigned n = 0;
    for (char *p = line; p && n < FIELDS_MAX;) {
        char *tab = strchr(p, '\t');
        f[n++] = p;
        if (tab)
            *tab = '\0';
        p = tab ? tab + 1 : NULL;
    }
    if (strcmp(f[0], "rel") == 0 && n > 1)
        do_rel(f + 1, n - 1);
    else if (strcmp(f[0], "context") == 0 && n == 3 && ncontexts < CONTEXTS_MAX)
        context[ncontexts++] = wc_context_get(contexts, wc_slice_str(f[1]), wc_slice_str(f[2]));
    else if (strcmp(f[0], "row") == 0 && n > 3 && nrows < WC_JUDGE_MAX)
        do_row(f + 1, n - 1);
    else if (strcmp(f[0], "old") == 0 && nrows)
        do_old(f + 1, n - 1);
    else if (strcmp(f[0], "want") == 0 && n == 3)
        do_want(f + 1);
    else if (strcmp(f[0], "compare") == 0 && n == 10)
        do_compare(f + 1);
    else if (strcmp(f[0], "send") == 0)
        do_send(n > 1);
    else if (strcmp(f[0], "ping") == 0)
        printf("pong\n");
    else if (strcmp(f[0], "forget") == 0)
        do_forget();
    else if (strcmp(f[0], "rules") == 0 && n == 3)
        do_rules(f + 1);
    else if (strcmp(f[0], "distrust") == 0 && n == 4)
        do_distrust(f + 1);
    else
        die("unknown command");
}

static void release(void)
{
    wc_judge_free(judge);
    clear_batch();
    for (unsigned i = 0; i < ncontexts; i++)
        wc_context_unref(context[i]);
    for (unsigned i = 0; i < nrels; i++) {
        for (uint16_t c = 0; c < rel[i]->ncols; c++)
            free((void *)(uintptr_t)rel[i]->col[c].name.p);
        free((void *)(uintptr_t)rel[i]->col);
        free(rel[i]);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    wc_pg_close(catalog);
    wc_access_cache_free(cache);
    wc_contexts_free(contexts);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0)
        die("something is still open");
}

int main(void)
{
    const struct wc_judge_events events = {
        .verdict = on_verdict, .truth = on_truth, .answered = on_answered, .trouble = on_trouble};
    const struct wc_judge_options options = {
        .pg = {.host = setting("DB_HOST", "127.0.0.1"),
               .dbname = setting("DB_NAME", "postgres"),
               .user = setting("RLS_USER", setting("DB_USER", "postgres")),
               .password = setting("RLS_PASSWORD", setting("DB_PASSWORD", "")),
               .port = (uint16_t)number("DB_PORT", "5432"),
               .connect_timeout_ms = 5000},
        .tenant = "test",
        .search_path = setting("SEARCH_PATH", "public, extensions"),
        .statement_timeout_ms = number("STATEMENT_TIMEOUT_MS", "2000"),
        .lock_timeout_ms = number("LOCK_TIMEOUT_MS", "1000"),
        .batch_timeout_ms = number("BATCH_TIMEOUT_MS", "10000")};
    (void)uv_loop_init(&loop);         /* cannot fail here */
    (void)uv_timer_init(&loop, &tick); /* likewise */
    contexts = wc_contexts_new();
    const struct wc_access_options access = {.freshness_ms = number("FRESHNESS_MS", "1000"),
                                             .no_compiling = number("NO_COMPILING", "0") != 0};
    cache = wc_access_cache_new(&access, on_access, NULL);
    judge = wc_judge_new(&loop, &options, &events, NULL);
    catalog = connect_catalog(&options.pg);
    if (!contexts || !cache || !judge || !catalog)
        die("out of memory");
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t len; (len = getline(&line, &cap, stdin)) > 0; (void)fflush(stdout)) {
        if (line[len - 1] == '\n')
            line[len - 1] = '\0';
        run(line);
    }
    free(line);
    release();
    return 0;
}

/*
 * Drives bridge/rls/given.h against a real database, by lines of tab-separated fields on standard
 * input. given.mjs is its other half.
 *
 *   rules OWNERS CODE SLOT...  rules, numbered from 0; CODE: 1 if somebody's code runs. A slot is
 *                              KIND:SQL, where KIND says what a row's column is compared with:
 *                              text, uuid, list (text = ANY), truth. The policy holds for a row one
 *                              of whose columns is (not distinct from) its slot
 *   again RULES                other rules that ask the same
 *   context ROLE CLAIMS        contexts are numbered from 0
 *   get RULES CONTEXT          givens are numbered from 0; prints: got N STATE
 *   unref N                    gives it back
 *   wait                       until all are known; prints of each, when it is:
 *                              known N STATE SQLSTATE | OUTCOME KEY...
 *                              then: done MILLISECONDS
 *   turns N                    of the loop, without waiting
 *   chain N                    from now on whoever is known is given back, and the next context
 *                              is asked for in its place, N times
 *   many RULES COUNT           a context each, with claims {"sub": a uuid}; prints: many MS BYTES
 *   free                       gives everything back and begins anew, whatever is under way
 *
 * The database is that of DB_HOST, DB_PORT, DB_NAME; asked as RLS_USER. STATEMENT_TIMEOUT_MS.
 */
#include "base/clock.h"
#include "bridge/rls/given.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { FIELDS_MAX = 100, RULES_MAX = 64, CONTEXTS_MAX = 20000, GIVENS_MAX = 200000, KEY_SIZE = 64 };

struct rules {
    struct wc_rules rules;
    struct wc_policy policy;
    struct wc_policy_node node[1 + FIELDS_MAX];
    uint32_t slot[FIELDS_MAX];
};

static uv_loop_t loop;
static struct wc_session_options options;
static struct wc_givens *givens;
static struct wc_contexts *contexts;
static struct wc_context *context[CONTEXTS_MAX];
static struct rules *rules[RULES_MAX];
static struct wc_given *given[GIVENS_MAX]; /* NULL: given back */
static unsigned ncontexts, nrules, ngivens, chain_left, nexpected;
static bool is_quiet;

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "given_driver: %s\n", what);
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

static unsigned long number(const char *text)
{
    return strtoul(text, NULL, 10);
}

/* ---- rules ---- */

static void free_rules(struct rules *r)
{
    if (r->rules.refs != 1)
        die("rules are still referenced");
    for (uint32_t i = 0; i < r->policy.nslots; i++) {
        free((void *)(uintptr_t)r->policy.slot[i].sql);
        free((void *)(uintptr_t)r->node[i + 1].column.p);
    }
    free((void *)(uintptr_t)r->rules.asks.p);
    free((void *)(uintptr_t)r->rules.owners.p);
    free(r);
}

static void add_slot(struct rules *r, uint32_t i, const char *text)
{
    const char *colon = strchr(text, ':');
    if (!colon)
        die("a slot without a kind");
    struct wc_slice kind = wc_slice(text, (size_t)(colon - text));
    char name[16];
    (void)snprintf(name, sizeof name, "c%u", i);
    r->slot[i] = i;
    r->policy.slot[i] = (struct wc_policy_slot){copy_of(colon + 1), 25, wc_slice_is(kind, "list")};
    r->node[i + 1] = (struct wc_policy_node){
        .kind = wc_slice_is(kind, "truth") ? WC_POLICY_TRUTH : WC_POLICY_LEAF,
        .next = &r->node[i + 2],
        .negate = !wc_slice_is(kind, "truth") && !wc_slice_is(kind, "list"),
        .nslots = 1,
        .slot = &r->slot[i],
        .column = wc_slice_str(copy_of(name)),
        .op = wc_slice_is(kind, "list") ? WC_FILTER_IN : WC_FILTER_ISDISTINCT,
        .key = wc_slice_is(kind, "uuid") ? WC_KEY_UUID : WC_KEY_TEXT};
}

static struct rules *new_rules(struct wc_slice owners, struct wc_slice asks)
{
    struct rules *r = calloc(1, sizeof *r);
    if (!r || nrules == RULES_MAX)
        die("too many rules");
    r->rules.refs = 1;
    r->rules.number = nrules + 1;
    r->rules.kind = WC_RULES_COMPILED;
    r->rules.policy = &r->policy;
    r->rules.owners = wc_slice(wc_slice_dup(owners), owners.len);
    r->rules.asks = wc_slice(wc_slice_dup(asks), asks.len);
    r->policy.where = &r->node[0];
    r->node[0] = (struct wc_policy_node){.kind = WC_POLICY_OR};
    rules[nrules++] = r;
    return r;
}

static void do_rules(char **f, unsigned n)
{
    struct wc_buf asks;
    wc_buf_init(&asks, 1 << 20);
    wc_buf_str(&asks, "-");
    for (unsigned i = 2; i < n; i++) {
        wc_buf_str(&asks, strchr(f[i], ':'));
        wc_buf_byte(&asks, '\0');
    }
    struct rules *r = new_rules(wc_slice_str(f[0]), wc_buf_view(&asks));
    wc_buf_release(&asks);
    r->rules.runs_code = f[1][0] == '1';
    r->policy.nslots = n - 2;
    for (uint32_t i = 0; i < n - 2; i++)
        add_slot(r, i, f[i + 2]);
    if (n > 2) {
        r->node[0].first = &r->node[1];
        r->node[n - 2].next = NULL;
    }
}

static void do_again(const struct rules *old)
{
    struct rules *r = new_rules(old->rules.owners, old->rules.asks);
    r->rules.runs_code = old->rules.runs_code;
    r->policy.nslots = old->policy.nslots;
    for (uint32_t i = 0; i < r->policy.nslots; i++) {
        r->slot[i] = i;
        r->policy.slot[i] = old->policy.slot[i];
        r->policy.slot[i].sql = copy_of(old->policy.slot[i].sql);
        r->node[i + 1] = old->node[i + 1];
        r->node[i + 1].slot = &r->slot[i];
        r->node[i + 1].column = wc_slice_str(copy_of("other"));
        r->node[i + 1].next = old->node[i + 1].next ? &r->node[i + 2] : NULL;
    }
    r->node[0].first = r->policy.nslots ? &r->node[1] : NULL;
}

/* ---- what is known ---- */

static void print_key(const struct wc_leaf *leaf, struct wc_slice key)
{
    if (leaf->kind != WC_KEY_UUID) {
        printf("%.*s", WC_SLICE_ARG(key));
        return;
    }
    for (size_t i = 0; i < key.len; i++)
        printf("%02x", key.p[i]);
}

static void print_where(const struct wc_predicate *p)
{
    for (size_t i = 0; p->kind != WC_PREDICATE_LEAF && i < p->nchildren; i++)
        print_where(&p->child[i]);
    if (p->kind != WC_PREDICATE_LEAF)
        return;
    if (p->leaf->op == WC_FILTER_IS)
        printf("\t\\N");
    for (size_t i = 0; i < p->leaf->nkeys; i++) {
        printf(i ? "," : "\t");
        print_key(p->leaf, p->leaf->key[i]);
    }
}

static void print_given(const char *what, unsigned i)
{
    static const char *const outcome[] = {"NOBODY", "SOME", "EVERYBODY"};
    const struct wc_given *v = given[i];
    printf("%s\t%u\t", what, i);
    if (v->state == WC_GIVEN_FAILED) {
        printf("FAILED\t%s", v->sqlstate);
    } else if (v->state == WC_GIVEN_KNOWN) {
        printf("KNOWN\t%s", outcome[v->outcome]);
        if (v->where)
            print_where(v->where);
    } else {
        printf("WAITING");
    }
    printf("\n");
}

static unsigned index_of(const struct wc_given *v)
{
    unsigned i = 0;
    while (i < ngivens && given[i] != v)
        i++;
    return i;
}

static void give_back(unsigned i)
{
    struct wc_given *v = given[i];
    given[i] = NULL;
    nexpected -= v->state == WC_GIVEN_WAITING && v->refs == 1;
    wc_given_unref(v);
}

static unsigned get(const struct rules *r, struct wc_context *c)
{
    struct wc_given *v = ngivens < GIVENS_MAX
                             ? wc_given_get(givens, (struct wc_rules *)(uintptr_t)&r->rules, c)
                             : NULL;
    if (!v)
        die("out of memory");
    nexpected += v->state == WC_GIVEN_WAITING && v->refs == 1;
    given[ngivens] = v;
    return ngivens++;
}

static void on_known(void *arg, struct wc_given *v)
{
    (void)arg;
    if (v->state == WC_GIVEN_WAITING)
        die("known and waiting");
    nexpected--;
    unsigned i = is_quiet ? 0 : index_of(v);
    if (!is_quiet) {
        print_given("known", i);
        (void)fflush(stdout);
    }
    if (chain_left > 0) {
        chain_left--;
        struct wc_rules *r = v->rules;
        unsigned next = 0;
        while (context[next] != v->context)
            next++;
        give_back(i);
        (void)get((struct rules *)(void *)r, context[(next + 1) % ncontexts]); /* noted there */
    }
    uv_stop(&loop); /* else it may wait for what does not come */
}

static double wait(void)
{
    wc_us begin = wc_clock_mono();
    while (nexpected > 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    return (double)(wc_clock_mono() - begin) / 1000;
}

/* ---- commands ---- */

static void do_many(const struct rules *r, unsigned long count)
{
    char claims[100];
    size_t before = mallinfo2().uordblks;
    is_quiet = true;
    for (unsigned long i = 0; i < count; i++) {
        (void)snprintf(claims, sizeof claims, "{\"sub\": \"00000000-0000-4000-8000-%012lx\"}", i);
        struct wc_context *c =
            wc_context_get(contexts, wc_slice_str("authenticated"), wc_slice_str(claims));
        if (!c)
            die("out of memory");
        (void)get(r, c); /* noted there */
        wc_context_unref(c);
    }
    double ms = wait();
    printf("many\t%.3f\t%zu\n", ms, mallinfo2().uordblks - before);
    is_quiet = false;
}

static void give_all_back(void)
{
    chain_left = 0;
    for (unsigned i = 0; i < ngivens; i++)
        if (given[i])
            give_back(i);
    ngivens = 0;
}

static void do_free(void)
{
    give_all_back();
    wc_givens_free(givens);
    givens = wc_givens_new(&loop, &options, on_known, NULL);
    if (!givens)
        die("out of memory");
    printf("freed\n");
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
    if (strcmp(f[0], "rules") == 0 && n >= 3)
        do_rules(f + 1, n - 1);
    else if (strcmp(f[0], "again") == 0 && n == 2)
        do_again(rules[number(f[1])]);
    else if (strcmp(f[0], "context") == 0 && n == 3 && ncontexts < CONTEXTS_MAX)
        context[ncontexts++] = wc_context_get(contexts, wc_slice_str(f[1]), wc_slice_str(f[2]));
    else if (strcmp(f[0], "get") == 0 && n == 3)
        print_given("got", get(rules[number(f[1])], context[number(f[2])]));
    else if (strcmp(f[0], "unref") == 0 && n == 2)
        give_back((unsigned)number(f[1]));
    else if (strcmp(f[0], "wait") == 0)
        printf("done\t%.3f\n", wait());
    else if (strcmp(f[0], "turns") == 0 && n == 2)
        for (unsigned long i = number(f[1]); i > 0; i--)
            (void)uv_run(&loop, UV_RUN_NOWAIT);
    else if (strcmp(f[0], "chain") == 0 && n == 2)
        chain_left = (unsigned)number(f[1]);
    else if (strcmp(f[0], "many") == 0 && n == 3)
        do_many(rules[number(f[1])], number(f[2]));
    else if (strcmp(f[0], "free") == 0)
        do_free();
    else
        die("unknown command");
}

static void release(void)
{
    give_all_back();
    wc_givens_free(givens);
    for (unsigned i = 0; i < ncontexts; i++)
        wc_context_unref(context[i]);
    for (unsigned i = 0; i < nrules; i++)
        free_rules(rules[i]);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    wc_contexts_free(contexts);
    if (uv_loop_close(&loop) != 0)
        die("something is still open");
}

int main(void)
{
    options = (struct wc_session_options){
        .pg = {.host = setting("DB_HOST", "127.0.0.1"),
               .dbname = setting("DB_NAME", "postgres"),
               .user = setting("RLS_USER", setting("DB_USER", "postgres")),
               .password = setting("RLS_PASSWORD", setting("DB_PASSWORD", "")),
               .port = (uint16_t)number(setting("DB_PORT", "5432")),
               .connect_timeout_ms = 5000},
        .tenant = "test",
        .search_path = "public",
        .statement_timeout_ms = (uint32_t)number(setting("STATEMENT_TIMEOUT_MS", "2000")),
        .lock_timeout_ms = 1000};
    (void)uv_loop_init(&loop); /* cannot fail here */
    contexts = wc_contexts_new();
    givens = wc_givens_new(&loop, &options, on_known, NULL);
    if (!contexts || !givens)
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

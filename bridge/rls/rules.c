/* Reads the facts, proves the functions, compiles the policies. */
#include "bridge/rls/rules_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ARENA_CAP = 64 << 20,
    ARENA_FIRST = 1024,
    WHY_CAP = 4096,
    COLUMN_MAX = 1600, /* MaxHeapAttributeNumber */
    CALLS_MAX = 5,     /* of bodies in bodies; see sql/q_access.sql */
    CURRENT_SETTING = 2077,
    CURRENT_SETTING_MISSING_OK = 3294,
};

struct function {
    wc_oid oid;
    enum wc_policy_function is;
    const char *name, *why; /* UNPROVEN */
    wc_oid owner;           /* 0: of the server */
    const char *body;       /* not proven yet */
};

struct collation {
    wc_oid oid;
    bool is_deterministic, is_c;
};

struct facts {
    struct wc_arena *arena;
    size_t count;
    struct wc_fact *fact;
    size_t npolicies, ncolumns, nfunctions, ncollations;
    struct wc_policy_text *policy;
    const char **policy_name;
    const char **beyond; /* what each policy depends on that is not proven, or NULL */
    struct wc_policy_column *column;
    struct function *function;
    struct collation *collation;
    const char *obstacle, *body_obstacle; /* the first of each */
    const struct function *unproven;      /* the last that was asked for */
    bool is_short;                        /* of memory */
};

/* ---- fields ---- */

static const char *text_of(const struct wc_fact *f, size_t i) /* NULL when NULL */
{
    return (const char *)f->field[i].p;
}

/* Empty is no expression, and so never proven. */
static const char *body_of(const struct wc_fact *f, size_t i)
{
    return f->field[i].p ? text_of(f, i) : "";
}

static bool is(const struct wc_fact *f, size_t i, const char *text)
{
    return f->field[i].p && wc_slice_is(f->field[i], text);
}

static wc_oid oid_of(const struct wc_fact *f, size_t i)
{
    return f->field[i].p ? (wc_oid)strtoul(text_of(f, i), NULL, 10) : 0;
}

/* ---- reading ---- */

static size_t count_kind(const struct facts *x, const char *kind)
{
    size_t n = 0;
    for (size_t i = 0; i < x->count; i++)
        n += is(&x->fact[i], 0, kind);
    return n;
}

static bool read_source(struct facts *x, struct wc_slice source)
{
    const uint8_t *at = source.p, *end = source.p + source.len;
    while (at < end) {
        (void)wc_rules_take(&at);
        x->count++;
    }
    x->fact = wc_arena_calloc(x->arena, x->count, sizeof *x->fact);
    at = source.p;
    for (size_t i = 0; x->fact && i < x->count; i++)
        x->fact[i] = wc_rules_take(&at);
    return x->fact != NULL;
}

static bool make_room(struct facts *x)
{
    size_t columns = 0;
    for (size_t i = 0; i < x->count; i++)
        if (is(&x->fact[i], 0, "column") && oid_of(&x->fact[i], 1) > columns)
            columns = oid_of(&x->fact[i], 1);
    x->ncolumns = columns <= COLUMN_MAX ? columns : 0;
    size_t policies = count_kind(x, "policy") + 1;
    x->policy = wc_arena_calloc(x->arena, policies, sizeof *x->policy);
    x->policy_name = wc_arena_calloc(x->arena, policies, sizeof *x->policy_name);
    x->beyond = wc_arena_calloc(x->arena, policies, sizeof *x->beyond);
    x->column = wc_arena_calloc(x->arena, x->ncolumns + 1, sizeof *x->column);
    x->function = wc_arena_calloc(x->arena, count_kind(x, "function") + 1, sizeof *x->function);
    x->collation = wc_arena_calloc(x->arena, count_kind(x, "collation") + 1, sizeof *x->collation);
    return x->policy && x->policy_name && x->beyond && x->column && x->function && x->collation;
}

static void read_policy(struct facts *x, const struct wc_fact *f)
{
    x->policy_name[x->npolicies] = text_of(f, 1);
    x->beyond[x->npolicies] = text_of(f, 5);
    x->policy[x->npolicies++] = (struct wc_policy_text){.text = text_of(f, WC_RULES_POLICY_TEXT),
                                                        .tree = f->field[4],
                                                        .is_permissive = is(f, 2, "true")};
}

static void read_column(struct facts *x, const struct wc_fact *f)
{
    wc_oid number = oid_of(f, 1);
    if (number > 0 && number <= x->ncolumns)
        x->column[number - 1] = (struct wc_policy_column){
            .name = f->field[2], .type = oid_of(f, 3), .is_enum = is(f, 4, "true")};
}

static void read_function(struct facts *x, const struct wc_fact *f)
{
    struct function *fn = &x->function[x->nfunctions++];
    *fn = (struct function){.oid = oid_of(f, 1), .name = text_of(f, 2), .why = text_of(f, 3)};
    if (is(f, 4, "true")) {
        fn->is = fn->why ? WC_FUNCTION_UNPROVEN : WC_FUNCTION_IMMUTABLE;
        return;
    }
    fn->owner = oid_of(f, 5);
    if (!fn->why)
        fn->why = x->body_obstacle; /* all obstacles were read before */
    if (!fn->why)
        fn->body = body_of(f, 6);
}

static void read_obstacle(struct facts *x, const struct wc_fact *f)
{
    if (!x->body_obstacle)
        x->body_obstacle = text_of(f, 1);
    if (!x->obstacle && is(f, 2, "true"))
        x->obstacle = text_of(f, 1);
}

/* ---- bodies ---- */

struct caller {
    struct facts *x;
    unsigned depth;
};

static void prove_body(struct facts *, struct function *, unsigned depth);

/* Of names that need no quotes: there is one point in them. */
static bool is_named(const struct function *fn, const char *schema, const char *name)
{
    size_t len = strlen(schema);
    return !strchr(fn->name, '"') && strncmp(fn->name, schema, len) == 0 && fn->name[len] == '.' &&
           strcmp(fn->name + len + 1, name) == 0;
}

/* A call without arguments finds the function of that name that has none, whatever others with
 * defaults or VARIADIC there are; and no function with arguments is proven. */
static bool is_called_proven(void *arg, const char *schema, const char *name)
{
    struct caller *c = arg;
    for (size_t i = 0; c->depth < CALLS_MAX && i < c->x->nfunctions; i++) {
        struct function *fn = &c->x->function[i];
        if (!is_named(fn, schema, name))
            continue;
        prove_body(c->x, fn, c->depth + 1);
        if (fn->is == WC_FUNCTION_OF_CLAIMS)
            return true;
    }
    return false;
}

static void prove_body(struct facts *x, struct function *fn, unsigned depth)
{
    const char *body = fn->body;
    if (!body)
        return;
    fn->body = NULL; /* what calls itself finds it not proven */
    struct wc_err err = {0};
    struct caller caller = {x, depth};
    enum wc_status st = wc_policy_prove_body(body, is_called_proven, &caller, x->arena, &err);
    if (st == WC_OK)
        fn->is = WC_FUNCTION_OF_CLAIMS;
    else if (st == WC_NOMEM)
        x->is_short = true;
    else
        fn->why = wc_arena_strdup(x->arena, wc_slice_str(err.text));
}

static bool read_facts(struct facts *x, struct wc_slice source)
{
    if (!read_source(x, source) || !make_room(x))
        return false;
    for (size_t i = 0; i < x->count; i++)
        if (is(&x->fact[i], 0, "obstacle"))
            read_obstacle(x, &x->fact[i]);
    for (size_t i = 0; i < x->count; i++) {
        const struct wc_fact *f = &x->fact[i];
        if (is(f, 0, "policy"))
            read_policy(x, f);
        else if (is(f, 0, "column"))
            read_column(x, f);
        else if (is(f, 0, "function"))
            read_function(x, f);
        else if (is(f, 0, "collation"))
            x->collation[x->ncollations++] =
                (struct collation){oid_of(f, 1), is(f, 2, "true"), is(f, 3, "true")};
    }
    for (size_t i = 0; i < x->nfunctions; i++)
        prove_body(x, &x->function[i], 0);
    return !x->is_short;
}

/* ---- what the compiler asks ---- */

static enum wc_policy_function function_of(void *arg, wc_oid oid)
{
    struct facts *x = arg;
    for (size_t i = 0; i < x->nfunctions; i++)
        if (x->function[i].oid == oid) {
            if (x->function[i].is == WC_FUNCTION_UNPROVEN)
                x->unproven = &x->function[i];
            return x->function[i].is;
        }
    return WC_FUNCTION_UNPROVEN;
}

static bool is_of_claims(const struct facts *x, wc_oid oid)
{
    for (size_t i = 0; i < x->nfunctions; i++)
        if (x->function[i].oid == oid)
            return x->function[i].is == WC_FUNCTION_OF_CLAIMS;
    return false;
}

static void collation_of(void *arg, wc_oid oid, bool *is_deterministic, bool *is_c)
{
    const struct facts *x = arg;
    *is_deterministic = *is_c = false;
    for (size_t i = 0; i < x->ncollations; i++)
        if (x->collation[i].oid == oid) {
            *is_deterministic = x->collation[i].is_deterministic;
            *is_c = x->collation[i].is_c;
        }
}

static enum wc_status compile(struct facts *x, const struct wc_policy_text *text, size_t n,
                              struct wc_policy **out, struct wc_err *err)
{
    const struct wc_policy_facts facts = {.column = x->column,
                                          .ncolumns = x->ncolumns,
                                          .function = function_of,
                                          .collation = collation_of,
                                          .arg = x};
    x->unproven = NULL;
    return wc_policy_compile(text, n, &facts, x->arena, out, err);
}

/* ---- why not ---- */

static void delegate(struct wc_rules *r, struct wc_buf *why)
{
    for (size_t i = 0; i < why->len; i++) /* names may hold anything */
        if (why->p[i] < ' ' || why->p[i] == 0x7f)
            why->p[i] = ' ';
    const char *text = why->status == WC_OK ? wc_arena_strdup(&r->arena, wc_buf_view(why)) : NULL;
    r->kind = WC_RULES_DELEGATED;
    r->why = text ? text : "out of memory";
    wc_buf_release(why);
}

static void delegate_because(struct wc_rules *r, const char *text)
{
    struct wc_buf why;
    wc_buf_init(&why, WHY_CAP);
    wc_buf_str(&why, text);
    delegate(r, &why);
}

static void delegate_policy(struct wc_rules *r, const struct facts *x, size_t policy,
                            const char *what, const char *text)
{
    struct wc_buf why;
    wc_buf_init(&why, WHY_CAP);
    wc_buf_printf(&why, "policy \"%s\": %s%s", x->policy_name[policy], what, text);
    if (x->unproven)
        wc_buf_printf(&why, " (%s: %s)", x->unproven->name, x->unproven->why);
    delegate(r, &why);
}

/* Which of them is it that cannot be compiled? */
static void delegate_refused(struct wc_rules *r, struct facts *x)
{
    for (size_t i = 0; i < x->npolicies; i++) {
        struct wc_policy *ignored;
        struct wc_err err = {0};
        enum wc_status st = compile(x, &x->policy[i], 1, &ignored, &err);
        if (st == WC_INVALID) {
            delegate_policy(r, x, i, "", err.text);
            return;
        }
    }
    delegate_because(r, "the policies together are too large");
}

/* ---- what the slots ask ---- */

/* Sorted, each once: `owners` as sql/q_access.sql tells those of relations. */
static void add_owner(wc_oid *owner, size_t *n, wc_oid add)
{
    size_t at = 0;
    while (at < *n && owner[at] < add)
        at++;
    if (at < *n && owner[at] == add)
        return;
    memmove(owner + at + 1, owner + at, (*n - at) * sizeof *owner);
    owner[at] = add;
    (*n)++;
}

static bool keep(struct wc_rules *r, struct wc_buf *b, struct wc_slice *out)
{
    const char *copy = b->status == WC_OK ? wc_arena_strdup(&r->arena, wc_buf_view(b)) : NULL;
    *out = wc_slice(copy, copy ? b->len : 0);
    wc_buf_release(b);
    return copy != NULL;
}

static bool tell_owners(struct wc_rules *r, const struct facts *x)
{
    wc_oid *owner = wc_arena_calloc(&r->arena, x->nfunctions + 1, sizeof *owner);
    size_t n = 0;
    if (!owner)
        return false;
    for (size_t i = 0; i < x->nfunctions; i++)
        if (x->function[i].owner)
            add_owner(owner, &n, x->function[i].owner);
    struct wc_buf text;
    wc_buf_init(&text, n * 11 + 1);
    for (size_t i = 0; i < n; i++)
        wc_buf_printf(&text, "%s%u", i ? "," : "", owner[i]);
    r->runs_code = n > 0;
    return keep(r, &text, &r->owners);
}

/* The texts, and what they mean: the functions somebody made and the labels of enums. */
static bool tell_asks(struct wc_rules *r, const struct facts *x)
{
    struct wc_buf asks;
    wc_buf_init(&asks, ARENA_CAP);
    for (uint32_t i = 0; i < r->policy->nslots; i++) {
        const struct wc_policy_slot *s = &r->policy->slot[i];
        wc_buf_printf(&asks, "%u %d %s\n", s->type, s->is_array, s->sql);
    }
    for (size_t i = 0; i < x->count; i++) {
        const struct wc_fact *f = &x->fact[i];
        if ((is(f, 0, "function") && !is(f, 4, "true")) ||
            (is(f, 0, "column") && is(f, 4, "true")) || is(f, 0, "name"))
            wc_buf_slice(&asks, f->bytes);
    }
    return keep(r, &asks, &r->asks);
}

/* ---- the whole ---- */

static bool has_texts(const struct facts *x)
{
    for (size_t i = 0; i < x->npolicies; i++)
        if (!x->policy[i].text)
            return false;
    return true;
}

/* Of what the planner may evaluate itself, is anything not proven? */
static bool needs_plans(const struct facts *x)
{
    for (size_t i = 0; i < x->count; i++) {
        const struct wc_fact *f = &x->fact[i];
        wc_oid oid = oid_of(f, 1);
        if (is(f, 0, "unkept") && !is_of_claims(x, oid))
            return true;
    }
    return false;
}

static void delegate_untold(struct wc_rules *r)
{
    delegate_because(r, "the policies are not read yet: the relation may be locked");
    r->is_untold = true;
}

static void decide(struct wc_rules *r, struct facts *x)
{
    struct wc_policy *policy = NULL;
    struct wc_err err = {0};
    for (size_t i = 0; i < x->npolicies; i++)
        if (x->beyond[i]) {
            delegate_policy(r, x, i, "it depends on ", x->beyond[i]);
            return;
        }
    enum wc_status st = compile(x, x->policy, x->npolicies, &policy, &err);
    if (st == WC_OK && policy->nslots > 0 && x->obstacle) {
        delegate_because(r, x->obstacle);
        return;
    }
    r->policy = policy;
    r->kind = WC_RULES_COMPILED;
    if (st == WC_INVALID)
        delegate_refused(r, x);
    else if (st != WC_OK || !tell_owners(r, x) || !tell_asks(r, x))
        delegate_because(r, wc_status_text(WC_NOMEM));
}

static void build(struct wc_rules *r, struct wc_slice told, const char *why_not)
{
    struct facts x = {.arena = &r->arena};
    bool is_read = read_facts(&x, told);
    r->replans = !is_read || !is(&x.fact[0], 2, "policies") || needs_plans(&x);
    if (!is_read)
        delegate_because(r, wc_status_text(WC_NOMEM));
    else if (is(&x.fact[0], 2, "open"))
        r->kind = WC_RULES_OPEN;
    else if (!is(&x.fact[0], 2, "policies"))
        delegate_because(r, text_of(&x.fact[0], 2));
    else if (why_not)
        delegate_because(r, why_not);
    else if (has_texts(&x))
        decide(r, &x);
    else
        delegate_untold(r);
}

struct wc_rules *wc_rules_make(struct wc_slice source, struct wc_slice told, uint64_t number,
                               const char *why_not)
{
    struct wc_rules *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->refs = 1;
    r->number = number;
    wc_arena_init_sized(&r->arena, ARENA_CAP, ARENA_FIRST);
    r->source = wc_slice(wc_arena_strdup(&r->arena, source), source.len);
    struct wc_slice copy = wc_slice(wc_arena_strdup(&r->arena, told), told.len);
    if (r->source.p && copy.p) {
        build(r, copy, why_not);
        return r;
    }
    wc_rules_unref(r);
    return NULL;
}

struct wc_rules *wc_rules_ref(struct wc_rules *r)
{
    r->refs++;
    return r;
}

void wc_rules_unref(struct wc_rules *r)
{
    if (!r || --r->refs > 0)
        return;
    wc_arena_release(&r->arena);
    free(r);
}

static bool carries(const struct wc_change *ch, const struct wc_policy_column *column)
{
    for (int i = 0; i < ch->rel->ncols; i++)
        if (wc_slice_eq(ch->rel->col[i].name, column->name))
            return ch->rel->col[i].type == column->type && wc_change_value(ch, i) != NULL;
    return false;
}

bool wc_rules_can_judge(const struct wc_rules *r, const struct wc_change *ch)
{
    if (r->kind != WC_RULES_COMPILED)
        return false;
    for (uint32_t i = 0; i < r->policy->ncolumns; i++)
        if (!carries(ch, &r->policy->column[i]))
            return false;
    return true;
}

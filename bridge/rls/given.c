#include "bridge/rls/given_priv.h"

#include "base/assert.h"
#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* Of a given's predicate: what `column = auth.uid()` takes is one block. */
    WHERE_FIRST = 192,
    /* The keys of the longest values that are taken (given_ask.c), as short as they can be. */
    WHERE_MAX = 8 << 20,
    SQL_MAX = 1 << 20, /* texts of policies: the access answer that brought them is bounded */
};

struct entry {
    struct wc_given given;
    struct {
        uint64_t rules, context;
    } id; /* the key */
    struct wc_given_values *values;
    struct wc_list link; /* in its question's givens */
    struct wc_arena arena;
};

/* ---- what is asked ---- */

static struct wc_given_lane *get_lane(struct wc_givens *g, const struct wc_rules *r)
{
    WC_LIST_EACH (it, &g->lanes) {
        struct wc_given_lane *lane = WC_CONTAINER(it, struct wc_given_lane, link);
        if (lane->trust.runs_code == r->runs_code && wc_slice_eq(lane->trust.owners, r->owners)) {
            lane->refs++;
            return lane;
        }
    }
    struct wc_given_lane *lane = calloc(1, sizeof *lane + r->owners.len);
    if (!lane)
        return NULL;
    uint8_t *owners = (uint8_t *)(lane + 1);
    if (r->owners.len)
        memcpy(owners, r->owners.p, r->owners.len);
    lane->refs = 1;
    lane->trust = (struct wc_session_trust){wc_slice(owners, r->owners.len), r->runs_code};
    wc_list_init(&lane->waiting);
    wc_list_push(&g->lanes, &lane->link);
    return lane;
}

static void unref_lane(struct wc_givens *g, struct wc_given_lane *lane)
{
    if (--lane->refs > 0)
        return;
    if (g->turn.lane == lane) {
        WC_ASSERT(g->nflying == 0);
        g->turn = (struct wc_given_turn){0};
    }
    wc_list_remove(&lane->link);
    free(lane);
}

static void free_asking(struct wc_given_asking *a)
{
    free(a->sql);
    free(a);
}

static struct wc_given_asking *make_asking(const struct wc_rules *r)
{
    size_t len = 2 + r->owners.len + 1 + r->asks.len;
    struct wc_given_asking *a = calloc(1, sizeof *a + len);
    if (!a)
        return NULL;
    uint8_t *key = (uint8_t *)(a + 1);
    key[0] = r->runs_code;
    key[1] = (uint8_t)r->policy->nslots; /* at most WC_POLICY_SLOTS_MAX */
    if (r->owners.len)
        memcpy(key + 2, r->owners.p, r->owners.len);
    if (r->asks.len)
        memcpy(key + 2 + r->owners.len + 1, r->asks.p, r->asks.len);
    a->node.key = wc_slice(key, len);
    a->refs = 1;
    a->nslots = r->policy->nslots;
    return a;
}

/* The number makes the text another one where the same is asked of functions that were replaced: a
 * statement prepared before may answer in another type. */
static char *asking_sql(const struct wc_policy *p, uint64_t number)
{
    struct wc_buf b;
    wc_buf_init(&b, SQL_MAX);
    wc_buf_printf(&b, "select /* %llu */", (unsigned long long)number);
    for (uint32_t i = 0; i < p->nslots; i++)
        wc_buf_printf(&b, "%s (%s)", i ? "," : "", p->slot[i].sql);
    wc_buf_byte(&b, '\0');
    char *sql = b.status == WC_OK ? wc_slice_dup(wc_buf_view(&b)) : NULL;
    wc_buf_release(&b);
    return sql;
}

static void unref_asking(struct wc_given_asking *a)
{
    if (--a->refs > 0)
        return;
    wc_map_remove(&a->givens->askings, &a->node);
    unref_lane(a->givens, a->lane);
    free_asking(a);
}

static struct wc_given_asking *get_asking(struct wc_givens *g, const struct wc_rules *r)
{
    struct wc_given_asking *a = make_asking(r);
    if (!a)
        return NULL;
    struct wc_map_node *known = wc_map_get(&g->askings, a->node.key);
    if (known) {
        free_asking(a);
        a = WC_CONTAINER(known, struct wc_given_asking, node);
        a->refs++;
        return a;
    }
    a->givens = g;
    a->number = ++g->last_asking;
    a->sql = asking_sql(r->policy, a->number);
    a->lane = a->sql ? get_lane(g, r) : NULL;
    if (a->lane && wc_map_insert(&g->askings, &a->node) == WC_OK)
        return a;
    if (a->lane)
        unref_lane(g, a->lane);
    free_asking(a);
    return NULL;
}

/* ---- values ---- */

/* Failures are nobody's to find: rules that come later ask again. */
static bool is_found(const struct wc_given_values *v)
{
    return v->state != WC_GIVEN_FAILED;
}

void wc_given_values_unref(struct wc_given_values *v)
{
    if (--v->refs > 0)
        return;
    if (v->question)
        wc_given_drop(v->question);
    if (is_found(v))
        wc_map_remove(&v->asking->givens->values, &v->node);
    unref_asking(v->asking);
    wc_context_unref(v->context);
    free(v->value);
    free(v);
}

/* `role none` is the login, and Postgres cannot be told of what has a NUL in it. */
static bool can_be_asked(const struct wc_context *c)
{
    return c->role.len > 0 && !wc_slice_is(c->role, "none") &&
           !memchr(c->role.p, '\0', c->role.len) && !memchr(c->claims.p, '\0', c->claims.len);
}

static enum wc_given_state first_state(const struct wc_given_values *v)
{
    if (v->asking->nslots == 0)
        return WC_GIVEN_KNOWN;
    return can_be_asked(v->context) ? WC_GIVEN_WAITING : WC_GIVEN_FAILED;
}

/* Takes the reference to the asking, if it succeeds. */
static struct wc_given_values *make_values(struct wc_given_asking *a, struct wc_context *context)
{
    static const char invalid_parameter[] = "22023";
    struct wc_given_values *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->id.asking = a->number;
    v->id.context = context->serial;
    v->node.key = wc_slice(&v->id, sizeof v->id);
    v->refs = 1;
    v->asking = a;
    v->context = context;
    v->state = first_state(v);
    if (v->state == WC_GIVEN_FAILED) {
        memcpy(v->sqlstate, invalid_parameter, sizeof invalid_parameter);
    } else if (wc_map_insert(&a->givens->values, &v->node) != WC_OK) {
        free(v);
        return NULL;
    }
    (void)wc_context_ref(context); /* it is v->context */
    return v;
}

static struct wc_given_values *find_values(const struct wc_given_asking *a,
                                           const struct wc_context *context)
{
    const uint64_t id[] = {a->number, context->serial};
    struct wc_map_node *n = wc_map_get(&a->givens->values, wc_slice(id, sizeof id));
    return n ? WC_CONTAINER(n, struct wc_given_values, node) : NULL;
}

static struct wc_given_values *get_values(struct wc_givens *g, const struct wc_rules *r,
                                          struct wc_context *context)
{
    struct wc_given_asking *a = get_asking(g, r);
    if (!a)
        return NULL;
    struct wc_given_values *v = find_values(a, context);
    if (v) {
        unref_asking(a);
        v->refs++;
        return v;
    }
    v = make_values(a, context);
    if (!v) {
        unref_asking(a);
        return NULL;
    }
    if (v->state == WC_GIVEN_WAITING && wc_given_ask(v) != WC_OK) {
        wc_given_values_unref(v);
        return NULL;
    }
    return v;
}

/* ---- givens ---- */

struct wc_givens *wc_givens_new(uv_loop_t *loop, const struct wc_session_options *options,
                                void (*on_known)(void *arg, struct wc_given *), void *arg)
{
    struct wc_givens *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->on_known = on_known;
    g->arg = arg;
    g->tenant = options->tenant;
    wc_map_init(&g->givens);
    wc_map_init(&g->askings);
    wc_map_init(&g->values);
    if (wc_given_ask_init(g, loop, options))
        return g;
    free(g);
    return NULL;
}

void wc_givens_free(struct wc_givens *g)
{
    if (!g)
        return;
    WC_ASSERT(g->givens.count == 0);
    wc_given_ask_stop(g);
    WC_ASSERT(g->values.count == 0 && g->askings.count == 0);
    wc_map_release(&g->givens);
    wc_map_release(&g->askings);
    wc_map_release(&g->values);
}

static void fail(struct entry *e, const char *sqlstate)
{
    e->given.state = WC_GIVEN_FAILED;
    wc_metric_add(WC_M_RLS_VALUES_FAILED, 1);
    (void)snprintf(e->given.sqlstate, sizeof e->given.sqlstate, "%s", sqlstate);
}

/* The values are known, or known to fail. What has no room (WHERE_MAX) will have none later. */
static void apply(struct entry *e)
{
    struct wc_given *given = &e->given;
    const struct wc_given_values *v = e->values;
    if (v->state == WC_GIVEN_FAILED) {
        fail(e, v->sqlstate);
        return;
    }
    enum wc_status st =
        wc_policy_apply(given->rules->policy, v->value, &e->arena, &given->outcome, &given->where);
    if (st == WC_OK)
        given->state = WC_GIVEN_KNOWN;
    else
        fail(e, st == WC_NOMEM ? "53200" : "");
    if (st != WC_OK || given->outcome != WC_POLICY_SOME)
        wc_arena_release(&e->arena);
}

static struct entry *make_entry(struct wc_givens *g, struct wc_rules *rules,
                                struct wc_context *context)
{
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->id.rules = rules->number;
    e->id.context = context->serial;
    e->given.node.key = wc_slice(&e->id, sizeof e->id);
    e->given.refs = 1;
    wc_list_init(&e->given.users);
    wc_list_init(&e->link);
    wc_arena_init_sized(&e->arena, WHERE_MAX, WHERE_FIRST);
    e->values = get_values(g, rules, context);
    if (e->values && wc_map_insert(&g->givens, &e->given.node) == WC_OK) {
        e->given.rules = wc_rules_ref(rules);
        e->given.context = wc_context_ref(context);
        return e;
    }
    if (e->values)
        wc_given_values_unref(e->values);
    free(e);
    return NULL;
}

struct wc_given *wc_given_get(struct wc_givens *g, struct wc_rules *rules,
                              struct wc_context *context)
{
    WC_ASSERT(rules->kind == WC_RULES_COMPILED);
    const uint64_t id[] = {rules->number, context->serial};
    struct wc_map_node *known = wc_map_get(&g->givens, wc_slice(id, sizeof id));
    if (known)
        return wc_given_ref(WC_CONTAINER(known, struct wc_given, node));
    struct entry *e = make_entry(g, rules, context);
    if (!e)
        return NULL;
    if (e->values->question)
        wc_list_push(&e->values->question->givens, &e->link);
    else
        apply(e);
    return &e->given;
}

struct wc_given *wc_given_ref(struct wc_given *given)
{
    given->refs++;
    return given;
}

void wc_given_unref(struct wc_given *given)
{
    if (!given || --given->refs > 0)
        return;
    WC_ASSERT(wc_list_is_empty(&given->users));
    struct entry *e = WC_CONTAINER(given, struct entry, given);
    wc_map_remove(&e->values->asking->givens->givens, &given->node);
    wc_list_remove(&e->link);
    wc_given_values_unref(e->values);
    wc_rules_unref(given->rules);
    wc_context_unref(given->context);
    wc_arena_release(&e->arena);
    free(e);
}

/* ---- answers ---- */

static void set_values(struct wc_given_values *v, struct wc_slice *value, const char *sqlstate)
{
    v->value = value;
    v->state = value ? WC_GIVEN_KNOWN : WC_GIVEN_FAILED;
    if (value)
        return;
    wc_map_remove(&v->asking->givens->values, &v->node);
    (void)snprintf(v->sqlstate, sizeof v->sqlstate, "%s", sqlstate);
}

void wc_given_settle(struct wc_given_question *q, struct wc_slice *value, const char *sqlstate)
{
    struct wc_given_values *v = q->values;
    struct wc_givens *g = v->asking->givens;
    struct wc_list givens;
    wc_list_init(&givens);
    wc_list_move_all(&q->givens, &givens);
    v->refs++; /* callbacks may give back all others */
    wc_given_drop(q);
    set_values(v, value, sqlstate);
    while (!wc_list_is_empty(&givens)) {
        struct entry *e = WC_CONTAINER(givens.next, struct entry, link);
        wc_list_remove(&e->link);
        apply(e);
        g->on_known(g->arg, &e->given);
    }
    wc_given_values_unref(v);
}

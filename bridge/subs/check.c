/*
 * Bindings against the catalog. An audience is checked binding by binding: the resolver (resolve.h)
 * says which tables it stands for, then every filter is checked for each of them (condition.h), and
 * its value read by Postgres. One bad binding refuses the whole request, as clients expect; of
 * several bad ones the last speaks, since the reference goes through them from behind.
 *
 * Whoever finds the connection gone is NEW again, and begins again when the catalog answers.
 */
#include "bridge/subs/condition.h"
#include "bridge/subs/filed.h"
#include "bridge/subs/recheck.h"
#include "bridge/subs/refuse.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_CAP = 1 << 20 };

/* ---- states ---- */

static void end_check(struct wc_audience *a)
{
    if (!a->check)
        return;
    wc_resolution_unref(a->check->resolution);
    wc_filter_type_unref(a->check->type);
    free(a->check);
    a->check = NULL;
}

void wc_audience_set_state(struct wc_audience *a, enum wc_audience_state state)
{
    struct wc_subs *s = a->subs;
    wc_list_remove(&a->in_line);
    end_check(a);
    if (a->state != WC_AUDIENCE_NONE)
        s->naudiences[a->state]--;
    if (state != WC_AUDIENCE_NONE)
        s->naudiences[state]++;
    if (state == WC_AUDIENCE_NEW)
        wc_list_push(&s->todo[a->lane], &a->in_line);
    a->state = state;
}

void wc_audience_release(struct wc_audience *a)
{
    wc_condition_release(a);
    for (uint32_t i = 0; i < a->nbindings; i++) {
        wc_column_set_unref(a->binding[i].set);
        a->binding[i].set = NULL;
    }
}

/* The connection was lost: again when it is back. */
static void start_over(struct wc_audience *a)
{
    wc_audience_set_state(a, WC_AUDIENCE_NEW);
    wc_catalog_want(a->subs->catalog);
}

/* The targets before this one, of this binding and all before it. */
static void leave_before(struct wc_audience *a, uint32_t binding, size_t target)
{
    for (size_t t = 0; t < target; t++)
        wc_filed_leave(a, &a->binding[binding].target[t]);
    for (uint32_t i = 0; i < binding; i++)
        for (size_t t = 0; t < a->binding[i].ntargets; t++)
            wc_filed_leave(a, &a->binding[i].target[t]);
}

void wc_audience_unindex(struct wc_audience *a)
{
    if (a->indexed)
        leave_before(a, a->nbindings, 0);
    a->indexed = false;
}

bool wc_audience_drop_if_unused(struct wc_audience *a)
{
    if (a->nenlisted || a->npending)
        return false;
    wc_audience_unindex(a);
    wc_subs_free_audience(a);
    return true;
}

bool wc_audience_index(struct wc_audience *a)
{
    for (uint32_t i = 0; i < a->nbindings; i++) {
        for (size_t t = 0; t < a->binding[i].ntargets; t++) {
            if (wc_filed_enter(a, &a->binding[i].target[t]))
                continue;
            leave_before(a, i, t);
            return false;
        }
    }
    a->indexed = true;
    return true;
}

static void all_checked(struct wc_audience *a)
{
    wc_subs_found(a);
    if (a->replaces) {
        wc_subs_replace(a);
        return;
    }
    if (!wc_audience_index(a)) {
        wc_refuse_no_memory(a);
        return;
    }
    wc_audience_set_state(a, WC_AUDIENCE_STANDING);
    wc_subs_stands(a);
    if (a->again) {
        a->again = false;
        wc_subs_recheck(a, false);
    }
}

/* ---- tables ---- */

static bool is_any(struct wc_slice name)
{
    return wc_slice_is(name, "*");
}

struct wc_slice wc_subs_name_or_any(struct wc_slice s)
{
    return is_any(s) ? wc_slice(NULL, 0) : s;
}

static struct wc_binding *binding_at_hand(const struct wc_audience *a)
{
    return &a->binding[a->check->left - 1];
}

/* False: refused. */
static bool check_role(struct wc_audience *a, const struct wc_spec *s,
                       const struct wc_resolution *r)
{
    if (!r->role_exists)
        wc_refuse_exception(a, s, "42704", "role \"%.*s\" does not exist",
                            WC_SLICE_ARG(a->claims->role));
    else if (!r->role_usable)
        wc_refuse_exception(a, s, "42501", "permission denied to set role \"%.*s\"",
                            WC_SLICE_ARG(a->claims->role));
    return r->role_exists && r->role_usable;
}

static void fill_target(struct wc_binding *b, struct wc_target *t, wc_oid rel,
                        const struct wc_predicate *where)
{
    const struct wc_spec *s = &b->spec;
    t->match = (struct wc_match_binding){.owner = b, .rel = rel};
    if (!is_any(s->table) || where) {
        t->match.scope = WC_MATCH_TABLE;
        t->filter = where;
    } else if (!is_any(s->schema)) {
        t->match.scope = WC_MATCH_SCHEMA;
        t->match.schema = s->schema;
    } else {
        t->match.scope = WC_MATCH_ALL;
    }
}

/* False: refused. */
static bool take_resolution(struct wc_audience *a, struct wc_resolution *r)
{
    struct wc_binding *b = binding_at_hand(a);
    if (r->ntables == 0) {
        wc_refuse_unpublished(a, &b->spec);
        return false;
    }
    if (!check_role(a, &b->spec, r))
        return false;
    a->check->resolution = wc_resolution_ref(r);
    b->set = wc_column_set_get(a->subs->sets, b->spec.select, b->spec.nselect,
                               b->spec.has_exact_numbers);
    b->target = wc_arena_calloc(&a->arena, r->ntables, sizeof *b->target);
    bool ok = b->set && b->target;
    b->ntargets = ok ? r->ntables : 0;
    if (!ok)
        wc_refuse_no_memory(a);
    return ok;
}

/* ---- the steps of a check: false when an answer is awaited, or the audience is refused or starts
 * over ---- */

static bool resolve(struct wc_audience *a)
{
    struct wc_subs *s = a->subs;
    const struct wc_spec *spec = &binding_at_hand(a)->spec;
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    size_t n = spec->nfilters + spec->nselect;
    struct wc_slice *column = calloc(n + 1, sizeof *column);
    if (!column) {
        wc_refuse_no_memory(a);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        column[i] = i < spec->nfilters ? spec->filter[i].column : spec->select[i - spec->nfilters];
    const struct wc_resolve_key key = {.role = a->claims->role,
                                       .schema = wc_subs_name_or_any(spec->schema),
                                       .table = wc_subs_name_or_any(spec->table),
                                       .ncolumns = n,
                                       .column = column};
    struct wc_resolution *r = NULL;
    enum wc_status st = pg ? wc_resolver_ask(s->resolver, pg, &key, &a->in_line, &r) : WC_CLOSED;
    free(column);
    if (st == WC_OK)
        return take_resolution(a, r);
    if (st != WC_AGAIN)
        start_over(a);
    return false;
}

static const struct wc_resolved_table *table_at_hand(const struct wc_audience *a)
{
    return &a->check->resolution->table[a->check->table];
}

static struct wc_comparand comparand(const struct wc_audience *a)
{
    const struct wc_check *k = a->check;
    const struct wc_spec *spec = &binding_at_hand(a)->spec;
    return (struct wc_comparand){.spec = spec,
                                 .filter = &spec->filter[k->filter],
                                 .column = &table_at_hand(a)->column[k->filter],
                                 .type = k->type};
}

/* The type of the filter's column, if it has one. */
static bool find_type(struct wc_audience *a)
{
    struct wc_subs *s = a->subs;
    wc_oid oid = table_at_hand(a)->column[a->check->filter].type;
    if (!oid)
        return true;
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    struct wc_filter_type *type = NULL;
    enum wc_status st = pg ? wc_filter_types_ask(s->types, pg, oid, &a->in_line, &type) : WC_CLOSED;
    if (st == WC_OK && type)
        a->check->type = wc_filter_type_ref(type);
    if (st != WC_OK && st != WC_AGAIN)
        start_over(a);
    return st == WC_OK;
}

static void end_filter(struct wc_check *k)
{
    wc_filter_type_unref(k->type);
    k->type = NULL;
    k->filter++;
}

static bool check_filter(struct wc_audience *a)
{
    struct wc_subs *s = a->subs;
    struct wc_check *k = a->check;
    if (!find_type(a))
        return false;
    const struct wc_comparand c = comparand(a);
    enum wc_check_step step = wc_condition_check(a, &c, &k->leaf[k->filter]);
    if (step == WC_CHECK_DONE)
        end_filter(k);
    if (step != WC_CHECK_CAST)
        return step == WC_CHECK_DONE;
    const struct wc_cast_question q = wc_condition_question(&c);
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    enum wc_status st = pg ? wc_cast(s->caster, pg, &q, &a->in_line) : WC_CLOSED;
    if (st == WC_LIMIT)
        wc_refuse_exception(a, c.spec, "53000", "too many regular expressions are being checked");
    else if (st != WC_OK)
        start_over(a);
    return false;
}

/* Are the columns of the filters compared as those of the table before are? Most tables of a
 * wildcard have the same `id`. */
static bool is_like_the_one_before(const struct wc_audience *a)
{
    const struct wc_check *k = a->check;
    if (k->table == 0)
        return false;
    const struct wc_resolved_column *x = table_at_hand(a)[-1].column, *y = table_at_hand(a)->column;
    for (size_t i = 0; i < binding_at_hand(a)->spec.nfilters; i++)
        if (x[i].type != y[i].type || x[i].collation != y[i].collation)
            return false;
    return true;
}

static bool check_filters(struct wc_audience *a, const struct wc_predicate **where)
{
    struct wc_check *k = a->check;
    const struct wc_binding *b = binding_at_hand(a);
    if (b->spec.nfilters == 0)
        return true;
    if (is_like_the_one_before(a)) {
        *where = b->target[k->table - 1].filter;
        return true;
    }
    if (!k->leaf)
        k->leaf = wc_arena_calloc(&a->arena, b->spec.nfilters, sizeof *k->leaf);
    while (k->leaf && k->filter < b->spec.nfilters)
        if (!check_filter(a))
            return false;
    *where = k->leaf ? wc_condition_build(&a->arena, &b->spec, k->leaf) : NULL;
    if (!*where)
        wc_refuse_no_memory(a);
    return *where != NULL;
}

static bool check_select(struct wc_audience *a)
{
    const struct wc_spec *spec = &binding_at_hand(a)->spec;
    const struct wc_resolved_column *column = table_at_hand(a)->column + spec->nfilters;
    for (size_t i = 0; i < spec->nselect; i++) {
        if (column[i].type)
            continue;
        wc_refuse_exception(a, spec, "P0001", "invalid column for select %.*s",
                            WC_SLICE_ARG(spec->select[i]));
        return false;
    }
    return true;
}

static uint64_t filtered_types(const struct wc_audience *a)
{
    uint64_t h = 0;
    for (size_t i = 0; i < binding_at_hand(a)->spec.nfilters; i++)
        h = wc_subs_mix_type(h, table_at_hand(a)->column[i].type);
    return h;
}

static bool check_table(struct wc_audience *a)
{
    struct wc_check *k = a->check;
    struct wc_binding *b = binding_at_hand(a);
    const struct wc_predicate *where = NULL;
    if (!check_filters(a, &where) || !check_select(a))
        return false;
    fill_target(b, &b->target[k->table], table_at_hand(a)->rel, where);
    b->target[k->table].filtered_types = filtered_types(a);
    k->table++;
    k->filter = 0;
    k->leaf = NULL;
    return true;
}

static bool check_binding(struct wc_audience *a)
{
    struct wc_check *k = a->check;
    if (!k->resolution && !resolve(a))
        return false;
    while (k->table < k->resolution->ntables)
        if (!check_table(a))
            return false;
    wc_resolution_unref(k->resolution);
    k->resolution = NULL;
    k->table = 0;
    k->left--;
    return true;
}

/* Goes on until an answer must be awaited, to the end at most. */
static void go_on(struct wc_audience *a)
{
    while (a->check->left > 0)
        if (!check_binding(a))
            return;
    all_checked(a);
}

/* ---- answers ---- */

static struct wc_audience *audience_of(struct wc_list *waiter)
{
    return WC_CONTAINER(waiter, struct wc_audience, in_line);
}

void wc_subs_on_resolved(void *arg, struct wc_list *waiter, struct wc_resolution *r,
                         const struct wc_resolve_failure *failure)
{
    struct wc_audience *a = audience_of(waiter);
    if (failure && !failure->sqlstate[0]) {
        start_over(a);
        return;
    }
    if (failure)
        wc_refuse_exception(a, &binding_at_hand(a)->spec, failure->sqlstate, "%s",
                            failure->message);
    else if (take_resolution(a, r))
        go_on(a);
    wc_subs_check(arg);
    wc_subs_go_on(arg);
}

void wc_subs_on_type(void *arg, struct wc_list *waiter, const char *sqlstate, const char *message)
{
    struct wc_audience *a = audience_of(waiter);
    if (sqlstate && !sqlstate[0]) {
        start_over(a);
        return;
    }
    if (sqlstate)
        wc_refuse_exception(a, &binding_at_hand(a)->spec, sqlstate, "%s", message);
    else
        go_on(a);
    wc_subs_check(arg);
    wc_subs_go_on(arg);
}

void wc_subs_on_cast(void *arg, struct wc_list *waiter, const struct wc_pg_result *res)
{
    struct wc_audience *a = audience_of(waiter);
    if (!res->ok && !res->sqlstate[0]) {
        start_over(a);
        return;
    }
    const struct wc_comparand c = comparand(a);
    if (wc_condition_take(a, &c, res, &a->check->leaf[a->check->filter]) == WC_CHECK_DONE) {
        end_filter(a->check);
        go_on(a);
    }
    wc_subs_check(arg);
    wc_subs_go_on(arg);
}

/* ---- beginning ---- */

/* False: refused. Needs no database. */
static bool parse_spec(struct wc_audience *a, struct wc_binding *b)
{
    struct wc_arena *scratch = &a->subs->scratch;
    struct wc_spec spec;
    struct wc_buf message;
    wc_buf_init(&message, MESSAGE_CAP);
    enum wc_status st = wc_spec_parse(b->json, scratch, &spec, &message);
    if (st == WC_OK)
        st = wc_spec_copy(&spec, &a->arena, &b->spec);
    wc_arena_reset(scratch);
    if (st == WC_NOMEM)
        wc_refuse_no_memory(a);
    else if (st != WC_OK)
        wc_refuse_text(a, &message);
    wc_buf_release(&message);
    return st == WC_OK;
}

static bool parse_specs(struct wc_audience *a)
{
    for (uint32_t i = 0; i < a->nbindings; i++) {
        struct wc_binding *b = &a->binding[i];
        b->target = NULL;
        b->ntargets = 0;
        bool is_parsed = b->spec.event; /* before the connection was lost */
        if (!is_parsed && !parse_spec(a, b))
            return false;
    }
    return true;
}

static void begin(struct wc_audience *a)
{
    wc_audience_set_state(a, WC_AUDIENCE_CHECKING);
    wc_audience_release(a); /* what was found before the connection was lost */
    a->check = calloc(1, sizeof *a->check);
    if (!a->check) {
        wc_refuse_no_memory(a);
        return;
    }
    a->check->left = a->nbindings;
    if (!parse_specs(a))
        return;
    if (wc_subs_watch_audience(a))
        go_on(a);
    else
        wc_refuse_no_memory(a);
}

/* Of the lane whose turn it is; NULL: nobody waits. */
static struct wc_audience *next_in_turn(struct wc_subs *s)
{
    for (unsigned i = 0; i < WC_LANES; i++) {
        s->lane = (s->lane + 1) % WC_LANES;
        struct wc_list *lane = &s->todo[s->lane];
        if (!wc_list_is_empty(lane))
            return WC_CONTAINER(lane->next, struct wc_audience, in_line);
    }
    return NULL;
}

/* Who leaves in the middle of a cast leaves its query behind: that counts too. */
static bool has_room(const struct wc_subs *s)
{
    return s->naudiences[WC_AUDIENCE_CHECKING] < WC_CHECKING_MAX &&
           wc_caster_in_flight(s->caster) < WC_CHECKING_MAX;
}

void wc_subs_check(struct wc_subs *s)
{
    if (s->admitting || s->naudiences[WC_AUDIENCE_NEW] == 0)
        return;
    if (!wc_catalog_pg(s->catalog)) {
        wc_catalog_want(s->catalog);
        return;
    }
    if (!wc_subs_may_ask_tables(s))
        return;
    s->admitting = true;
    size_t lost = 0;
    while (!lost && s->naudiences[WC_AUDIENCE_NEW] && has_room(s)) {
        size_t before = s->naudiences[WC_AUDIENCE_NEW];
        begin(next_in_turn(s));
        lost =
            s->naudiences[WC_AUDIENCE_NEW] == before; /* it starts over: the connection is gone */
    }
    s->admitting = false;
}

/*
 * Bindings against the catalog. An audience is checked binding by binding: the resolver (resolve.h)
 * says which tables it stands for, then each filter value is cast to the column's type by Postgres,
 * which prints it back in canonical form. One bad binding refuses the whole request, as clients
 * expect.
 *
 * Whoever finds the connection gone is NEW again, and begins again when the catalog answers.
 */
#include "bridge/subs/subs_priv.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdio.h>

enum { MESSAGE_CAP = 16 << 10 };

static void refuse(struct wc_audience *a, struct wc_buf *message)
{
    static const char sorry[] = "out of memory";
    wc_subs_refuse(a, message->status == WC_OK ? wc_buf_view(message) : wc_slice_str(sorry));
    wc_buf_release(message);
}

/* The text of the reference for whatever Postgres or our own rules find wrong with parameters. */
static void refuse_exception(struct wc_audience *a, const struct wc_spec *spec,
                             const char *sqlstate, const char *condition, const char *detail)
{
    struct wc_buf message;
    wc_buf_init(&message, MESSAGE_CAP);
    wc_buf_str(&message, "Unable to subscribe to changes with given parameters. An exception "
                         "happened so please check your connect parameters: ");
    wc_spec_describe(spec, &message);
    wc_buf_printf(&message, ". Exception: ERROR %s (%s) %s", sqlstate, condition, detail);
    refuse(a, &message);
}

static void refuse_unpublished(struct wc_audience *a, const struct wc_spec *spec)
{
    struct wc_buf message;
    wc_buf_init(&message, MESSAGE_CAP);
    wc_buf_str(&message, "Unable to subscribe to changes with given parameters. Please check "
                         "Realtime is enabled for the given connect parameters: ");
    wc_spec_describe(spec, &message);
    refuse(a, &message);
}

/* Condition names of the SQLSTATEs a cast can raise (PostgreSQL manual, appendix A). */
static const char *condition_name(const char *sqlstate)
{
    static const char *const table[][2] = {
        {"22P02", "invalid_text_representation"},
        {"22003", "numeric_value_out_of_range"},
        {"22007", "invalid_datetime_format"},
        {"22008", "datetime_field_overflow"},
        {"22009", "invalid_time_zone_displacement_value"},
        {"22021", "character_not_in_repertoire"},
        {"22023", "invalid_parameter_value"},
        {"23514", "check_violation"},
        {"42501", "insufficient_privilege"},
        {"42704", "undefined_object"},
        {"57014", "query_canceled"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i][0], sqlstate) == 0)
            return table[i][1];
    return sqlstate;
}

/* ---- states ---- */

void wc_audience_set_state(struct wc_audience *a, enum wc_audience_state state)
{
    struct wc_subs *s = a->subs;
    wc_list_remove(&a->in_line);
    if (a->state != WC_AUDIENCE_NONE)
        s->naudiences[a->state]--;
    if (state != WC_AUDIENCE_NONE)
        s->naudiences[state]++;
    if (state == WC_AUDIENCE_NEW)
        wc_list_push(&s->todo[a->lane], &a->in_line);
    a->state = state;
}

/* The connection was lost: again when it is back. */
static void start_over(struct wc_audience *a)
{
    wc_audience_set_state(a, WC_AUDIENCE_NEW);
    wc_catalog_want(a->subs->catalog);
}

static void unindex(struct wc_audience *a)
{
    if (!a->indexed)
        return;
    for (uint32_t i = 0; i < a->nbindings; i++)
        for (size_t t = 0; t < a->binding[i].ntargets; t++)
            wc_match_remove(a->subs->match, &a->binding[i].target[t].match);
    a->indexed = false;
}

bool wc_audience_drop_if_unused(struct wc_audience *a)
{
    if (a->nenlisted || a->npending)
        return false;
    unindex(a);
    wc_subs_free_audience(a);
    return true;
}

static bool index_bindings(struct wc_audience *a)
{
    for (uint32_t i = 0; i < a->nbindings; i++) {
        for (size_t t = 0; t < a->binding[i].ntargets; t++) {
            if (wc_match_insert(a->subs->match, &a->binding[i].target[t].match) == WC_OK)
                continue;
            while (t > 0)
                wc_match_remove(a->subs->match, &a->binding[i].target[--t].match);
            while (i > 0) {
                i--;
                for (size_t k = 0; k < a->binding[i].ntargets; k++)
                    wc_match_remove(a->subs->match, &a->binding[i].target[k].match);
            }
            return false;
        }
    }
    a->indexed = true;
    return true;
}

static void all_checked(struct wc_audience *a)
{
    if (!index_bindings(a)) {
        wc_subs_refuse(a, wc_slice_str("out of memory"));
        return;
    }
    wc_audience_set_state(a, WC_AUDIENCE_STANDING);
    wc_subs_stands(a);
}

/* ---- resolving ---- */

/* False: refused. */
static bool check_role(struct wc_audience *a, const struct wc_spec *s,
                       const struct wc_resolution *r)
{
    char text[160];
    if (!r->role_exists) {
        (void)snprintf(text, sizeof text, "role \"%.*s\" does not exist",
                       WC_SLICE_ARG(a->claims->role));
        refuse_exception(a, s, "42704", "undefined_object", text);
        return false;
    }
    if (!r->role_usable) {
        (void)snprintf(text, sizeof text, "permission denied to set role \"%.*s\"",
                       WC_SLICE_ARG(a->claims->role));
        refuse_exception(a, s, "42501", "insufficient_privilege", text);
        return false;
    }
    return true;
}

static bool check_filter(struct wc_audience *a, const struct wc_spec *s,
                         const struct wc_resolved_table *table, struct wc_target *t)
{
    char text[256];
    if (!table->column_ok) {
        (void)snprintf(text, sizeof text, "invalid column for filter %.*s",
                       WC_SLICE_ARG(s->filter[0].column));
        refuse_exception(a, s, "P0001", "raise_exception", text);
        return false;
    }
    const struct wc_key_type type = {.base_type = table->base_type,
                                     .is_enum = table->is_enum,
                                     .is_deterministic = table->is_deterministic};
    bool ordered;
    t->leaf = (struct wc_leaf){.column = s->filter[0].column,
                               .op = WC_FILTER_EQ,
                               .kind = wc_key_kind_of(&type, &ordered),
                               .nkeys = 1,
                               .key = &t->key};
    if (t->leaf.kind == WC_KEY_NONE) {
        (void)snprintf(text, sizeof text, "operator eq on type %.150s is not supported yet",
                       (const char *)table->type_name.p);
        refuse_exception(a, s, "0A000", "feature_not_supported", text);
        return false;
    }
    char *copy = wc_arena_strdup(&a->arena, table->cast_name);
    t->cast = wc_slice(copy, table->cast_name.len);
    if (!copy)
        wc_subs_refuse(a, wc_slice_str("out of memory"));
    return copy != NULL;
}

/* What this version cannot filter yet is refused in words, never ignored. */
static bool check_supported(struct wc_audience *a, const struct wc_spec *s)
{
    const char *text = NULL;
    if (s->nselect)
        text = "select is not supported yet";
    else if (s->nconditions > 1)
        text = "more than one condition is not supported yet";
    else if (s->nfilters && (s->filter[0].op != WC_FILTER_EQ || s->filter[0].negate))
        text = "filter operators other than eq are not supported yet";
    if (text)
        refuse_exception(a, s, "0A000", "feature_not_supported", text);
    return text == NULL;
}

static bool is_any(struct wc_slice name)
{
    return wc_slice_is(name, "*");
}

static void fill_target(struct wc_binding *b, struct wc_target *t, wc_oid rel)
{
    const struct wc_spec *s = &b->spec;
    t->match = (struct wc_match_binding){.events = s->events, .owner = b, .rel = rel};
    if (!is_any(s->table) || s->nfilters) {
        t->match.scope = WC_MATCH_TABLE;
        t->where = (struct wc_predicate){.kind = WC_PREDICATE_LEAF, .leaf = &t->leaf};
        t->match.where = s->nfilters ? &t->where : NULL;
    } else if (!is_any(s->schema)) {
        t->match.scope = WC_MATCH_SCHEMA;
        t->match.schema = s->schema;
    } else {
        t->match.scope = WC_MATCH_ALL;
    }
}

static bool note_withheld(struct wc_audience *a, struct wc_binding *b)
{
    struct wc_buf name;
    wc_buf_init(&name, MESSAGE_CAP);
    wc_buf_slice(&name, b->spec.schema);
    wc_buf_byte(&name, '.');
    wc_buf_slice(&name, b->spec.table);
    char *copy = name.status == WC_OK ? wc_arena_strdup(&a->arena, wc_buf_view(&name)) : NULL;
    b->withheld = wc_slice(copy, copy ? name.len : 0);
    wc_buf_release(&name);
    return copy != NULL;
}

/* False: refused. */
static bool take_tables(struct wc_audience *a, struct wc_binding *b, const struct wc_resolution *r)
{
    b->withheld = wc_slice(NULL, 0);
    b->set = &wc_column_set_all;
    b->target = wc_arena_calloc(&a->arena, r->ntables, sizeof *b->target);
    bool ok = b->target != NULL;
    b->ntargets = ok ? r->ntables : 0;
    for (size_t i = 0; i < b->ntargets; i++) {
        fill_target(b, &b->target[i], r->table[i].rel);
        if (b->spec.nfilters && !check_filter(a, &b->spec, &r->table[i], &b->target[i]))
            return false;
        if (r->table[i].withheld && !b->withheld.p)
            ok = ok && note_withheld(a, b);
    }
    if (!ok)
        wc_subs_refuse(a, wc_slice_str("out of memory"));
    return ok;
}

/* False: refused. */
static bool take_resolution(struct wc_audience *a, const struct wc_resolution *r)
{
    struct wc_binding *b = &a->binding[a->checking];
    if (r->ntables == 0) {
        refuse_unpublished(a, &b->spec);
        return false;
    }
    return check_role(a, &b->spec, r) && check_supported(a, &b->spec) && take_tables(a, b, r);
}

static struct wc_slice name_or_any(struct wc_slice s)
{
    return is_any(s) ? wc_slice(NULL, 0) : s;
}

/* ---- the steps of a check ---- */

/* False: an answer is awaited, or the audience is refused or starts over. */
static bool resolve(struct wc_audience *a)
{
    struct wc_subs *s = a->subs;
    const struct wc_spec *spec = &a->binding[a->checking].spec;
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    const struct wc_resolve_key key = {.role = a->claims->role,
                                       .schema = name_or_any(spec->schema),
                                       .table = name_or_any(spec->table),
                                       .column = spec->nfilters ? spec->filter[0].column
                                                                : wc_slice(NULL, 0)};
    const struct wc_resolution *r = NULL;
    enum wc_status st = pg ? wc_resolver_ask(s->resolver, pg, &key, &a->in_line, &r) : WC_CLOSED;
    if (st == WC_OK)
        return take_resolution(a, r);
    if (st != WC_AGAIN)
        start_over(a);
    return false;
}

static void cast_value(struct wc_audience *a, const struct wc_target *t)
{
    struct wc_subs *s = a->subs;
    struct wc_slice value = a->binding[a->checking].spec.filter[0].value;
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    if (!pg || wc_cast(s->caster, pg, t->cast, value, &a->in_line) != WC_OK)
        start_over(a);
}

/* Goes on until an answer must be awaited, to the end at most. */
static void go_on(struct wc_audience *a)
{
    while (a->checking < a->nbindings) {
        struct wc_binding *b = &a->binding[a->checking];
        if (!b->target && !resolve(a))
            return;
        if (b->spec.nfilters && a->casting < b->ntargets) {
            cast_value(a, &b->target[a->casting]);
            return;
        }
        a->checking++;
        a->casting = 0;
    }
    all_checked(a);
}

void wc_subs_on_resolved(void *arg, struct wc_list *waiter, const struct wc_resolution *r,
                         const struct wc_resolve_failure *failure)
{
    struct wc_audience *a = WC_CONTAINER(waiter, struct wc_audience, in_line);
    if (failure && !failure->sqlstate[0]) {
        start_over(a);
        return;
    }
    if (failure)
        refuse_exception(a, &a->binding[a->checking].spec, failure->sqlstate,
                         condition_name(failure->sqlstate), failure->message);
    else if (take_resolution(a, r))
        go_on(a);
    wc_subs_check(arg);
}

/* False: refused. */
static bool take_value(struct wc_audience *a, struct wc_slice text)
{
    struct wc_target *t = &a->binding[a->checking].target[a->casting++];
    struct wc_buf scratch;
    struct wc_slice key;
    char *copy = NULL;
    wc_buf_init(&scratch, WC_KEY_MAX);
    enum wc_status st = wc_key_view(t->leaf.kind, text, &scratch, &key);
    if (st == WC_OK)
        copy = wc_arena_strdup(&a->arena, key);
    if (copy)
        t->key = wc_slice(copy, key.len);
    else
        wc_subs_refuse(a,
                       wc_slice_str(st == WC_INVALID ? "a value Postgres printed is not understood"
                                                     : "out of memory"));
    wc_buf_release(&scratch);
    return copy != NULL;
}

void wc_subs_on_cast(void *arg, struct wc_list *waiter, const struct wc_pg_result *res)
{
    struct wc_audience *a = WC_CONTAINER(waiter, struct wc_audience, in_line);
    if (!res->ok && !res->sqlstate[0]) {
        start_over(a);
        return;
    }
    if (!res->ok)
        refuse_exception(a, &a->binding[a->checking].spec, res->sqlstate,
                         condition_name(res->sqlstate), res->message);
    else if (take_value(a, wc_pg_slice(res, 0, 0)))
        go_on(a);
    wc_subs_check(arg);
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
    if (st == WC_OK) {
        wc_buf_release(&message);
        return true;
    }
    if (st == WC_NOMEM) {
        wc_buf_reset(&message);
        wc_buf_str(&message, "out of memory");
    }
    refuse(a, &message);
    return false;
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
    a->checking = 0;
    a->casting = 0;
    if (parse_specs(a))
        go_on(a);
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

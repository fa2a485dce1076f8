/*
 * Bindings against the catalog. An audience is checked binding by binding: q_binding.sql resolves
 * it to tables, then each filter value is cast to the column's type by Postgres, which prints it
 * back in canonical form. One bad binding refuses the whole request, as clients expect.
 *
 * A query that finds its connection gone puts the audience back to NEW; it begins again when the
 * catalog answers.
 */
#include "bridge/subs/subs_priv.h"

#include "base/assert.h"
#include "base/log.h"
#include "bridge/pg/array.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MESSAGE_CAP = 16 << 10,
    COL_OID = 0,
    COL_ROLE_EXISTS,
    COL_ROLE_USABLE,
    COL_WITHHELD,
    COL_FILTER_OK,
    COL_BASE_OID,
    COL_CAST_NAME,
    COL_TYPE_NAME,
    COL_IS_ENUM,
    COL_DETERMINISTIC
};

static void check_binding(struct wc_audience *a);

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

/* ---- end of a check ---- */

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
    if (a->nenlisted || a->npending || a->in_flight)
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
    a->state = WC_AUDIENCE_STANDING;
    wc_subs_stands(a);
}

/* ---- casting filter values ---- */

static struct wc_target *next_filtered_target(struct wc_audience *a)
{
    struct wc_binding *b = &a->binding[a->checking];
    return b->spec.nfilters && a->casting < b->ntargets ? &b->target[a->casting] : NULL;
}

static void go_on(struct wc_audience *a);

/* False: the audience is gone or starts over. Every answer comes through here first. */
static bool answer_arrived(struct wc_audience *a, const struct wc_pg_result *res)
{
    a->in_flight = false;
    if (wc_audience_drop_if_unused(a))
        return false;
    if (res->ok || res->sqlstate[0])
        return true;
    a->state = WC_AUDIENCE_NEW; /* the connection was lost: again when it is back */
    wc_list_push(&a->subs->todo, &a->in_todo);
    wc_catalog_want(a->subs->catalog);
    return false;
}

static void send_query(struct wc_audience *a, const char *sql, int n, const char *const *params,
                       wc_pg_result_fn done)
{
    struct wc_pg *pg = wc_catalog_pg(a->subs->catalog);
    a->in_flight = true;
    if (pg && wc_pg_query(pg, sql, n, params, done, a) == WC_OK)
        return;
    const struct wc_pg_result lost = {.message = ""};
    (void)answer_arrived(a, &lost); /* back to NEW */
}

static void on_cast(void *arg, const struct wc_pg_result *res)
{
    struct wc_audience *a = arg;
    if (!answer_arrived(a, res))
        return;
    struct wc_binding *b = &a->binding[a->checking];
    struct wc_target *t = next_filtered_target(a);
    WC_ASSERT(t);
    if (!res->ok) {
        refuse_exception(a, &b->spec, res->sqlstate, condition_name(res->sqlstate), res->message);
        return;
    }
    struct wc_buf scratch;
    wc_buf_init(&scratch, MESSAGE_CAP);
    struct wc_slice v = wc_match_canonical(t->match.fold, wc_pg_slice(res, 0, 0), &scratch);
    char *copy = scratch.status == WC_OK ? wc_arena_strdup(&a->arena, v) : NULL;
    wc_buf_release(&scratch);
    if (!copy) {
        wc_subs_refuse(a, wc_slice_str("out of memory"));
        return;
    }
    t->match.value = wc_slice(copy, v.len);
    a->casting++;
    go_on(a);
}

static void cast_value(struct wc_audience *a, const struct wc_target *t)
{
    char sql[512];
    int n = snprintf(sql, sizeof sql, "select $1::%s", t->cast);
    WC_ASSERT(n > 0 && (size_t)n < sizeof sql); /* two names of 63 bytes, each a quote */
    const char *const params[] = {(const char *)a->binding[a->checking].spec.filter[0].value.p};
    send_query(a, sql, 1, params, on_cast);
}

/* The next step of the check: a cast, the next binding, or the end. */
static void go_on(struct wc_audience *a)
{
    const struct wc_target *t = next_filtered_target(a);
    if (t) {
        cast_value(a, t);
        return;
    }
    a->checking++;
    a->casting = 0;
    if (a->checking < a->nbindings)
        check_binding(a);
    else
        all_checked(a);
}

/* ---- resolving ---- */

static bool is_yes(const struct wc_pg_result *res, int row, int col)
{
    return wc_slice_is(wc_pg_slice(res, row, col), "t");
}

/* False: refused. */
static bool check_role(struct wc_audience *a, const struct wc_spec *s,
                       const struct wc_pg_result *res)
{
    char text[160];
    if (!is_yes(res, 0, COL_ROLE_EXISTS)) {
        (void)snprintf(text, sizeof text, "role \"%.*s\" does not exist",
                       WC_SLICE_ARG(a->claims->role));
        refuse_exception(a, s, "42704", "undefined_object", text);
        return false;
    }
    if (!is_yes(res, 0, COL_ROLE_USABLE)) {
        (void)snprintf(text, sizeof text, "permission denied to set role \"%.*s\"",
                       WC_SLICE_ARG(a->claims->role));
        refuse_exception(a, s, "42501", "insufficient_privilege", text);
        return false;
    }
    return true;
}

static bool check_filter(struct wc_audience *a, const struct wc_spec *s,
                         const struct wc_pg_result *res, int row, struct wc_target *t)
{
    char text[256];
    const char *base = wc_pg_value(res, row, COL_BASE_OID);
    if (!base || !is_yes(res, row, COL_FILTER_OK)) {
        (void)snprintf(text, sizeof text, "invalid column for filter %.*s",
                       WC_SLICE_ARG(s->filter[0].column));
        refuse_exception(a, s, "P0001", "raise_exception", text);
        return false;
    }
    wc_oid type = (wc_oid)strtoul(base, NULL, 10);
    bool exact = wc_match_is_exact(type, is_yes(res, row, COL_IS_ENUM), &t->match.fold);
    if (!exact || !is_yes(res, row, COL_DETERMINISTIC)) {
        (void)snprintf(text, sizeof text, "operator eq on type %.150s is not supported yet",
                       wc_pg_value(res, row, COL_TYPE_NAME));
        refuse_exception(a, s, "0A000", "feature_not_supported", text);
        return false;
    }
    t->cast = wc_arena_strdup(&a->arena, wc_pg_slice(res, row, COL_CAST_NAME));
    if (!t->cast)
        wc_subs_refuse(a, wc_slice_str("out of memory"));
    return t->cast != NULL;
}

/* What this version cannot filter yet is refused in words, never ignored. */
static bool check_supported(struct wc_audience *a, const struct wc_spec *s)
{
    const char *text = NULL;
    if (s->nselect)
        text = "select is not supported yet";
    else if (s->nfilters > 1)
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
        t->match.has_eq = s->nfilters > 0;
        if (s->nfilters)
            t->match.column = s->filter[0].column;
    } else if (!is_any(s->schema)) {
        t->match.scope = WC_MATCH_SCHEMA;
        t->match.schema = s->schema;
    } else {
        t->match.scope = WC_MATCH_ALL;
    }
}

static void note_withheld(struct wc_audience *a, struct wc_binding *b,
                          const struct wc_pg_result *res)
{
    b->withheld = wc_slice(NULL, 0);
    for (int i = 0; i < res->nrows && !b->withheld.p; i++) {
        if (!is_yes(res, i, COL_WITHHELD))
            continue;
        struct wc_buf name;
        wc_buf_init(&name, 512);
        wc_buf_slice(&name, b->spec.schema);
        wc_buf_byte(&name, '.');
        wc_buf_slice(&name, b->spec.table);
        char *copy = wc_arena_strdup(&a->arena, wc_buf_view(&name));
        b->withheld = wc_slice(copy, copy ? name.len : 0);
        wc_buf_release(&name);
    }
}

static void on_resolved(void *arg, const struct wc_pg_result *res)
{
    struct wc_audience *a = arg;
    if (!answer_arrived(a, res))
        return;
    struct wc_binding *b = &a->binding[a->checking];
    if (!res->ok) {
        refuse_exception(a, &b->spec, res->sqlstate, condition_name(res->sqlstate), res->message);
        return;
    }
    if (res->nrows == 0) {
        refuse_unpublished(a, &b->spec);
        return;
    }
    if (!check_role(a, &b->spec, res) || !check_supported(a, &b->spec))
        return;
    bool wildcard = is_any(b->spec.table) && !b->spec.nfilters;
    b->ntargets = wildcard ? 1 : (size_t)res->nrows;
    b->target = wc_arena_calloc(&a->arena, b->ntargets, sizeof *b->target);
    if (!b->target) {
        b->ntargets = 0;
        wc_subs_refuse(a, wc_slice_str("out of memory"));
        return;
    }
    for (size_t i = 0; i < b->ntargets; i++) {
        const char *oid = wc_pg_value(res, (int)i, COL_OID);
        fill_target(b, &b->target[i], (wc_oid)strtoul(oid, NULL, 10));
        if (b->spec.nfilters && !check_filter(a, &b->spec, res, (int)i, &b->target[i]))
            return;
    }
    note_withheld(a, b, res);
    go_on(a);
}

static const char *name_or_null(struct wc_slice s)
{
    return is_any(s) ? NULL : (const char *)s.p;
}

static void check_binding(struct wc_audience *a)
{
    struct wc_binding *b = &a->binding[a->checking];
    const struct wc_spec *s = &b->spec;
    const char *const params[] = {a->subs->publications, name_or_null(s->schema),
                                  name_or_null(s->table), (const char *)a->claims->role.p,
                                  s->nfilters ? (const char *)s->filter[0].column.p : NULL};
    send_query(a, wc_sql_binding, 5, params, on_resolved);
}

/* False: refused. Needs no database. */
static bool parse_specs(struct wc_audience *a)
{
    for (uint32_t i = 0; i < a->nbindings; i++) {
        struct wc_binding *b = &a->binding[i];
        if (b->spec.event) /* checked before, when the connection was lost */
            continue;
        struct wc_buf message;
        wc_buf_init(&message, MESSAGE_CAP);
        enum wc_status st = wc_spec_parse(b->json, &a->arena, &b->spec, &message);
        if (st == WC_NOMEM) {
            wc_buf_reset(&message);
            wc_buf_str(&message, "out of memory");
        }
        if (st != WC_OK) {
            refuse(a, &message);
            return false;
        }
        wc_buf_release(&message);
    }
    return true;
}

void wc_subs_check(struct wc_subs *s)
{
    if (wc_list_is_empty(&s->todo))
        return;
    if (!wc_catalog_pg(s->catalog)) {
        wc_catalog_want(s->catalog);
        return;
    }
    struct wc_list now; /* what comes back meanwhile waits for another time */
    wc_list_init(&now);
    wc_list_move_all(&s->todo, &now);
    while (!wc_list_is_empty(&now)) {
        struct wc_audience *a = WC_CONTAINER(now.next, struct wc_audience, in_todo);
        wc_list_remove(&a->in_todo);
        a->state = WC_AUDIENCE_CHECKING;
        a->checking = 0;
        a->casting = 0;
        if (parse_specs(a))
            check_binding(a);
    }
}

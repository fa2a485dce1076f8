/* The pairs are asked of Postgres, then pinned in an access cache of our own, which is refreshed
 * until it has the rules of all. */
#include "bridge/cli/check_rules.h"

#include "bridge/rls/access.h"
#include "sql/sql.h"

#include <stdio.h>
#include <uv.h>

enum {
    POLL_MS = 50,
    GIVE_UP_US = 30 * 1000000, /* as long as another statement of the check may take */
    FRESHNESS_MS = 60000,      /* asked once */
    LINE_CAP = 64 << 10,
};

enum { COL_RELATION, COL_ROLE, COL_COUNT };

struct wc_check_rules {
    struct wc_check_rules_options opt;
    struct wc_access_cache *cache;
    struct wc_access *pair[WC_CHECK_RULES_MAX];
    size_t npairs, nmore;
    wc_us give_up_at;
    uv_timer_t timer;
};

/* ---- what is said ---- */

static void say(const struct wc_check_rules *r, const char *level, const char *reason,
                const char *what, const char *remedy)
{
    const struct wc_cli_finding f = {level, reason, what, remedy};
    r->opt.on_finding(r->opt.arg, &f);
}

/* Ways out that somebody who writes policies can take; by what is in the way, the first that is
 * found. */
static const char *remedy_of(const char *why)
{
    static const char by_claims[] =
        "if tokens can say it, compare columns with claims, such as team = any (array(select "
        "jsonb_array_elements_text(auth.jwt() -> 'teams')::bigint))";
    static const struct {
        const char *part, *remedy;
    } ways[] = {
        {"(pg_catalog.", ""},
        {"a function that is not proven", by_claims},
        {"a sub-select that reads more than the claims", by_claims},
        {"it depends on column", by_claims},
        {"it depends on table", by_claims},
        {"a setting that is not the request's", "read it from request.jwt.claims"},
        {"a column converted to another type", "convert the other side, to the type of the column"},
        {"a column where none is expected", "keep what is made of the column in one of its own"},
        {"a comparison between columns", "keep its outcome in a boolean column"},
        {"switched off", "set RLS_COMPILE=on"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strstr(why, ways[i].part))
            return ways[i].remedy;
    return "";
}

static void say_rules(const struct wc_check_rules *r, const struct wc_access *a)
{
    static const struct {
        const char *reason, *outcome;
    } kinds[] = {[WC_RULES_OPEN] = {"rls_open", "row security does not apply"},
                 [WC_RULES_COMPILED] = {"rls_compiled", "compiled"},
                 [WC_RULES_DELEGATED] = {"rls_delegated", "delegated"}};
    const char *why = a->rules->kind == WC_RULES_DELEGATED ? a->rules->why : "";
    struct wc_buf line;
    wc_buf_init(&line, LINE_CAP);
    wc_buf_printf(&line, "%.*s for %.*s: %s%s%s", WC_SLICE_ARG(a->name), WC_SLICE_ARG(a->role),
                  kinds[a->rules->kind].outcome, why[0] ? ": " : "", why);
    wc_buf_byte(&line, '\0');
    if (line.status == WC_OK)
        say(r, "info", kinds[a->rules->kind].reason, (const char *)line.p, remedy_of(why));
    wc_buf_release(&line);
}

static void say_count(const struct wc_check_rules *r, const char *level, const char *reason,
                      size_t count, const char *what)
{
    char line[120];
    (void)snprintf(line, sizeof line, "%zu %s", count, what); /* fits */
    say(r, level, reason, line, "");
}

static size_t unknown(const struct wc_check_rules *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->npairs; i++)
        n += !r->pair[i]->rules;
    return n;
}

/* Policies of a table that is locked for the moment are worth waiting for. */
static bool is_complete(const struct wc_check_rules *r)
{
    for (size_t i = 0; i < r->npairs; i++)
        if (!r->pair[i]->rules || r->pair[i]->rules->is_untold)
            return false;
    return true;
}

static void finish(struct wc_check_rules *r)
{
    (void)uv_timer_stop(&r->timer); /* cannot fail */
    for (size_t i = 0; i < r->npairs; i++)
        if (r->pair[i]->rules && r->pair[i]->exists)
            say_rules(r, r->pair[i]);
    if (unknown(r))
        say_count(r, "warn", "rls_unknown", unknown(r),
                  "tables and roles could not be asked about: their row security is not known");
    if (r->nmore)
        say_count(r, "info", "rls_more", r->nmore,
                  "more tables and roles, which are not listed: compiled or delegated");
    r->opt.on_done(r->opt.arg, true);
}

/* ---- asking ---- */

static void on_poll(uv_timer_t *timer)
{
    struct wc_check_rules *r = timer->data;
    if (is_complete(r) || wc_clock_mono() > r->give_up_at)
        finish(r);
    else if (wc_access_refresh(r->cache, r->opt.pg) == WC_NOMEM)
        finish(r);
}

/* Looked at by the timer: what is early or failed has to be asked again a little later anyway. */
static void on_answer(void *arg, bool early)
{
    (void)arg;
    (void)early;
}

static bool pin(struct wc_check_rules *r, const struct wc_pg_result *res, int row)
{
    struct wc_access *a =
        wc_access_pin(r->cache, wc_pg_oid(res, row, COL_RELATION), wc_pg_slice(res, row, COL_ROLE));
    if (a)
        r->pair[r->npairs++] = a;
    return a != NULL;
}

static void on_pairs(void *arg, const struct wc_pg_result *res)
{
    struct wc_check_rules *r = arg;
    bool ok = res->ok;
    if (!ok)
        (void)fprintf(stderr, "walcast check: the query failed: %s (%s)\n", res->message,
                      res->sqlstate);
    for (int i = 0; ok && i < res->nrows && i < WC_CHECK_RULES_MAX; i++)
        ok = pin(r, res, i);
    if (!ok) {
        r->opt.on_done(r->opt.arg, false);
        return;
    }
    if (res->nrows)
        r->nmore = strtoul(wc_pg_value(res, 0, COL_COUNT), NULL, 10) - r->npairs;
    r->give_up_at = wc_clock_mono() + GIVE_UP_US;
    (void)uv_timer_start(&r->timer, on_poll, 0, POLL_MS); /* valid handle */
}

/* ---- life ---- */

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void wc_check_rules_free(struct wc_check_rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->npairs; i++)
        wc_access_unpin(r->pair[i]);
    wc_access_cache_free(r->cache);
    uv_close((uv_handle_t *)&r->timer, on_closed);
}

struct wc_check_rules *wc_check_rules_begin(const struct wc_check_rules_options *o)
{
    const struct wc_access_options access = {.freshness_ms = FRESHNESS_MS,
                                             .no_compiling = o->no_compiling};
    struct wc_check_rules *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    char most[12];
    const char *const params[] = {o->publications, o->login, most};
    (void)snprintf(most, sizeof most, "%d", WC_CHECK_RULES_MAX); /* fits */
    r->opt = *o;
    r->cache = wc_access_cache_new(&access, on_answer, r);
    (void)uv_timer_init(o->loop, &r->timer); /* cannot fail */
    r->timer.data = r;
    if (r->cache && wc_pg_query(o->pg, wc_sql_check_rules, 3, params, on_pairs, r) == WC_OK)
        return r;
    wc_check_rules_free(r);
    return NULL;
}

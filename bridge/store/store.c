/*
 * The connection. Steps run one after another when it stands: the operator's own statement, tables,
 * triggers, LISTEN, and only then the first reading of all, so that no change falls between.
 */
#include "bridge/store/store_priv.h"

#include "bridge/pg/reason.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SILENCE_MS = 15000, /* longer than the timeouts below: a server that is stopped, or a network
                           that swallows */
    COMPLAIN_US = 60 * 1000000,
    ALL_MAX = 1 << 30, /* bytes of all tenants */
};

static const char startup[] =
    "-c search_path=pg_catalog -c TimeZone=UTC -c DateStyle=ISO,MDY -c client_min_messages=warning "
    "-c lock_timeout=5000 -c statement_timeout=10000 -c jit=off";

enum step { AFTER_CONNECT, TABLES, TRIGGERS, LISTEN, SEED, STEPS };

static const char *const step_name[STEPS] = {
    "DB_AFTER_CONNECT_QUERY", "making the tables of schema _realtime", "making triggers on them",
    "listening for changes", "reading API_JWT_JWKS"};

static void open_connection(struct wc_store *s);
static void next_step(struct wc_store *s);

/* ---- why not ---- */

/* Of a statement; what a lost connection means is said by wc_pg_reason. */
static struct wc_pg_reason statement_reason(const char *sqlstate)
{
    static const struct {
        const char *sqlstate; /* or how it begins */
        struct wc_pg_reason reason;
    } table[] = {
        {"42501",
         {"store_not_permitted",
          "let DB_USER create schema _realtime (grant create on database DB_NAME to DB_USER), or "
          "use its tables",
          5000}},
        {"55P03", {"store_locked", "none needed: tries again when the tables are free", 0}},
        {"57014", {"store_slow", "see what keeps the server busy, or locks the tables", 0}},
        {"25006", {"store_read_only", "let DB_HOST be the primary, not a standby", 5000}},
        {"", {"store_failed", "see the server's log", 5000}},
    };
    size_t i = 0;
    while (strncmp(sqlstate, table[i].sqlstate, strlen(table[i].sqlstate)) != 0)
        i++;
    return table[i].reason;
}

static void on_retry(uv_timer_t *timer)
{
    open_connection(timer->data);
}

/* Everything that waits for this connection ends; the next attempt is later. */
static void go_down(struct wc_store *s, const struct wc_pg_reason *why, const char *sqlstate,
                    const char *message)
{
    unsigned long repeated = 0;
    if (wc_log_limit(&s->complaint, COMPLAIN_US, &repeated))
        WC_LOG(WC_LOG_WARN, "store", why->event,
               "host=%s port=%u database=%s sqlstate=%s error=\"%s\" hint=\"%s\" repeated=%lu",
               s->opt.pg.host, s->opt.pg.port, s->opt.pg.dbname, sqlstate[0] ? sqlstate : "-",
               message, why->hint, repeated);
    wc_pg_close(s->pg);
    s->pg = NULL;
    s->phase = WC_STORE_DOWN;
    s->unanswered = 0;
    (void)uv_timer_stop(&s->silence); /* stopping an idle timer is no error */
    wc_store_read_forget(s);
    wc_store_write_fail(s);
    (void)uv_timer_start(&s->retry, on_retry, wc_backoff_next(&s->backoff, why->least_wait_ms), 0);
    s->hooks.on_state(s->self, false, why->event, why->hint);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    struct wc_pg_reason why = wc_pg_reason(sqlstate, message);
    go_down(arg, &why, sqlstate, message);
}

void wc_store_refused(struct wc_store *s, const char *what, const struct wc_pg_result *res)
{
    if (res->sqlstate[0] == '\0')
        return; /* on_lost follows */
    struct wc_pg_reason why = statement_reason(res->sqlstate);
    char text[300];
    (void)snprintf(text, sizeof text, "%s: %s", what, res->message); /* cut when too long */
    go_down(s, &why, res->sqlstate, text);
}

void wc_store_exhausted(struct wc_store *s)
{
    static const struct wc_pg_reason why = {"store_out_of_memory", "give walcast more memory", 0};
    if (s->pg)
        go_down(s, &why, "", "out of memory");
}

static void on_silence(uv_timer_t *timer)
{
    static const struct wc_pg_reason why = {
        "store_silent", "see whether the server, or the network to it, hangs", 0};
    go_down(timer->data, &why, "", "no answer in time");
}

/* ---- questions ---- */

enum wc_status wc_store_ask(struct wc_store *s, const struct wc_pg_statement *statement, size_t n,
                            wc_pg_result_fn done, void *arg)
{
    enum wc_status st = wc_pg_segment(s->pg, statement, n, done, arg);
    if (st == WC_OK && s->unanswered++ == 0)
        (void)uv_timer_start(&s->silence, on_silence, SILENCE_MS, 0); /* valid handle */
    return st;
}

void wc_store_answered(struct wc_store *s)
{
    if (--s->unanswered)
        (void)uv_timer_start(&s->silence, on_silence, SILENCE_MS, 0); /* valid handle */
    else
        (void)uv_timer_stop(&s->silence); /* never fails */
}

/* ---- steps ---- */

static bool is_wanted(const struct wc_store *s, enum step step)
{
    if (step == AFTER_CONNECT)
        return s->opt.after_connect_query && s->opt.after_connect_query[0];
    return step != SEED || (s->seed && s->seed->jwt_jwks);
}

static const char *step_sql(const struct wc_store *s, enum step step)
{
    switch (step) {
    case AFTER_CONNECT: return s->opt.after_connect_query;
    case TABLES: return wc_migration_store_tables;
    case TRIGGERS: return wc_migration_store_triggers;
    case LISTEN: return wc_sql_store_listen;
    case SEED: return wc_sql_store_json;
    case STEPS: break;
    }
    return "";
}

static void tell_no_triggers(struct wc_store *s, const struct wc_pg_result *res)
{
    if (!s->told_triggers)
        WC_LOG(WC_LOG_WARN, "store", "no_triggers",
               "sqlstate=%s error=\"%s\" hint=\"changes that others make are noticed late, unless "
               "DB_USER may create schema walcast and owns the tables of schema _realtime\"",
               res->sqlstate, res->message);
    s->told_triggers = true;
}

static void drop_seed(struct wc_store *s, const char *why)
{
    WC_LOG(WC_LOG_ERROR, "store", "seed_refused", "tenant=\"%s\" error=\"%s\"",
           s->seed->external_id, why);
    wc_record_free(s->seed);
    s->seed = NULL;
}

static void on_step(void *arg, const struct wc_pg_result *res)
{
    struct wc_store *s = arg;
    wc_store_answered(s);
    enum step step = (enum step)s->step;
    bool is_lost = !res->ok && res->sqlstate[0] == '\0';
    if (!is_lost && !res->ok && step == TRIGGERS) {
        tell_no_triggers(s, res);
    } else if (!is_lost && !res->ok && step == SEED) {
        drop_seed(s, "API_JWT_JWKS is not JSON");
    } else if (!res->ok) {
        wc_store_refused(s, step_name[step], res);
        return;
    } else if (step == SEED && !wc_record_set(&s->seed->jwt_jwks, wc_pg_value(res, 0, 0))) {
        wc_store_exhausted(s);
        return;
    }
    s->step++;
    next_step(s);
}

static void next_step(struct wc_store *s)
{
    while (s->step < STEPS && !is_wanted(s, (enum step)s->step))
        s->step++;
    if (s->step == STEPS) {
        s->phase = WC_STORE_READING;
        s->backoff.ms = 0;
        s->hooks.on_state(s->self, true, NULL, NULL);
        wc_store_read_all(s);
        return;
    }
    bool is_seed = s->step == SEED;
    const char *const params[] = {is_seed ? s->seed->jwt_jwks : NULL};
    const struct wc_pg_statement statement = {
        .sql = step_sql(s, (enum step)s->step), .nparams = is_seed, .params = params};
    if (wc_store_ask(s, &statement, 1, on_step, s) != WC_OK)
        wc_store_exhausted(s);
}

/* ---- seed ---- */

static void tell_loaded(struct wc_store *s)
{
    WC_LOG(WC_LOG_INFO, "store", "loaded", "tenants=%zu", s->entries.count);
    s->is_loaded = true;
    s->hooks.on_loaded(s->self);
}

static void on_seeded(void *arg, const struct wc_store_outcome *o)
{
    struct wc_store *s = arg;
    if (o->status == WC_STORE_UNAVAILABLE)
        return;                          /* it is put when the store is back */
    if (o->status == WC_STORE_CHANGED) { /* perhaps another server has the same seed */
        wc_store_read_all(s);
        return;
    }
    if (o->status != WC_STORE_OK) {
        drop_seed(s, o->text);
    } else {
        WC_LOG(WC_LOG_INFO, "store", "seeded", "tenant=\"%s\" is_new=%d", s->seed->external_id,
               o->is_new);
        wc_record_free(s->seed);
        s->seed = NULL;
    }
    tell_loaded(s);
}

void wc_store_read_all_done(struct wc_store *s)
{
    s->phase = WC_STORE_SERVING;
    wc_store_backfill(s);
    if (s->is_loaded || s->phase != WC_STORE_SERVING)
        return;
    const struct wc_record *there = s->seed ? wc_store_find(s, s->seed->external_id) : NULL;
    bool is_same = there && wc_record_compare(there, s->seed) == WC_RECORD_SAME;
    if (!s->seed || is_same)
        tell_loaded(s);
    else if (wc_store_put(s, s->seed, on_seeded, s) != WC_OK)
        wc_store_exhausted(s);
}

/* ---- connecting ---- */

static void on_ready(void *arg)
{
    struct wc_store *s = arg;
    s->phase = WC_STORE_PREPARING;
    s->step = 0;
    next_step(s);
}

static void on_notify(void *arg, const char *channel, const char *payload)
{
    (void)channel; /* there is one */
    wc_store_read_changed(arg, payload);
}

static void open_connection(struct wc_store *s)
{
    static const struct wc_pg_events events = {
        .on_ready = on_ready, .on_lost = on_lost, .on_notify = on_notify};
    s->pg = wc_pg_open(s->loop, &s->opt.pg, &events, s);
    if (!s->pg)
        (void)uv_timer_start(&s->retry, on_retry, wc_backoff_next(&s->backoff, 0), 0);
}

/* ---- life cycle ---- */

struct wc_store *wc_store_new(struct uv_loop_s *loop, const struct wc_store_options *options,
                              const struct wc_store_hooks *hooks, void *self)
{
    struct wc_store *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct wc_store){.loop = loop, .opt = *options, .hooks = *hooks, .self = self};
    s->seed = options->seed ? wc_record_copy(options->seed) : NULL;
    if (options->seed && !s->seed) {
        free(s);
        return NULL;
    }
    s->opt.pg.application_name = "walcast_store";
    s->opt.pg.options = startup;
    s->opt.pg.replication = false;
    s->opt.pg.answer_max = ALL_MAX;
    uv_timer_t *const timers[] = {&s->retry, &s->silence};
    for (size_t i = 0; i < 2; i++) {
        (void)uv_timer_init(loop, timers[i]); /* cannot fail */
        timers[i]->data = s;
    }
    wc_store_read_init(s);
    wc_store_write_init(s);
    open_connection(s);
    return s;
}

static void on_closed(uv_handle_t *h)
{
    struct wc_store *s = h->data;
    if (--s->open_handles == 0)
        free(s);
}

void wc_store_free(struct wc_store *s)
{
    if (!s)
        return;
    wc_pg_close(s->pg);
    s->pg = NULL;
    s->phase = WC_STORE_DOWN;
    wc_store_read_release(s);
    wc_store_write_release(s);
    wc_record_free(s->seed);
    uv_timer_t *const timers[] = {&s->retry, &s->silence, &s->refresh, &s->soon};
    s->open_handles = sizeof timers / sizeof timers[0];
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
        uv_close((uv_handle_t *)timers[i], on_closed);
}

bool wc_store_is_loaded(const struct wc_store *s)
{
    return s->is_loaded;
}

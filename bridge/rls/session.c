#include "bridge/rls/session.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bridge/pg/backoff.h"
#include "bridge/pg/policy.h"
#include "bridge/pg/reason.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <uv.h>

enum {
    SESSIONS_MAX = 4,      /* connections of a tenant are few; see the header */
    STATEMENTS_MAX = 1000, /* of one session, each some 10 KiB in the server; then a new one */
    OPTIONS_CAP = 16 << 10,
    NAME_SIZE = 34, /* a letter, 128 random bits in hex, NUL */
};

static const char missing_statement[] = "26000";

struct wc_session_statement {
    struct wc_map_node node; /* key: role, NUL, text */
    char name[NAME_SIZE];
    char why[6];     /* why it could not be prepared under this name, or empty */
    uint64_t number; /* of the name */
    bool is_sent;    /* its text was, under this name */
};

struct wc_session {
    struct wc_sessions *pool;
    struct wc_pg *pg;
    bool is_up, ran_code;
    char *owners; /* whose it is; NULL: nobody's yet */
    wc_us used;
    struct wc_map statements;
    struct wc_session_statement impersonate;
    struct wc_backoff backoff;
    uv_timer_t retry;
};

struct wc_sessions {
    uv_loop_t *loop;
    struct wc_session_options opt;
    char *startup; /* startup options */
    char statement_timeout[12], lock_timeout[12];
    void (*on_change)(void *arg);
    void *arg;
    uint64_t names; /* ever made */
    struct wc_log_limit complaint;
    struct wc_session slot[SESSIONS_MAX];
    unsigned open_handles;
};

/* ---- statements ---- */

static bool make_name(struct wc_session *s, struct wc_session_statement *st)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;
    (void)snprintf(st->name, sizeof st->name, "w%016llx%016llx", (unsigned long long)random[0],
                   (unsigned long long)random[1]); /* fits by type */
    st->number = ++s->pool->names;
    st->why[0] = '\0';
    return true;
}

static void drop_statements(struct wc_session *s)
{
    struct wc_map_node *n;
    while ((n = wc_map_each(&s->statements, NULL))) {
        wc_map_remove(&s->statements, n);
        free(WC_CONTAINER(n, struct wc_session_statement, node));
    }
    s->impersonate.is_sent = false;
}

/* Somebody deallocated one, so perhaps all. */
static void doubt_statements(struct wc_session *s)
{
    for (struct wc_map_node *n = wc_map_each(&s->statements, NULL); n;
         n = wc_map_each(&s->statements, n))
        WC_CONTAINER(n, struct wc_session_statement, node)->is_sent = false;
    s->impersonate.is_sent = false;
}

static struct wc_session_statement *find_statement(struct wc_session *s, const char *role,
                                                   const char *sql)
{
    size_t role_len = strlen(role) + 1, len = role_len + strlen(sql);
    struct wc_session_statement *st = calloc(1, sizeof *st + len);
    if (!st)
        return NULL;
    uint8_t *key = (uint8_t *)(st + 1);
    memcpy(key, role, role_len);
    memcpy(key + role_len, sql, len - role_len);
    st->node.key = wc_slice(key, len);
    struct wc_map_node *known = wc_map_get(&s->statements, st->node.key);
    if (!known && wc_map_insert(&s->statements, &st->node) == WC_OK)
        return st;
    free(st);
    return known ? WC_CONTAINER(known, struct wc_session_statement, node) : NULL;
}

/* ---- life cycle ---- */

static char *startup_options(const struct wc_session_options *o)
{
    struct wc_buf b;
    wc_buf_init(&b, OPTIONS_CAP);
    wc_pg_policy_options(&b, o->search_path);
    wc_buf_printf(&b,
                  "-c plan_cache_mode=force_generic_plan -c default_transaction_read_only=on "
                  "-c statement_timeout=%u -c lock_timeout=%u",
                  o->statement_timeout_ms, o->lock_timeout_ms);
    char *text = b.status == WC_OK ? wc_slice_dup(wc_buf_view(&b)) : NULL;
    wc_buf_release(&b);
    return text;
}

static void on_retry(uv_timer_t *);

struct wc_sessions *wc_sessions_new(uv_loop_t *loop, const struct wc_session_options *options,
                                    void (*on_change)(void *arg), void *arg)
{
    struct wc_sessions *p = calloc(1, sizeof *p);
    char *startup = startup_options(options);
    if (!p || !startup) {
        free(p);
        free(startup);
        return NULL;
    }
    p->loop = loop;
    p->opt = *options;
    p->opt.pg.replication = false;
    p->opt.pg.application_name = "walcast_checks";
    p->opt.pg.options = p->startup = startup;
    (void)snprintf(p->statement_timeout, sizeof p->statement_timeout, "%u",
                   options->statement_timeout_ms); /* both fit by type */
    (void)snprintf(p->lock_timeout, sizeof p->lock_timeout, "%u", options->lock_timeout_ms);
    p->on_change = on_change;
    p->arg = arg;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct wc_session *s = &p->slot[i];
        s->pool = p;
        wc_map_init(&s->statements);
        (void)uv_timer_init(loop, &s->retry); /* cannot fail */
        s->retry.data = s;
        p->open_handles++;
    }
    return p;
}

static void end_session(struct wc_session *s)
{
    wc_pg_close(s->pg);
    s->pg = NULL;
    s->is_up = s->ran_code = false;
    (void)uv_timer_stop(&s->retry); /* stopping an idle timer is no error */
    drop_statements(s);
    free(s->owners);
    s->owners = NULL;
}

static void on_closed(uv_handle_t *h)
{
    struct wc_session *s = h->data;
    struct wc_sessions *p = s->pool;
    if (--p->open_handles == 0)
        free(p);
}

void wc_sessions_free(struct wc_sessions *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct wc_session *s = &p->slot[i];
        end_session(s);
        wc_map_release(&s->statements);
        uv_close((uv_handle_t *)&s->retry, on_closed);
    }
    free(p->startup);
    p->startup = NULL;
}

void wc_sessions_drop(struct wc_sessions *p)
{
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        end_session(&p->slot[i]);
}

/* ---- connecting ---- */

static void on_ready(void *arg)
{
    struct wc_session *s = arg;
    s->is_up = true;
    s->backoff.ms = 0;
    wc_metric_add(WC_M_CHECK_SESSIONS, 1);
    s->pool->on_change(s->pool->arg);
}

static void wait_and_retry(struct wc_session *s, uint32_t least_ms)
{
    (void)uv_timer_start(&s->retry, on_retry, wc_backoff_next(&s->backoff, least_ms), 0);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    struct wc_session *s = arg;
    struct wc_sessions *p = s->pool;
    struct wc_pg_reason why = wc_pg_reason(sqlstate, message);
    unsigned long repeated = 0;
    if (wc_log_limit(&p->complaint, 60 * 1000000, &repeated))
        WC_LOG(WC_LOG_WARN, "rls", why.event,
               "tenant=%s user=%s sqlstate=%s error=\"%s\" hint=\"%s\" repeated=%lu", p->opt.tenant,
               p->opt.pg.user, sqlstate[0] ? sqlstate : "-", message, why.hint, repeated);
    end_session(s);
    wait_and_retry(s, why.least_wait_ms);
    p->on_change(p->arg);
}

static void connect_session(struct wc_session *s)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    s->pg = wc_pg_open(s->pool->loop, &s->pool->opt.pg, &events, s);
    if (!s->pg)
        wait_and_retry(s, 0);
}

static void on_retry(uv_timer_t *t)
{
    connect_session(t->data);
}

/* ---- choosing ---- */

static bool is_of(const struct wc_session *s, struct wc_slice owners)
{
    return s->owners && wc_slice_is(owners, s->owners);
}

/* A smaller rank is a better choice: theirs, a living one that is nobody's in truth, one to be
 * opened, one to be replaced. */
static int rank(const struct wc_session *s, struct wc_slice owners)
{
    if (is_of(s, owners))
        return 0;
    if (!s->ran_code)
        return s->pg ? 1 : 2;
    return 3;
}

static struct wc_session *choose(struct wc_sessions *p, struct wc_slice owners)
{
    struct wc_session *best = &p->slot[0];
    for (size_t i = 1; i < SESSIONS_MAX; i++) {
        struct wc_session *s = &p->slot[i];
        int a = rank(s, owners), b = rank(best, owners);
        if (a < b || (a == b && s->used < best->used))
            best = s;
    }
    return best;
}

struct wc_session *wc_sessions_get(struct wc_sessions *p, const struct wc_session_trust *trust)
{
    struct wc_session *s = choose(p, trust->owners);
    bool is_worn = s->statements.count >= STATEMENTS_MAX;
    if (is_worn || (s->ran_code && !is_of(s, trust->owners)))
        end_session(s);
    s->used = wc_clock_mono();
    if (!is_of(s, trust->owners)) {
        char *copy = wc_slice_dup(trust->owners);
        if (!copy)
            return NULL;
        free(s->owners);
        s->owners = copy;
    }
    if (!s->pg && !uv_is_active((uv_handle_t *)&s->retry))
        connect_session(s);
    if (!s->is_up)
        return NULL;
    s->ran_code |= trust->runs_code;
    return s;
}

/* ---- asking ---- */

enum wc_status wc_session_ask(struct wc_session *s, struct wc_session_question *q,
                              wc_pg_result_fn done, void *arg)
{
    struct wc_session_statement *st = find_statement(s, q->role, q->sql), *im = &s->impersonate;
    if (!st || (!st->is_sent && !make_name(s, st)) || (!im->is_sent && !make_name(s, im)))
        return WC_NOMEM;
    char timeout[12];
    (void)snprintf(timeout, sizeof timeout, "%u", q->timeout_ms); /* fits by type */
    const char *const who[] = {
        q->role, q->claims, q->timeout_ms ? timeout : s->pool->statement_timeout,
        s->pool->lock_timeout, q->replans ? "force_custom_plan" : "force_generic_plan"};
    const struct wc_pg_statement segment[] = {
        {.name = im->name,
         .sql = im->is_sent ? NULL : wc_sql_impersonate,
         .nparams = 5,
         .params = who},
        {.name = st->name,
         .sql = st->is_sent ? NULL : q->sql,
         .nparams = q->nparams,
         .params = q->params},
    };
    enum wc_status status = wc_pg_segment(s->pg, segment, 2, done, arg);
    if (status != WC_OK)
        return status;
    q->statement = st;
    q->number = st->number;
    q->parses = (uint8_t)(!im->is_sent + !st->is_sent);
    q->parses_own = !st->is_sent;
    st->is_sent = im->is_sent = true;
    return WC_OK;
}

enum wc_status wc_session_ask_visible(struct wc_session *s, wc_pg_result_fn done, void *arg)
{
    return wc_pg_query(s->pg, wc_sql_visible, 0, NULL, done, arg);
}

const char *wc_session_failed(struct wc_session *s, const struct wc_session_question *q,
                              const struct wc_pg_result *res)
{
    struct wc_session_statement *st = q->statement;
    bool is_current = st->number == q->number;
    bool is_missing = strcmp(res->sqlstate, missing_statement) == 0;
    if (q->parses > q->parses_own && res->parsed == 0)
        s->impersonate.is_sent = false;
    /* What was missing before its own text came says nothing about that. */
    bool is_unparsed = q->parses_own && res->parsed < q->parses && is_current;
    if (is_unparsed && !is_missing) {
        st->is_sent = false;
        (void)snprintf(st->why, sizeof st->why, "%s", res->sqlstate);
    }
    if (!is_missing)
        return res->sqlstate;
    if (is_current && st->is_sent)
        doubt_statements(s);
    return is_current && st->why[0] ? st->why : NULL;
}

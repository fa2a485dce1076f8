/*
 * The segments of a question, and what their answers say.
 *
 *   begin, probe, assume, seen | rollback, begin, assume, write | ... | rollback, tampered
 *
 * An error skips the rest of its segment, and the next one begins with the rollback. There are as
 * few as that allows, because each costs both sides a system call.
 */
#include "bridge/authz/authz_priv.h"

#include "base/json.h"
#include "sql/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum {
    READ = WC_MAY_READ_BROADCAST | WC_MAY_READ_PRESENCE,
    CLAIMS_CAP = 1 << 20, /* their tree: 4,096 nodes */
    DAY_S = 24 * 60 * 60,
    TIME_SIZE = 80,
};

static const char *const extension[] = {"broadcast", "presence"};
static const unsigned may_read[] = {WC_MAY_READ_BROADCAST, WC_MAY_READ_PRESENCE};
static const unsigned may_write[] = {WC_MAY_WRITE_BROADCAST, WC_MAY_WRITE_PRESENCE};

static const struct wc_pg_statement begin = {.sql = wc_sql_begin};
static const struct wc_pg_statement rollback = {.sql = wc_sql_rollback};
static const struct wc_pg_statement tampered = {.sql = wc_sql_tampered};

bool wc_authz_sub(struct wc_slice claims, struct wc_buf *out)
{
    static const struct wc_json_limits limits = {.depth = 64,
                                                 .nodes = 4096}; /* those of auth/jwt */
    struct wc_arena arena;
    struct wc_json doc;
    struct wc_slice text = wc_slice(NULL, 0);
    wc_arena_init(&arena, CLAIMS_CAP);
    bool ok = wc_json_parse(&doc, claims, &arena, limits, NULL) == WC_OK;
    uint32_t sub = ok ? wc_json_get(&doc, 0, "sub") : WC_JSON_NONE;
    enum wc_json_type type = ok ? wc_json_type(&doc, sub) : WC_JSON_ABSENT;
    if (type == WC_JSON_STRING)
        ok = wc_json_string(&doc, sub, &arena, &text);
    else if (type != WC_JSON_NULL && type != WC_JSON_ABSENT)
        text = wc_json_raw(&doc, sub);
    ok = ok && (text.len == 0 || !memchr(text.p, '\0', text.len));
    if (ok)
        wc_buf_slice(out, text);
    wc_arena_release(&arena);
    return ok;
}

/* ---- answers ---- */

/* A lost connection fails every segment; on_lost comes then, and decides. */
static bool is_lost(const struct wc_pg_result *res)
{
    return !res->ok && !res->sqlstate[0];
}

static enum wc_authorize_error class_of(const char *sqlstate)
{
    if (strcmp(sqlstate, "57014") == 0)
        return WC_AUTHORIZE_CANCELED;
    if (strncmp(sqlstate, "08", 2) == 0 || strncmp(sqlstate, "57P", 3) == 0)
        return WC_AUTHORIZE_UNAVAILABLE;
    return WC_AUTHORIZE_POLICY;
}

static const char *hint_for(enum wc_authz_text text, const char *sqlstate)
{
    static const char *const denied[WC_AUTHZ_TEXTS] = {
        [WC_AUTHZ_PROBE] =
            "DB_USER must insert into realtime.messages beyond row security, and read "
            "it: best as its owner",
        [WC_AUTHZ_ASSUME] = "DB_USER must be a member of the role, and may set it",
        [WC_AUTHZ_SEEN] =
            "the role needs USAGE on schema realtime, SELECT on realtime.messages, and "
            "what the policies read",
        [WC_AUTHZ_WRITE] = "the role needs USAGE on schema realtime"};
    static const char *const table[][2] = {
        {"22023", "the role of the token does not exist"},
        {"23514", "realtime.messages has no partition for today: run walcast migrate"},
        {"42P01", "realtime.messages is missing: run walcast migrate"},
        {"3F000", "schema realtime is missing: run walcast migrate"},
        {"57014", "policies of realtime.messages take too long, or somebody canceled them"},
        {"", "a policy of realtime.messages raised an error: the Postgres log has it"},
    };
    if (strcmp(sqlstate, "42501") == 0)
        return denied[text];
    size_t i = 0;
    while (strncmp(sqlstate, table[i][0], strlen(table[i][0])) != 0)
        i++;
    return table[i][1];
}

/* The same once a minute, another one soon: whoever has mended one sees what comes after it. */
static bool is_to_be_told(struct wc_authz *az, const char *hint, unsigned long *repeated)
{
    enum { SAME_US = 60 * 1000000, OTHER_US = 1000000 };
    if (az->failed_hint == hint)
        return wc_log_limit(&az->failed_told, SAME_US, repeated);
    if (!wc_log_limit(&az->other_told, OTHER_US, repeated))
        return false;
    az->failed_hint = hint;
    az->failed_told = (struct wc_log_limit){.next = wc_clock_mono() + SAME_US};
    return true;
}

/* Of several errors the first one counts. */
static void fail(struct wc_authz_question *q, enum wc_authorize_error error, const char *sqlstate,
                 const char *hint)
{
    struct wc_authz *az = q->authz;
    if (q->error != WC_AUTHORIZE_OK)
        return;
    q->error = error;
    unsigned long repeated = 0;
    if (q->asked && is_to_be_told(az, hint, &repeated))
        WC_LOG(WC_LOG_WARN, "authz", "not_answered",
               "tenant=%s role=\"%.*s\" sqlstate=%s repeated=%lu hint=\"%s\"", az->opt.tenant,
               WC_SLICE_ARG(q->asked->claims->role), sqlstate, repeated, hint);
}

/* `text` is what was executed, and may be missing. */
static void fail_of(struct wc_authz_question *q, enum wc_authz_text text,
                    const struct wc_pg_result *res)
{
    const char *sqlstate = res->sqlstate;
    if (strcmp(sqlstate, "26000") == 0) {
        const char *why =
            q->asked ? wc_authz_why_missing(q->conn, text, q->asked->claims->role) : NULL;
        q->is_doubtful = !why;
        sqlstate = why ? why : sqlstate;
    }
    /* the only check constraint that a probe can violate is that of a partition */
    bool is_insert = text == WC_AUTHZ_PROBE || text == WC_AUTHZ_WRITE;
    bool no_partition = is_insert && strcmp(sqlstate, "23514") == 0;
    fail(q, no_partition ? WC_AUTHORIZE_NO_PARTITION : class_of(sqlstate), sqlstate,
         hint_for(text, sqlstate));
}

static void on_seen(void *arg, const struct wc_pg_result *res)
{
    struct wc_authz_question *q = arg;
    if (!res->ok && !is_lost(res))
        fail_of(q,
                res->executed == 1   ? WC_AUTHZ_PROBE
                : res->executed == 2 ? WC_AUTHZ_ASSUME
                                     : WC_AUTHZ_SEEN,
                res);
    for (int row = 0; row < res->nrows; row++)
        for (size_t i = 0; i < 2; i++)
            if (wc_slice_is(wc_pg_slice(res, row, 0), q->id[i]))
                q->granted |= may_read[i];
}

/* Its transaction is not the first, so that there is one to be rolled back. */
static bool is_later(const struct wc_authz_question *q, size_t which)
{
    static const unsigned earlier[] = {READ, READ | WC_MAY_WRITE_BROADCAST};
    return q->wanted & earlier[which];
}

static void on_written(struct wc_authz_question *q, size_t which, const struct wc_pg_result *res)
{
    bool is_insert = res->executed == (is_later(q, which) ? 3 : 2);
    if (res->ok)
        q->granted |= may_write[which];
    else if (!is_lost(res) && !(is_insert && strcmp(res->sqlstate, "42501") == 0))
        fail_of(q, is_insert ? WC_AUTHZ_WRITE : WC_AUTHZ_ASSUME, res);
}

static void on_broadcast_written(void *arg, const struct wc_pg_result *res)
{
    on_written(arg, 0, res);
}

static void on_presence_written(void *arg, const struct wc_pg_result *res)
{
    on_written(arg, 1, res);
}

static void on_tampered(struct wc_authz_question *q)
{
    struct wc_authz *az = q->authz;
    unsigned long repeated = 0;
    if (q->asked && wc_log_limit(&az->tampered_told, 60 * 1000000, &repeated))
        WC_LOG(
            WC_LOG_WARN, "authz", "tampered",
            "tenant=%s role=\"%.*s\" repeated=%lu hint=\"a function that policies or triggers of "
            "realtime.messages call prepares statements in the session of walcast\"",
            az->opt.tenant, WC_SLICE_ARG(q->asked->claims->role), repeated);
    wc_authz_answer(q, 0, WC_AUTHORIZE_POLICY, NULL);
}

/* False: the connection must be dropped. */
static bool conclude(struct wc_authz_question *q)
{
    bool is_fine = q->error == WC_AUTHORIZE_OK;
    if (is_fine && q->asked && q->asked->wants_replay && (q->granted & WC_MAY_READ_BROADCAST))
        return wc_authz_ask_replay(q);
    wc_authz_answer(q, is_fine ? q->granted : 0, q->error, NULL);
    wc_authz_done(q);
    return true;
}

/* The last answer. */
static void on_looked_around(void *arg, const struct wc_pg_result *res)
{
    struct wc_authz_question *q = arg;
    struct wc_authz *az = q->authz;
    if (is_lost(res))
        return;
    bool is_tampered = res->nrows > 0;
    if (is_tampered)
        on_tampered(q);
    if (res->ok && !is_tampered && !q->is_doubtful && conclude(q))
        return;
    wc_authz_drop(q->conn);
    wc_authz_pump(az);
}

/* ---- questions ---- */

/* Now and the day it is in, as texts of timestamps in UTC. */
struct moment {
    char now[TIME_SIZE], day[TIME_SIZE], next_day[TIME_SIZE];
};

static void write_time(char out[TIME_SIZE], wc_us wall)
{
    time_t seconds = (time_t)(wall / 1000000);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm); /* fails beyond the year 2^31 */
    (void)snprintf(out, TIME_SIZE, "%d-%02d-%02d %02d:%02d:%02d.%06d", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                   (int)(wall % 1000000));
}

static struct moment this_moment(void)
{
    struct moment m;
    wc_us now = wc_clock_wall(), day = now - now % ((wc_us)DAY_S * 1000000);
    write_time(m.now, now);
    write_time(m.day, day);
    write_time(m.next_day, day + (wc_us)DAY_S * 1000000);
    return m;
}

static void make_id(char out[WC_UUID_TEXT])
{
    uint8_t bytes[WC_UUID_BYTES];
    wc_uuid_random(bytes);
    wc_uuid_format(bytes, out);
}

static bool ask(struct wc_authz_question *q, const struct wc_pg_statement *s, size_t n,
                wc_pg_result_fn done)
{
    return wc_pg_segment(q->conn->pg, s, n, done, q) == WC_OK;
}

static bool statement(struct wc_authz_question *q, enum wc_authz_text text,
                      const char *const *params, int nparams, struct wc_pg_statement *out)
{
    if (!wc_authz_prepare(q->conn, text, q->asked->claims->role, out))
        return false;
    out->nparams = nparams;
    out->params = params;
    return true;
}

/* The parameters of wc_sql_assume. */
struct person {
    const char *param[6];
    char timeout[12];
};

static bool assume(struct wc_authz_question *q, struct person *p, struct wc_pg_statement *out)
{
    const struct wc_claims *c = q->asked->claims;
    (void)snprintf(p->timeout, sizeof p->timeout, "%u",
                   q->authz->opt.times.statement_ms); /* fits by type */
    const char *const param[] = {
        (const char *)c->role.p, q->topic, (const char *)c->json.p, q->sub, q->headers, p->timeout};
    memcpy(p->param, param, sizeof param);
    return statement(q, WC_AUTHZ_ASSUME, p->param, 6, out);
}

/* "{a,b}" or less. */
static void write_array(char *out, size_t size, const char *a, const char *b)
{
    (void)snprintf(out, size, "{%s%s%s}", a, a[0] && b[0] ? "," : "", b); /* fits: see callers */
}

static bool send_read(struct wc_authz_question *q, const struct moment *m)
{
    char ids[2 * WC_UUID_TEXT + 4], extensions[24];
    const char *which[2];
    for (size_t i = 0; i < 2; i++) {
        bool is_asked = q->asked->ask & may_read[i];
        which[i] = is_asked ? extension[i] : "";
        if (is_asked)
            make_id(q->id[i]);
    }
    write_array(ids, sizeof ids, q->id[0], q->id[1]);
    write_array(extensions, sizeof extensions, which[0], which[1]);
    const char *const probe[] = {ids, extensions, q->topic, m->now};
    const char *const seen[] = {ids, m->day, m->next_day};
    struct person person;
    struct wc_pg_statement s[4] = {begin};
    return statement(q, WC_AUTHZ_PROBE, probe, 4, &s[1]) && assume(q, &person, &s[2]) &&
           statement(q, WC_AUTHZ_SEEN, seen, 3, &s[3]) && ask(q, s, 4, on_seen);
}

static bool send_write(struct wc_authz_question *q, const struct moment *m, size_t which)
{
    static const wc_pg_result_fn on_answer[] = {on_broadcast_written, on_presence_written};
    const char *const row[] = {q->topic, extension[which], m->now};
    struct person person;
    struct wc_pg_statement s[4] = {rollback, begin};
    size_t skip = is_later(q, which) ? 0 : 1;
    return assume(q, &person, &s[2]) && statement(q, WC_AUTHZ_WRITE, row, 3, &s[3]) &&
           ask(q, s + skip, 4 - skip, on_answer[which]);
}

bool wc_authz_send(struct wc_authz_question *q)
{
    if (q->replay_since)
        return wc_authz_ask_replay(q);
    const struct wc_pg_statement last[] = {rollback, tampered};
    const struct moment m = this_moment();
    bool sent = !(q->wanted & READ) || send_read(q, &m);
    for (size_t i = 0; i < 2 && sent; i++)
        if (q->wanted & may_write[i])
            sent = send_write(q, &m, i);
    return sent && ask(q, last, 2, on_looked_around);
}

#include "bridge/migrate/migrate.h"

#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

#define DAYS_AHEAD "7"

struct step {
    const char *what;
    const char *sql;    /* NULL: the partitions */
    const char *remedy; /* of 42501, insufficient_privilege */
    /* Of what is made where it may be: a query for why it is not there, NULL if it is. */
    const char *proof;
};

static const struct step steps[] = {
    {.what = "roles anon, authenticated, service_role, and schema auth",
     .sql = wc_migration_roles,
     .remedy = "run it once as a superuser; or create what is missing by hand"},
    {.what = "realtime.messages",
     .sql = wc_migration_messages,
     .remedy = "as the owner of the database: grant create on database DB_NAME to DB_USER; a "
               "schema `realtime` of another owner: run it as that owner"},
    {.what = "realtime.topic, send, send_binary, broadcast_changes",
     .sql = wc_migration_functions,
     .remedy = "run it as the owner of schema realtime"},
    {.what = "grants",
     .sql = wc_migration_grants,
     .remedy = "run it as the owner of realtime.messages"},
    {.what = "partitions of realtime.messages",
     .remedy = "run it as the owner of realtime.messages"},
    {.what = "publications",
     .sql = wc_migration_publications,
     .remedy = "as the owner of the database: grant create on database DB_NAME to DB_USER; a "
               "publication of another owner: run it as that owner"},
    {.what = "signed messages",
     .sql = wc_migration_signed,
     .remedy = "as the owner of the database: grant create on database DB_NAME to DB_USER; a "
               "schema `walcast` of another owner: see who made it, and drop it"},
    {.what = "changes of rules in stream order", .sql = wc_migration_rules, .proof = wc_sql_rules},
};

enum {
    STEPS = sizeof steps / sizeof steps[0],
    PARTITIONS_MAX = 4000, /* a server that was away for ten years would drop as many */
};

struct wc_migrate {
    struct wc_pg *pg;
    struct wc_migrate_options opt;
    struct wc_migrate_hooks hooks;
    void *arg;
    size_t step;
    unsigned partitions; /* transactions so far */
    bool failed;
    char sqlstate[6], message[300];
};

static void next_step(struct wc_migrate *);

/* ---- the end ---- */

static void finish(struct wc_migrate *m, const char *step)
{
    bool is_privilege = m->step < STEPS && strcmp(m->sqlstate, "42501") == 0;
    struct wc_migrate_outcome o = {.ok = !m->failed,
                                   .step = step,
                                   .remedy = is_privilege ? steps[m->step].remedy : NULL,
                                   .message = m->message};
    memcpy(o.sqlstate, m->sqlstate, sizeof o.sqlstate);
    m->hooks.on_done(m->arg, &o);
    free(m);
}

static void note_failure(struct wc_migrate *m, const char *sqlstate, const char *message)
{
    m->failed = true;
    (void)snprintf(m->sqlstate, sizeof m->sqlstate, "%s", sqlstate);
    (void)snprintf(m->message, sizeof m->message, "%s", message);
}

static void end_step(struct wc_migrate *m)
{
    const char *what = steps[m->step].what;
    if (m->failed) {
        finish(m, what);
        return;
    }
    if (m->hooks.on_step)
        m->hooks.on_step(m->arg, what);
    m->step = m->opt.only_partitions ? STEPS : m->step + 1;
    next_step(m);
}

/* ---- partitions ---- */

/* What there is to do is asked for again after each transaction, so that one that fails is the
 * last. */
static void on_partition(void *arg, const struct wc_pg_result *res)
{
    struct wc_migrate *m = arg;
    if (res->ok && ++m->partitions < PARTITIONS_MAX) {
        next_step(m);
        return;
    }
    note_failure(m, res->ok ? "54000" : res->sqlstate,
                 res->ok ? "there is no end of partitions" : res->message);
    end_step(m);
}

static void on_partitions(void *arg, const struct wc_pg_result *res)
{
    struct wc_migrate *m = arg;
    struct wc_pg_statement statement[2] = {0};
    size_t n = 0;
    if (!res->ok)
        note_failure(m, res->sqlstate, res->message);
    else /* the first transaction: the rows of one number */
        for (int row = 0; row < res->nrows && n < 2; row++)
            if (strcmp(wc_pg_value(res, row, 0), wc_pg_value(res, 0, 0)) == 0)
                statement[n++].sql = wc_pg_value(res, row, 1);
    if (n == 0) {
        end_step(m);
    } else if (wc_pg_segment(m->pg, statement, n, on_partition, m) != WC_OK) {
        note_failure(m, "", "could not send a statement");
        end_step(m);
    }
}

/* ---- steps ---- */

static void on_proof(void *arg, const struct wc_pg_result *res)
{
    struct wc_migrate *m = arg;
    const char *why = res->ok && res->nrows == 1 ? wc_pg_value(res, 0, 0) : NULL;
    if (!res->ok)
        note_failure(m, res->sqlstate, res->message);
    if (!why) {
        end_step(m);
        return;
    }
    if (m->hooks.on_left_out)
        m->hooks.on_left_out(m->arg, steps[m->step].what, why);
    m->step++;
    next_step(m);
}

static void on_step(void *arg, const struct wc_pg_result *res)
{
    struct wc_migrate *m = arg;
    const char *proof = steps[m->step].proof;
    if (!res->ok)
        note_failure(m, res->sqlstate, res->message);
    else if (proof && wc_pg_query(m->pg, proof, 0, NULL, on_proof, m) == WC_OK)
        return;
    else if (proof)
        note_failure(m, "", "could not send a statement");
    end_step(m);
}

static void next_step(struct wc_migrate *m)
{
    static const char *const ahead[] = {DAYS_AHEAD};
    enum wc_status st;
    if (m->step == STEPS) {
        finish(m, NULL);
        return;
    }
    const struct step *s = &steps[m->step];
    if (s->sql)
        st = wc_pg_query(m->pg, s->sql, 0, NULL, on_step, m);
    else
        st = wc_pg_query(m->pg, wc_sql_partitions, 1, ahead, on_partitions, m);
    if (st == WC_OK)
        return;
    note_failure(m, "", "could not send a statement");
    finish(m, s->what);
}

static size_t first_step(const struct wc_migrate_options *o)
{
    size_t step = o->with_roles ? 0 : 1;
    while (o->only_partitions && steps[step].sql)
        step++;
    return step;
}

static void on_locked(void *arg, const struct wc_pg_result *res)
{
    struct wc_migrate *m = arg;
    if (res->ok) {
        next_step(m);
        return;
    }
    note_failure(m, res->sqlstate, res->message);
    m->step = STEPS;
    finish(m, "lock against others that migrate");
}

struct wc_migrate *wc_migrate_run(struct wc_pg *pg, const struct wc_migrate_options *options,
                                  const struct wc_migrate_hooks *hooks, void *arg)
{
    struct wc_migrate *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->pg = pg;
    m->opt = *options;
    m->hooks = *hooks;
    m->arg = arg;
    m->step = first_step(options);
    if (wc_pg_query(pg, wc_sql_migration_lock, 0, NULL, on_locked, m) == WC_OK)
        return m;
    free(m);
    return NULL;
}

void wc_migrate_cancel(struct wc_migrate *m)
{
    free(m);
}

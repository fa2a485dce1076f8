#include "bridge/cli/migrate.h"

#include "bridge/cli/tool.h"
#include "bridge/pg/pg.h"
#include "bridge/pg/reason.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define DAYS_AHEAD "7"

struct step {
    const char *what, *sql;
    const char *remedy; /* of 42501, insufficient_privilege */
};

static const struct step steps[] = {
    {"roles anon, authenticated, service_role, and schema auth", wc_migration_roles,
     "run it once as a superuser; or create what is missing by hand"},
    {"realtime.messages", wc_migration_messages,
     "as the owner of the database: grant create on database DB_NAME to DB_USER; a schema "
     "`realtime` of another owner: run it as that owner"},
    {"realtime.topic, send, send_binary, broadcast_changes", wc_migration_functions,
     "run it as the owner of schema realtime"},
    {"grants", wc_migration_grants, "run it as the owner of realtime.messages"},
    {"publications", wc_migration_publications,
     "as the owner of the database: grant create on database DB_NAME to DB_USER"},
};

struct migrate {
    const struct wc_config *config;
    struct wc_pg *pg;
    size_t step;
    int status;
    int partitions; /* answers still to come */
};

static void next_step(struct migrate *m);

static void done(struct migrate *m, int status)
{
    m->status = status;
    wc_pg_close(m->pg); /* the loop ends with its last handle */
    m->pg = NULL;
}

static void fail(struct migrate *m, const char *what, const char *remedy,
                 const struct wc_pg_result *res)
{
    bool is_privilege = strcmp(res->sqlstate, "42501") == 0;
    (void)printf("fail  %s: %s (%s)%s%s\n", what, res->message, res->sqlstate,
                 is_privilege ? ": " : "", is_privilege ? remedy : "");
    done(m, 1);
}

/* ---- partitions ---- */

static void on_partition(void *arg, const struct wc_pg_result *res)
{
    struct migrate *m = arg;
    if (!m->pg)
        return; /* an earlier one has failed */
    m->partitions--;
    if (!res->ok)
        fail(m, "partitions of realtime.messages", steps[1].remedy, res);
    else if (m->partitions == 0) {
        (void)puts("ok    partitions of realtime.messages");
        done(m, 0);
    }
}

/* Rows of one number are one transaction. */
static void on_partitions(void *arg, const struct wc_pg_result *res)
{
    struct migrate *m = arg;
    if (!res->ok) {
        fail(m, "partitions of realtime.messages", steps[1].remedy, res);
        return;
    }
    for (int row = 0; row < res->nrows;) {
        struct wc_pg_statement statement[2] = {0};
        size_t n = 0;
        const char *number = wc_pg_value(res, row, 0);
        while (row < res->nrows && n < 2 && strcmp(wc_pg_value(res, row, 0), number) == 0)
            statement[n++].sql = wc_pg_value(res, row++, 1);
        if (wc_pg_segment(m->pg, statement, n, on_partition, m) != WC_OK) {
            done(m, 1);
            return;
        }
        m->partitions++;
    }
    if (m->partitions == 0) {
        (void)puts("ok    partitions of realtime.messages");
        done(m, 0);
    }
}

/* ---- steps ---- */

static void on_step(void *arg, const struct wc_pg_result *res)
{
    struct migrate *m = arg;
    const struct step *s = &steps[m->step];
    if (!res->ok) {
        fail(m, s->what, s->remedy, res);
        return;
    }
    (void)printf("ok    %s\n", s->what);
    m->step++;
    next_step(m);
}

static void next_step(struct migrate *m)
{
    static const char *const ahead[] = {DAYS_AHEAD};
    enum wc_status st = m->step < sizeof steps / sizeof steps[0]
                            ? wc_pg_query(m->pg, steps[m->step].sql, 0, NULL, on_step, m)
                            : wc_pg_query(m->pg, wc_sql_partitions, 1, ahead, on_partitions, m);
    if (st != WC_OK)
        done(m, 1);
}

static void on_locked(void *arg, const struct wc_pg_result *res)
{
    struct migrate *m = arg;
    if (res->ok)
        next_step(m);
    else
        fail(m, "lock against others that migrate", "", res);
}

static void on_ready(void *arg)
{
    struct migrate *m = arg;
    const struct wc_config *c = m->config;
    (void)printf("ok    connected to %s:%u/%s as %s\n", c->db_host, c->db_port, c->db_name,
                 c->db_user);
    if (wc_pg_query(m->pg, wc_sql_migration_lock, 0, NULL, on_locked, m) != WC_OK)
        done(m, 1);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    struct migrate *m = arg;
    struct wc_pg_reason why = wc_pg_reason(sqlstate, message);
    (void)printf("fail  no connection to %s:%u/%s as %s: %s: %s\n", m->config->db_host,
                 m->config->db_port, m->config->db_name, m->config->db_user, message, why.hint);
    done(m, 1);
}

static int run(const struct wc_config *config, bool with_roles)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    struct migrate m = {.config = config, .status = 1, .step = with_roles ? 0 : 1};
    const struct wc_pg_options o = {.host = config->db_host,
                                    .port = (uint16_t)config->db_port,
                                    .dbname = config->db_name,
                                    .user = config->db_user,
                                    .password = config->db_password,
                                    .sslmode = wc_config_word_text(config->db_sslmode),
                                    .application_name = "walcast_migrate",
                                    .options = "-c search_path=pg_catalog -c lock_timeout=10000 "
                                               "-c client_min_messages=warning",
                                    .connect_timeout_ms = config->db_connect_timeout_ms};
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0)
        return 1;
    m.pg = wc_pg_open(&loop, &o, &events, &m);
    if (m.pg)
        (void)uv_run(&loop, UV_RUN_DEFAULT); /* until the connection is closed */
    (void)uv_loop_close(&loop);              /* nothing is left open */
    return m.status;
}

int wc_cli_migrate(int argc, char **argv)
{
    static const struct wc_cli_tool tool = {
        .usage =
            "usage: walcast migrate [--roles] [OPTIONS]\n\nMakes realtime.messages, its "
            "functions, grants and publications, and what is missing of them; with\n--roles "
            "also anon, authenticated, service_role and the functions of schema auth. Options, "
            "also read from the environment:\n",
        .flag = "--roles",
        .run = run};
    return wc_cli_run(&tool, argc, argv);
}

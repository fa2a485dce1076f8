#include "bridge/cli/migrate.h"

#include "bridge/cli/tool.h"
#include "bridge/migrate/migrate.h"
#include "bridge/pg/reason.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct run {
    const struct wc_config *config;
    bool with_roles;
    struct wc_pg *pg;
    int status;
};

static void done(struct run *r, int status)
{
    r->status = status;
    wc_pg_close(r->pg); /* the loop ends with its last handle */
    r->pg = NULL;
}

static void on_step(void *arg, const char *step)
{
    (void)arg;
    (void)printf("ok    %s\n", step);
}

static void on_left_out(void *arg, const char *step, const char *why)
{
    (void)arg;
    (void)printf("info  %s: left out: %s; they count within POLICY_FRESHNESS_MS\n", step, why);
}

static void on_done(void *arg, const struct wc_migrate_outcome *o)
{
    struct run *r = arg;
    if (!o->ok && o->sqlstate[0])
        (void)printf("fail  %s: %s (%s)%s%s\n", o->step, o->message, o->sqlstate,
                     o->remedy ? ": " : "", o->remedy ? o->remedy : "");
    if (o->ok || o->sqlstate[0]) /* otherwise the connection is lost, and says so itself */
        done(r, !o->ok);
}

static void on_ready(void *arg)
{
    static const struct wc_migrate_hooks hooks = {
        .on_step = on_step, .on_left_out = on_left_out, .on_done = on_done};
    struct run *r = arg;
    const struct wc_config *c = r->config;
    const struct wc_migrate_options o = {.with_roles = r->with_roles};
    (void)printf("ok    connected to %s:%u/%s as %s\n", c->db_host, c->db_port, c->db_name,
                 c->db_user);
    if (!wc_migrate_run(r->pg, &o, &hooks, r))
        done(r, 1);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    struct run *r = arg;
    struct wc_pg_reason why = wc_pg_reason(sqlstate, message);
    (void)printf("fail  no connection to %s:%u/%s as %s: %s: %s\n", r->config->db_host,
                 r->config->db_port, r->config->db_name, r->config->db_user, message, why.hint);
    done(r, 1);
}

static int run(const struct wc_config *config, bool with_roles)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    struct run r = {.config = config, .with_roles = with_roles, .status = 1};
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
    r.pg = wc_pg_open(&loop, &o, &events, &r);
    if (r.pg)
        (void)uv_run(&loop, UV_RUN_DEFAULT); /* until the connection is closed */
    (void)uv_loop_close(&loop);              /* nothing is left open */
    return r.status;
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

#include "bridge/cli/check.h"

#include "base/jsonw.h"
#include "bridge/cli/check_rules.h"
#include "bridge/cli/tool.h"
#include "bridge/pg/array.h"
#include "bridge/pg/pg.h"
#include "bridge/pg/reason.h"
#include "bridge/rls/access.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { TEXT_CAP = 64 << 10, LINE_CAP = 4 << 20 };

struct check {
    const struct wc_config *config;
    uv_loop_t loop;
    struct wc_pg *pg;
    struct wc_check_rules *rules;
    struct wc_buf publications;
    bool is_json;
    int status;
};

enum { COL_LEVEL, COL_FINDING, COL_REMEDY, COL_REASON };

static void print_member(struct wc_buf *out, const char *name, const char *value)
{
    wc_buf_str(out, name);
    wc_jsonw_cstr(out, value);
}

static void print_json(const struct wc_cli_finding *f)
{
    struct wc_buf line;
    wc_buf_init(&line, LINE_CAP);
    print_member(&line, "{\"level\":", f->level);
    print_member(&line, ",\"reason\":", f->reason);
    print_member(&line, ",\"finding\":", f->what);
    print_member(&line, ",\"remedy\":", f->remedy);
    wc_buf_str(&line, "}");
    if (line.status == WC_OK)
        (void)printf("%.*s\n", WC_SLICE_ARG(wc_buf_view(&line)));
    wc_buf_release(&line);
}

static void print(void *arg, const struct wc_cli_finding *f)
{
    const struct check *c = arg;
    if (c->is_json)
        print_json(f);
    else
        (void)printf("%-5s %s [%s]%s%s\n", f->level, f->what, f->reason, f->remedy[0] ? ": " : "",
                     f->remedy);
}

static void done(struct check *c, int status)
{
    c->status = status;
    wc_pg_close(c->pg); /* the loop ends with its last handle */
    c->pg = NULL;
    wc_check_rules_free(c->rules);
    c->rules = NULL;
}

static void on_rules_done(void *arg, bool ok)
{
    struct check *c = arg;
    done(c, ok ? c->status : 1);
}

static void check_rules(struct check *c)
{
    const struct wc_check_rules_options o = {.loop = &c->loop,
                                             .pg = c->pg,
                                             .publications = (const char *)c->publications.p,
                                             .login = c->config->db_rls_user,
                                             .no_compiling =
                                                 c->config->rls_compile == WC_RLS_COMPILE_OFF,
                                             .on_finding = print,
                                             .on_done = on_rules_done,
                                             .arg = c};
    c->rules = wc_check_rules_begin(&o);
    if (!c->rules)
        done(c, 1);
}

static void on_findings(void *arg, const struct wc_pg_result *res)
{
    struct check *c = arg;
    if (!res->ok) {
        (void)fprintf(stderr, "walcast check: the query failed: %s (%s)\n", res->message,
                      res->sqlstate);
        done(c, 1);
        return;
    }
    c->status = 0;
    for (int i = 0; i < res->nrows; i++) {
        const struct wc_cli_finding f = {.level = wc_pg_value(res, i, COL_LEVEL),
                                         .reason = wc_pg_value(res, i, COL_REASON),
                                         .what = wc_pg_value(res, i, COL_FINDING),
                                         .remedy = wc_pg_value(res, i, COL_REMEDY)};
        print(c, &f);
        if (strcmp(f.level, "fail") == 0)
            c->status = 1;
    }
    check_rules(c);
}

static void on_ready(void *arg)
{
    struct check *c = arg;
    const struct wc_config *cfg = c->config;
    char text[600];
    (void)snprintf(text, sizeof text, "connected to %s:%u/%s as %s", cfg->db_host, cfg->db_port,
                   cfg->db_name, cfg->db_user);
    const struct wc_cli_finding f = {"ok", "connection", text, ""};
    print(c, &f);
    const char *const params[] = {(const char *)c->publications.p, cfg->slot_name,
                                  cfg->db_rls_user};
    if (wc_pg_query(c->pg, wc_sql_check, 3, params, on_findings, c) != WC_OK)
        done(c, 1);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    struct check *c = arg;
    struct wc_pg_reason why = wc_pg_reason(sqlstate, message);
    char text[1200];
    (void)snprintf(text, sizeof text, "no connection to %s:%u/%s as %s: %s", c->config->db_host,
                   c->config->db_port, c->config->db_name, c->config->db_user, message);
    const struct wc_cli_finding f = {"fail", "connection", text, why.hint};
    print(c, &f);
    done(c, 1);
}

static int run(const struct wc_config *config, bool is_json)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    struct check c = {.config = config, .is_json = is_json, .status = 1};
    char options[600];
    (void)snprintf(options, sizeof options, "%s -c statement_timeout=30000",
                   wc_access_session); /* fits; the last one counts */
    const struct wc_pg_options o = {.host = config->db_host,
                                    .port = (uint16_t)config->db_port,
                                    .dbname = config->db_name,
                                    .user = config->db_user,
                                    .password = config->db_password,
                                    .sslmode = wc_config_word_text(config->db_sslmode),
                                    .application_name = "walcast_check",
                                    .options = options,
                                    .connect_timeout_ms = config->db_connect_timeout_ms};
    if (uv_loop_init(&c.loop) != 0)
        return 1;
    wc_buf_init(&c.publications, TEXT_CAP);
    wc_pg_array_of_names(&c.publications, config->publications);
    c.pg = wc_pg_open(&c.loop, &o, &events, &c);
    if (c.pg)
        (void)uv_run(&c.loop, UV_RUN_DEFAULT); /* until the connection is closed */
    (void)uv_loop_close(&c.loop);              /* nothing is left open */
    wc_buf_release(&c.publications);
    return c.status;
}

int wc_cli_check(int argc, char **argv)
{
    static const struct wc_cli_tool tool = {
        .usage =
            "usage: walcast check [--json] [OPTIONS]\n\nReports whether a database is ready to "
            "be streamed; with --json one object on each line. Options, also read from the "
            "environment:\n",
        .flag = "--json",
        .run = run};
    return wc_cli_run(&tool, argc, argv);
}

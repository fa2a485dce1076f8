/*
 * Statements that are prepared in a session: parsing and planning them anew is three quarters of
 * what a question costs Postgres (benchmarks/README). Plans with row security hold for one role.
 *
 * Code of policies can take prepared statements away and put others in their place, which no
 * rollback undoes. But it has only SQL for that, and Postgres tells what was prepared by SQL from
 * what came as a message: each question ends with a look at it (wc_sql_tampered), whose answer
 * comes before those of the next question. A session that was tampered with stays so, and is
 * replaced; what was asked behind is asked again. So it is where a statement is missing.
 */
#include "bridge/authz/authz_priv.h"

#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ROLES_MAX = 16, /* that have statements of their own; for others they are parsed each time */
    ROLE_NAME_MAX = 63, /* bytes of a name in Postgres */
};

struct statement {
    char name[16];
    char why[6]; /* it could not be prepared, the last time; or empty */
    bool is_sent;
};

struct role {
    uint8_t name[ROLE_NAME_MAX];
    size_t len;
    struct statement statement[WC_AUTHZ_TEXTS];
};

struct wc_authz_session {
    struct role role[ROLES_MAX + 1]; /* the first: for whom it does not matter */
    size_t nroles;
};

struct wc_authz_session *wc_authz_session_new(void)
{
    struct wc_authz_session *s = calloc(1, sizeof *s);
    if (s)
        s->nroles = 1;
    return s;
}

void wc_authz_session_free(struct wc_authz_session *s)
{
    free(s);
}

static struct role *find_role(struct wc_authz_session *s, struct wc_slice name)
{
    for (size_t i = 0; i < s->nroles; i++)
        if (wc_slice_eq(wc_slice(s->role[i].name, s->role[i].len), name))
            return &s->role[i];
    return NULL;
}

static struct role *add_role(struct wc_authz_session *s, struct wc_slice name)
{
    if (s->nroles > ROLES_MAX || name.len > ROLE_NAME_MAX)
        return NULL;
    struct role *r = &s->role[s->nroles++];
    memcpy(r->name, name.p, name.len);
    r->len = name.len;
    return r;
}

static bool is_of_role(enum wc_authz_text text)
{
    return text == WC_AUTHZ_SEEN || text == WC_AUTHZ_WRITE;
}

static const char *sql_of(enum wc_authz_text text)
{
    static const char *const sql[] = {[WC_AUTHZ_PROBE] = wc_sql_probe,
                                      [WC_AUTHZ_ASSUME] = wc_sql_assume,
                                      [WC_AUTHZ_SEEN] = wc_sql_probe_seen,
                                      [WC_AUTHZ_WRITE] = wc_sql_probe_write};
    return sql[text];
}

static void on_prepared(void *arg, const struct wc_pg_result *res)
{
    struct statement *st = arg;
    st->is_sent = res->ok;
    (void)snprintf(st->why, sizeof st->why, "%s", res->ok ? "" : res->sqlstate); /* fits */
}

bool wc_authz_prepare(struct wc_authz_conn *c, enum wc_authz_text text, struct wc_slice role,
                      struct wc_pg_statement *out)
{
    struct wc_authz_session *s = c->session;
    const struct wc_slice name = is_of_role(text) ? role : wc_slice(NULL, 0);
    struct role *r = find_role(s, name);
    if (!r && !(r = add_role(s, name))) {
        *out = (struct wc_pg_statement){.sql = sql_of(text)};
        return true;
    }
    struct statement *st = &r->statement[text];
    if (!st->is_sent) {
        (void)snprintf(st->name, sizeof st->name, "w%zu_%u", (size_t)(r - s->role),
                       (unsigned)text); /* fits: both are small */
        const struct wc_pg_statement parse = {
            .name = st->name, .sql = sql_of(text), .parse_only = true};
        if (wc_pg_segment(c->pg, &parse, 1, on_prepared, st) != WC_OK)
            return false;
        st->is_sent = true;
    }
    *out = (struct wc_pg_statement){.name = st->name};
    return true;
}

const char *wc_authz_why_missing(const struct wc_authz_conn *c, enum wc_authz_text text,
                                 struct wc_slice role)
{
    const struct role *r = find_role(c->session, is_of_role(text) ? role : wc_slice(NULL, 0));
    return r && r->statement[text].why[0] ? r->statement[text].why : NULL;
}

/* Segments: what is sent between two Syncs, and its answers. */
#include "bridge/pg/pg_priv.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

const char *wc_pg_value(const struct wc_pg_result *r, int row, int col)
{
    const PGresult *raw = r->raw;
    return PQgetisnull(raw, row, col) ? NULL : PQgetvalue(raw, row, col);
}

struct wc_slice wc_pg_slice(const struct wc_pg_result *r, int row, int col)
{
    const char *v = wc_pg_value(r, row, col);
    return v ? wc_slice(v, (size_t)PQgetlength(r->raw, row, col)) : wc_slice(NULL, 0);
}

struct wc_pg_asked *wc_pg_enqueue(struct wc_pg *pg, wc_pg_result_fn done, void *arg)
{
    struct wc_pg_asked *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->done = done;
    q->arg = arg;
    wc_list_push(&pg->asked, &q->link);
    return q;
}

/* libpq had no memory, or its socket is dead: a statement may stand in the pipeline without its
 * Sync, and later answers would go to the wrong questions. */
static void on_misaligned(uv_timer_t *timer)
{
    wc_pg_lose(timer->data, "a statement could not be sent");
}

/* Puts one statement into the pipeline and notes which answers are to come. */
static bool send_statement(struct wc_pg *pg, struct wc_pg_asked *q, unsigned *answers,
                           const struct wc_pg_statement *s)
{
    PGconn *conn = pg->conn;
    if (!s->name) {
        (*answers)++;
        return PQsendQueryParams(conn, s->sql, s->nparams, NULL, s->params, NULL, NULL, 0) == 1;
    }
    if (s->sql) {
        q->parses |= 1ull << (*answers)++;
        if (PQsendPrepare(conn, s->name, s->sql, s->nparams, NULL) != 1)
            return false;
        if (s->parse_only)
            return true;
    }
    (*answers)++;
    return PQsendQueryPrepared(conn, s->name, s->nparams, s->params, NULL, NULL, 0) == 1;
}

enum wc_status wc_pg_segment(struct wc_pg *pg, const struct wc_pg_statement *statement, size_t n,
                             wc_pg_result_fn done, void *arg)
{
    WC_ASSERT(!pg->opt.replication && n > 0 && n <= WC_PG_SEGMENT_MAX);
    if (pg->state != WC_PG_READY)
        return WC_CLOSED;
    struct wc_pg_asked *q = wc_pg_enqueue(pg, done, arg);
    if (!q)
        return WC_NOMEM;
    bool sent = true;
    unsigned answers = 0;
    for (size_t i = 0; i < n && sent; i++)
        sent = send_statement(pg, q, &answers, &statement[i]);
    if (!sent || PQpipelineSync(pg->conn) != 1) {
        wc_list_remove(&q->link);
        free(q);
        (void)uv_timer_start(&pg->timer, on_misaligned, 0, 0); /* valid handle and callback */
        return WC_NOMEM;
    }
    int unsent = PQflush(pg->conn);
    if (unsent != 0) /* an error shows up on the readable side */
        (void)wc_pg_watch(pg, UV_READABLE | UV_WRITABLE);
    return WC_OK;
}

enum wc_status wc_pg_query(struct wc_pg *pg, const char *sql, int nparams,
                           const char *const *params, wc_pg_result_fn done, void *arg)
{
    const struct wc_pg_statement s = {.sql = sql, .nparams = nparams, .params = params};
    return wc_pg_segment(pg, &s, 1, done, arg);
}

void wc_pg_answer(struct wc_pg_asked *q)
{
    struct wc_pg_result r = {.message = "",
                             .detail = "",
                             .parsed = q->parsed,
                             .executed = q->executed,
                             .raw = q->result};
    ExecStatusType st = q->result ? PQresultStatus(q->result) : PGRES_FATAL_ERROR;
    r.ok = st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK || st == PGRES_COPY_BOTH;
    if (r.ok) {
        r.nrows = PQntuples(q->result);
        r.ncols = PQnfields(q->result);
    } else {
        const char *state = PQresultErrorField(q->result, PG_DIAG_SQLSTATE);
        const char *text = PQresultErrorField(q->result, PG_DIAG_MESSAGE_PRIMARY);
        const char *detail = PQresultErrorField(q->result, PG_DIAG_MESSAGE_DETAIL);
        (void)snprintf(r.sqlstate, sizeof r.sqlstate, "%s", state ? state : "");
        r.message = text ? text : "connection lost";
        r.detail = detail ? detail : "";
    }
    if (q->done)
        q->done(q->arg, &r);
    PQclear(q->result);
    free(q);
}

struct wc_pg_asked *wc_pg_first(struct wc_pg *pg)
{
    return wc_list_is_empty(&pg->asked) ? NULL
                                        : WC_CONTAINER(pg->asked.next, struct wc_pg_asked, link);
}

/* What follows an error in its segment is only told to have been left out. */
static void take_result(struct wc_pg_asked *q, PGresult *res)
{
    ExecStatusType st = PQresultStatus(res);
    bool is_good = st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK;
    bool is_parse = q->parses >> q->answers++ & 1;
    q->parsed += is_good && is_parse;
    q->executed += is_good && !is_parse;
    if (st == PGRES_PIPELINE_ABORTED) {
        PQclear(res);
        return;
    }
    PQclear(q->result);
    q->result = res;
}

void wc_pg_read_pipeline(struct wc_pg *pg)
{
    struct wc_pg_asked *q;
    while (pg->state == WC_PG_READY && (q = wc_pg_first(pg)) && !PQisBusy(pg->conn)) {
        PGresult *res = PQgetResult(pg->conn);
        if (!res && PQstatus(pg->conn) == CONNECTION_BAD) {
            wc_pg_lose(pg, PQerrorMessage(pg->conn));
            return;
        }
        pg->reads = 0;
        if (!res)
            continue; /* separates a statement's results from its Sync answer */
        if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            wc_list_remove(&q->link);
            wc_pg_answer(q);
        } else {
            take_result(q, res);
        }
    }
}

void wc_pg_read_notifications(struct wc_pg *pg)
{
    while (pg->state == WC_PG_READY) {
        PGnotify *n = PQnotifies(pg->conn);
        if (!n)
            return;
        if (pg->events.on_notify)
            pg->events.on_notify(pg->arg, n->relname, n->extra);
        PQfreemem(n);
    }
}

/* Simple queries and copy mode: what a replication connection does. */
#include "bridge/pg/pg_priv.h"

#include "base/assert.h"

#include <stdio.h>

enum wc_status wc_pg_simple(struct wc_pg *pg, const char *sql, wc_pg_result_fn done, void *arg)
{
    WC_ASSERT(pg->opt.replication);
    if (pg->state != WC_PG_READY)
        return WC_CLOSED;
    if (PQsendQuery(pg->conn, sql) != 1)
        return WC_NOMEM;
    pg->reads = 0;
    struct wc_pg_asked *q = wc_pg_enqueue(pg, done, arg);
    if (!q)
        return WC_NOMEM;
    pg->state = WC_PG_SIMPLE;
    if (PQflush(pg->conn) != 0)
        (void)wc_pg_watch(pg, UV_READABLE | UV_WRITABLE);
    return WC_OK;
}

void wc_pg_read_simple(struct wc_pg *pg)
{
    struct wc_pg_asked *q = wc_pg_first(pg);
    WC_ASSERT(q);
    while (!PQisBusy(pg->conn)) {
        PGresult *res = PQgetResult(pg->conn);
        bool copy = res && PQresultStatus(res) == PGRES_COPY_BOTH;
        if (res && !q->result)
            q->result = res;
        else
            PQclear(res);
        if (res && !copy)
            continue;
        pg->state = copy ? WC_PG_COPY : WC_PG_READY;
        wc_list_remove(&q->link);
        wc_pg_answer(q);
        return;
    }
}

/* ---- copy mode ---- */

void wc_pg_copy_reading(struct wc_pg *pg, bool on)
{
    if (pg->reading == on)
        return;
    pg->reading = on;
    if (pg->state == WC_PG_COPY)
        wc_pg_watch_ready(pg);
}

/* The server ended the stream: its reason, if any, comes as a result. */
static enum wc_status copy_ended(struct wc_pg *pg)
{
    char text[400] = "the server ended the stream";
    PGresult *res = PQisBusy(pg->conn) ? NULL : PQgetResult(pg->conn); /* never blocks */
    if (res && PQresultStatus(res) == PGRES_FATAL_ERROR)
        (void)snprintf(text, sizeof text, "%s", PQresultErrorMessage(res));
    PQclear(res);
    wc_pg_lose(pg, text);
    return WC_CLOSED;
}

enum wc_status wc_pg_copy_next(struct wc_pg *pg, struct wc_slice *out)
{
    if (pg->state != WC_PG_COPY)
        return WC_CLOSED;
    if (pg->copy)
        PQfreemem(pg->copy);
    pg->copy = NULL;
    int n = PQgetCopyData(pg->conn, &pg->copy, 1);
    if (n == 0)
        return WC_AGAIN;
    if (n < 0)
        return copy_ended(pg);
    *out = wc_slice(pg->copy, (size_t)n);
    return WC_OK;
}

enum wc_status wc_pg_copy_send(struct wc_pg *pg, struct wc_slice bytes)
{
    if (pg->state != WC_PG_COPY)
        return WC_CLOSED;
    if (PQputCopyData(pg->conn, (const char *)bytes.p, (int)bytes.len) != 1)
        return WC_AGAIN; /* the socket is full, or dead, which on_lost tells */
    wc_pg_watch_ready(pg);
    return pg->state == WC_PG_COPY ? WC_OK : WC_CLOSED;
}

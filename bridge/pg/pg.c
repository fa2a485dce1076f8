/*
 * The life of a connection, and its socket. The poll handle is stopped around every PQconnectPoll,
 * because libpq may close its socket there and open another under the same number; a handle is
 * replaced only when the number changed. Once connected the socket never changes.
 *
 * Errors are asked for in verbose form: it is the only way to learn the SQLSTATE of a refused
 * connection, and codes, unlike texts, are not translated.
 */
#include "bridge/pg/pg_priv.h"

#include "base/assert.h"
#include "bridge/pg/received.h"

#include <stdio.h>
#include <stdlib.h>

enum { READS_PER_LOOK = 64 };

static void on_socket(uv_poll_t *poll, int status, int events);

/* ---- life cycle ---- */

static char *dup_or_null(const char *s, bool *ok)
{
    if (!s)
        return NULL;
    char *copy = strdup(s);
    if (!copy)
        *ok = false;
    return copy;
}

static bool copy_options(struct wc_pg *pg, const struct wc_pg_options *o)
{
    bool ok = true;
    pg->opt = *o;
    pg->opt.host = dup_or_null(o->host, &ok);
    pg->opt.dbname = dup_or_null(o->dbname, &ok);
    pg->opt.user = dup_or_null(o->user, &ok);
    pg->opt.password = dup_or_null(o->password, &ok);
    pg->opt.sslmode = dup_or_null(o->sslmode, &ok);
    pg->opt.sslrootcert = dup_or_null(o->sslrootcert, &ok);
    pg->opt.application_name = dup_or_null(o->application_name, &ok);
    pg->opt.options = dup_or_null(o->options, &ok);
    (void)snprintf(pg->port, sizeof pg->port, "%u", (unsigned)o->port); /* fits by type */
    return ok;
}

static void free_const(const char *s)
{
    free((void *)(uintptr_t)s); /* ours, from strdup; const in the public struct */
}

void wc_pg_free(struct wc_pg *pg)
{
    if (pg->opt.password)
        explicit_bzero((char *)(uintptr_t)pg->opt.password, strlen(pg->opt.password));
    free_const(pg->opt.host);
    free_const(pg->opt.dbname);
    free_const(pg->opt.user);
    free_const(pg->opt.password);
    free_const(pg->opt.sslmode);
    free_const(pg->opt.sslrootcert);
    free_const(pg->opt.application_name);
    free_const(pg->opt.options);
    free(pg);
}

static void on_poll_closed(uv_handle_t *h)
{
    free(h);
}

static void drop_poll(struct wc_pg *pg)
{
    if (!pg->poll)
        return;
    uv_close((uv_handle_t *)pg->poll, on_poll_closed);
    pg->poll = NULL;
}

static void drop_connection(struct wc_pg *pg)
{
    (void)uv_timer_stop(&pg->timer); /* stopping an idle timer is no error */
    drop_poll(pg);
    if (pg->copy)
        PQfreemem(pg->copy);
    pg->copy = NULL;
    if (pg->conn)
        PQfinish(pg->conn);
    pg->conn = NULL;
}

static void drop_queries(struct wc_pg *pg, const struct wc_pg_result *answer)
{
    struct wc_list waiting;
    wc_list_init(&waiting);
    while (!wc_list_is_empty(&pg->asked)) {
        struct wc_list *it = pg->asked.next;
        wc_list_remove(it);
        wc_list_push(&waiting, it);
    }
    while (!wc_list_is_empty(&waiting)) {
        struct wc_pg_asked *q = WC_CONTAINER(waiting.next, struct wc_pg_asked, link);
        wc_list_remove(&q->link);
        if (answer && q->done)
            q->done(q->arg, answer);
        PQclear(q->result);
        free(q);
    }
}

/* The SQLSTATE in a verbose message ("FATAL:  28P01: password authentication failed ..."). Every
 * code has a digit; the severity before it, in whatever language, has none. */
static void find_sqlstate(const char *message, char out[6])
{
    out[0] = '\0';
    for (const char *p = strstr(message, ": "); p; p = strstr(p + 1, ": ")) {
        const char *code = p + 1 + strspn(p + 1, " ");
        if (strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && code[5] == ':' &&
            strcspn(code, "0123456789") < 5) {
            memcpy(out, code, 5);
            out[5] = '\0';
            return;
        }
    }
}

/* First line, without the severity and code that verbose form puts before it. */
static void one_line(char *out, size_t cap, const char *message, const char *sqlstate)
{
    const char *from = message;
    if (sqlstate[0]) {
        const char *code = strstr(message, sqlstate);
        if (code && code[5] == ':')
            from = code + 6 + strspn(code + 6, " ");
    }
    size_t len = strcspn(from, "\n");
    (void)snprintf(out, cap, "%.*s", (int)(len < cap ? len : cap - 1), from);
}

void wc_pg_lose(struct wc_pg *pg, const char *message)
{
    char sqlstate[6], text[300];
    find_sqlstate(message, sqlstate);
    one_line(text, sizeof text, message, sqlstate);
    drop_connection(pg);
    wc_pg_gate_leave(&pg->pass, WC_PG_ATTEMPT_FAILED);
    pg->state = WC_PG_LOST;
    const struct wc_pg_result answer = {.message = text, .detail = ""};
    drop_queries(pg, &answer);
    if (pg->state == WC_PG_LOST) /* a query's callback may have closed us */
        pg->events.on_lost(pg->arg, sqlstate, text);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct wc_pg *pg = h->data;
    pg->timer_closed = true;
    if (!pg->resolving)
        wc_pg_free(pg);
}

void wc_pg_close(struct wc_pg *pg)
{
    if (!pg || pg->state == WC_PG_CLOSING)
        return;
    drop_connection(pg);
    wc_pg_gate_leave(&pg->pass, WC_PG_ATTEMPT_GIVEN_UP);
    pg->state = WC_PG_CLOSING;
    drop_queries(pg, NULL);
    if (pg->resolving)
        (void)uv_cancel((uv_req_t *)&pg->resolver); /* too late is fine: its callback looks */
    uv_close((uv_handle_t *)&pg->timer, on_timer_closed);
}

void wc_pg_hand_over(struct wc_pg *pg, const struct wc_pg_events *events, void *arg)
{
    WC_ASSERT(wc_list_is_empty(&pg->asked));
    pg->events = *events;
    pg->arg = arg;
}

/* ---- the socket ---- */

int wc_pg_watch(struct wc_pg *pg, int events)
{
    int fd = PQsocket(pg->conn);
    uv_os_fd_t old = -1;
    if (pg->poll && (uv_fileno((uv_handle_t *)pg->poll, &old) != 0 || old != fd))
        drop_poll(pg);
    if (!pg->poll) {
        pg->poll = malloc(sizeof *pg->poll);
        if (!pg->poll)
            return UV_ENOMEM;
        int rc = uv_poll_init(pg->loop, pg->poll, fd);
        if (rc != 0) {
            free(pg->poll);
            pg->poll = NULL;
            return rc;
        }
        pg->poll->data = pg;
    }
    return uv_poll_start(pg->poll, events, on_socket);
}

void wc_pg_watch_ready(struct wc_pg *pg)
{
    int unsent = PQflush(pg->conn);
    if (unsent < 0) {
        wc_pg_lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    int events =
        (pg->state == WC_PG_COPY && !pg->reading ? 0 : UV_READABLE) | (unsent ? UV_WRITABLE : 0);
    int rc = events ? wc_pg_watch(pg, events) : uv_poll_stop(pg->poll);
    if (rc != 0)
        wc_pg_lose(pg, uv_strerror(rc));
}

/* libpq keeps an answer until it is complete, and how much that is only the kernel knows. Small
 * ones are complete before it is asked. */
static bool is_too_much(struct wc_pg *pg)
{
    uint64_t received;
    if (++pg->reads % READS_PER_LOOK != 0 || !wc_pg_received(PQsocket(pg->conn), &received))
        return false;
    if (pg->reads == READS_PER_LOOK)
        pg->received = received;
    return received - pg->received > (pg->opt.answer_max ? pg->opt.answer_max : WC_PG_ANSWER_MAX);
}

static bool is_asked(const struct wc_pg *pg)
{
    return (pg->state == WC_PG_READY || pg->state == WC_PG_SIMPLE) && !wc_list_is_empty(&pg->asked);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct wc_pg *pg = poll->data;
    (void)status; /* libpq meets the error itself and says it better */
    (void)events;
    if (pg->state == WC_PG_CONNECTING) {
        (void)uv_poll_stop(poll); /* see the top of this file */
        wc_pg_connect_step(pg, PQconnectPoll(pg->conn));
        return;
    }
    if (PQconsumeInput(pg->conn) != 1) {
        wc_pg_lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    if (is_asked(pg) && is_too_much(pg)) {
        wc_pg_lose(pg, "the answer is too large");
        return;
    }
    if (pg->state == WC_PG_READY) {
        wc_pg_read_pipeline(pg);
        wc_pg_read_notifications(pg);
    } else if (pg->state == WC_PG_SIMPLE) {
        wc_pg_read_simple(pg);
    }
    if (pg->state == WC_PG_COPY)
        pg->events.on_copy(pg->arg);
    if (pg->state == WC_PG_READY || pg->state == WC_PG_SIMPLE || pg->state == WC_PG_COPY)
        wc_pg_watch_ready(pg);
}

/* ---- opening ---- */

static void on_let_in(uv_timer_t *timer)
{
    wc_pg_connect(timer->data);
}

/* From within another connection's callbacks: ours begin in a turn of our own. */
static void on_enter(struct wc_pg_pass *pass)
{
    struct wc_pg *pg = WC_CONTAINER(pass, struct wc_pg, pass);
    (void)uv_timer_start(&pg->timer, on_let_in, 0, 0); /* valid handle and callback */
}

static void on_start(uv_timer_t *timer)
{
    struct wc_pg *pg = timer->data;
    if (!pg->opt.lane || wc_pg_gate_ask(pg->opt.lane, &pg->pass, on_enter))
        wc_pg_connect(pg);
}

struct wc_pg *wc_pg_open(uv_loop_t *loop, const struct wc_pg_options *options,
                         const struct wc_pg_events *events, void *arg)
{
    struct wc_pg *pg = calloc(1, sizeof *pg);
    if (!pg)
        return NULL;
    if (!copy_options(pg, options)) {
        wc_pg_free(pg);
        return NULL;
    }
    pg->loop = loop;
    pg->events = *events;
    pg->arg = arg;
    pg->state = WC_PG_RESOLVING;
    pg->reading = true;
    wc_list_init(&pg->asked);
    (void)uv_timer_init(loop, &pg->timer); /* cannot fail */
    pg->timer.data = pg;
    (void)uv_timer_start(&pg->timer, on_start, 0, 0); /* no callback before we return */
    return pg;
}

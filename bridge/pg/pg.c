/*
 * libpq on libuv. The poll handle is stopped around every PQconnectPoll, because libpq may close
 * its socket there and open another under the same number; a handle is replaced only when the
 * number changed. Once connected the socket never changes.
 *
 * Errors are asked for in verbose form: it is the only way to learn the SQLSTATE of a refused
 * connection, and codes, unlike texts, are not translated.
 */
#include "bridge/pg/pg.h"

#include "base/assert.h"
#include "base/list.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum {
    MAX_ADDRESSES = 8,
    ADDRESSES_CAP = 8 << 10, /* eight host names of 255 bytes */
};

enum state {
    RESOLVING,
    CONNECTING,
    READY,
    SIMPLE, /* a simple query is under way */
    COPY,
    LOST,
    CLOSING,
};

struct query {
    struct wc_list link;
    wc_pg_result_fn done;
    void *arg;
    PGresult *result; /* kept until the Sync answer, when the statement has really ended */
};

struct wc_pg {
    uv_loop_t *loop;
    struct wc_pg_events events;
    void *arg;
    struct wc_pg_options opt; /* strings owned */
    char port[6];
    enum state state;
    uv_getaddrinfo_t resolver;
    uv_timer_t timer;
    uv_poll_t *poll; /* its own allocation: closing it outlives a change of socket */
    PGconn *conn;
    struct wc_list queries;
    char *copy; /* the message last handed out */
    bool reading, resolving, timer_closed;
};

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
    pg->opt.application_name = dup_or_null(o->application_name, &ok);
    pg->opt.options = dup_or_null(o->options, &ok);
    (void)snprintf(pg->port, sizeof pg->port, "%u", (unsigned)o->port); /* fits by type */
    return ok;
}

static void free_const(const char *s)
{
    free((void *)(uintptr_t)s); /* ours, from strdup; const in the public struct */
}

static void free_pg(struct wc_pg *pg)
{
    if (pg->opt.password)
        explicit_bzero((char *)(uintptr_t)pg->opt.password, strlen(pg->opt.password));
    free_const(pg->opt.host);
    free_const(pg->opt.dbname);
    free_const(pg->opt.user);
    free_const(pg->opt.password);
    free_const(pg->opt.sslmode);
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
    while (!wc_list_is_empty(&pg->queries)) {
        struct wc_list *it = pg->queries.next;
        wc_list_remove(it);
        wc_list_push(&waiting, it);
    }
    while (!wc_list_is_empty(&waiting)) {
        struct query *q = WC_CONTAINER(waiting.next, struct query, link);
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

static void lose(struct wc_pg *pg, const char *message)
{
    char sqlstate[6], text[300];
    find_sqlstate(message, sqlstate);
    one_line(text, sizeof text, message, sqlstate);
    drop_connection(pg);
    pg->state = LOST;
    const struct wc_pg_result answer = {.message = text, .detail = ""};
    drop_queries(pg, &answer);
    if (pg->state == LOST) /* a query's callback may have closed us */
        pg->events.on_lost(pg->arg, sqlstate, text);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct wc_pg *pg = h->data;
    pg->timer_closed = true;
    if (!pg->resolving)
        free_pg(pg);
}

void wc_pg_close(struct wc_pg *pg)
{
    if (!pg || pg->state == CLOSING)
        return;
    drop_connection(pg);
    pg->state = CLOSING;
    drop_queries(pg, NULL);
    if (pg->resolving)
        (void)uv_cancel((uv_req_t *)&pg->resolver); /* too late is fine: its callback looks */
    uv_close((uv_handle_t *)&pg->timer, on_timer_closed);
}

/* ---- connecting ---- */

static int watch(struct wc_pg *pg, int events)
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

static void watch_ready(struct wc_pg *pg)
{
    int unsent = PQflush(pg->conn);
    if (unsent < 0) {
        lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    int events = (pg->state == COPY && !pg->reading ? 0 : UV_READABLE) | (unsent ? UV_WRITABLE : 0);
    int rc = events ? watch(pg, events) : uv_poll_stop(pg->poll);
    if (rc != 0)
        lose(pg, uv_strerror(rc));
}

static void become_ready(struct wc_pg *pg)
{
    (void)uv_timer_stop(&pg->timer); /* stopping an idle timer is no error */
    if (PQsetnonblocking(pg->conn, 1) != 0 ||
        (!pg->opt.replication && PQenterPipelineMode(pg->conn) != 1)) {
        lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    pg->state = READY;
    watch_ready(pg);
    if (pg->state == READY)
        pg->events.on_ready(pg->arg);
}

static void connect_step(struct wc_pg *pg, PostgresPollingStatusType step)
{
    int rc = 0;
    switch (step) {
    case PGRES_POLLING_OK: become_ready(pg); return;
    case PGRES_POLLING_READING: rc = watch(pg, UV_READABLE); break;
    case PGRES_POLLING_WRITING: rc = watch(pg, UV_WRITABLE); break;
    case PGRES_POLLING_ACTIVE:
    case PGRES_POLLING_FAILED: lose(pg, PQerrorMessage(pg->conn)); return;
    }
    if (rc != 0)
        lose(pg, uv_strerror(rc));
}

static void on_notice(void *arg, const PGresult *res)
{
    struct wc_pg *pg = arg;
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    if (pg->events.on_notice)
        pg->events.on_notice(pg->arg, state ? state : "", text ? text : "");
}

/* hosts, addresses: of equal count, comma separated; addresses is NULL for a Unix socket. */
static void start_connecting(struct wc_pg *pg, const char *hosts, const char *addresses)
{
    const struct wc_pg_options *o = &pg->opt;
    const struct {
        const char *key, *value;
    } row[] = {{"host", hosts},
               {"hostaddr", addresses},
               {"port", pg->port},
               {"dbname", o->dbname},
               {"user", o->user},
               {"password", o->password},
               {"sslmode", o->sslmode ? o->sslmode : "prefer"},
               {"application_name", o->application_name},
               {"options", o->options},
               {"client_encoding", "UTF8"},
               {"replication", o->replication ? "database" : NULL},
               {"gssencmode", "disable"},
               {"keepalives_idle", "30"}, /* seconds; a dead peer is noticed within a minute */
               {"keepalives_interval", "10"},
               {"keepalives_count", "3"},
               {"tcp_user_timeout", "60000"}}; /* milliseconds; for what was sent and not taken */
    enum { ROWS = sizeof row / sizeof row[0] };
    const char *keys[ROWS + 1], *values[ROWS + 1];
    for (size_t i = 0; i < ROWS; i++) {
        keys[i] = row[i].key;
        values[i] = row[i].value;
    }
    keys[ROWS] = values[ROWS] = NULL;
    pg->state = CONNECTING;
    pg->conn = PQconnectStartParams(keys, values, 0);
    if (!pg->conn) {
        lose(pg, "out of memory");
        return;
    }
    (void)PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE); /* returns the old one */
    (void)PQsetNoticeReceiver(pg->conn, on_notice, pg);    /* the same; libpq's prints to stderr */
    if (PQstatus(pg->conn) == CONNECTION_BAD) {
        lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    connect_step(pg, PGRES_POLLING_WRITING);
}

static bool print_address(const struct addrinfo *ai, char out[INET6_ADDRSTRLEN])
{
    const void *addr = ai->ai_addr;
    if (ai->ai_family == AF_INET6)
        return uv_ip6_name(addr, out, INET6_ADDRSTRLEN) == 0;
    return ai->ai_family == AF_INET && uv_ip4_name(addr, out, INET6_ADDRSTRLEN) == 0;
}

/* A name may stand for several addresses, of which one answers ("localhost" and a server that
 * listens on 127.0.0.1 only): libpq tries them in order. */
static void connect_to_all(struct wc_pg *pg, const struct addrinfo *list)
{
    struct wc_buf hosts, addresses;
    wc_buf_init(&hosts, ADDRESSES_CAP);
    wc_buf_init(&addresses, ADDRESSES_CAP);
    int n = 0;
    for (const struct addrinfo *ai = list; ai && n < MAX_ADDRESSES; ai = ai->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (!print_address(ai, text))
            continue;
        wc_buf_printf(&hosts, "%s%s", n ? "," : "", pg->opt.host);
        wc_buf_printf(&addresses, "%s%s", n ? "," : "", text);
        n++;
    }
    wc_buf_byte(&hosts, '\0');
    wc_buf_byte(&addresses, '\0');
    if (n == 0)
        lose(pg, "could not resolve host: it has no Internet address");
    else if (hosts.status != WC_OK || addresses.status != WC_OK)
        lose(pg, "out of memory");
    else
        start_connecting(pg, (const char *)hosts.p, (const char *)addresses.p);
    wc_buf_release(&hosts);
    wc_buf_release(&addresses);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct wc_pg *pg = req->data;
    pg->resolving = false;
    if (pg->state != RESOLVING) { /* timed out or closed meanwhile */
        uv_freeaddrinfo(res);
        if (pg->timer_closed)
            free_pg(pg);
        return;
    }
    if (status == 0) {
        connect_to_all(pg, res);
    } else {
        char text[300];
        (void)snprintf(text, sizeof text, "could not resolve host \"%s\": %s", pg->opt.host,
                       uv_strerror(status));
        lose(pg, text);
    }
    uv_freeaddrinfo(res);
}

static void on_timeout(uv_timer_t *timer)
{
    struct wc_pg *pg = timer->data;
    if (pg->state == RESOLVING)
        (void)uv_cancel((uv_req_t *)&pg->resolver); /* too late is fine: its callback looks */
    lose(pg, "timeout: the server did not answer in time");
}

static void on_start(uv_timer_t *timer)
{
    struct wc_pg *pg = timer->data;
    (void)uv_timer_start(timer, on_timeout, pg->opt.connect_timeout_ms, 0); /* valid handle */
    if (pg->opt.host[0] == '/') { /* a directory of Unix-domain sockets */
        start_connecting(pg, pg->opt.host, NULL);
        return;
    }
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    pg->resolver.data = pg;
    int rc = uv_getaddrinfo(pg->loop, &pg->resolver, on_resolved, pg->opt.host, NULL, &hints);
    pg->resolving = rc == 0;
    if (rc != 0)
        lose(pg, uv_strerror(rc));
}

struct wc_pg *wc_pg_open(uv_loop_t *loop, const struct wc_pg_options *options,
                         const struct wc_pg_events *events, void *arg)
{
    struct wc_pg *pg = calloc(1, sizeof *pg);
    if (!pg)
        return NULL;
    if (!copy_options(pg, options)) {
        free_pg(pg);
        return NULL;
    }
    pg->loop = loop;
    pg->events = *events;
    pg->arg = arg;
    pg->state = RESOLVING;
    pg->reading = true;
    wc_list_init(&pg->queries);
    (void)uv_timer_init(loop, &pg->timer); /* cannot fail */
    pg->timer.data = pg;
    (void)uv_timer_start(&pg->timer, on_start, 0, 0); /* no callback before we return */
    return pg;
}

/* ---- queries ---- */

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

static struct query *enqueue(struct wc_pg *pg, wc_pg_result_fn done, void *arg)
{
    struct query *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->done = done;
    q->arg = arg;
    wc_list_push(&pg->queries, &q->link);
    return q;
}

/* libpq had no memory, or its socket is dead: a statement may stand in the pipeline without its
 * Sync, and later answers would go to the wrong questions. */
static void on_misaligned(uv_timer_t *timer)
{
    lose(timer->data, "a statement could not be sent");
}

enum wc_status wc_pg_query(struct wc_pg *pg, const char *sql, int nparams,
                           const char *const *params, wc_pg_result_fn done, void *arg)
{
    WC_ASSERT(!pg->opt.replication);
    if (pg->state != READY)
        return WC_CLOSED;
    struct query *q = enqueue(pg, done, arg);
    if (!q)
        return WC_NOMEM;
    if (PQsendQueryParams(pg->conn, sql, nparams, NULL, params, NULL, NULL, 0) != 1 ||
        PQpipelineSync(pg->conn) != 1) {
        wc_list_remove(&q->link);
        free(q);
        (void)uv_timer_start(&pg->timer, on_misaligned, 0, 0); /* valid handle and callback */
        return WC_NOMEM;
    }
    int unsent = PQflush(pg->conn);
    if (unsent != 0) /* an error shows up on the readable side */
        (void)watch(pg, UV_READABLE | UV_WRITABLE);
    return WC_OK;
}

enum wc_status wc_pg_simple(struct wc_pg *pg, const char *sql, wc_pg_result_fn done, void *arg)
{
    WC_ASSERT(pg->opt.replication);
    if (pg->state != READY)
        return WC_CLOSED;
    if (PQsendQuery(pg->conn, sql) != 1)
        return WC_NOMEM;
    struct query *q = enqueue(pg, done, arg);
    if (!q)
        return WC_NOMEM;
    pg->state = SIMPLE;
    if (PQflush(pg->conn) != 0)
        (void)watch(pg, UV_READABLE | UV_WRITABLE);
    return WC_OK;
}

static void answer_query(struct query *q)
{
    struct wc_pg_result r = {.message = "", .detail = "", .raw = q->result};
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

static struct query *first_query(struct wc_pg *pg)
{
    return wc_list_is_empty(&pg->queries) ? NULL
                                          : WC_CONTAINER(pg->queries.next, struct query, link);
}

static void read_pipeline(struct wc_pg *pg)
{
    struct query *q;
    while (pg->state == READY && (q = first_query(pg)) && !PQisBusy(pg->conn)) {
        PGresult *res = PQgetResult(pg->conn);
        if (!res && PQstatus(pg->conn) == CONNECTION_BAD) {
            lose(pg, PQerrorMessage(pg->conn));
            return;
        }
        if (!res)
            continue; /* separates a statement's results from its Sync answer */
        if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            wc_list_remove(&q->link);
            answer_query(q);
        } else if (!q->result) {
            q->result = res;
        } else {
            PQclear(res);
        }
    }
}

static void read_simple(struct wc_pg *pg)
{
    struct query *q = first_query(pg);
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
        pg->state = copy ? COPY : READY;
        wc_list_remove(&q->link);
        answer_query(q);
        return;
    }
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct wc_pg *pg = poll->data;
    (void)status; /* libpq meets the error itself and says it better */
    (void)events;
    if (pg->state == CONNECTING) {
        (void)uv_poll_stop(poll); /* see the top of this file */
        connect_step(pg, PQconnectPoll(pg->conn));
        return;
    }
    if (PQconsumeInput(pg->conn) != 1) {
        lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    if (pg->state == READY)
        read_pipeline(pg);
    else if (pg->state == SIMPLE)
        read_simple(pg);
    if (pg->state == COPY)
        pg->events.on_copy(pg->arg);
    if (pg->state == READY || pg->state == SIMPLE || pg->state == COPY)
        watch_ready(pg);
}

/* ---- copy mode ---- */

void wc_pg_copy_reading(struct wc_pg *pg, bool on)
{
    if (pg->reading == on)
        return;
    pg->reading = on;
    if (pg->state == COPY)
        watch_ready(pg);
}

/* The server ended the stream: its reason, if any, comes as a result. */
static enum wc_status copy_ended(struct wc_pg *pg)
{
    char text[400] = "the server ended the stream";
    PGresult *res = PQisBusy(pg->conn) ? NULL : PQgetResult(pg->conn); /* never blocks */
    if (res && PQresultStatus(res) == PGRES_FATAL_ERROR)
        (void)snprintf(text, sizeof text, "%s", PQresultErrorMessage(res));
    PQclear(res);
    lose(pg, text);
    return WC_CLOSED;
}

enum wc_status wc_pg_copy_next(struct wc_pg *pg, struct wc_slice *out)
{
    if (pg->state != COPY)
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
    if (pg->state != COPY)
        return WC_CLOSED;
    if (PQputCopyData(pg->conn, (const char *)bytes.p, (int)bytes.len) != 1)
        return WC_AGAIN; /* the socket is full, or dead, which on_lost tells */
    watch_ready(pg);
    return pg->state == COPY ? WC_OK : WC_CLOSED;
}

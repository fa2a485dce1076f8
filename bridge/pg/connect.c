/* From a host name to a session that is ready. */
#include "bridge/pg/pg_priv.h"

#include <stdio.h>

enum {
    MAX_ADDRESSES = 8,
    ADDRESSES_CAP = 8 << 10, /* eight host names of 255 bytes */
};

static void become_ready(struct wc_pg *pg)
{
    (void)uv_timer_stop(&pg->timer); /* stopping an idle timer is no error */
    if (PQsetnonblocking(pg->conn, 1) != 0 ||
        (!pg->opt.replication && PQenterPipelineMode(pg->conn) != 1)) {
        wc_pg_lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    wc_pg_gate_leave(&pg->pass, WC_PG_ATTEMPT_SUCCEEDED);
    pg->state = WC_PG_READY;
    wc_pg_watch_ready(pg);
    if (pg->state == WC_PG_READY)
        pg->events.on_ready(pg->arg);
}

void wc_pg_connect_step(struct wc_pg *pg, PostgresPollingStatusType step)
{
    int rc = 0;
    switch (step) {
    case PGRES_POLLING_OK: become_ready(pg); return;
    case PGRES_POLLING_READING: rc = wc_pg_watch(pg, UV_READABLE); break;
    case PGRES_POLLING_WRITING: rc = wc_pg_watch(pg, UV_WRITABLE); break;
    case PGRES_POLLING_ACTIVE:
    case PGRES_POLLING_FAILED: wc_pg_lose(pg, PQerrorMessage(pg->conn)); return;
    }
    if (rc != 0)
        wc_pg_lose(pg, uv_strerror(rc));
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
               {"sslrootcert", o->sslrootcert},
               {"channel_binding", "prefer"},
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
    pg->state = WC_PG_CONNECTING;
    pg->conn = PQconnectStartParams(keys, values, 0);
    if (!pg->conn) {
        wc_pg_lose(pg, "out of memory");
        return;
    }
    (void)PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE); /* returns the old one */
    (void)PQsetNoticeReceiver(pg->conn, on_notice, pg);    /* the same; libpq's prints to stderr */
    if (PQstatus(pg->conn) == CONNECTION_BAD) {
        wc_pg_lose(pg, PQerrorMessage(pg->conn));
        return;
    }
    wc_pg_connect_step(pg, PGRES_POLLING_WRITING);
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
        wc_pg_lose(pg, "could not resolve host: it has no Internet address");
    else if (hosts.status != WC_OK || addresses.status != WC_OK)
        wc_pg_lose(pg, "out of memory");
    else
        start_connecting(pg, (const char *)hosts.p, (const char *)addresses.p);
    wc_buf_release(&hosts);
    wc_buf_release(&addresses);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct wc_pg *pg = req->data;
    pg->resolving = false;
    if (pg->state != WC_PG_RESOLVING) { /* timed out or closed meanwhile */
        uv_freeaddrinfo(res);
        if (pg->timer_closed)
            wc_pg_free(pg);
        return;
    }
    if (status == 0) {
        connect_to_all(pg, res);
    } else {
        char text[300];
        (void)snprintf(text, sizeof text, "could not resolve host \"%s\": %s", pg->opt.host,
                       uv_strerror(status));
        wc_pg_lose(pg, text);
    }
    uv_freeaddrinfo(res);
}

static void on_timeout(uv_timer_t *timer)
{
    struct wc_pg *pg = timer->data;
    if (pg->state == WC_PG_RESOLVING)
        (void)uv_cancel((uv_req_t *)&pg->resolver); /* too late is fine: its callback looks */
    wc_pg_lose(pg, "timeout: the server did not answer in time");
}

static void on_patience_over(uv_timer_t *timer)
{
    struct wc_pg *pg = timer->data;
    (void)uv_timer_start(timer, on_timeout, pg->opt.connect_timeout_ms - WC_PG_GATE_PATIENCE_MS,
                         0); /* valid handle and callback */
    wc_pg_gate_is_slow(&pg->pass);
}

static void start_timer(struct wc_pg *pg)
{
    bool is_waited_for = pg->opt.lane && pg->opt.connect_timeout_ms > WC_PG_GATE_PATIENCE_MS;
    if (is_waited_for) /* valid handle and callbacks */
        (void)uv_timer_start(&pg->timer, on_patience_over, WC_PG_GATE_PATIENCE_MS, 0);
    else
        (void)uv_timer_start(&pg->timer, on_timeout, pg->opt.connect_timeout_ms, 0);
}

/* Without asking the resolver, whose threads are shared with names that nobody answers for. */
static bool is_address(const char *host)
{
    uint8_t parsed[sizeof(struct in6_addr)];
    return uv_inet_pton(AF_INET, host, parsed) == 0 || uv_inet_pton(AF_INET6, host, parsed) == 0;
}

void wc_pg_connect(struct wc_pg *pg)
{
    const char *host = pg->opt.host;
    start_timer(pg);
    if (host[0] == '/' || is_address(host)) { /* a directory of Unix-domain sockets */
        start_connecting(pg, host, host[0] == '/' ? NULL : host);
        return;
    }
    const unsigned v = pg->opt.ip_version;
    const struct addrinfo hints = {.ai_family = v == 4   ? AF_INET
                                                : v == 6 ? AF_INET6
                                                         : AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM};
    pg->resolver.data = pg;
    int rc = uv_getaddrinfo(pg->loop, &pg->resolver, on_resolved, pg->opt.host, NULL, &hints);
    pg->resolving = rc == 0;
    if (rc != 0)
        wc_pg_lose(pg, uv_strerror(rc));
}

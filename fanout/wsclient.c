/*
 * Taking a libwebsockets 4.1.6 context off a foreign loop needs two calls of lws_context_destroy
 * with loop turns between them: the first one closes the sockets' handles, whose close callbacks
 * close the context's own timer and idle handle, whose close callbacks do nothing on a foreign
 * loop. The second call frees the memory those handles live in, so it must come after they are
 * gone. The library does not tell when that is, but marks its handles (data is the context), so
 * on_reap looks for them once a turn. Neither call may happen inside a callback of the library;
 * hence the idle handle `reaper`.
 */
#include "fanout/wsclient.h"

#include <libwebsockets.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/list.h"
#include "fanout/wsurl.h"

#define MESSAGE_CAP   ((size_t)64 << 20)
#define UNSENT_CAP    ((size_t)16 << 20)
#define RX_CHUNK      65536 /* one read of the socket */
#define OPEN_SECONDS  20
#define CLOSE_SECONDS 5     /* for the peer's close frame */
#define REFUSAL_MS    1000  /* for the body that explains a refusal */
#define HEADER_BYTES  16384 /* request and response headers: the URL twice, and change */
#define TEXT_CAP      512

/* from, to */
#define STATES(EDGE)                                                                               \
    EDGE(CONNECTING, OPEN)                                                                         \
    EDGE(CONNECTING, ENDED)                                                                        \
    EDGE(OPEN, CLOSING)                                                                            \
    EDGE(OPEN, ENDED)                                                                              \
    EDGE(CLOSING, ENDED)                                                                           \
    EDGE(ENDED, REAPING)

enum state { CONNECTING, OPEN, CLOSING, ENDED, REAPING };

struct wc_wsclient {
    struct wc_wsclient_events events;
    void *arg;
    enum state state;

    uv_loop_t *loop;
    uv_idle_t reaper;
    struct lws_context *lws;
    struct lws *wsi; /* NULL before the connection attempt and after its end */

    struct wc_buf rx;      /* a message whose end has not arrived */
    struct wc_list unsent; /* struct unsent */
    size_t unsent_bytes;

    bool close_sent;
    unsigned http_status, code;
    char why[TEXT_CAP];
};

struct unsent {
    struct wc_list link;
    size_t len;
    uint8_t room[LWS_PRE]; /* libwebsockets writes the frame header here */
    uint8_t text[];        /* and masks this in place */
};

static void set_state(struct wc_wsclient *c, enum state to)
{
    bool legal = false;
#define EDGE(a, b) legal = legal || (c->state == (a) && to == (b));
    STATES(EDGE)
#undef EDGE
    WC_ASSERT(legal);
    c->state = to;
}

static void on_reap(uv_idle_t *);

static void note(struct wc_wsclient *c, struct wc_slice text)
{
    size_t n = text.len < sizeof c->why ? text.len : sizeof c->why - 1;

    if (n)
        memcpy(c->why, text.p, n);
    c->why[n] = '\0';
}

/* The connection is over, or is to be dropped: everything else happens in on_reap. */
static void end(struct wc_wsclient *c)
{
    if (c->state == ENDED || c->state == REAPING)
        return;
    set_state(c, ENDED);
    (void)uv_idle_start(&c->reaper, on_reap); /* fails only without a callback */
}

/* ── what libwebsockets tells ─────────────────────────────────────────────────────────────── */

static bool has_body(struct lws *wsi)
{
    char length[8] = "";

    /* absent or too long for the buffer: not zero */
    return lws_hdr_copy(wsi, length, sizeof length, WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0 ||
           strcmp(length, "0") != 0;
}

/* The beginning of a refusal's body, which says why. The library ends the connection as soon as it
 * has told us of the answer, so this is the only moment to read it; mostly it is there already. */
static void read_refusal(struct wc_wsclient *c, struct lws *wsi)
{
    struct pollfd fd = {.fd = lws_get_socket_fd(wsi), .events = POLLIN};
    wc_us deadline = wc_clock_mono() + REFUSAL_MS * 1000;

    while (c->why[0] == '\0') {
        char *ignored = NULL; /* on_refusal_body gets it */
        int len = 0;
        wc_us left = deadline - wc_clock_mono();

        if (lws_http_client_read(wsi, &ignored, &len) != 0 || c->why[0])
            return;
        if (left <= 0 || poll(&fd, 1, (int)(left / 1000) + 1) <= 0)
            return;
    }
}

/* Called for every answer to the upgrade request; nonzero refuses it. */
static int on_http_answer(struct wc_wsclient *c, struct lws *wsi)
{
    unsigned status = lws_http_client_http_response(wsi);

    if (status == 101)
        return 0;
    c->http_status = status;
    if (has_body(wsi))
        read_refusal(c, wsi);
    return -1;
}

static void on_refusal_body(struct wc_wsclient *c, const char *in, size_t len)
{
    if (c->why[0] == '\0')
        note(c, wc_slice(in, len));
}

static struct wc_slice failure_text(const char *in, size_t len)
{
    static const char TLS[] = "connect SSL err"; /* with no more than a number behind it */

    if (!in || len == 0)
        return wc_slice_str("connection failed");
    if (len >= sizeof TLS - 1 && memcmp(in, TLS, sizeof TLS - 1) == 0)
        return wc_slice_str("the TLS handshake failed: is the certificate valid for this name, and "
                            "its authority trusted on this machine?");
    return wc_slice(in, len);
}

static void on_connection_error(struct wc_wsclient *c, const char *in, size_t len)
{
    if (c->why[0] == '\0' && c->http_status == 0)
        note(c, failure_text(in, len));
    c->wsi = NULL;
    end(c);
}

/* Nonzero ends the connection without an answer: the peer's frame is the answer to ours. */
static int on_peer_close(struct wc_wsclient *c, const uint8_t *in, size_t len)
{
    if (c->state != OPEN)
        return -1;
    if (len >= 2) {
        c->code = (unsigned)in[0] << 8 | in[1];
        note(c, wc_slice(in + 2, len - 2));
    }
    return 0;
}

/* Never ends the connection from the receive callback: libwebsockets 4.1.6 then keeps its fill
 * position, goes on reading until the close is acknowledged, and writes past its buffer. */
static void close_with(struct wc_wsclient *c, enum lws_close_status code, const char *why)
{
    set_state(c, CLOSING);
    c->code = (unsigned)code;
    note(c, wc_slice_str(why));
    lws_callback_on_writable(c->wsi);
}

static void on_receive(struct wc_wsclient *c, struct lws *wsi, const void *in, size_t len)
{
    struct wc_slice part = wc_slice(in, len);
    bool complete = lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;
    bool is_text = !lws_frame_is_binary(wsi);

    if (c->state != OPEN)
        return;
    if (complete && c->rx.len == 0) {
        c->events.on_message(c->arg, part, is_text);
        return;
    }
    wc_buf_slice(&c->rx, part);
    if (c->rx.status == WC_LIMIT) {
        close_with(c, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "a message is larger than 64 MiB");
    } else if (c->rx.status != WC_OK) {
        close_with(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
    } else if (complete) {
        c->events.on_message(c->arg, wc_buf_view(&c->rx), is_text);
        wc_buf_reset(&c->rx);
    }
}

static void drop_unsent(struct wc_wsclient *c, struct unsent *u)
{
    c->unsent_bytes -= u->len;
    wc_list_remove(&u->link);
    free(u);
}

/* By hand, passed through unframed: Debian's libwebsockets 4.1.6 is a debug build, which closes
 * twice when a callback asks for the end, and the second time cuts the connection before its close
 * frame has left. A masking key of zeros is fine here: there is nothing in the frame but our code.
 */
static int send_close(struct wc_wsclient *c, struct lws *wsi)
{
    uint8_t room[LWS_PRE + 8] = {0}, *frame = room + LWS_PRE;

    if (c->close_sent)
        return 0;
    c->close_sent = true;
    frame[0] = 0x88; /* FIN, close */
    frame[1] = 0x82; /* masked, two bytes */
    frame[6] = (uint8_t)(c->code >> 8);
    frame[7] = (uint8_t)c->code;
    lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, CLOSE_SECONDS);
    return lws_write(wsi, frame, 8, LWS_WRITE_HTTP) < 0 ? -1 : 0;
}

static int on_writeable(struct wc_wsclient *c, struct lws *wsi)
{
    if (!wc_list_is_empty(&c->unsent)) {
        struct unsent *u = WC_CONTAINER(c->unsent.next, struct unsent, link);
        int n = lws_write(wsi, u->text, u->len, LWS_WRITE_TEXT);

        drop_unsent(c, u);
        if (n < 0)
            return -1;
        lws_callback_on_writable(wsi);
        return 0;
    }
    return c->state == CLOSING ? send_close(c, wsi) : 0;
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    struct wc_wsclient *c = lws_context_user(lws_get_context(wsi));

    (void)user;
    switch ((unsigned)reason) { /* of the library's 80 reasons a client needs these */
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP: return on_http_answer(c, wsi);
    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ: on_refusal_body(c, in, len); return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR: on_connection_error(c, in, len); return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        if (c->state != CONNECTING) /* closed earlier in this loop turn */
            return -1;
        set_state(c, OPEN);
        c->events.on_open(c->arg);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE: on_receive(c, wsi, in, len); return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE: return on_writeable(c, wsi);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: return on_peer_close(c, in, len);
    case LWS_CALLBACK_CLIENT_CLOSED:
        if (c->code == 0 && c->why[0] == '\0')
            note(c, wc_slice_str("connection lost"));
        c->wsi = NULL;
        end(c);
        return 0;
    }
    return 0;
}

/* ── the end ──────────────────────────────────────────────────────────────────────────────── */

struct search {
    const struct lws_context *lws;
    bool found;
};

static void on_walk(uv_handle_t *h, void *arg)
{
    struct search *s = arg;

    s->found = s->found || h->data == s->lws;
}

static void free_client(struct wc_wsclient *c)
{
    WC_LIST_EACH_SAFE (it, &c->unsent)
        drop_unsent(c, WC_CONTAINER(it, struct unsent, link));
    wc_buf_release(&c->rx);
    free(c);
}

static void on_reaped(uv_handle_t *h)
{
    struct wc_wsclient *c = h->data;

    c->events.on_close(c->arg, c->http_status, c->code, c->why);
    free_client(c);
}

static void on_reap(uv_idle_t *reaper)
{
    struct wc_wsclient *c = reaper->data;
    struct search s = {.lws = c->lws};

    if (c->state == ENDED) {
        set_state(c, REAPING);
        lws_context_destroy(c->lws);
        return;
    }
    uv_walk(c->loop, on_walk, &s);
    if (s.found)
        return;
    lws_context_destroy(c->lws);
    uv_close((uv_handle_t *)&c->reaper, on_reaped);
}

/* ── the beginning ────────────────────────────────────────────────────────────────────────── */

static struct lws_context *new_context(struct wc_wsclient *c)
{
    static const struct lws_protocols protocols[] = {
        {.name = "walcast", .callback = on_lws, .rx_buffer_size = RX_CHUNK},
        {0},
    };
    void *loops[] = {c->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .gid = -1, /* keep the process's */
        .uid = -1,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .foreign_loops = loops,
        .user = c,
        .pt_serv_buf_size = RX_CHUNK,
        .max_http_header_data2 = HEADER_BYTES,
        .timeout_secs = OPEN_SECONDS,
        .http_proxy_address = "", /* otherwise taken from the environment, even for loopback */
    };

    lws_set_log_level(0, NULL); /* what matters arrives in callbacks */
    return lws_create_context(&info);
}

static void connect_to(struct wc_wsclient *c, const struct wc_wsurl *u, char *const part[3])
{
    struct lws_client_connect_info info = {
        .context = c->lws,
        .address = part[0],
        .port = u->port,
        .ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (u->tls ? LCCSCF_USE_SSL : 0),
        .host = part[1],
        .path = part[2],
        .alpn = "http/1.1", /* this library cannot upgrade over h2 */
        .local_protocol_name = "walcast",
        .pwsi = &c->wsi,
    };

    if (lws_client_connect_via_info(&info))
        return;
    c->wsi = NULL;
    if (c->why[0] == '\0')
        note(c, wc_slice_str("connection failed"));
    end(c);
}

static char *request_target(const struct wc_wsurl *u)
{
    struct wc_buf b;

    wc_buf_init(&b, WC_WSURL_MAX + sizeof "/?");
    wc_buf_str(&b, u->path.len ? "" : "/");
    wc_buf_slice(&b, u->path);
    if (u->query.len) {
        wc_buf_byte(&b, '?');
        wc_buf_slice(&b, u->query);
    }
    char *target = b.status == WC_OK ? wc_slice_dup(wc_buf_view(&b)) : NULL;
    wc_buf_release(&b);
    return target;
}

static struct wc_wsclient *new_client(uv_loop_t *loop, const struct wc_wsclient_events *events,
                                      void *arg, struct wc_err *err)
{
    struct wc_wsclient *c = calloc(1, sizeof *c);

    if (!c) {
        wc_err_set(err, WC_NOMEM, "out of memory");
        return NULL;
    }
    c->events = *events;
    c->arg = arg;
    c->loop = loop;
    wc_buf_init(&c->rx, MESSAGE_CAP);
    wc_list_init(&c->unsent);
    c->lws = new_context(c);
    if (!c->lws) {
        wc_err_set(err, WC_IO, "libwebsockets did not start");
        wc_err_hint(err, "is the package libwebsockets-evlib-uv installed?");
        free_client(c);
        return NULL;
    }
    (void)uv_idle_init(loop, &c->reaper); /* cannot fail */
    c->reaper.data = c;
    return c;
}

struct wc_wsclient *wc_wsclient_open(struct uv_loop_s *loop, const char *url,
                                     const struct wc_wsclient_events *events, void *arg,
                                     struct wc_err *err)
{
    struct wc_wsurl u;
    struct wc_wsclient *c = NULL;

    if (wc_wsurl_parse(url, &u, err) != WC_OK)
        return NULL;
    char *part[3] = {wc_slice_dup(u.host), wc_slice_dup(u.authority), request_target(&u)};
    if (part[0] && part[1] && part[2]) {
        c = new_client(loop, events, arg, err);
        if (c)
            connect_to(c, &u, part);
    } else {
        wc_err_set(err, WC_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < 3; i++)
        free(part[i]);
    return c;
}

enum wc_status wc_wsclient_send(struct wc_wsclient *c, struct wc_slice text)
{
    if (c->state != OPEN)
        return WC_CLOSED;
    if (text.len > UNSENT_CAP - c->unsent_bytes)
        return WC_LIMIT;
    struct unsent *u = malloc(sizeof *u + text.len);
    if (!u)
        return WC_NOMEM;
    u->len = text.len;
    if (text.len)
        memcpy(u->text, text.p, text.len);
    wc_list_push(&c->unsent, &u->link);
    c->unsent_bytes += u->len;
    lws_callback_on_writable(c->wsi);
    return WC_OK;
}

void wc_wsclient_close(struct wc_wsclient *c)
{
    if (c->state == CONNECTING) {
        note(c, wc_slice_str("closed before it was open"));
        end(c);
    } else if (c->state == OPEN) {
        close_with(c, LWS_CLOSE_STATUS_NORMAL, "");
    }
}

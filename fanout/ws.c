#include "fanout/ws.h"

#include "base/assert.h"
#include "fanout/wait.h"

#include <libwebsockets.h>
#include <netinet/tcp.h>
#include <stdlib.h>

enum {
    FLUSH_BYTES = 64 << 10, /* past some KiB a write's cost is its bytes (design, section 6) */
    RUN_MAX = 4096,         /* frames gathered at once */
    RX_BYTES = 2048,        /* allocated per connection; client messages are mostly smaller */
    REQUEST_TIMEOUT_S = 10, /* and of a TLS handshake */
    ADOPT_LOG_US = 10 * 1000000,
    REAPS_PER_TIMEOUT = 16, /* each looks at every connection */
    CLOCK_EVERY = 16,       /* writes between looks at the clock */
};

static struct wc_ws *ws_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

static struct wc_session *session_of(struct lws *wsi)
{
    struct wc_session *s = lws_get_opaque_user_data(wsi);
    return s && s->magic == WC_SESSION_MAGIC ? s : NULL;
}

static struct wc_http_exchange *exchange_of(struct lws *wsi)
{
    struct wc_http_exchange *x = lws_get_opaque_user_data(wsi);
    return x && x->magic == WC_HTTP_MAGIC ? x : NULL;
}

/* Without waiting for what is queued: a reset frees the kernel's buffers at once. libwebsockets
 * notices the dead socket and closes its side. */
static void cut(struct lws *wsi)
{
    int fd = wsi ? lws_get_socket_fd(wsi) : -1;
    if (fd < 0)
        return;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset); /* else it closes slower */
    (void)shutdown(fd, SHUT_RDWR); /* fails when the peer was faster */
}

/* ---- requests ---- */

/* 0 allows it; -1 closes, behind the response if one was written ("One request", http.h). */
static int on_confirm_upgrade(struct wc_ws *ws, struct lws *wsi, const char *what)
{
    struct wc_session *s = wc_upgrade_confirm(&ws->upgrade, wsi, what);
    wc_arena_reset(&ws->hub->arena);
    lws_set_opaque_user_data(wsi, s);
    return s ? 0 : -1;
}

static int on_http(struct wc_ws *ws, struct lws *wsi)
{
    const char *method;
    struct wc_whose whose = wc_http_whose(wsi, &method, &ws->hub->arena);
    int result = -1;
    if (wc_upgrade_is_for(whose.path))
        wc_upgrade_refuse(&ws->upgrade, wsi, method, "this is a WebSocket endpoint");
    else
        result = wc_http_on_request(&ws->http, wsi);
    wc_arena_reset(&ws->hub->arena);
    return result;
}

/* ---- receiving ---- */

static void on_message(struct wc_session *s, struct lws *wsi, struct wc_slice part)
{
    bool is_last = lws_is_final_fragment(wsi) != 0;
    bool is_binary = lws_frame_is_binary(wsi) != 0;
    if (is_last && !s->rx.len) {
        wc_session_receive(s, part, is_binary);
        return;
    }
    if (wc_intake_add(&s->hub->intake, &s->rx, part) != WC_OK) {
        wc_session_close(s, WC_CLOSE_NO_MEMORY);
        return;
    }
    if (!is_last)
        return;
    wc_session_receive(s, wc_buf_view(&s->rx), is_binary);
    wc_intake_release(&s->hub->intake, &s->rx);
}

/* The rest of what was read already waits in libwebsockets, which hands it on when it may. */
static void stop_reading(struct wc_session *s, struct lws *wsi)
{
    if (!wc_list_is_empty(&s->paused))
        (void)lws_rx_flow_control(wsi, 0); /* fails on a dying connection only */
}

void wc_ws_resume(struct wc_ws *ws)
{
    if (wc_publisher_is_backlogged(ws->hub->publisher))
        return;
    WC_LIST_EACH_SAFE (it, &ws->hub->paused) {
        struct wc_session *s = WC_CONTAINER(it, struct wc_session, paused);
        if (wc_wait_is_full(s))
            continue;
        wc_list_remove(&s->paused);
        (void)lws_rx_flow_control(s->wsi, 1); /* fails on a dying connection only */
        /* What TLS has decrypted already does not make the socket readable: this does look at it.
         */
        (void)lws_callback_on_writable(s->wsi);
    }
}

static int on_receive(struct wc_ws *ws, struct lws *wsi, struct wc_slice part)
{
    struct wc_session *s = session_of(wsi);
    if (!s || s->state != WC_SESSION_OPEN)
        return 0;
    ws->hub->now = wc_clock_mono();
    wc_session_heard(s);
    if (s->rx.len + part.len + lws_remaining_packet_payload(wsi) > ws->opt.max_frame_bytes)
        wc_session_close(s, WC_CLOSE_TOO_LARGE);
    else
        on_message(s, wsi, part);
    stop_reading(s, wsi);
    return 0;
}

static int on_established(struct wc_ws *ws, struct lws *wsi)
{
    struct wc_session *s = session_of(wsi);
    if (!s)
        return -1;
    ws->hub->now = wc_clock_mono();
    s->wsi = wsi;
    wc_session_open(s);
    return 0;
}

/* The answer to our own close ends the connection; a close of the client's is echoed by lws. */
static int on_peer_close(struct lws *wsi)
{
    struct wc_session *s = session_of(wsi);
    if (!s || s->state != WC_SESSION_OPEN)
        return -1;
    wc_session_lost(s, WC_CLOSE_CLIENT);
    return 0;
}

/* libwebsockets has a close frame of its own ready when it found the protocol violated. */
static int on_closed(struct wc_ws *ws, struct lws *wsi)
{
    struct wc_session *s = session_of(wsi);
    if (!s)
        return 0;
    ws->hub->now = wc_clock_mono();
    wc_session_lost(s, lws_get_close_length(wsi) > 0 ? WC_CLOSE_PROTOCOL : WC_CLOSE_ABORTED);
    return 0;
}

/* The last callback of a connection, one loop turn after it was closed. */
static int on_destroy(struct wc_ws *ws, struct lws *wsi)
{
    struct wc_session *s = session_of(wsi);
    if (s && s->wsi)
        wc_session_lost(s, WC_CLOSE_ABORTED);
    if (s && s->is_watched)
        wc_guard_leave(ws->upgrade.gate.guard, &s->address);
    wc_session_free(s);
    wc_http_exchange_free(exchange_of(wsi));
    lws_set_opaque_user_data(wsi, NULL);
    (void)atomic_fetch_sub_explicit(ws->opt.connections, 1, memory_order_relaxed);
    wc_metric_add(WC_M_LISTENER_CONNECTIONS, -1);
    return 0;
}

static int on_writeable(struct lws *wsi)
{
    struct wc_session *s = session_of(wsi);
    if (s)
        wc_session_writeable(s);
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct wc_ws *ws = ws_of(wsi);
    struct wc_slice data = wc_slice(in, len);
    struct wc_http_exchange *x;
    if (reason == LWS_CALLBACK_RECEIVE)
        return on_receive(ws, wsi, data);
    if (reason == LWS_CALLBACK_SERVER_WRITEABLE)
        return on_writeable(wsi);
    if (reason == LWS_CALLBACK_WSI_CREATE) {
        (void)atomic_fetch_add_explicit(ws->opt.connections, 1, memory_order_relaxed);
        wc_metric_add(WC_M_LISTENER_CONNECTIONS, 1);
        return 0;
    }
    if (reason == LWS_CALLBACK_WSI_DESTROY)
        return on_destroy(ws, wsi);
    if (reason == LWS_CALLBACK_HTTP_CONFIRM_UPGRADE)
        return on_confirm_upgrade(ws, wsi, in);
    if (reason == LWS_CALLBACK_ESTABLISHED)
        return on_established(ws, wsi);
    if (reason == LWS_CALLBACK_WS_PEER_INITIATED_CLOSE)
        return on_peer_close(wsi);
    if (reason == LWS_CALLBACK_CLOSED)
        return on_closed(ws, wsi);
    if (reason == LWS_CALLBACK_HTTP)
        return on_http(ws, wsi);
    if (reason == LWS_CALLBACK_HTTP_BODY)
        return (x = exchange_of(wsi)) ? wc_http_on_body(wsi, x, data) : -1;
    if (reason == LWS_CALLBACK_HTTP_BODY_COMPLETION)
        return (x = exchange_of(wsi)) ? wc_http_on_body_end(&ws->http, wsi, x) : -1;
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS) /* has the SSL_CTX made */
        return wc_tls_configure(ws->opt.tls, user) ? 0 : -1;
    return reason == LWS_CALLBACK_RAW_ADOPT ? -1 : 0; /* RAW_ADOPT: somebody tried CONNECT */
}

/* ---- writing ---- */

struct chunk {
    uint8_t *p;
    size_t len;
};

static bool is_same_run(const struct wc_ws *ws, const struct wc_outq *q)
{
    if (!ws->run_len || q->offset || q->count != ws->run_of)
        return false;
    for (uint32_t i = 0; i < ws->run_len; i++)
        if (wc_outq_at(q, i) != ws->run[i])
            return false;
    return true;
}

static void gather(struct wc_ws *ws, const struct wc_outq *q)
{
    uint32_t skip = q->offset;
    ws->gathered_len = 0;
    ws->run_len = 0;
    ws->run_of = skip ? 0 : q->count; /* a queue with an offset is like no other */
    while (ws->run_len < q->count && ws->run_len < RUN_MAX) {
        struct wc_held *h = wc_outq_at(q, ws->run_len);
        size_t len = h->frame->len - skip;
        if (len > FLUSH_BYTES - ws->gathered_len)
            break;
        memcpy(ws->gathered + ws->gathered_len, h->frame->bytes + skip, len);
        ws->gathered_len += len;
        ws->run[ws->run_len++] = h;
        skip = 0;
    }
}

static struct chunk next_chunk(struct wc_ws *ws, const struct wc_outq *q)
{
    struct wc_frame *first = wc_outq_at(q, 0)->frame;
    size_t left = first->len - q->offset;
    if (q->count == 1 || left >= FLUSH_BYTES)
        return (struct chunk){first->bytes + q->offset, left < FLUSH_BYTES ? left : FLUSH_BYTES};
    if (!is_same_run(ws, q))
        gather(ws, q);
    return (struct chunk){ws->gathered, ws->gathered_len};
}

/* What lws held back of the last write has gone out when it holds nothing any more. */
static void settle(struct wc_session *s)
{
    size_t n = s->in_transport;
    s->in_transport = 0;
    if (n)
        wc_session_accepted(s, n);
}

static void flush_session(struct wc_ws *ws, struct wc_session *s)
{
    wc_list_remove(&s->dirty);
    if (lws_partial_buffered(s->wsi))
        return; /* lws asks for the writeable callback itself */
    settle(s);
    if (!s->out.count)
        return;
    /* Not asked first whether there is room: that is a poll() before each write, and a write that
     * finds none costs a copy of the chunk, once until the connection has drained. */
    struct chunk c = next_chunk(ws, &s->out);
    if (lws_write(s->wsi, c.p, c.len, LWS_WRITE_HTTP) < 0) {
        cut(s->wsi);
        return;
    }
    s->in_transport = c.len;
    wc_session_written(s, c.len);
    if (lws_partial_buffered(s->wsi))
        return;
    settle(s);
    wc_session_writeable(s);
}

bool wc_ws_flush(struct wc_ws *ws, wc_us until)
{
    struct wc_list *dirty = &ws->hub->dirty;
    ws->run_len = 0; /* holders may have been recycled since */
    for (unsigned n = 1; !wc_list_is_empty(dirty); n++) {
        flush_session(ws, WC_CONTAINER(dirty->next, struct wc_session, dirty));
        if (n % CLOCK_EVERY == 0 && wc_clock_mono() >= until)
            break;
    }
    return wc_http_flush(&ws->http, until) || !wc_list_is_empty(dirty);
}

/* ---- time ---- */

/* Pings do not come up to us; the kernel knows when the last bytes of any kind arrived. */
static wc_us heard_by_kernel(const struct wc_ws *ws, const struct wc_session *s)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(lws_get_socket_fd(s->wsi), IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return s->heard_at;
    return ws->hub->now - (wc_us)info.tcpi_last_data_recv * 1000;
}

static void close_idle(struct wc_ws *ws)
{
    struct wc_list *sessions = &ws->hub->sessions;
    wc_us limit = ws->hub->now - ws->opt.hub.idle_timeout;
    while (!wc_list_is_empty(sessions)) {
        struct wc_session *s = WC_CONTAINER(sessions->next, struct wc_session, by_activity);
        if (s->heard_at > limit)
            return;
        if (heard_by_kernel(ws, s) > limit)
            wc_session_heard(s); /* looked at again one timeout from now */
        else
            wc_session_close(s, WC_CLOSE_IDLE);
    }
}

/* Those that have joined or tried to, and have been without a channel for long; as the reference
 * does it, without a close frame. */
static void reap(struct wc_ws *ws)
{
    wc_us now = ws->hub->now, timeout = ws->opt.hub.no_channel_timeout;
    if (now < ws->reap_at)
        return;
    ws->reap_at = now + timeout / REAPS_PER_TIMEOUT;
    WC_LIST_EACH_SAFE (it, &ws->hub->sessions) {
        struct wc_session *s = WC_CONTAINER(it, struct wc_session, by_activity);
        if (!s->has_tried || s->nchannels || now - s->alone_since < timeout)
            continue;
        wc_session_lost(s, WC_CLOSE_NO_CHANNEL);
        cut(s->wsi);
    }
}

void wc_ws_tick(struct wc_ws *ws)
{
    ws->hub->now = wc_clock_mono();
    close_idle(ws);
    reap(ws);
    wc_http_tick(&ws->http);
    WC_LIST_EACH (it, &ws->hub->closing) {
        struct wc_session *s = WC_CONTAINER(it, struct wc_session, by_activity);
        if (s->deadline <= ws->hub->now)
            cut(s->wsi);
    }
}

/* ---- life ---- */

static enum wc_status open_context(struct wc_ws *ws)
{
    /* The name is what a client that offers sub-protocols may ask for; one that offers none, as
     * usual, gets this protocol too. */
    static const struct lws_protocols protocols[] = {
        {.name = "phoenix",
         .callback = on_event,
         .rx_buffer_size = RX_BYTES,
         .tx_packet_size = FLUSH_BYTES},
        {.name = NULL},
    };
    static const lws_retry_bo_t never_ping; /* the client's heartbeat is what keeps it alive */
    void *loops[] = {ws->opt.loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN,
        .foreign_loops = loops,
        .user = ws,
        .uid = -1,
        .gid = -1,
        .max_http_header_data2 = ws->opt.max_header_bytes,
        .timeout_secs = REQUEST_TIMEOUT_S,
        .retry_and_idle_policy = &never_ping,
        .server_string = "walcast",
        .vhost_name = "walcast",
        .alpn = "http/1.1",
    };
    if (ws->opt.tls) { /* the certificate comes with the handshake (tls.h) */
        info.options |=
            LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
        info.provided_client_ssl_ctx = wc_tls_client_context(ws->opt.tls);
    }
    /* Its log writes into one static buffer from all threads. What it has to say is mostly what
     * clients send; failures that are ours show in results. */
    lws_set_log_level(0, NULL);
    ws->context = lws_create_context(&info);
    if (!ws->context)
        return WC_NOMEM;
    ws->vhost = lws_get_vhost_by_name(ws->context, "walcast");
    return ws->vhost ? WC_OK : WC_NOTFOUND;
}

enum wc_status wc_ws_open(struct wc_ws *ws, const struct wc_ws_options *opt)
{
    *ws = (struct wc_ws){.opt = *opt};
    ws->hub = wc_hub_new(&opt->hub);
    ws->gathered = malloc(FLUSH_BYTES);
    ws->run = malloc(RUN_MAX * sizeof(struct wc_held *));
    if (!ws->hub || !ws->gathered || !ws->run)
        return WC_NOMEM;
    ws->upgrade =
        (struct wc_upgrade){.gate = opt->gate, .directory = opt->directory, .hub = ws->hub};
    ws->http = (struct wc_http){.routes = opt->routes,
                                .nroutes = opt->nroutes,
                                .hub = ws->hub,
                                .arena = &ws->hub->arena,
                                .request_headers = opt->gate.request_headers};
    return open_context(ws);
}

void wc_ws_shut(struct wc_ws *ws)
{
    lws_context_destroy(ws->context);
}

void wc_ws_free(struct wc_ws *ws)
{
    if (ws->context)
        lws_context_destroy(ws->context); /* the second call frees it, the loop having run dry */
    wc_hub_free(ws->hub);
    free(ws->gathered);
    free(ws->run);
}

void wc_ws_adopt(struct wc_ws *ws, int fd)
{
    unsigned long more = 0;
    if (lws_adopt_socket_vhost(ws->vhost, fd)) /* closes it when it fails */
        return;
    if (wc_log_limit(&ws->adopt_log, ADOPT_LOG_US, &more)) /* with TLS, mostly what clients send */
        WC_LOG(ws->opt.tls ? WC_LOG_DEBUG : WC_LOG_WARN, "ws", "adopt_failed",
               "thread=%u suppressed=%lu", ws->opt.hub.thread, more);
}

void wc_ws_close_all(struct wc_ws *ws, enum wc_close_reason reason)
{
    ws->hub->now = wc_clock_mono();
    WC_LIST_EACH_SAFE (it, &ws->hub->sessions) {
        wc_session_disconnect(WC_CONTAINER(it, struct wc_session, by_activity), reason);
    }
    wc_calls_refuse(ws->hub->calls);
    (void)wc_http_flush(&ws->http, INT64_MAX); /* to the last: the loop may end with this turn */
}

bool wc_ws_has_sessions(const struct wc_ws *ws)
{
    return !wc_list_is_empty(&ws->hub->sessions) || !wc_list_is_empty(&ws->hub->closing);
}

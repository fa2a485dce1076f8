/*
 * The client against a peer that follows a script: a thread with a blocking socket, which answers
 * the upgrade and then sends and expects exact bytes.
 */
#include "fanout/wsclient.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#define PATIENCE_S 20

struct peer {
    int listener;
    uint16_t port;
    pthread_t thread;
    void (*script)(struct peer *, int fd);
    char request[4096];
    const char *problem; /* what did not follow the script; read after the thread ended */
};

struct client {
    struct wc_wsclient *ws;
    struct wc_buf received; /* "T:text\n" or "B:binary\n" per message; long ones as their length */
    bool opened;
    const char *send_at_open;
    const char *close_after; /* close when this is received; "" closes at once when open */
    int closes;
    unsigned http_status, code;
    char why[128];
};

/* ── the peer ─────────────────────────────────────────────────────────────────────────────── */

static void put(struct peer *p, int fd, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;

    while (n > 0) {
        ssize_t did = send(fd, at, n, MSG_NOSIGNAL);
        if (did <= 0) {
            p->problem = "the client went away too early";
            return;
        }
        at += did;
        n -= (size_t)did;
    }
}

static void put_text(struct peer *p, int fd, const char *text)
{
    put(p, fd, text, strlen(text));
}

/* One frame of the client, unmasked into out; its first byte, or -1. */
static int get_frame(int fd, uint8_t *out, size_t *len)
{
    uint8_t head[6];

    if (recv(fd, head, 6, MSG_WAITALL) != 6 || !(head[1] & 0x80) || (head[1] & 0x7f) > 125)
        return -1;
    *len = head[1] & 0x7f;
    if (recv(fd, out, *len, *len ? MSG_WAITALL : 0) != (ssize_t)*len)
        return -1;
    for (size_t i = 0; i < *len; i++)
        out[i] ^= head[2 + i % 4];
    return head[0];
}

static void expect(struct peer *p, int fd, int first, const void *payload, size_t len)
{
    uint8_t got[128];
    size_t n = 0;

    if (get_frame(fd, got, &n) != first || n != len || memcmp(got, payload, len) != 0)
        p->problem = "the client sent something else";
}

static void expect_end(struct peer *p, int fd)
{
    char byte;

    if (recv(fd, &byte, 1, 0) > 0)
        p->problem = "the client sent more";
}

static void accept_upgrade(struct peer *p, int fd)
{
    static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[128], answer[256];
    unsigned char hash[20];
    const char *key = strstr(p->request, "Sec-WebSocket-Key: ");

    if (!key) {
        p->problem = "no key in the request";
        return;
    }
    key += strlen("Sec-WebSocket-Key: ");
    int n = snprintf(text, sizeof text, "%.*s%s", (int)strcspn(key, "\r"), key, GUID);
    lws_SHA1((const unsigned char *)text, (size_t)n, hash);
    lws_b64_encode_string((const char *)hash, sizeof hash, text, sizeof text);
    (void)snprintf(answer, sizeof answer,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                   text);
    put_text(p, fd, answer);
}

static void read_request(struct peer *p, int fd)
{
    size_t n = 0;

    while (!strstr(p->request, "\r\n\r\n")) {
        ssize_t got = recv(fd, p->request + n, sizeof p->request - 1 - n, 0);
        if (got <= 0) {
            p->problem = "no request";
            return;
        }
        n += (size_t)got;
    }
}

static void *serve_one(void *arg)
{
    struct peer *p = arg;
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = accept(p->listener, NULL, NULL);

    if (fd < 0) {
        p->problem = "no connection";
        return NULL;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    read_request(p, fd);
    if (!p->problem)
        p->script(p, fd);
    close(fd);
    return NULL;
}

static void start_peer(struct peer *p, void (*script)(struct peer *, int fd))
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;

    *p = (struct peer){.script = script};
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(p->listener, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(p->listener, 1), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&at, &len), 0);
    p->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, serve_one, p), 0);
}

/* ── the client ───────────────────────────────────────────────────────────────────────────── */

static void on_open(void *arg)
{
    struct client *c = arg;

    c->opened = true;
    if (c->send_at_open)
        assert_int_equal(wc_wsclient_send(c->ws, wc_slice_str(c->send_at_open)), WC_OK);
    if (c->close_after && !*c->close_after)
        wc_wsclient_close(c->ws);
}

static void on_message(void *arg, struct wc_slice m, bool is_text)
{
    struct client *c = arg;

    if (m.len > 100)
        wc_buf_printf(&c->received, "%c:%zu bytes\n", is_text ? 'T' : 'B', m.len);
    else
        wc_buf_printf(&c->received, "%c:%.*s\n", is_text ? 'T' : 'B', WC_SLICE_ARG(m));
    if (c->close_after && wc_slice_is(m, c->close_after))
        wc_wsclient_close(c->ws);
}

static void on_close(void *arg, unsigned http_status, unsigned code, const char *why)
{
    struct client *c = arg;

    c->closes++;
    c->http_status = http_status;
    c->code = code;
    (void)snprintf(c->why, sizeof c->why, "%s", why);
}

static const struct wc_wsclient_events EVENTS = {on_open, on_message, on_close};

/* Runs one connection from beginning to end, checks that both sides followed the script and that
 * nothing is left on the loop. */
static void converse(struct client *c, struct peer *p, void (*script)(struct peer *, int fd))
{
    uv_loop_t loop;
    struct wc_err err = {0};
    char url[64];

    start_peer(p, script);
    wc_buf_init(&c->received, 4096);
    assert_int_equal(uv_loop_init(&loop), 0);
    (void)snprintf(url, sizeof url, "ws://127.0.0.1:%u/path?query=1", p->port);
    c->ws = wc_wsclient_open(&loop, url, &EVENTS, c, &err);
    assert_non_null(c->ws);
    assert_int_equal(wc_wsclient_send(c->ws, wc_slice_str("too early")), WC_CLOSED);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    pthread_join(p->thread, NULL);
    close(p->listener);
    assert_int_equal(c->closes, 1);
    if (p->problem)
        fail_msg("peer: %s", p->problem);
}

static void assert_received(struct client *c, const char *want)
{
    if (!wc_slice_is(wc_buf_view(&c->received), want))
        fail_msg("received \"%.*s\", want \"%s\"", WC_SLICE_ARG(wc_buf_view(&c->received)), want);
    wc_buf_release(&c->received);
}

/* ── cases ────────────────────────────────────────────────────────────────────────────────── */

/* The body comes when the client has had the time to make its mind up about the headers. */
static void refuse(struct peer *p, int fd)
{
    struct pollfd hang_up = {.fd = fd, .events = POLLIN | POLLRDHUP};

    put_text(p, fd, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 18\r\n\r\n");
    if (poll(&hang_up, 1, 100) != 0)
        p->problem = "the client does not wait for the body";
    put_text(p, fd, "{\"error\":\"no key\"}");
    expect_end(p, fd);
}

static void refused_upgrade_reports_status_and_body(void **state)
{
    (void)state;
    struct client c = {0};
    struct peer p;

    converse(&c, &p, refuse);
    assert_false(c.opened);
    assert_int_equal(c.http_status, 401);
    assert_int_equal(c.code, 0);
    assert_string_equal(c.why, "{\"error\":\"no key\"}");
    assert_received(&c, "");
    assert_memory_equal(p.request, "GET /path?query=1 HTTP/1.1\r\n", 28);
    assert_non_null(strstr(p.request, "\r\nHost: 127.0.0.1:"));
}

static void refuse_at_once(struct peer *p, int fd)
{
    put_text(p, fd, "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy");
    expect_end(p, fd);
}

static void body_in_the_same_segment_is_reported_too(void **state)
{
    (void)state;
    struct client c = {0};
    struct peer p;

    converse(&c, &p, refuse_at_once);
    assert_int_equal(c.http_status, 429);
    assert_string_equal(c.why, "busy");
    assert_received(&c, "");
}

static void redirect(struct peer *p, int fd)
{
    put_text(p, fd,
             "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    expect_end(p, fd);
}

static void redirect_is_reported_not_followed(void **state)
{
    (void)state;
    struct client c = {0};
    struct peer p;

    converse(&c, &p, redirect);
    assert_int_equal(c.http_status, 302);
    assert_string_equal(c.why, "");
    assert_received(&c, "");
}

static void hang_up(struct peer *p, int fd)
{
    accept_upgrade(p, fd);
}

static void lost_connection_has_no_code(void **state)
{
    (void)state;
    struct client c = {0};
    struct peer p;

    converse(&c, &p, hang_up);
    assert_int_equal(c.http_status, 0);
    assert_int_equal(c.code, 0);
    assert_string_not_equal(c.why, "");
    assert_received(&c, "");
}

static void close_with_reason(struct peer *p, int fd)
{
    accept_upgrade(p, fd);
    put(p, fd,
        "\x88\x09\x0f\xa1"
        "because",
        11);
    expect(p, fd, 0x88,
           "\x0f\xa1"
           "because",
           9);
}

static void peers_close_code_and_reason_are_reported(void **state)
{
    (void)state;
    struct client c = {0};
    struct peer p;

    converse(&c, &p, close_with_reason);
    assert_true(c.opened);
    assert_int_equal(c.code, 4001);
    assert_string_equal(c.why, "because");
    assert_received(&c, "");
}

static void say_many_things(struct peer *p, int fd)
{
    static char long_text[4 + 60000];

    accept_upgrade(p, fd);
    put(p, fd, "\x81\x03one\x82\x02\x01\x02\x81\x00", 11); /* may share a segment with the answer */
    expect(p, fd, 0x81, "hello", 5);
    put(p, fd,
        "\x01\x02"
        "fr"
        "\x89\x02hi"
        "\x00\x02"
        "ag"
        "\x80\x04ment",
        18); /* ping in between */
    expect(p, fd, 0x8a, "hi", 2);
    memset(long_text, 'x', sizeof long_text);
    memcpy(long_text, "\x81\x7e\xea\x60", 4);
    put(p, fd, long_text, sizeof long_text);
    put(p, fd,
        "\x81\x03"
        "end",
        5);
    expect(p, fd, 0x88, "\x03\xe8", 2);
    put(p, fd, "\x81\x04late\x88\x02\x03\xe8", 10);
    expect_end(p, fd);
}

static void messages_arrive_whole_and_in_order(void **state)
{
    (void)state;
    struct client c = {.send_at_open = "hello", .close_after = "end"};
    struct peer p;

    converse(&c, &p, say_many_things);
    assert_int_equal(c.code, 1000);
    assert_received(&c, "T:one\nB:\x01\x02\nT:\nT:fragment\nT:60000 bytes\nT:end\n");
}

static void wait_for_close(struct peer *p, int fd)
{
    accept_upgrade(p, fd);
    expect(p, fd, 0x81, "last words", 10);
    expect(p, fd, 0x88, "\x03\xe8", 2);
    put(p, fd, "\x88\x02\x03\xe8", 4);
    expect_end(p, fd);
}

static void what_was_sent_leaves_before_the_close(void **state)
{
    (void)state;
    struct client c = {.send_at_open = "last words", .close_after = ""};
    struct peer p;

    converse(&c, &p, wait_for_close);
    assert_int_equal(c.code, 1000);
    assert_received(&c, "");
}

/* 65 fragments of 1 MiB. The client says 1009 while the rest is still on its way. */
static void talk_too_long(struct peer *p, int fd)
{
    static uint8_t fragment[10 + (1 << 20)] = {0x01, 127, 0, 0, 0, 0, 0, 0x10, 0, 0};

    accept_upgrade(p, fd);
    for (int i = 0; i < 65 && !p->problem; i++) {
        put(p, fd, fragment, sizeof fragment);
        fragment[0] = 0x00;
    }
    expect(p, fd, 0x88, "\x03\xf1", 2);
    put(p, fd, "\x88\x02\x03\xf1", 4);
    expect_end(p, fd);
}

static void message_above_the_limit_closes_with_1009(void **state)
{
    (void)state;
    struct client c = {0};
    struct peer p;

    converse(&c, &p, talk_too_long);
    assert_int_equal(c.code, 1009);
    assert_received(&c, "");
}

static void close_before_the_answer_drops_the_connection(void **state)
{
    (void)state;
    struct client c = {0};
    uv_loop_t loop;
    struct wc_err err = {0};

    assert_int_equal(uv_loop_init(&loop), 0);
    c.ws = wc_wsclient_open(&loop, "ws://127.0.0.1:1/", &EVENTS, &c, &err);
    assert_non_null(c.ws);
    wc_wsclient_close(c.ws);
    wc_wsclient_close(c.ws);
    assert_int_equal(c.closes, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(c.closes, 1);
    assert_false(c.opened);
}

static void wrong_url_is_refused_without_a_callback(void **state)
{
    (void)state;
    struct client c = {0};
    uv_loop_t loop;
    struct wc_err err = {0};

    assert_int_equal(uv_loop_init(&loop), 0);
    assert_null(wc_wsclient_open(&loop, "http://127.0.0.1/", &EVENTS, &c, &err));
    assert_int_equal(err.code, WC_INVALID);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(c.closes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_upgrade_reports_status_and_body),
        cmocka_unit_test(body_in_the_same_segment_is_reported_too),
        cmocka_unit_test(redirect_is_reported_not_followed),
        cmocka_unit_test(lost_connection_has_no_code),
        cmocka_unit_test(peers_close_code_and_reason_are_reported),
        cmocka_unit_test(messages_arrive_whole_and_in_order),
        cmocka_unit_test(what_was_sent_leaves_before_the_close),
        cmocka_unit_test(message_above_the_limit_closes_with_1009),
        cmocka_unit_test(close_before_the_answer_drops_the_connection),
        cmocka_unit_test(wrong_url_is_refused_without_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Connections to a TLS port before their handshake: real sockets on a loop that the test turns. */
#include "fanout/hello.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

enum { RECORD = 5 + 300, NOW = 1000 };

struct world {
    uv_loop_t loop;
    struct wc_hellos hellos;
    _Atomic uint32_t connections;
    int listener;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct sockaddr_in any = {.sin_family = AF_INET};
    assert_non_null(w);
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    atomic_init(&w->connections, 0);
    wc_hellos_init(&w->hellos, &w->loop, &w->connections);
    w->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(w->listener, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(w->listener, 16), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    wc_hellos_close(&w->hellos);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    assert_int_equal(atomic_load_explicit(&w->connections, memory_order_relaxed), 0);
    assert_int_equal(close(w->listener), 0);
    free(w);
    return 0;
}

/* A client's end; ours is awaited. */
static int connect_one(struct world *w)
{
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(getsockname(w->listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&at, len), 0);
    int fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(fd >= 0);
    wc_hello_await(&w->hellos, fd, NOW);
    return client;
}

static void on_timer(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
}

/* Until nothing happens for a while. Returns how often the loop had something to do. */
static unsigned turn(struct world *w)
{
    unsigned turns = 0;
    uv_timer_t timer;
    assert_int_equal(uv_timer_init(&w->loop, &timer), 0);
    assert_int_equal(uv_timer_start(&timer, on_timer, 20, 0), 0);
    while (!uv_is_closing((uv_handle_t *)&timer)) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
        turns++;
    }
    (void)uv_run(&w->loop, UV_RUN_NOWAIT); /* the timer is on our stack */
    return turns;
}

static void put(int client, const void *p, size_t len)
{
    assert_int_equal(send(client, p, len, MSG_NOSIGNAL), (ssize_t)len);
}

static const uint8_t *record(void)
{
    static uint8_t bytes[RECORD] = {22, 3, 1, 1, 44};
    return bytes;
}

static void expect_closed(int client)
{
    char text[512];
    assert_true(recv(client, text, sizeof text, 0) <= 0);
    assert_int_equal(close(client), 0);
}

static void a_whole_record_makes_it_ready_and_stays_to_be_read(void **state)
{
    struct world *w = *state;
    uint8_t got[RECORD + 1];
    int client = connect_one(w);
    (void)turn(w);
    assert_int_equal(wc_hello_take(&w->hellos), -1);
    put(client, record(), RECORD);
    (void)turn(w);
    int fd = wc_hello_take(&w->hellos);
    assert_true(fd >= 0);
    assert_int_equal(wc_hello_take(&w->hellos), -1);
    assert_int_equal(recv(fd, got, sizeof got, 0), RECORD);
    put(client, "x", 1); /* a single byte wakes again */
    assert_int_equal(recv(fd, got, sizeof got, 0), 1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(client), 0);
}

static void part_of_a_record_waits_without_work(void **state)
{
    struct world *w = *state;
    int client = connect_one(w);
    put(client, record(), 3);
    assert_true(turn(w) < 5);
    put(client, record() + 3, 200);
    assert_true(turn(w) < 5);
    assert_int_equal(wc_hello_take(&w->hellos), -1);
    put(client, record() + 203, RECORD - 203);
    (void)turn(w);
    int fd = wc_hello_take(&w->hellos);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(client), 0);
}

static void what_is_no_tls_is_told_so(void **state)
{
    struct world *w = *state;
    char text[512] = "";
    int client = connect_one(w);
    put(client, "GET / HTTP/1.1\r\n\r\n", 18);
    (void)turn(w);
    assert_true(recv(client, text, sizeof text - 1, MSG_WAITALL) > 0);
    assert_non_null(strstr(text, "HTTP/1.1 400 "));
    assert_int_equal(strlen(strstr(text, "\r\n\r\n") + 4), 28); /* as content-length says */
    expect_closed(client);
}

static void who_ends_early_or_says_too_much_is_dropped(void **state)
{
    static const uint8_t huge[] = {22, 3, 1, 0x40, 1};
    struct world *w = *state;
    for (int sent = 0; sent <= 100; sent += 50) {
        int client = connect_one(w);
        put(client, record(), (size_t)sent);
        (void)turn(w);
        assert_int_equal(shutdown(client, SHUT_WR), 0);
        assert_true(turn(w) < 10);
        expect_closed(client);
    }
    int client = connect_one(w);
    put(client, huge, sizeof huge);
    (void)turn(w);
    expect_closed(client);
}

static void who_waits_too_long_is_dropped(void **state)
{
    struct world *w = *state;
    int client = connect_one(w);
    wc_hello_expire(&w->hellos, NOW + WC_HELLO_TIMEOUT_US - 1);
    assert_int_equal(w->hellos.nwaiting, 1);
    wc_hello_expire(&w->hellos, NOW + WC_HELLO_TIMEOUT_US);
    assert_int_equal(w->hellos.nwaiting, 0);
    expect_closed(client);
}

static void the_oldest_goes_when_too_many_wait(void **state)
{
    struct world *w = *state;
    int first = connect_one(w), second = connect_one(w);
    w->hellos.nwaiting += WC_HELLOS_MAX - 2; /* as if there were others */
    int third = connect_one(w);
    expect_closed(first);
    w->hellos.nwaiting -= WC_HELLOS_MAX - 2;
    assert_int_equal(w->hellos.nwaiting, 2);
    put(second, record(), RECORD);
    (void)turn(w);
    int fd = wc_hello_take(&w->hellos);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(second), 0);
    assert_int_equal(close(third), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_whole_record_makes_it_ready_and_stays_to_be_read),
        TEST(part_of_a_record_waits_without_work),
        TEST(what_is_no_tls_is_told_so),
        TEST(who_ends_early_or_says_too_much_is_dropped),
        TEST(who_waits_too_long_is_dropped),
        TEST(the_oldest_goes_when_too_many_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* mesh and publisher on one thread: order, overflow, marks, fairness, wake-ups. */
#include "base/metrics.h"
#include "fanout/publish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct setup {
    struct wc_mesh *mesh;
    struct wc_publisher *pub;
    unsigned space_calls;
};

static void on_space(void *arg)
{
    ((struct setup *)arg)->space_calls++;
}

static void open_setup(struct setup *s, unsigned nbridges, unsigned nsockets)
{
    *s = (struct setup){.mesh = wc_mesh_new(nbridges, nsockets, 2)};
    assert_non_null(s->mesh);
    s->pub = wc_publisher_new(s->mesh, 0);
    assert_non_null(s->pub);
    wc_mesh_on_space(s->mesh, 0, on_space, s);
}

static void close_setup(struct setup *s)
{
    wc_publisher_free(s->pub);
    wc_mesh_free(s->mesh);
}

static void publish(struct wc_publisher *p, uint64_t n, uint64_t threads)
{
    struct wc_msg *m = wc_msg_new(WC_MSG_AUDIENCE, wc_slice(NULL, 0));
    assert_non_null(m);
    m->audience = n;
    assert_int_equal(wc_publish(p, WC_ORIGIN_BRIDGE, m, threads), WC_OK);
}

static void expect(struct wc_mesh *mesh, unsigned consumer, uint64_t n)
{
    struct wc_msg *m = wc_mesh_pop(mesh, consumer, 0);
    assert_non_null(m);
    assert_int_equal(m->audience, n);
    wc_msg_unref(m);
}

static bool is_woken(struct wc_mesh *mesh, unsigned consumer)
{
    uint64_t count = 0;
    return read(wc_mesh_eventfd(mesh, consumer), &count, sizeof count) == sizeof count;
}

static void messages_reach_only_the_named_threads_in_order(void **state)
{
    (void)state;
    struct setup s;
    open_setup(&s, 1, 3);
    publish(s.pub, 1, 1U << 0 | 1U << 2);
    publish(s.pub, 2, 1U << 2);
    publish(s.pub, 3, 0);
    assert_null(wc_mesh_pop(s.mesh, 0, 0)); /* not before the flush */
    wc_publisher_flush(s.pub);
    expect(s.mesh, 0, 1);
    assert_null(wc_mesh_pop(s.mesh, 0, 0));
    assert_null(wc_mesh_pop(s.mesh, 1, 0));
    expect(s.mesh, 2, 1);
    expect(s.mesh, 2, 2);
    close_setup(&s);
}

static void full_ring_overflows_in_order_and_reports_space(void **state)
{
    (void)state;
    struct setup s;
    open_setup(&s, 1, 1);
    int64_t full = wc_metric_sum(WC_M_RING_FULL);
    for (uint64_t n = 0; n < 5; n++)
        publish(s.pub, n, 1);
    wc_publisher_flush(s.pub);
    assert_true(wc_publisher_is_backlogged(s.pub));
    assert_int_equal(wc_metric_sum(WC_M_RING_FULL), full + 1);

    struct wc_publisher_mark mark;
    wc_publisher_mark(s.pub, &mark);
    publish(s.pub, 5, 1); /* behind the others, although the ring may have room by then */
    for (uint64_t n = 0; n < 6; n++) {
        assert_int_equal(wc_publisher_reached(s.pub, &mark), n >= 5);
        expect(s.mesh, 0, n);
        wc_mesh_popped(s.mesh, 0);
        wc_publisher_flush(s.pub);
    }
    assert_false(wc_publisher_is_backlogged(s.pub));
    assert_true(s.space_calls > 0);
    close_setup(&s);
}

static void overflow_to_one_thread_does_not_delay_another(void **state)
{
    (void)state;
    struct setup s;
    open_setup(&s, 1, 2);
    for (uint64_t n = 0; n < 3; n++)
        publish(s.pub, n, 1U << 0);
    publish(s.pub, 9, 1U << 1);
    wc_publisher_flush(s.pub);
    assert_true(wc_publisher_is_backlogged(s.pub));
    expect(s.mesh, 1, 9);
    close_setup(&s); /* drops the overflow entry too: the leak checker watches */
}

static void sleeper_is_woken_once_per_sleep(void **state)
{
    (void)state;
    struct setup s;
    open_setup(&s, 1, 1);
    publish(s.pub, 1, 1);
    wc_publisher_flush(s.pub);
    assert_false(is_woken(s.mesh, 0)); /* it was awake */
    assert_false(wc_mesh_sleep(s.mesh, 0, 0));
    assert_true(wc_mesh_sleep(s.mesh, 0, 1)); /* only what it skips is there */
    wc_mesh_awake(s.mesh, 0);
    expect(s.mesh, 0, 1);
    wc_mesh_popped(s.mesh, 0);
    assert_true(wc_mesh_sleep(s.mesh, 0, 0));
    publish(s.pub, 2, 1);
    assert_false(is_woken(s.mesh, 0)); /* nothing is published yet */
    wc_publisher_flush(s.pub);
    publish(s.pub, 3, 1);
    wc_publisher_flush(s.pub);
    uint64_t count = 0;
    assert_int_equal(read(wc_mesh_eventfd(s.mesh, 0), &count, sizeof count), sizeof count);
    assert_int_equal(count, 1);
    close_setup(&s);
}

static void skipped_producers_wait_and_others_pass(void **state)
{
    (void)state;
    struct setup s;
    open_setup(&s, 1, 1);
    struct wc_publisher *socket = wc_publisher_new(s.mesh, wc_mesh_producer_of_socket(s.mesh, 0));
    assert_non_null(socket);
    publish(s.pub, 1, 1);
    publish(socket, 2, 1);
    wc_publisher_flush(s.pub);
    wc_publisher_flush(socket);
    struct wc_msg *m = wc_mesh_pop(s.mesh, 0, 1U << 0);
    assert_non_null(m);
    assert_int_equal(m->audience, 2);
    wc_msg_unref(m);
    assert_null(wc_mesh_pop(s.mesh, 0, 1U << 0));
    expect(s.mesh, 0, 1);
    wc_publisher_free(socket);
    close_setup(&s);
}

/* Two bridges, then socket threads 0 and 1. */
enum { FIRST_SOCKET = 2, SOCKETS = 2, ALL = (1 << SOCKETS) - 1 };

struct publishers {
    struct wc_mesh *mesh;
    struct wc_publisher *pub[FIRST_SOCKET + SOCKETS];
};

static void open_publishers(struct publishers *p)
{
    p->mesh = wc_mesh_new(FIRST_SOCKET, SOCKETS, 1024);
    assert_non_null(p->mesh);
    for (unsigned i = 0; i < FIRST_SOCKET + SOCKETS; i++) {
        p->pub[i] = wc_publisher_new(p->mesh, i);
        assert_non_null(p->pub[i]);
    }
}

static void close_publishers(struct publishers *p)
{
    for (unsigned i = 0; i < FIRST_SOCKET + SOCKETS; i++)
        wc_publisher_free(p->pub[i]);
    wc_mesh_free(p->mesh);
}

static void publish_now(struct publishers *p, unsigned producer, uint64_t n)
{
    publish(p->pub[producer], n, ALL);
    wc_publisher_flush(p->pub[producer]);
}

/* How many messages of smaller number come before this one. */
static unsigned popped_before(struct wc_mesh *mesh, uint64_t number)
{
    for (unsigned before = 0;; before++) {
        struct wc_msg *m = wc_mesh_pop(mesh, 0, 0);
        assert_non_null(m);
        bool found = m->audience == number;
        wc_msg_unref(m);
        if (found)
            return before;
    }
}

static void bridge_and_socket_thread_do_not_starve_each_other(void **state)
{
    (void)state;
    for (unsigned busy = 0; busy <= FIRST_SOCKET; busy += FIRST_SOCKET) {
        struct publishers p;
        open_publishers(&p);
        for (uint64_t n = 0; n < 1000; n++)
            publish(p.pub[busy], n, 1);
        wc_publisher_flush(p.pub[busy]);
        publish_now(&p, FIRST_SOCKET - busy, 5000);
        assert_true(popped_before(p.mesh, 5000) < 100);
        close_publishers(&p);
    }
}

static void busy_socket_thread_does_not_starve_another(void **state)
{
    (void)state;
    struct publishers p;
    open_publishers(&p);
    for (uint64_t n = 0; n < 1000; n++) {
        if (n == 10)
            publish_now(&p, FIRST_SOCKET, 5000);
        publish_now(&p, FIRST_SOCKET + 1, n);
    }
    assert_int_equal(popped_before(p.mesh, 5000), 10);
    close_publishers(&p);
}

static void what_was_flushed_first_is_popped_first_whoever_the_consumer_is(void **state)
{
    (void)state;
    struct publishers p;
    open_publishers(&p);
    for (uint64_t n = 0; n < 100; n++)
        publish_now(&p, FIRST_SOCKET + (unsigned)(n * n / 7 % SOCKETS), n);
    for (unsigned c = 0; c < SOCKETS; c++)
        for (uint64_t n = 0; n < 100; n++)
            expect(p.mesh, c, n);
    close_publishers(&p);
}

/* The second producer answers the first, while the consumer is at work on older messages: it has
 * looked before, and found the first one's ring empty. */
static void effect_is_not_popped_before_its_cause_that_came_after_a_look(void **state)
{
    (void)state;
    for (unsigned c = 0; c < SOCKETS; c++)
        for (unsigned first = 0; first < SOCKETS; first++) {
            unsigned second = SOCKETS - 1 - first;
            struct publishers p;
            open_publishers(&p);
            publish(p.pub[FIRST_SOCKET + second], 0, ALL);
            publish_now(&p, FIRST_SOCKET + second, 1);
            expect(p.mesh, c, 0);
            publish_now(&p, FIRST_SOCKET + first, 2);
            publish_now(&p, FIRST_SOCKET + second, 3);
            for (uint64_t n = 1; n <= 3; n++)
                expect(p.mesh, c, n);
            assert_null(wc_mesh_pop(p.mesh, c, 0));
            close_publishers(&p);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_reach_only_the_named_threads_in_order),
        cmocka_unit_test(full_ring_overflows_in_order_and_reports_space),
        cmocka_unit_test(overflow_to_one_thread_does_not_delay_another),
        cmocka_unit_test(sleeper_is_woken_once_per_sleep),
        cmocka_unit_test(skipped_producers_wait_and_others_pass),
        cmocka_unit_test(bridge_and_socket_thread_do_not_starve_each_other),
        cmocka_unit_test(busy_socket_thread_does_not_starve_another),
        cmocka_unit_test(what_was_flushed_first_is_popped_first_whoever_the_consumer_is),
        cmocka_unit_test(effect_is_not_popped_before_its_cause_that_came_after_a_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void busy_producer_does_not_starve_another(void **state)
{
    (void)state;
    struct wc_mesh *mesh = wc_mesh_new(2, 1, 1024);
    struct wc_publisher *busy = wc_publisher_new(mesh, 0), *rare = wc_publisher_new(mesh, 1);
    for (uint64_t n = 0; n < 1000; n++)
        publish(busy, n, 1);
    publish(rare, 5000, 1);
    wc_publisher_flush(busy);
    wc_publisher_flush(rare);
    unsigned before = 0;
    for (;; before++) {
        struct wc_msg *m = wc_mesh_pop(mesh, 0, 0);
        assert_non_null(m);
        bool found = m->audience == 5000;
        wc_msg_unref(m);
        if (found)
            break;
    }
    assert_true(before < 100);
    wc_publisher_free(busy);
    wc_publisher_free(rare);
    wc_mesh_free(mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_reach_only_the_named_threads_in_order),
        cmocka_unit_test(full_ring_overflows_in_order_and_reports_space),
        cmocka_unit_test(overflow_to_one_thread_does_not_delay_another),
        cmocka_unit_test(sleeper_is_woken_once_per_sleep),
        cmocka_unit_test(skipped_producers_wait_and_others_pass),
        cmocka_unit_test(busy_producer_does_not_starve_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

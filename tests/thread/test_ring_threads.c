/* One producer, one consumer, a million messages: order, completeness, and silence under TSan. */
#include "fanout/ring.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MESSAGES = 1000000 };

struct job {
    struct wc_ring ring;
    uint64_t batch; /* pushes per publish, at most */
};

/* Fresh messages, so that their contents are written by one thread and read by the other. */
static void *produce(void *arg)
{
    struct job *j = arg;
    for (uint64_t n = 0; n < MESSAGES; n++) {
        struct wc_msg *m = wc_msg_new(WC_MSG_AUDIENCE, wc_slice(NULL, 0));
        if (!m)
            abort();
        m->audience = n;
        while (wc_ring_push(&j->ring, m) != WC_OK) {
            wc_ring_publish(&j->ring, n);
            sched_yield();
        }
        if (n % j->batch == 0)
            wc_ring_publish(&j->ring, n);
    }
    wc_ring_publish(&j->ring, MESSAGES);
    return NULL;
}

static uint64_t consume(struct wc_ring *r)
{
    uint64_t wrong = 0;
    for (uint64_t n = 0; n < MESSAGES;) {
        struct wc_msg *m = wc_ring_pop(r);
        if (!m) {
            wrong += wc_ring_give_back(r); /* nobody here asks for space */
            sched_yield();
            wc_ring_look(r);
            continue;
        }
        wrong += m->audience != n++;
        wc_msg_unref(m);
    }
    wrong += wc_ring_give_back(r);
    return wrong;
}

static void million_in_order_at(uint32_t capacity)
{
    struct job j = {.batch = capacity / 2};
    pthread_t thread;
    assert_int_equal(wc_ring_init(&j.ring, capacity, UINT64_MAX - MESSAGES / 2), WC_OK);
    assert_int_equal(pthread_create(&thread, NULL, produce, &j), 0);
    uint64_t wrong = consume(&j.ring);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(wrong, 0);
    assert_null(wc_ring_pop(&j.ring));
    assert_true(wc_ring_ok(&j.ring));
    wc_ring_release(&j.ring);
}

static void million_messages_in_order_at_capacity_2(void **state)
{
    (void)state;
    million_in_order_at(2);
}

static void million_messages_in_order_at_capacity_8(void **state)
{
    (void)state;
    million_in_order_at(8);
}

static void million_messages_in_order_at_capacity_1024(void **state)
{
    (void)state;
    million_in_order_at(1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(million_messages_in_order_at_capacity_2),
        cmocka_unit_test(million_messages_in_order_at_capacity_8),
        cmocka_unit_test(million_messages_in_order_at_capacity_1024),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

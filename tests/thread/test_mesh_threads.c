/* Several producers and consumers over the mesh, both sides really sleeping: consumers in poll on
 * their eventfd, producers on a semaphore until the space callback. A lost wake-up in either
 * direction shows as a poll that times out. */
#include "fanout/publish.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PRODUCERS = 3, CONSUMERS = 2, MESSAGES = 1000000 / PRODUCERS, WAIT_S = 20 };

struct run {
    struct wc_mesh *mesh;
    struct side {
        struct run *run;
        unsigned index;
        sem_t space;
        uint64_t faults;
    } producer[PRODUCERS], consumer[CONSUMERS];
};

static void on_space(void *arg)
{
    (void)sem_post(&((struct side *)arg)->space); /* cannot overflow: one post per request */
}

static bool wait_for_space(struct side *s)
{
    struct timespec until;
    if (clock_gettime(CLOCK_REALTIME, &until) != 0)
        abort();
    until.tv_sec += WAIT_S;
    return sem_timedwait(&s->space, &until) == 0;
}

/* The audience field carries (producer, number). Everything goes to both consumers. */
static void *produce(void *arg)
{
    struct side *s = arg;
    struct wc_publisher *pub = wc_publisher_new(s->run->mesh, s->index);
    struct wc_publisher_mark mark;
    if (!pub)
        abort();
    for (uint64_t n = 0; n < MESSAGES && !s->faults; n++) {
        struct wc_msg *m = wc_msg_new(WC_MSG_AUDIENCE, wc_slice(NULL, 0));
        if (!m)
            abort();
        m->audience = (uint64_t)s->index << 32 | n;
        if (wc_publish(pub, WC_ORIGIN_BRIDGE, m, (1U << CONSUMERS) - 1) != WC_OK)
            abort();
        if (n % 7 == 0 || wc_publisher_is_backlogged(pub))
            wc_publisher_flush(pub);
        while (wc_publisher_is_backlogged(pub) && !s->faults) {
            s->faults += !wait_for_space(s);
            wc_publisher_flush(pub);
        }
    }
    wc_publisher_flush(pub);
    wc_publisher_mark(pub, &mark);
    for (int tries = 0; !wc_publisher_reached(pub, &mark); tries++) {
        if (tries == WAIT_S * 1000) {
            s->faults++;
            break;
        }
        (void)poll(NULL, 0, 1); /* the mark is polled by its users too, on their timers */
    }
    wc_publisher_free(pub);
    return NULL;
}

static bool block(struct side *s)
{
    struct pollfd fd = {.fd = wc_mesh_eventfd(s->run->mesh, s->index), .events = POLLIN};
    bool woken = poll(&fd, 1, WAIT_S * 1000) == 1;
    uint64_t count;
    if (woken && read(fd.fd, &count, sizeof count) != sizeof count)
        abort();
    wc_mesh_awake(s->run->mesh, s->index);
    return woken;
}

static void *consume(void *arg)
{
    struct side *s = arg;
    struct wc_mesh *mesh = s->run->mesh;
    uint64_t next[PRODUCERS] = {0};
    uint64_t left = (uint64_t)PRODUCERS * MESSAGES;
    while (left && !s->faults) {
        struct wc_msg *m = wc_mesh_pop(mesh, s->index, 0);
        if (m) {
            s->faults += next[m->audience >> 32]++ != (m->audience & UINT32_MAX);
            wc_msg_unref(m);
            left--;
            continue;
        }
        wc_mesh_popped(mesh, s->index);
        if (wc_mesh_sleep(mesh, s->index, 0))
            s->faults += !block(s);
    }
    wc_mesh_popped(mesh, s->index);
    return NULL;
}

static void run_at(uint32_t capacity)
{
    struct run r = {.mesh = wc_mesh_new(PRODUCERS, CONSUMERS, capacity)};
    pthread_t thread[PRODUCERS + CONSUMERS];
    assert_non_null(r.mesh);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        r.producer[i] = (struct side){.run = &r, .index = i};
        assert_int_equal(sem_init(&r.producer[i].space, 0, 0), 0);
        wc_mesh_on_space(r.mesh, i, on_space, &r.producer[i]);
    }
    for (unsigned i = 0; i < CONSUMERS; i++)
        r.consumer[i] = (struct side){.run = &r, .index = i};
    for (unsigned i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, produce, &r.producer[i]), 0);
    for (unsigned i = 0; i < CONSUMERS; i++)
        assert_int_equal(pthread_create(&thread[PRODUCERS + i], NULL, consume, &r.consumer[i]), 0);
    for (unsigned i = 0; i < PRODUCERS + CONSUMERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        assert_int_equal(r.producer[i].faults, 0);
        assert_int_equal(sem_destroy(&r.producer[i].space), 0);
    }
    for (unsigned i = 0; i < CONSUMERS; i++)
        assert_int_equal(r.consumer[i].faults, 0);
    wc_mesh_free(r.mesh);
}

static void everything_arrives_in_order_at_capacity_2(void **state)
{
    (void)state;
    run_at(2);
}

static void everything_arrives_in_order_at_capacity_8(void **state)
{
    (void)state;
    run_at(8);
}

static void everything_arrives_in_order_at_capacity_1024(void **state)
{
    (void)state;
    run_at(1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_in_order_at_capacity_2),
        cmocka_unit_test(everything_arrives_in_order_at_capacity_8),
        cmocka_unit_test(everything_arrives_in_order_at_capacity_1024),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

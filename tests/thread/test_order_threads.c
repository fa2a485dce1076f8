/* Socket threads that react to each other's messages: every one of them must pop all messages in
 * the order in which they were caused ("Order" in mesh.h). More threads than most machines here
 * have cores, so that flushes are interrupted between one ring and the next. */
#include "fanout/publish.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 4, CHAINS = 3, LINKS = 60000, WAIT_S = 20 };

struct relay {
    struct wc_mesh *mesh;
    struct wc_publisher *publisher;
    unsigned index;
    uint64_t next[CHAINS]; /* of each chain, the number to come */
    uint64_t faults;
};

/* The audience field carries (chain, number). */
static void say(struct relay *r, uint64_t chain, uint64_t n)
{
    struct wc_msg *m = wc_msg_new(WC_MSG_AUDIENCE, wc_slice(NULL, 0));
    if (!m)
        abort();
    m->audience = chain << 32 | n;
    if (wc_publish(r->publisher, WC_ORIGIN_CLIENT, m, (1U << THREADS) - 1) != WC_OK)
        abort();
}

/* Whose turn it is to go on after number n; without a pattern, so that all pairs occur. */
static unsigned speaker_after(uint64_t chain, uint64_t n)
{
    uint64_t x = (n * CHAINS + chain + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(x >> 33) % THREADS;
}

static void hear(struct relay *r, struct wc_msg *m)
{
    uint64_t chain = m->audience >> 32, n = m->audience & UINT32_MAX;
    r->faults += n != r->next[chain]++;
    if (n + 1 < LINKS && speaker_after(chain, n) == r->index)
        say(r, chain, n + 1);
    wc_msg_unref(m);
}

static bool is_done(const struct relay *r)
{
    for (unsigned i = 0; i < CHAINS; i++)
        if (r->next[i] < LINKS)
            return false;
    return true;
}

static void block(struct relay *r)
{
    struct pollfd fd = {.fd = wc_mesh_eventfd(r->mesh, r->index), .events = POLLIN};
    uint64_t count;
    r->faults += poll(&fd, 1, WAIT_S * 1000) != 1;
    if (fd.revents && read(fd.fd, &count, sizeof count) != sizeof count)
        abort();
    wc_mesh_awake(r->mesh, r->index);
}

static void *run(void *arg)
{
    struct relay *r = arg;
    while (!is_done(r) && !r->faults) {
        struct wc_msg *m = wc_mesh_pop(r->mesh, r->index, 0);
        if (m) {
            hear(r, m);
            continue;
        }
        wc_mesh_popped(r->mesh, r->index);
        wc_publisher_flush(r->publisher);
        if (!wc_publisher_is_backlogged(r->publisher) && wc_mesh_sleep(r->mesh, r->index, 0))
            block(r);
    }
    wc_mesh_popped(r->mesh, r->index);
    return NULL;
}

static void reactions_stay_behind_what_they_react_to(void **state)
{
    (void)state;
    struct wc_mesh *mesh = wc_mesh_new(0, THREADS, 64);
    struct relay relay[THREADS];
    pthread_t thread[THREADS];
    assert_non_null(mesh);
    for (unsigned i = 0; i < THREADS; i++) {
        relay[i] = (struct relay){mesh, wc_publisher_new(mesh, i), i, {0}, 0};
        assert_non_null(relay[i].publisher);
    }
    for (uint64_t chain = 0; chain < CHAINS; chain++)
        say(&relay[chain % THREADS], chain, 0);
    for (unsigned i = 0; i < THREADS; i++)
        wc_publisher_flush(relay[i].publisher);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run, &relay[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(relay[i].faults, 0);
        wc_publisher_free(relay[i].publisher);
    }
    wc_mesh_free(mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reactions_stay_behind_what_they_react_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

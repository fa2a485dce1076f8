/* What is under way of a tenant, what is set aside for it, and who hears of room. One thread plays
 * both sides. */
#include "fanout/share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MESSAGES = 3, BYTES = 100000, SOCKETS = 2 };

static unsigned wakes;

static void wake(void *arg)
{
    (void)arg;
    wakes++;
}

static struct wc_share *make_share(uint64_t tenant)
{
    const struct wc_share_options o = {
        .tenant = tenant, .sockets = SOCKETS, .messages = MESSAGES, .bytes = BYTES, .wake = wake};
    struct wc_share *s = wc_share_new(&o);
    assert_non_null(s);
    wakes = 0;
    return s;
}

static struct wc_msg *make_message(struct wc_share *s, uint64_t number, size_t bytes)
{
    char *text = calloc(1, bytes + 1);
    assert_non_null(text);
    struct wc_msg *m = wc_msg_new(WC_MSG_AUDIENCE, wc_slice(text, bytes));
    free(text);
    assert_non_null(m);
    m->share = s;
    m->audience = number;
    return m;
}

/* As the publisher does, then as the socket thread: nobody holds back. */
static void deliver(struct wc_aside *a, struct wc_msg *m)
{
    wc_aside_done(a, m);
    wc_msg_unref(m);
}

static bool all_may_go(void *arg, uint64_t tenant)
{
    (void)arg;
    (void)tenant;
    return true;
}

static bool all_but(void *arg, uint64_t tenant)
{
    return tenant != *(uint64_t *)arg;
}

static uint64_t as_time(void *arg, uint64_t tenant)
{
    (void)arg;
    return tenant;
}

static void it_is_full_on_any_thread_and_is_heard_of(void **state)
{
    (void)state;
    struct wc_share *s = make_share(1);
    struct wc_aside a;
    struct wc_msg *sent[MESSAGES];
    wc_aside_init(&a, 1);
    for (unsigned i = 0; i < MESSAGES; i++) {
        assert_false(wc_share_is_full(s));
        sent[i] = make_message(s, i, 0);
        wc_share_sent(s, 1, sent[i]);
    }
    assert_true(wc_share_is_full(s));
    assert_false(wc_share_is_idle(s));
    deliver(&a, sent[0]);
    assert_true(wc_share_is_full(s)); /* not flushed yet */
    assert_int_equal(wakes, 0);
    wc_aside_flush(&a);
    assert_int_equal(wakes, 1);
    assert_false(wc_share_is_full(s));
    deliver(&a, sent[1]);
    deliver(&a, sent[2]);
    wc_aside_flush(&a);
    assert_int_equal(wakes, 1); /* nobody waits any more */
    assert_true(wc_share_is_idle(s));
    wc_aside_release(&a);
    wc_share_free(s);
}

static void large_messages_fill_it_sooner(void **state)
{
    (void)state;
    struct wc_share *s = make_share(1);
    struct wc_aside a;
    wc_aside_init(&a, 0);
    struct wc_msg *m = make_message(s, 1, BYTES);
    wc_share_sent(s, 0, m);
    assert_true(wc_share_is_full(s));
    deliver(&a, m);
    wc_aside_flush(&a);
    assert_int_equal(wakes, 1);
    assert_false(wc_share_is_full(s));
    wc_aside_release(&a);
    wc_share_free(s);
}

static void put(struct wc_aside *a, struct wc_msg *m)
{
    assert_true(wc_aside_may_put(a));
    wc_share_sent(m->share, a->socket, m);
    wc_aside_put(a, m);
}

static void expect(struct wc_aside *a, struct wc_msg *m, uint64_t number)
{
    assert_non_null(m);
    assert_int_equal(m->audience, number);
    deliver(a, m);
}

static void what_is_set_aside_keeps_its_order_and_tenants_take_turns(void **state)
{
    (void)state;
    struct wc_share *one = make_share(1), *two = make_share(2);
    struct wc_aside a;
    wc_aside_init(&a, 0);
    put(&a, make_message(one, 11, 0));
    put(&a, make_message(one, 12, 0));
    put(&a, make_message(two, 21, 0));
    assert_true(wc_aside_has(&a, one) && wc_aside_has(&a, two));
    assert_int_equal(wc_aside_least(&a, as_time, NULL), 1);
    uint64_t held = 1;
    expect(&a, wc_aside_take(&a, all_but, &held), 21);
    assert_null(wc_aside_take(&a, all_but, &held));
    assert_false(wc_aside_has(&a, two));
    put(&a, make_message(two, 22, 0));
    expect(&a, wc_aside_take(&a, all_may_go, NULL), 11);
    expect(&a, wc_aside_take(&a, all_may_go, NULL), 22);
    expect(&a, wc_aside_take(&a, all_may_go, NULL), 12);
    assert_null(wc_aside_take(&a, all_may_go, NULL));
    assert_int_equal(wc_aside_least(&a, as_time, NULL), UINT64_MAX);
    assert_int_equal(a.bytes, 0);
    wc_aside_flush(&a);
    assert_true(wc_share_is_idle(one) && wc_share_is_idle(two));
    wc_aside_release(&a);
    wc_share_free(one);
    wc_share_free(two);
}

static void what_is_set_aside_is_under_way_until_it_is_delivered(void **state)
{
    (void)state;
    struct wc_share *s = make_share(1);
    struct wc_aside a;
    wc_aside_init(&a, 0);
    for (unsigned i = 0; i < MESSAGES; i++)
        put(&a, make_message(s, i, 0));
    wc_aside_flush(&a);
    assert_true(wc_share_is_full(s));
    expect(&a, wc_aside_take(&a, all_may_go, NULL), 0);
    wc_aside_flush(&a);
    assert_int_equal(wakes, 1);
    assert_false(wc_share_is_full(s));
    wc_aside_release(&a); /* the others are dropped */
    assert_true(wc_share_is_idle(s));
    wc_share_free(s);
}

static void it_is_bounded(void **state)
{
    (void)state;
    struct wc_share *s = make_share(1);
    struct wc_aside a;
    wc_aside_init(&a, 0);
    put(&a, make_message(s, 1, WC_ASIDE_MAX));
    assert_false(wc_aside_may_put(&a));
    expect(&a, wc_aside_take(&a, all_may_go, NULL), 1);
    assert_true(wc_aside_may_put(&a));
    wc_aside_release(&a);
    wc_share_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_full_on_any_thread_and_is_heard_of),
        cmocka_unit_test(large_messages_fill_it_sooner),
        cmocka_unit_test(what_is_set_aside_keeps_its_order_and_tenants_take_turns),
        cmocka_unit_test(what_is_set_aside_is_under_way_until_it_is_delivered),
        cmocka_unit_test(it_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

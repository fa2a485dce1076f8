/* Counters, averages and limits of a tenant, with a clock of our own. */
#include "fanout/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { S = 1000000 };

static const struct wc_tenant_limits limits = {.max_concurrent_users = 2,
                                               .max_channels_per_client = 3,
                                               .max_joins_per_second = 10,
                                               .max_events_per_second = 100,
                                               .max_presence_events_per_second = 5};

static struct wc_quota *make(void)
{
    struct wc_quota *q = wc_quota_new(3, &limits);
    assert_non_null(q);
    wc_quota_tick(q, S);
    return q;
}

static void counts_of_all_producers_add_up(void **state)
{
    (void)state;
    struct wc_quota *q = make();
    for (unsigned producer = 0; producer < 3; producer++)
        wc_quota_count(q, producer, WC_QUOTA_EVENTS, 10 + producer);
    assert_int_equal(wc_quota_total(q, WC_QUOTA_EVENTS), 33);
    assert_int_equal(wc_quota_total(q, WC_QUOTA_JOINS), 0);
    wc_quota_free(q);
}

static void a_burst_is_noticed_at_the_next_tick_and_not_before(void **state)
{
    (void)state;
    struct wc_quota *q = make();
    wc_quota_count(q, 0, WC_QUOTA_JOINS, 50); /* 10 a second over 5 s */
    wc_quota_tick(q, 6 * S - 1);
    assert_false(wc_quota_is_triggered(q, WC_QUOTA_JOINS));
    wc_quota_tick(q, 6 * S);
    assert_true(wc_quota_is_triggered(q, WC_QUOTA_JOINS));
    assert_false(wc_quota_is_triggered(q, WC_QUOTA_EVENTS));
    wc_quota_free(q);
}

static void it_is_released_when_the_average_falls(void **state)
{
    (void)state;
    struct wc_quota *q = make();
    wc_quota_count(q, 0, WC_QUOTA_JOINS, 100);
    wc_quota_tick(q, 6 * S); /* 20 a second */
    assert_true(wc_quota_is_triggered(q, WC_QUOTA_JOINS));
    wc_quota_tick(q, 11 * S); /* 10 */
    assert_true(wc_quota_is_triggered(q, WC_QUOTA_JOINS));
    wc_quota_tick(q, 16 * S);
    assert_false(wc_quota_is_triggered(q, WC_QUOTA_JOINS));
    wc_quota_free(q);
}

static void presence_may_reach_its_limit_but_not_pass_it(void **state)
{
    (void)state;
    struct wc_quota *q = make();
    wc_quota_count(q, 0, WC_QUOTA_PRESENCE, 25);
    wc_quota_tick(q, 6 * S);
    assert_false(wc_quota_is_triggered(q, WC_QUOTA_PRESENCE));
    wc_quota_count(q, 0, WC_QUOTA_PRESENCE, 26);
    wc_quota_tick(q, 11 * S);
    assert_true(wc_quota_is_triggered(q, WC_QUOTA_PRESENCE));
    wc_quota_free(q);
}

static void only_the_last_minute_counts(void **state)
{
    (void)state;
    struct wc_quota *q = make();
    wc_quota_count(q, 0, WC_QUOTA_EVENTS, 6000); /* 100 a second over 60 s */
    for (wc_us at = 6; at <= 61; at += 5) {
        wc_quota_tick(q, at * S);
        assert_true(wc_quota_is_triggered(q, WC_QUOTA_EVENTS));
    }
    assert_int_equal(wc_quota_rate(q, WC_QUOTA_EVENTS).average, 100);
    wc_quota_tick(q, 66 * S);
    assert_false(wc_quota_is_triggered(q, WC_QUOTA_EVENTS));
    assert_int_equal(wc_quota_rate(q, WC_QUOTA_EVENTS).average, 0);
    wc_quota_free(q);
}

static void requests_are_averaged_every_second(void **state)
{
    (void)state;
    struct wc_quota *q = make();
    wc_quota_count(q, 0, WC_QUOTA_REQUESTS, 30);
    wc_quota_tick(q, 2 * S);
    assert_int_equal(wc_quota_rate(q, WC_QUOTA_REQUESTS).average, 30);
    assert_int_equal(wc_quota_rate(q, WC_QUOTA_REQUESTS).limit, 100);
    assert_int_equal(wc_quota_rate(q, WC_QUOTA_REQUESTS).remaining, 70);
    wc_quota_count(q, 0, WC_QUOTA_REQUESTS, 370);
    wc_quota_tick(q, 3 * S);
    assert_int_equal(wc_quota_rate(q, WC_QUOTA_REQUESTS).average, 200);
    assert_int_equal(wc_quota_rate(q, WC_QUOTA_REQUESTS).remaining, 0);
    assert_true(wc_quota_is_triggered(q, WC_QUOTA_REQUESTS));
    wc_quota_free(q);
}

static void a_batch_may_reach_the_limit_but_not_pass_it(void **state)
{
    (void)state;
    struct wc_quota *q = make();
    wc_quota_count(q, 0, WC_QUOTA_EVENTS, 300);
    wc_quota_tick(q, 6 * S); /* 60 a second */
    assert_false(wc_quota_would_pass(q, WC_QUOTA_EVENTS, 40));
    assert_true(wc_quota_would_pass(q, WC_QUOTA_EVENTS, 41));
    assert_true(wc_quota_would_pass(q, WC_QUOTA_EVENTS, UINT64_MAX));
    wc_quota_free(q);
}

static void a_new_limit_begins_anew(void **state)
{
    (void)state;
    struct wc_quota *q = make();
    wc_quota_count(q, 0, WC_QUOTA_JOINS, 1000);
    wc_quota_tick(q, 6 * S);
    assert_true(wc_quota_is_triggered(q, WC_QUOTA_JOINS));
    struct wc_tenant_limits more = limits;
    more.max_joins_per_second = 11;
    wc_quota_set_limits(q, &more);
    wc_quota_tick(q, 7 * S);
    assert_false(wc_quota_is_triggered(q, WC_QUOTA_JOINS));
    wc_quota_tick(q, 12 * S);
    assert_false(wc_quota_is_triggered(q, WC_QUOTA_JOINS));
    assert_int_equal(wc_quota_limits(q).max_joins_per_second, 11);
    wc_quota_free(q);
}

static void without_limits_nothing_is_refused(void **state)
{
    (void)state;
    struct wc_quota *q = wc_quota_new(1, &(struct wc_tenant_limits){0});
    assert_non_null(q);
    wc_quota_tick(q, S);
    for (enum wc_quota_kind k = WC_QUOTA_JOINS; k < WC_QUOTA_KINDS; k++)
        wc_quota_count(q, 0, k, 1000000);
    wc_quota_tick(q, 6 * S);
    for (enum wc_quota_kind k = WC_QUOTA_JOINS; k < WC_QUOTA_KINDS; k++) {
        assert_false(wc_quota_is_triggered(q, k));
        assert_false(wc_quota_would_pass(q, k, 1000000));
    }
    for (unsigned i = 0; i < 1000; i++)
        assert_true(wc_quota_user_enter(q));
    assert_false(wc_quota_is_full(q));
    wc_quota_free(q);
}

static void a_ticker_that_slept_goes_on_from_now(void **state)
{
    (void)state;
    struct wc_quota *q = make();
    wc_quota_count(q, 0, WC_QUOTA_EVENTS, 6000);
    wc_quota_tick(q, (wc_us)86400 * S);
    assert_int_equal(wc_quota_rate(q, WC_QUOTA_EVENTS).average, 100);
    wc_quota_tick(q, (wc_us)86405 * S);
    assert_int_equal(wc_quota_rate(q, WC_QUOTA_EVENTS).average, 0);
    wc_quota_free(q);
}

static void users_are_bounded_exactly(void **state)
{
    (void)state;
    struct wc_quota *q = make();
    assert_true(wc_quota_user_enter(q));
    assert_false(wc_quota_is_full(q));
    assert_true(wc_quota_user_enter(q));
    assert_true(wc_quota_is_full(q));
    assert_false(wc_quota_user_enter(q));
    wc_quota_user_leave(q);
    assert_true(wc_quota_user_enter(q));
    struct wc_tenant_limits more = limits;
    more.max_concurrent_users = 3;
    wc_quota_set_limits(q, &more);
    assert_true(wc_quota_user_enter(q));
    wc_quota_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_of_all_producers_add_up),
        cmocka_unit_test(a_burst_is_noticed_at_the_next_tick_and_not_before),
        cmocka_unit_test(it_is_released_when_the_average_falls),
        cmocka_unit_test(presence_may_reach_its_limit_but_not_pass_it),
        cmocka_unit_test(only_the_last_minute_counts),
        cmocka_unit_test(requests_are_averaged_every_second),
        cmocka_unit_test(a_batch_may_reach_the_limit_but_not_pass_it),
        cmocka_unit_test(a_new_limit_begins_anew),
        cmocka_unit_test(without_limits_nothing_is_refused),
        cmocka_unit_test(a_ticker_that_slept_goes_on_from_now),
        cmocka_unit_test(users_are_bounded_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

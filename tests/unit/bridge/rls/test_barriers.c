#include "bridge/rls/barriers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void add(struct wc_barriers *b, wc_xid xid)
{
    assert_int_equal(wc_barriers_add(b, xid, xid * 100), WC_OK);
}

static void settle(struct wc_barriers *b, const char *snapshot, const char *ending, wc_lsn replayed)
{
    struct wc_snapshot *s = wc_snapshot_parse(snapshot);
    assert_non_null(s);
    const struct wc_settled settled = {.snapshot = s, .ending = ending, .replayed = replayed};
    wc_barriers_settle(b, &settled);
    wc_snapshot_unref(s);
}

static void without_any_everything_is_settled(void **state)
{
    (void)state;
    struct wc_barriers b = {0};
    assert_int_equal(wc_barriers_settled(&b), 0);
    settle(&b, "700:700:", NULL, 0);
    assert_int_equal(wc_barriers_settled(&b), 0);
}

static void a_transaction_is_over_when_it_is_visible(void **state)
{
    (void)state;
    struct wc_barriers b = {0};
    add(&b, 700);
    assert_int_equal(wc_barriers_settled(&b), 0);
    settle(&b, "700:700:", NULL, 0);
    settle(&b, "700:703:700,702", NULL, 0);
    assert_int_equal(wc_barriers_settled(&b), 0);
    settle(&b, "702:703:702", NULL, 0);
    assert_int_equal(wc_barriers_settled(&b), 1);
}

static void while_it_holds_its_lock_it_is_not_over(void **state)
{
    (void)state;
    struct wc_barriers b = {0};
    add(&b, 700);
    settle(&b, "701:701:", "7,699,700", 0);
    settle(&b, "701:701:", "700,701", 0);
    settle(&b, "701:701:", "700", 0);
    assert_int_equal(wc_barriers_settled(&b), 0);
    settle(&b, "701:701:", "7,70,7000,1700", 0);
    assert_int_equal(wc_barriers_settled(&b), 1);
}

static void on_a_standby_its_commit_must_have_been_replayed(void **state)
{
    (void)state;
    struct wc_barriers b = {0};
    add(&b, 700);
    settle(&b, "701:701:", NULL, 70000);
    assert_int_equal(wc_barriers_settled(&b), 0);
    settle(&b, "701:701:", NULL, 70001);
    assert_int_equal(wc_barriers_settled(&b), 1);
}

/* The later one may be visible first, when the commit of the first hangs. */
static void one_that_is_over_does_not_stand_for_those_before_it(void **state)
{
    (void)state;
    struct wc_barriers b = {0};
    add(&b, 700);
    add(&b, 705);
    add(&b, 701);
    settle(&b, "700:706:700", NULL, 0);
    assert_int_equal(wc_barriers_settled(&b), 0);
    add(&b, 706);
    settle(&b, "706:706:", NULL, 0);
    assert_int_equal(wc_barriers_settled(&b), 3);
    settle(&b, "707:707:", NULL, 0);
    assert_int_equal(wc_barriers_settled(&b), 4);
}

static void many_messages_of_one_transaction_count_once(void **state)
{
    (void)state;
    struct wc_barriers b = {0};
    for (int i = 0; i < WC_BARRIERS * 4; i++)
        add(&b, 700);
    assert_int_equal(b.last, 1);
    settle(&b, "701:701:", NULL, 0);
    add(&b, 700); /* it writes on, though it is over: asked once more */
    assert_int_equal(b.last, 2);
    assert_int_equal(wc_barriers_settled(&b), 1);
}

static void there_is_an_end_of_those_that_are_not_over(void **state)
{
    (void)state;
    struct wc_barriers b = {0};
    for (wc_xid i = 0; i < WC_BARRIERS; i++)
        add(&b, 1000 + i);
    assert_int_equal(wc_barriers_add(&b, 5000, 1), WC_LIMIT);
    assert_int_equal(b.last, WC_BARRIERS);
    settle(&b, "1001:1001:", NULL, 0);
    assert_int_equal(wc_barriers_settled(&b), 1);
    assert_int_equal(wc_barriers_add(&b, 5000, 1), WC_OK);
    assert_int_equal(b.last, WC_BARRIERS + 1);
}

static void of_another_server_none_is_open_and_numbers_go_on(void **state)
{
    (void)state;
    struct wc_barriers b = {0};
    add(&b, 700);
    wc_barriers_forget(&b);
    assert_int_equal(wc_barriers_settled(&b), 1);
    add(&b, 700);
    assert_int_equal(b.last, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_any_everything_is_settled),
        cmocka_unit_test(a_transaction_is_over_when_it_is_visible),
        cmocka_unit_test(while_it_holds_its_lock_it_is_not_over),
        cmocka_unit_test(on_a_standby_its_commit_must_have_been_replayed),
        cmocka_unit_test(one_that_is_over_does_not_stand_for_those_before_it),
        cmocka_unit_test(many_messages_of_one_transaction_count_once),
        cmocka_unit_test(there_is_an_end_of_those_that_are_not_over),
        cmocka_unit_test(of_another_server_none_is_open_and_numbers_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

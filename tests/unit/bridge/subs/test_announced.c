#include "bridge/subs/announced.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { NOW = 1000 };
static const wc_us HOUR_US = 3600 * 1000000ll;

static void add(struct wc_announced *a, wc_xid xid)
{
    char text[12];
    (void)snprintf(text, sizeof text, "%u", xid); /* fits */
    wc_announced_add(a, wc_slice_str(text), NOW);
}

static void a_transaction_is_known_until_it_came(void **state)
{
    (void)state;
    static struct wc_announced a;
    assert_false(wc_announced_has(&a, 7, NOW));
    add(&a, 7);
    add(&a, UINT32_MAX);
    add(&a, 7);
    assert_int_equal(a.count, 2);
    assert_true(wc_announced_has(&a, 7, NOW));
    assert_true(wc_announced_has(&a, UINT32_MAX, NOW));
    assert_false(wc_announced_has(&a, 8, NOW));
    wc_announced_came(&a, 7);
    wc_announced_came(&a, 8);
    assert_false(wc_announced_has(&a, 7, NOW));
    assert_true(wc_announced_has(&a, UINT32_MAX, NOW));
    wc_announced_forget(&a);
    assert_false(wc_announced_has(&a, UINT32_MAX, NOW));
}

static void what_is_no_id_is_not_taken_notice_of(void **state)
{
    (void)state;
    static struct wc_announced a;
    static const char *const texts[] = {"", "-1", "7 ", "x", "4294967296", "99999999999999999999"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        wc_announced_add(&a, wc_slice_str(texts[i]), NOW);
    assert_int_equal(a.count, 0);
}

static void when_one_is_lost_every_transaction_counts_for_a_while(void **state)
{
    (void)state;
    static struct wc_announced a;
    for (wc_xid i = 0; i < WC_ANNOUNCED; i++)
        add(&a, 100 + i);
    assert_false(wc_announced_has(&a, 1, NOW));
    add(&a, 99);
    assert_int_equal(a.count, WC_ANNOUNCED);
    assert_true(wc_announced_has(&a, 1, NOW));
    assert_true(wc_announced_has(&a, 1, NOW + 1000000));
    assert_false(wc_announced_has(&a, 1, NOW + HOUR_US));
    assert_true(wc_announced_has(&a, 99, NOW + HOUR_US));
    assert_false(wc_announced_has(&a, 100, NOW + HOUR_US)); /* it was the oldest */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_is_known_until_it_came),
        cmocka_unit_test(what_is_no_id_is_not_taken_notice_of),
        cmocka_unit_test(when_one_is_lost_every_transaction_counts_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

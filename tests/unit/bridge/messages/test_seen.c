#include "bridge/messages/seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)

static uint8_t ids[2 * WC_SEEN_MAX][16];

static struct wc_signed message(size_t i, bool is_immediate, int64_t time)
{
    ids[i][0] = (uint8_t)i;
    ids[i][1] = (uint8_t)(i >> 8);
    return (struct wc_signed){
        .id = ids[i], .is_immediate = is_immediate, .xid = UINT64_C(5) << 32 | 77, .time = time};
}

static int setup(void **state)
{
    static struct wc_seen seen;
    wc_seen_init(&seen);
    *state = &seen;
    return 0;
}

static int teardown(void **state)
{
    wc_seen_release(*state);
    return 0;
}

static void a_transactional_one_counts_once_and_in_its_transaction(void **state)
{
    struct wc_seen *s = *state;
    const struct wc_signed m = message(1, false, 10 * SECOND);
    const struct wc_seen_at here = {true, 77, 11 * SECOND}, other = {true, 78, 11 * SECOND},
                            outside = {false, 77, 11 * SECOND};
    assert_int_equal(wc_seen_use(s, &m, &other), WC_LIMIT);
    assert_int_equal(wc_seen_use(s, &m, &outside), WC_LIMIT);
    assert_int_equal(wc_seen_use(s, &m, &here), WC_OK);
    assert_int_equal(wc_seen_use(s, &m, &here), WC_LIMIT);
}

static void an_xid_that_comes_round_again_is_another_transaction(void **state)
{
    struct wc_seen *s = *state;
    const struct wc_signed m = message(1, false, 0);
    const struct wc_seen_at later = {true, 77, WC_SEEN_DAY_US + 1};
    assert_int_equal(wc_seen_use(s, &m, &later), WC_LIMIT);
}

static void an_immediate_one_counts_once_and_outside_of_transactions(void **state)
{
    struct wc_seen *s = *state;
    const struct wc_signed m = message(1, true, 10 * SECOND);
    const struct wc_seen_at here = {false, 0, 9 * SECOND}, inside = {true, 77, 9 * SECOND},
                            much_later = {false, 0, 11 * SECOND + WC_SEEN_WINDOW_US};
    assert_int_equal(wc_seen_use(s, &m, &inside), WC_LIMIT);
    assert_int_equal(wc_seen_use(s, &m, &much_later), WC_LIMIT);
    assert_int_equal(wc_seen_use(s, &m, &here), WC_OK);
    assert_int_equal(wc_seen_use(s, &m, &here), WC_LIMIT);
}

static void what_is_older_than_the_stream_was_used_before(void **state)
{
    struct wc_seen *s = *state;
    const struct wc_seen_at here = {false, 0, 0};
    const struct wc_signed before = message(1, true, 10), after = message(2, true, 11);
    wc_seen_not_before(s, 10);
    assert_int_equal(wc_seen_use(s, &before, &here), WC_LIMIT);
    assert_int_equal(wc_seen_use(s, &after, &here), WC_OK);
}

static void an_id_that_is_forgotten_makes_its_time_the_earliest(void **state)
{
    struct wc_seen *s = *state;
    const struct wc_seen_at here = {false, 0, 0};
    for (size_t i = 0; i <= WC_SEEN_MAX; i++) {
        const struct wc_signed m = message(i, true, (int64_t)i + 1);
        assert_int_equal(wc_seen_use(s, &m, &here), WC_OK);
    }
    assert_int_equal(s->by_id.count, WC_SEEN_MAX);
    const struct wc_signed forgotten = message(0, true, 1), next = message(1, true, 2),
                           late = message(WC_SEEN_MAX + 1, true, 1);
    assert_int_equal(wc_seen_use(s, &forgotten, &here), WC_LIMIT);
    assert_int_equal(wc_seen_use(s, &next, &here), WC_LIMIT);
    assert_int_equal(wc_seen_use(s, &late, &here), WC_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_transactional_one_counts_once_and_in_its_transaction,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_xid_that_comes_round_again_is_another_transaction, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_immediate_one_counts_once_and_outside_of_transactions,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_older_than_the_stream_was_used_before, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_id_that_is_forgotten_makes_its_time_the_earliest, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "bridge/pg/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Waits must lie in the upper half of each step. */
static void expect_steps(struct wc_backoff *b, uint32_t least_ms, const uint32_t *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t wait = wc_backoff_next(b, least_ms);
        assert_in_range(wait, steps[i] / 2, steps[i]);
    }
}

static void waits_double_from_100_ms_to_10_s(void **state)
{
    (void)state;
    static const uint32_t steps[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000};
    for (int round = 0; round < 50; round++) { /* the jitter differs */
        struct wc_backoff b = {0};
        expect_steps(&b, 0, steps, sizeof steps / sizeof steps[0]);
    }
}

static void a_success_starts_over(void **state)
{
    (void)state;
    static const uint32_t steps[] = {100, 200};
    struct wc_backoff b = {0};
    for (int i = 0; i < 20; i++)
        (void)wc_backoff_next(&b, 0); /* how long is not the point here */
    b.ms = 0;
    expect_steps(&b, 0, steps, 2);
}

static void what_needs_an_operator_waits_longer_from_the_first_time(void **state)
{
    (void)state;
    static const uint32_t steps[] = {5000, 10000, 10000};
    static const uint32_t afterwards[] = {10000};
    struct wc_backoff b = {0};
    expect_steps(&b, 5000, steps, 3);
    expect_steps(&b, 0, afterwards, 1);
}

static void a_least_wait_above_the_cap_holds(void **state)
{
    (void)state;
    static const uint32_t steps[] = {60000, 60000, 60000};
    struct wc_backoff b = {0};
    expect_steps(&b, 60000, steps, 3);
}

/* Tenants that failed together must not come back together: 200 draws from 5,001 values that fall
 * into fewer than 100 are no jitter. */
static void waits_of_one_step_differ(void **state)
{
    (void)state;
    enum { DRAWS = 200 };
    uint32_t seen[DRAWS];
    size_t distinct = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        struct wc_backoff b = {.ms = 10000};
        uint32_t wait = wc_backoff_next(&b, 0);
        size_t k = 0;
        while (k < distinct && seen[k] != wait)
            k++;
        if (k == distinct)
            seen[distinct++] = wait;
    }
    assert_in_range(distinct, 100, DRAWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_from_100_ms_to_10_s),
        cmocka_unit_test(a_success_starts_over),
        cmocka_unit_test(what_needs_an_operator_waits_longer_from_the_first_time),
        cmocka_unit_test(a_least_wait_above_the_cap_holds),
        cmocka_unit_test(waits_of_one_step_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

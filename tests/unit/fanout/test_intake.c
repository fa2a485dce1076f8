#include "fanout/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PART = 1 << 20, PARTS = WC_INTAKE_MAX / PART, CAP = 1 << 30 };

static uint8_t part[PART];

static void what_is_large_draws_from_the_budget_and_what_is_small_passes(void **state)
{
    (void)state;
    struct wc_intake in = {0};
    struct wc_buf large, other, small;
    wc_buf_init(&large, CAP);
    wc_buf_init(&other, CAP);
    wc_buf_init(&small, CAP);
    for (unsigned i = 0; i < PARTS; i++)
        assert_int_equal(wc_intake_add(&in, &large, wc_slice(part, PART)), WC_OK);
    assert_int_equal(wc_intake_add(&in, &large, wc_slice(part, WC_INTAKE_FREE)), WC_OK);
    assert_int_equal(in.drawn, WC_INTAKE_MAX);
    assert_int_equal(wc_intake_add(&in, &large, wc_slice(part, 1)), WC_LIMIT);
    assert_int_equal(large.len, WC_INTAKE_MAX + WC_INTAKE_FREE);
    assert_int_equal(wc_intake_add(&in, &small, wc_slice(part, WC_INTAKE_FREE)), WC_OK);
    assert_int_equal(wc_intake_add(&in, &small, wc_slice(part, 1)), WC_LIMIT);
    wc_intake_release(&in, &large);
    assert_int_equal(in.drawn, 0);
    assert_int_equal(wc_intake_add(&in, &other, wc_slice(part, PART)), WC_OK);
    wc_intake_release(&in, &small);
    assert_int_equal(in.drawn, PART - WC_INTAKE_FREE);
    wc_intake_release(&in, &other);
    assert_int_equal(in.drawn, 0);
}

static void a_buffer_past_its_own_limit_gives_back_what_it_drew(void **state)
{
    (void)state;
    struct wc_intake in = {0};
    struct wc_buf buf;
    wc_buf_init(&buf, PART);
    assert_int_equal(wc_intake_add(&in, &buf, wc_slice(part, PART)), WC_OK);
    assert_int_equal(wc_intake_add(&in, &buf, wc_slice(part, 1)), WC_LIMIT);
    assert_int_equal(in.drawn, 0);
    wc_intake_release(&in, &buf);
    assert_int_equal(in.drawn, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_large_draws_from_the_budget_and_what_is_small_passes),
        cmocka_unit_test(a_buffer_past_its_own_limit_gives_back_what_it_drew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

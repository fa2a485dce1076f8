#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void buffer_grows_up_to_its_ceiling(void **state)
{
    (void)state;
    const size_t ceilings[] = {1, 10, 255, 256, 257, 1000, 4097};
    for (size_t i = 0; i < sizeof ceilings / sizeof *ceilings; i++) {
        struct wc_buf b;
        wc_buf_init(&b, ceilings[i]);
        for (size_t n = 0; n < ceilings[i]; n++) {
            wc_buf_byte(&b, 'x');
            assert_true(wc_buf_ok(&b));
        }
        assert_int_equal(b.status, WC_OK);
        assert_int_equal(b.len, ceilings[i]);
        assert_true(b.alloc <= b.cap);
        wc_buf_byte(&b, 'x');
        assert_int_equal(b.status, WC_LIMIT);
        assert_int_equal(b.len, 0);
        wc_buf_release(&b);
    }
}

static void failed_buffer_stays_failed_until_reset(void **state)
{
    (void)state;
    struct wc_buf b;
    wc_buf_init(&b, 4);
    wc_buf_str(&b, "abc");
    wc_buf_str(&b, "de");
    assert_int_equal(b.status, WC_LIMIT);
    wc_buf_str(&b, "f");
    assert_null(wc_buf_reserve(&b, 1));
    assert_int_equal(b.len, 0);
    wc_buf_reset(&b);
    wc_buf_str(&b, "abcd");
    assert_true(wc_slice_is(wc_buf_view(&b), "abcd"));
    wc_buf_release(&b);
}

static void empty_pieces_are_appended_without_memory(void **state)
{
    (void)state;
    struct wc_buf b;
    wc_buf_init(&b, 100);
    wc_buf_append(&b, NULL, 0);
    wc_buf_slice(&b, wc_slice(NULL, 0));
    wc_buf_str(&b, "");
    assert_null(b.p);
    assert_int_equal(b.status, WC_OK);
    wc_buf_release(&b);
}

static void printf_writes_short_and_long_texts(void **state)
{
    (void)state;
    const int widths[] = {1, 511, 512, 513, 5000};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        struct wc_buf b;
        wc_buf_init(&b, 10000);
        wc_buf_printf(&b, "<%*d>", widths[i], 7);
        assert_int_equal(b.len, (size_t)widths[i] + 2);
        assert_int_equal(b.p[0], '<');
        assert_int_equal(b.p[b.len - 2], '7');
        assert_int_equal(b.p[b.len - 1], '>');
        assert_true(wc_buf_ok(&b));
        wc_buf_release(&b);
    }
}

static void printf_over_the_ceiling_fails_the_buffer(void **state)
{
    (void)state;
    struct wc_buf b;
    wc_buf_init(&b, 600);
    wc_buf_printf(&b, "%*d", 700, 7);
    assert_int_equal(b.status, WC_LIMIT);
    assert_true(wc_buf_ok(&b));
    wc_buf_release(&b);
}

static void slices_compare_by_bytes(void **state)
{
    (void)state;
    assert_true(wc_slice_eq(wc_slice(NULL, 0), wc_slice_str("")));
    assert_true(wc_slice_eq(wc_slice("a\0b", 3), wc_slice("a\0b", 3)));
    assert_false(wc_slice_eq(wc_slice("a\0b", 3), wc_slice("a\0c", 3)));
    assert_false(wc_slice_is(wc_slice_str("ab"), "a"));
    assert_false(wc_slice_is(wc_slice_str("a"), "ab"));
}

static void copy_of_a_slice_is_terminated(void **state)
{
    (void)state;
    char *copy = wc_slice_dup(wc_slice("a\0bc", 3));
    assert_non_null(copy);
    assert_memory_equal(copy, "a\0b", 4);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_grows_up_to_its_ceiling),
        cmocka_unit_test(failed_buffer_stays_failed_until_reset),
        cmocka_unit_test(empty_pieces_are_appended_without_memory),
        cmocka_unit_test(printf_writes_short_and_long_texts),
        cmocka_unit_test(printf_over_the_ceiling_fails_the_buffer),
        cmocka_unit_test(slices_compare_by_bytes),
        cmocka_unit_test(copy_of_a_slice_is_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

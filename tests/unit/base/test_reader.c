#include "base/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t bytes[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
                                0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 'h',  'i',  0,    0xff};

static void integers_are_read_big_endian(void **state)
{
    (void)state;
    struct wc_rd rd = wc_rd(wc_slice(bytes, sizeof bytes));
    assert_int_equal(wc_rd_u8(&rd), 0x01);
    assert_int_equal(wc_rd_u16(&rd), 0x0203);
    assert_int_equal(wc_rd_u32(&rd), 0x04050607);
    assert_int_equal(wc_rd_u64(&rd), 0x08090a0b0c0d0e0f);
    assert_true(wc_slice_is(wc_rd_cstr(&rd), "hi"));
    assert_int_equal(wc_rd_u8(&rd), 0xff);
    assert_int_equal(wc_rd_left(&rd), 0);
    assert_false(rd.bad);
}

/* Reads everything from a copy of exactly n bytes, so that a sanitizer sees one byte too many. */
static bool read_all(size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    struct wc_rd rd = wc_rd(wc_slice(copy, n));
    (void)wc_rd_u8(&rd);
    (void)wc_rd_u16(&rd);
    (void)wc_rd_u32(&rd);
    (void)wc_rd_u64(&rd);
    (void)wc_rd_cstr(&rd);
    (void)wc_rd_u8(&rd);
    free(copy);
    return !rd.bad;
}

static void every_truncation_is_bad(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof bytes; n++)
        assert_false(read_all(n));
    assert_true(read_all(sizeof bytes));
}

static void a_bad_cursor_stays_bad_and_reads_nothing(void **state)
{
    (void)state;
    struct wc_rd rd = wc_rd(wc_slice(bytes, 3));
    assert_int_equal(wc_rd_u32(&rd), 0);
    assert_true(rd.bad);
    assert_int_equal(wc_rd_u8(&rd), 0);
    assert_null(wc_rd_take(&rd, 0));
    assert_int_equal(wc_rd_cstr(&rd).len, 0);
    assert_true(rd.bad);
}

static void absurd_lengths_are_bad(void **state)
{
    (void)state;
    const size_t lengths[] = {sizeof bytes + 1, SIZE_MAX / 2, SIZE_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct wc_rd rd = wc_rd(wc_slice(bytes, sizeof bytes));
        assert_null(wc_rd_take(&rd, lengths[i]));
        assert_true(rd.bad);
    }
}

static void an_empty_slice_is_a_cursor_at_its_end(void **state)
{
    (void)state;
    struct wc_rd rd = wc_rd(wc_slice(NULL, 0));
    assert_int_equal(wc_rd_left(&rd), 0);
    assert_non_null(wc_rd_take(&rd, 0));
    assert_false(rd.bad);
    assert_int_equal(wc_rd_u8(&rd), 0);
    assert_true(rd.bad);
}

static void a_string_without_its_nul_is_bad(void **state)
{
    (void)state;
    struct wc_rd rd = wc_rd(wc_slice("abc", 3));
    struct wc_slice s = wc_rd_cstr(&rd);
    assert_null(s.p);
    assert_true(rd.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_big_endian),
        cmocka_unit_test(every_truncation_is_bad),
        cmocka_unit_test(a_bad_cursor_stays_bad_and_reads_nothing),
        cmocka_unit_test(absurd_lengths_are_bad),
        cmocka_unit_test(an_empty_slice_is_a_cursor_at_its_end),
        cmocka_unit_test(a_string_without_its_nul_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

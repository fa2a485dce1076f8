#include "base/hex.h"
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char text[] = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

static void text_comes_back_as_it_was(void **state)
{
    uint8_t uuid[WC_UUID_BYTES];
    char again[WC_UUID_TEXT];
    (void)state;
    assert_true(wc_uuid_parse(wc_slice_str(text), uuid));
    assert_int_equal(uuid[0], 0x3f);
    assert_int_equal(uuid[15], 0x01);
    wc_uuid_format(uuid, again);
    assert_string_equal(again, text);
}

static void other_texts_are_none(void **state)
{
    static const char *const others[] = {
        "",
        "3f2504e0-4f89-41d3-9a0c-0305e82c330",
        "3f2504e0-4f89-41d3-9a0c-0305e82c33011",
        "3f2504e0-4f89-41d3-9a0c-0305e82c330g",
        "3f2504e0+4f89-41d3-9a0c-0305e82c3301",
        "3F2504E0-4F89-41D3-9A0C-0305E82C3301",
        "3f2504e04-f89-41d3-9a0c-0305e82c3301",
        "3f2504e04f89-41d3-9a0c-0305e82c33010",
    };
    uint8_t uuid[WC_UUID_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(wc_uuid_parse(wc_slice_str(others[i]), uuid));
    assert_false(wc_uuid_parse(wc_slice(NULL, 0), uuid));
}

static void random_ones_differ_and_say_their_version(void **state)
{
    uint8_t a[WC_UUID_BYTES], b[WC_UUID_BYTES];
    (void)state;
    wc_uuid_random(a);
    wc_uuid_random(b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(a[6] >> 4, 4);
    assert_int_equal(a[8] >> 6, 2);
}

static void pairs_of_digits_are_bytes(void **state)
{
    static const char *const others[] = {"0", "001", "0g", "g0", "00 0", " 000"};
    uint8_t out[4] = {0};
    (void)state;
    assert_true(wc_hex_decode(wc_slice_str("00fFA10a"), out));
    assert_memory_equal(out, ((uint8_t[]){0x00, 0xff, 0xa1, 0x0a}), 4);
    assert_true(wc_hex_decode(wc_slice(NULL, 0), out));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(wc_hex_decode(wc_slice_str(others[i]), out));
}

static void every_byte_is_a_digit_or_none(void **state)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    (void)state;
    for (int c = 1; c < 256; c++) {
        const char *at = strchr(digits, c);
        int expected = at ? (int)(at - digits) : -1;
        assert_int_equal(wc_hex_digit((uint8_t)c), expected > 15 ? expected - 6 : expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_back_as_it_was),
        cmocka_unit_test(other_texts_are_none),
        cmocka_unit_test(random_ones_differ_and_say_their_version),
        cmocka_unit_test(pairs_of_digits_are_bytes),
        cmocka_unit_test(every_byte_is_a_digit_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

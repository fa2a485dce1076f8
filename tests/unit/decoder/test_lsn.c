#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "decoder/lsn.h"

static const struct {
    wc_lsn lsn;
    const char *text;
} known[] = {
    {0, "0/0"},
    {UINT64_C(0x16B374D848), "16/B374D848"},
    {UINT64_C(0x100000000), "1/0"},
    {UINT32_MAX, "0/FFFFFFFF"},
    {UINT64_MAX, "FFFFFFFF/FFFFFFFF"},
};

static void text_form_is_that_of_postgres(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char text[WC_LSN_TEXT];
        assert_string_equal(wc_lsn_format(known[i].lsn, text), known[i].text);
    }
}

static void text_is_parsed_back(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        wc_lsn lsn = 1;
        assert_int_equal(wc_lsn_parse(wc_slice_str(known[i].text), &lsn), WC_OK);
        assert_int_equal(lsn, known[i].lsn);
    }
}

static void lower_case_and_leading_zeros_are_accepted(void **state)
{
    (void)state; /* unused */
    wc_lsn lsn = 0;
    assert_int_equal(wc_lsn_parse(wc_slice_str("00000016/b374d848"), &lsn), WC_OK);
    assert_int_equal(lsn, UINT64_C(0x16B374D848));
}

static void anything_else_is_invalid_and_leaves_the_result_alone(void **state)
{
    (void)state; /* unused */
    static const char *const bad[] = {
        "",     "/",   "0",   "1/",   "/1",   "1//2",  "1/2/3",       "1/2 ",
        " 1/2", "g/0", "0/G", "-1/0", "+1/0", "0x1/0", "123456789/0", "0/123456789",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        wc_lsn lsn = 77;
        if (wc_lsn_parse(wc_slice_str(bad[i]), &lsn) != WC_INVALID)
            fail_msg("accepted \"%s\"", bad[i]);
        assert_int_equal(lsn, 77);
    }
    wc_lsn lsn = 77;
    assert_int_equal(wc_lsn_parse(wc_slice("1/2\0", 4), &lsn), WC_INVALID);
    assert_int_equal(wc_lsn_parse(wc_slice(NULL, 0), &lsn), WC_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_form_is_that_of_postgres),
        cmocka_unit_test(text_is_parsed_back),
        cmocka_unit_test(lower_case_and_leading_zeros_are_accepted),
        cmocka_unit_test(anything_else_is_invalid_and_leaves_the_result_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "bridge/match/key.h"

#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BUF_CAP = 1 << 18 };

static enum wc_status key_of(enum wc_key_kind kind, const char *text, struct wc_buf *out)
{
    wc_buf_reset(out);
    return wc_key_append(kind, wc_slice_str(text), out);
}

/* Each of a row is less than the next; texts apart by a bar are equal. */
enum { MOST = 20 };
static const struct {
    enum wc_key_kind kind;
    const char *rising[MOST];
} rows[] = {
    {WC_KEY_BOOL, {"f", "t"}},
    {WC_KEY_CHAR, {"", " ", "A", "\\", "z", "\\200", "\\377|\377"}},
    {WC_KEY_TEXT, {"", "\x01", " ", "A", "a", "a ", "a b", "aa", "b", "\xc3\xa9"}},
    {WC_KEY_BLANKS, {"|  ", "A|A   ", "a\t ", "a b|a b ", "aa"}},
    {WC_KEY_INT,
     {"-9223372036854775808", "-9223372036854775807", "-2147483649", "-256", "-2", "-1", "0", "1",
      "2", "10", "255", "256", "32768", "2147483648", "9223372036854775806",
      "9223372036854775807"}},
    {WC_KEY_UINT, {"0", "1", "9", "10", "255", "256", "2147483648", "4294967295"}},
    {WC_KEY_NUMERIC, {"-Infinity",   "-100|-100.00",
                      "-99.999",     "-10.1",
                      "-10",         "-9.99",
                      "-1.5|-1.50",  "-1",
                      "-0.01",       "0|-0|0.000|-0.0",
                      "0.000000001", "0.01",
                      "0.1|0.10",    "1|1.0",
                      "1.01",        "9.99",
                      "10|10.0",     "123456789012345678901234567890",
                      "Infinity",    "NaN"}},
    {WC_KEY_FLOAT8,
     {"-Infinity", "-1.7976931348623157e+308", "-1e+20", "-1.5", "-1e-07", "-5e-324", "0|-0",
      "5e-324", "2.2250738585072014e-308", "1e-07|0.0000001", "0.1", "0.10000000000000002", "1.5",
      "1e+20|100000000000000000000", "1.7976931348623157e+308", "Infinity", "NaN"}},
    {WC_KEY_FLOAT4,
     {"-Infinity", "-3.4028235e+38", "-1.5", "-1e-45", "0|-0", "1e-45", "1.1754944e-38",
      "0.1|0.100000001490116", "0.10000001", "1.6777216e+07|16777216", "3.4028235e+38", "Infinity",
      "NaN"}},
    {WC_KEY_UUID,
     {"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-00000000000a",
      "0fffffff-ffff-ffff-ffff-ffffffffffff", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
    {WC_KEY_BYTES, {"\\x", "\\x00", "\\x0000", "\\x09", "\\x0a", "\\xa0", "\\xff"}},
    {WC_KEY_DATE,
     {"-infinity", "4714-11-24 BC", "0044-03-14 BC", "0044-03-15 BC", "0044-04-01 BC",
      "0002-12-31 BC", "0001-01-01 BC", "0001-12-31 BC", "0001-01-01", "1999-12-31", "2000-01-01",
      "2000-01-31", "2000-02-01", "2024-02-29", "9999-12-31", "10000-01-01", "294277-01-01",
      "5874897-12-31", "infinity"}},
    {WC_KEY_TIMESTAMP,
     {"-infinity", "4714-11-24 00:00:00 BC", "0001-12-31 23:59:59.999999 BC", "0001-01-01 00:00:00",
      "2024-02-29 13:14:15", "2024-02-29 13:14:15.000001",
      "2024-02-29 13:14:15.1|2024-02-29 13:14:15.100", "2024-02-29 23:59:59.999999",
      "2024-03-01 00:00:00", "10000-01-01 00:00:00", "294276-12-31 23:59:59.999999", "infinity"}},
    {WC_KEY_TIMESTAMPTZ,
     {"-infinity", "4714-11-24 00:00:00+00 BC", "0044-03-15 01:02:03+00 BC",
      "2024-02-29 13:14:15+00", "2024-02-29 13:14:15.5+00", "294276-12-31 23:59:59.999999+00",
      "infinity"}},
    {WC_KEY_TIME,
     {"00:00:00", "00:00:00.000001", "00:00:01", "13:14:15.5|13:14:15.50", "23:59:59.999999",
      "24:00:00"}},
};

/* Some equal texts: their key is greater than the one before, and then stands there. */
static void check_above(enum wc_key_kind kind, struct wc_slice texts, struct wc_buf *before)
{
    struct wc_buf key;
    wc_buf_init(&key, BUF_CAP);
    for (bool is_first = true; texts.p; is_first = false) {
        const uint8_t *bar = texts.len ? memchr(texts.p, '|', texts.len) : NULL;
        struct wc_slice text = wc_slice(texts.p, bar ? (size_t)(bar - texts.p) : texts.len);
        wc_buf_reset(&key);
        if (wc_key_append(kind, text, &key) != WC_OK)
            fail_msg("%.*s has no key", WC_SLICE_ARG(text));
        int order = wc_key_compare(wc_buf_view(&key), wc_buf_view(before));
        if (is_first ? order <= 0 && before->status == WC_OK : order != 0)
            fail_msg("kind %d: %.*s comes out as %d", (int)kind, WC_SLICE_ARG(text), order);
        wc_buf_reset(before);
        wc_buf_slice(before, wc_buf_view(&key));
        texts = bar ? wc_slice(bar + 1, texts.len - text.len - 1) : wc_slice(NULL, 0);
    }
    wc_buf_release(&key);
}

static void ordered_values_have_ordered_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wc_buf before;
        wc_buf_init(&before, BUF_CAP);
        before.status = WC_NOTFOUND; /* there is none before the first */
        for (size_t k = 0; k < MOST && rows[i].rising[k]; k++)
            check_above(rows[i].kind, wc_slice_str(rows[i].rising[k]), &before);
        wc_buf_release(&before);
    }
}

static void texts_that_the_type_does_not_print_have_no_key(void **state)
{
    (void)state;
    static const struct {
        enum wc_key_kind kind;
        const char *text;
    } table[] = {
        {WC_KEY_NONE, "x"},
        {WC_KEY_BOOL, ""},
        {WC_KEY_BOOL, "true"},
        {WC_KEY_BOOL, "T"},
        {WC_KEY_CHAR, "ab"},
        {WC_KEY_CHAR, "\\999"},
        {WC_KEY_CHAR, "\\100"},
        {WC_KEY_CHAR, "\\777"},
        {WC_KEY_INT, ""},
        {WC_KEY_INT, "-"},
        {WC_KEY_INT, "+1"},
        {WC_KEY_INT, "01"},
        {WC_KEY_INT, "-0"},
        {WC_KEY_INT, " 1"},
        {WC_KEY_INT, "1 "},
        {WC_KEY_INT, "1.0"},
        {WC_KEY_INT, "9223372036854775808"},
        {WC_KEY_INT, "-9223372036854775809"},
        {WC_KEY_INT, "99999999999999999999"},
        {WC_KEY_UINT, "-1"},
        {WC_KEY_UINT, "4294967296"},
        {WC_KEY_NUMERIC, ""},
        {WC_KEY_NUMERIC, "-"},
        {WC_KEY_NUMERIC, "."},
        {WC_KEY_NUMERIC, ".5"},
        {WC_KEY_NUMERIC, "1."},
        {WC_KEY_NUMERIC, "01"},
        {WC_KEY_NUMERIC, "1e5"},
        {WC_KEY_NUMERIC, "1.2.3"},
        {WC_KEY_NUMERIC, "nan"},
        {WC_KEY_NUMERIC, "inf"},
        {WC_KEY_NUMERIC, "-NaN"},
        {WC_KEY_FLOAT8, ""},
        {WC_KEY_FLOAT8, "0x1p3"},
        {WC_KEY_FLOAT8, "nan"},
        {WC_KEY_FLOAT8, "-NaN"},
        {WC_KEY_FLOAT8, "inf"},
        {WC_KEY_FLOAT8, "1e5"},
        {WC_KEY_FLOAT8, "1e+"},
        {WC_KEY_FLOAT8, "1,5"},
        {WC_KEY_FLOAT8, "1e+309"},
        {WC_KEY_FLOAT4, "1e+39"},
        {WC_KEY_FLOAT8, "1000000000000000000000000000000000000000000000000"},
        {WC_KEY_UUID, ""},
        {WC_KEY_UUID, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"},
        {WC_KEY_UUID, "a0eebc999c0b4ef8bb6d6bb9bd380a11"},
        {WC_KEY_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g"},
        {WC_KEY_UUID, "a0eebc99-9c0b-4ef8-bb6d+6bb9bd380a11"},
        {WC_KEY_BYTES, ""},
        {WC_KEY_BYTES, "abcd"},
        {WC_KEY_BYTES, "\\xa"},
        {WC_KEY_BYTES, "\\xAB"},
        {WC_KEY_BYTES, "\\000\\377"},
        {WC_KEY_DATE, "2024-2-29"},
        {WC_KEY_DATE, "29/02/2024"},
        {WC_KEY_DATE, "2024-13-01"},
        {WC_KEY_DATE, "2024-00-01"},
        {WC_KEY_DATE, "2024-01-32"},
        {WC_KEY_DATE, "0000-01-01"},
        {WC_KEY_DATE, "9999-01-01 BC"},
        {WC_KEY_DATE, "5874898-01-01"},
        {WC_KEY_DATE, "2024-02-29 00:00:00"},
        {WC_KEY_DATE, "Infinity"},
        {WC_KEY_TIMESTAMP, "2024-02-29"},
        {WC_KEY_TIMESTAMP, "2024-02-29T13:14:15"},
        {WC_KEY_TIMESTAMP, "2024-02-29 24:00:00"},
        {WC_KEY_TIMESTAMP, "2024-02-29 13:60:00"},
        {WC_KEY_TIMESTAMP, "2024-02-29 13:14:15."},
        {WC_KEY_TIMESTAMP, "2024-02-29 13:14:15.1234567"},
        {WC_KEY_TIMESTAMP, "2024-02-29 13:14:15+00"},
        {WC_KEY_TIMESTAMP, "294277-01-01 00:00:00"},
        {WC_KEY_TIMESTAMPTZ, "2024-02-29 13:14:15"},
        {WC_KEY_TIMESTAMPTZ, "2024-02-29 22:14:15+09"},
        {WC_KEY_TIMESTAMPTZ, "2024-02-29 13:14:15+00:30"},
        {WC_KEY_TIME, "24:00:01"},
        {WC_KEY_TIME, "25:00:00"},
        {WC_KEY_TIME, "13:14"},
        {WC_KEY_TIME, "13:14:15+00"},
    };
    struct wc_buf out;
    wc_buf_init(&out, BUF_CAP);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        enum wc_status st = key_of(table[i].kind, table[i].text, &out);
        if (st != WC_INVALID || out.len)
            fail_msg("kind %d, %s: %s", (int)table[i].kind, table[i].text, wc_status_text(st));
    }
    wc_buf_release(&out);
}

/* A type, how its columns' collation compares, and what is provable of it. */
static void only_what_is_provable_is_compared(void **state)
{
    (void)state;
    enum { NO, EQUAL, ORDER };
    static const struct {
        wc_oid oid;
        bool is_enum, is_deterministic, is_c;
        enum wc_key_kind kind;
        int provable;
    } table[] = {
        {16, false, true, false, WC_KEY_BOOL, ORDER},
        {17, false, true, false, WC_KEY_BYTES, ORDER},
        {18, false, true, false, WC_KEY_CHAR, ORDER},
        {19, false, true, true, WC_KEY_TEXT, ORDER}, /* name */
        {20, false, true, false, WC_KEY_INT, ORDER},
        {21, false, true, false, WC_KEY_INT, ORDER},
        {23, false, true, false, WC_KEY_INT, ORDER},
        {26, false, true, false, WC_KEY_UINT, ORDER},
        {25, false, true, true, WC_KEY_TEXT, ORDER},
        {25, false, true, false, WC_KEY_TEXT, EQUAL},
        {25, false, false, false, WC_KEY_NONE, NO},
        {1043, false, true, true, WC_KEY_TEXT, ORDER},
        {1043, false, true, false, WC_KEY_TEXT, EQUAL},
        {1043, false, false, false, WC_KEY_NONE, NO},
        {1042, false, true, true, WC_KEY_BLANKS, ORDER},
        {1042, false, true, false, WC_KEY_BLANKS, EQUAL},
        {1042, false, false, false, WC_KEY_NONE, NO},
        {700, false, true, false, WC_KEY_FLOAT4, ORDER},
        {701, false, true, false, WC_KEY_FLOAT8, ORDER},
        {1082, false, true, false, WC_KEY_DATE, ORDER},
        {1083, false, true, false, WC_KEY_TIME, ORDER},
        {1114, false, true, false, WC_KEY_TIMESTAMP, ORDER},
        {1184, false, true, false, WC_KEY_TIMESTAMPTZ, ORDER},
        {1700, false, true, false, WC_KEY_NUMERIC, ORDER},
        {2950, false, true, false, WC_KEY_UUID, ORDER},
        {16999, true, true, false, WC_KEY_ENUM, EQUAL},
        {16999, false, true, false, WC_KEY_NONE, NO}, /* made by a user */
        {114, false, true, false, WC_KEY_NONE, NO},   /* json has no equality */
        {3802, false, true, false, WC_KEY_NONE, NO},  /* jsonb compares numbers inside */
        {1186, false, true, false, WC_KEY_NONE, NO},  /* interval: 24 hours = 1 day */
        {1266, false, true, false, WC_KEY_NONE, NO},  /* timetz: by instant, then by zone */
        {1007, false, true, false, WC_KEY_NONE, NO},  /* int4[] */
        {1231, false, true, false, WC_KEY_NONE, NO},  /* numeric[] */
        {869, false, true, false, WC_KEY_NONE, NO},   /* inet */
        {790, false, true, false, WC_KEY_NONE, NO},   /* money is printed by locale */
        {600, false, true, false, WC_KEY_NONE, NO},   /* point has no = of its own */
        {142, false, true, false, WC_KEY_NONE, NO},   /* xml */
        {0, false, true, false, WC_KEY_NONE, NO},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct wc_key_type type = {.base_type = table[i].oid,
                                         .is_enum = table[i].is_enum,
                                         .is_deterministic = table[i].is_deterministic,
                                         .is_c = table[i].is_c};
        bool ordered = table[i].provable != ORDER;
        enum wc_key_kind kind = wc_key_kind_of(&type, &ordered);
        if (kind != table[i].kind || ordered != (table[i].provable == ORDER))
            fail_msg("type %u: kind %d", table[i].oid, (int)kind);
    }
}

static void a_key_is_appended_or_nothing_is(void **state)
{
    (void)state;
    struct wc_buf out;
    wc_buf_init(&out, BUF_CAP);
    wc_buf_str(&out, "before");
    assert_int_equal(wc_key_append(WC_KEY_TEXT, wc_slice_str("text"), &out), WC_OK);
    assert_int_equal(wc_key_append(WC_KEY_NUMERIC, wc_slice_str("1.x"), &out), WC_INVALID);
    assert_int_equal(wc_key_append(WC_KEY_TIME, wc_slice_str("1"), &out), WC_INVALID);
    assert_true(wc_slice_is(wc_buf_view(&out), "beforetext"));
    assert_int_equal(wc_key_append(WC_KEY_UINT, wc_slice_str("97"), &out), WC_OK);
    assert_memory_equal(out.p, "beforetext\0\0\0a", 14);
    wc_buf_release(&out);
}

static void a_key_that_stands_in_the_text_is_not_copied(void **state)
{
    (void)state;
    static const struct {
        enum wc_key_kind kind;
        const char *text, *key;
    } table[] = {
        {WC_KEY_TEXT, "some text ", "some text "}, {WC_KEY_ENUM, "happy", "happy"},
        {WC_KEY_BLANKS, " ab  ", " ab"},           {WC_KEY_BLANKS, "  ", ""},
        {WC_KEY_BYTES, "\\xdead", "dead"},         {WC_KEY_BOOL, "t", "t"},
    };
    struct wc_buf scratch;
    struct wc_slice key;
    wc_buf_init(&scratch, 0); /* no room */
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(wc_key_view(table[i].kind, wc_slice_str(table[i].text), &scratch, &key),
                         WC_OK);
        assert_true(wc_slice_is(key, table[i].key));
    }
    assert_int_equal(wc_key_view(WC_KEY_INT, wc_slice_str("1"), &scratch, &key), WC_LIMIT);
    wc_buf_release(&scratch);
}

/* Fills a numeric with the most digits Postgres has. */
static char *longest_numeric(void)
{
    enum { WHOLE = 131072, FRACTION = 16383 };
    char *text = malloc(1 + WHOLE + 1 + FRACTION + 1);
    assert_non_null(text);
    memset(text, '7', 1 + WHOLE + 1 + FRACTION);
    text[0] = '-';
    text[1 + WHOLE] = '.';
    text[1 + WHOLE + 1 + FRACTION] = '\0';
    return text;
}

static void the_longest_numeric_has_a_key_and_no_longer_one(void **state)
{
    (void)state;
    char *text = longest_numeric();
    struct wc_buf out, greater;
    wc_buf_init(&out, WC_KEY_MAX);
    wc_buf_init(&greater, WC_KEY_MAX);
    assert_int_equal(key_of(WC_KEY_NUMERIC, text, &out), WC_OK);
    text[strlen(text) - 1] = '6';
    assert_int_equal(key_of(WC_KEY_NUMERIC, text, &greater), WC_OK);
    assert_true(wc_key_compare(wc_buf_view(&out), wc_buf_view(&greater)) < 0);
    char *longer = calloc(1, strlen(text) + 2);
    assert_non_null(longer);
    memset(longer, '1', strlen(text) + 1);
    assert_int_equal(key_of(WC_KEY_NUMERIC, longer, &out), WC_INVALID);
    free(longer);
    free(text);
    wc_buf_release(&out);
    wc_buf_release(&greater);
}

static void without_memory_there_is_no_key(void **state)
{
    (void)state;
    static const char *const text[] = {[WC_KEY_INT] = "1",
                                       [WC_KEY_NUMERIC] = "1.5",
                                       [WC_KEY_UUID] = "00000000-0000-0000-0000-000000000000",
                                       [WC_KEY_TEXT] = "x"};
    static const enum wc_key_kind kinds[] = {WC_KEY_INT, WC_KEY_NUMERIC, WC_KEY_UUID, WC_KEY_TEXT};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct wc_buf out;
        wc_buf_init(&out, BUF_CAP);
        wc_test_fail_alloc(0);
        assert_int_equal(key_of(kinds[i], text[kinds[i]], &out), WC_NOMEM);
        wc_test_fail_alloc(-1);
        wc_buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordered_values_have_ordered_keys),
        cmocka_unit_test(texts_that_the_type_does_not_print_have_no_key),
        cmocka_unit_test(only_what_is_provable_is_compared),
        cmocka_unit_test(a_key_is_appended_or_nothing_is),
        cmocka_unit_test(a_key_that_stands_in_the_text_is_not_copied),
        cmocka_unit_test(the_longest_numeric_has_a_key_and_no_longer_one),
        cmocka_unit_test(without_memory_there_is_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

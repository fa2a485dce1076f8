#include "base/exposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct wc_buf out;

static int setup(void **state)
{
    (void)state;
    wc_buf_init(&out, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wc_buf_release(&out);
    return 0;
}

static void expect(const char *text)
{
    wc_buf_byte(&out, '\0');
    assert_int_equal(out.status, WC_OK);
    assert_string_equal((const char *)out.p, text);
    wc_buf_reset(&out);
}

static void label_values_are_escaped(void **state)
{
    (void)state;
    wc_exposition_label(&out, "tenant", wc_slice_str("a\"b\\c\nd{},="));
    wc_exposition_label(&out, "host", wc_slice(NULL, 0));
    expect("tenant=\"a\\\"b\\\\c\\nd{},=\",host=\"\"");
}

static void samples_carry_every_label_there_is(void **state)
{
    (void)state;
    struct wc_exposition x = {.out = &out};
    wc_exposition_sample(&x, "n", wc_slice(NULL, 0), 0);
    expect("n 0\n");
    x.node = wc_slice_str("id=\"1\"");
    wc_exposition_sample(&x, "n", wc_slice(NULL, 0), 7);
    expect("n{id=\"1\"} 7\n");
    x.tenant = wc_slice_str("tenant=\"t\"");
    wc_exposition_sample(&x, "n", wc_slice_str("a=\"b\""), INT64_MAX);
    expect("n{tenant=\"t\",a=\"b\",id=\"1\"} 9223372036854775807\n");
    wc_exposition_sample(&x, "n", wc_slice(NULL, 0), INT64_MIN);
    expect("n{tenant=\"t\",id=\"1\"} -9223372036854775808\n");
}

static void fractions_are_exact_and_short(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } table[] = {{0, "n 0\n"},         {1, "n 0.000001\n"},         {1000000, "n 1\n"},
                 {1500000, "n 1.5\n"}, {12345678, "n 12.345678\n"}, {-250000, "n -0.25\n"},
                 {100, "n 0.0001\n"}};
    const struct wc_exposition x = {.out = &out};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        wc_exposition_fraction(&x, "n", wc_slice(NULL, 0), table[i].value, 1000000);
        expect(table[i].text);
    }
}

static void histograms_are_cumulative_in_the_shown_unit(void **state)
{
    (void)state;
    static struct wc_histogram h;
    struct wc_histogram_sum sum = {0};
    const struct wc_exposition x = {.out = &out, .node = wc_slice_str("id=\"1\"")};
    wc_histogram_add(&h, WC_BUCKETS_MS, 0, 1);
    wc_histogram_add(&h, WC_BUCKETS_MS, 500, 1); /* a bound belongs to its bucket */
    wc_histogram_add(&h, WC_BUCKETS_MS, 501, 3);
    wc_histogram_add(&h, WC_BUCKETS_MS, 16000000, 1);
    wc_histogram_read(&h, &sum);
    wc_exposition_histogram(&x, "h", wc_slice_str("k=\"v\""), WC_BUCKETS_MS, &sum);
    wc_buf_byte(&out, '\0');
    const char *text = (const char *)out.p;
    assert_ptr_equal(strstr(text, "h_bucket{k=\"v\",le=\"0.5\",id=\"1\"} 2\n"
                                  "h_bucket{k=\"v\",le=\"1\",id=\"1\"} 5\n"
                                  "h_bucket{k=\"v\",le=\"2.5\",id=\"1\"} 5\n"),
                     text);
    assert_non_null(strstr(text, "h_bucket{k=\"v\",le=\"15000\",id=\"1\"} 5\n"
                                 "h_bucket{k=\"v\",le=\"+Inf\",id=\"1\"} 6\n"
                                 "h_count{k=\"v\",id=\"1\"} 6\n"
                                 "h_sum{k=\"v\",id=\"1\"} 16002.003\n"));
}

static void bounds_rise(void **state)
{
    (void)state;
    for (enum wc_buckets k = WC_BUCKETS_BYTES; k < WC_BUCKETS_COUNT; k++) {
        const uint64_t *bound;
        size_t n = wc_buckets_bounds(k, &bound);
        assert_true(n > 0);
        for (size_t i = 1; i < n; i++)
            assert_true(bound[i - 1] < bound[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(label_values_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(samples_carry_every_label_there_is, setup, teardown),
        cmocka_unit_test_setup_teardown(fractions_are_exact_and_short, setup, teardown),
        cmocka_unit_test_setup_teardown(histograms_are_cumulative_in_the_shown_unit, setup,
                                        teardown),
        cmocka_unit_test(bounds_rise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "bridge/subs/comparison.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct wc_comparison like(const char *value)
{
    return (struct wc_comparison){.role = wc_slice_str("anon"),
                                  .type = wc_slice_str("text"),
                                  .collation = wc_slice_str("pg_catalog.\"C\""),
                                  .op = WC_FILTER_LIKE,
                                  .value = wc_slice_str(value)};
}

static void equal_comparisons_are_one(void **state)
{
    (void)state;
    struct wc_comparisons *t = wc_comparisons_new();
    struct wc_comparison a = like("a%");
    struct wc_shared_comparison *one = wc_comparison_get(t, wc_slice_str("c"), &a);
    struct wc_comparison again = like("a%");
    assert_ptr_equal(wc_comparison_get(t, wc_slice_str("c"), &again), one);
    assert_string_equal(one->is.value.p, "a%");
    assert_string_equal(one->is.role.p, "anon");
    assert_string_equal(one->is.type.p, "text");
    assert_string_equal(one->is.collation.p, "pg_catalog.\"C\"");
    assert_int_equal(one->is.op, WC_FILTER_LIKE);
    wc_comparison_unref(one);
    wc_comparison_unref(one);
    wc_comparisons_free(t);
}

static void whatever_differs_makes_another(void **state)
{
    (void)state;
    struct wc_comparisons *t = wc_comparisons_new();
    struct wc_comparison c[9];
    for (size_t i = 0; i < 9; i++)
        c[i] = like("");
    c[1].role = wc_slice_str("authenticated");
    c[2].type = wc_slice_str("varchar");
    c[3].collation = wc_slice_str("");
    c[4].op = WC_FILTER_ILIKE;
    c[5].value = wc_slice_str("x");
    c[6].is_null = true;
    c[7].schema = wc_slice_str("public");
    c[8].value_type = wc_slice_str("text");
    struct wc_shared_comparison *made[9];
    for (size_t i = 0; i < 9; i++) {
        made[i] = wc_comparison_get(t, wc_slice_str("c"), &c[i]);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(made[i]->serial, made[k]->serial);
    }
    for (size_t i = 0; i < 9; i++)
        wc_comparison_unref(made[i]);
    wc_comparisons_free(t);
}

/* The same of two columns is asked of two values. */
static void another_column_makes_another(void **state)
{
    (void)state;
    struct wc_comparisons *t = wc_comparisons_new();
    struct wc_comparison a = like("a%");
    struct wc_shared_comparison *c = wc_comparison_get(t, wc_slice_str("c"), &a);
    struct wc_shared_comparison *d = wc_comparison_get(t, wc_slice_str("d"), &a);
    assert_int_not_equal(c->serial, d->serial);
    wc_comparison_unref(c);
    wc_comparison_unref(d);
    wc_comparisons_free(t);
}

static void a_serial_is_never_used_again(void **state)
{
    (void)state;
    struct wc_comparisons *t = wc_comparisons_new();
    struct wc_comparison a = like("a%");
    struct wc_shared_comparison *c = wc_comparison_get(t, wc_slice_str("c"), &a);
    uint64_t serial = c->serial;
    wc_comparison_unref(c);
    c = wc_comparison_get(t, wc_slice_str("c"), &a);
    assert_true(c->serial > serial);
    wc_comparison_unref(c);
    wc_comparisons_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_comparisons_are_one),
        cmocka_unit_test(whatever_differs_makes_another),
        cmocka_unit_test(another_column_makes_another),
        cmocka_unit_test(a_serial_is_never_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

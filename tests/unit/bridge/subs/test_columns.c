#include "bridge/subs/columns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct wc_column_set *get(struct wc_column_sets *sets, const char *const *names,
                                       size_t n, bool exact)
{
    struct wc_slice slice[4];
    for (size_t i = 0; i < n; i++)
        slice[i] = wc_slice_str(names[i]);
    const struct wc_column_set *set = wc_column_set_get(sets, slice, n, exact);
    assert_non_null(set);
    return set;
}

static void equal_selections_are_one_set(void **state)
{
    (void)state;
    struct wc_column_sets *sets = wc_column_sets_new();
    const struct wc_column_set *a = get(sets, (const char *[]){"b", "a", "ab"}, 3, false);
    const struct wc_column_set *b = get(sets, (const char *[]){"ab", "b", "a", "b"}, 4, false);
    assert_ptr_equal(a, b);
    assert_int_equal(a->nnames, 3);
    assert_false(a->is_all);
    assert_true(wc_slice_is(a->name[0], "a"));
    assert_true(wc_slice_is(a->name[1], "ab"));
    assert_true(wc_slice_is(a->name[2], "b"));
    wc_column_set_unref(a);
    wc_column_set_unref(b);
    wc_column_sets_free(sets);
}

static void whatever_differs_makes_another_set(void **state)
{
    (void)state;
    struct wc_column_sets *sets = wc_column_sets_new();
    const struct wc_column_set *set[] = {
        get(sets, NULL, 0, false),
        get(sets, NULL, 0, true),
        get(sets, (const char *[]){"a"}, 1, false),
        get(sets, (const char *[]){"a"}, 1, true),
        get(sets, (const char *[]){"a", "b"}, 2, false),
        get(sets, (const char *[]){"ab"}, 1, false),
        get(sets, (const char *[]){"b"}, 1, false),
    };
    enum { N = sizeof set / sizeof set[0] };
    assert_ptr_equal(set[0], &wc_column_set_all);
    assert_true(set[1]->is_all && set[1]->has_exact_numbers);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < N; k++) { /* they stand in order */
            int order = wc_column_set_order(set[i], set[k]);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
            assert_int_equal(set[i] == set[k], i == k);
        }
    for (size_t i = 0; i < N; i++)
        wc_column_set_unref(set[i]);
    wc_column_sets_free(sets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_selections_are_one_set),
        cmocka_unit_test(whatever_differs_makes_another_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

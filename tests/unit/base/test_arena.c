#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void allocations_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    struct wc_arena a;
    wc_arena_init(&a, 1 << 20);
    uint8_t *at[200];
    for (size_t i = 0; i < 200; i++) {
        at[i] = wc_arena_alloc(&a, i);
        assert_non_null(at[i]);
        assert_int_equal((uintptr_t)at[i] % 16, 0);
        memset(at[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(at[i][k], i);
    wc_arena_release(&a);
}

static void ceiling_counts_what_is_really_taken(void **state)
{
    (void)state;
    struct wc_arena a;
    wc_arena_init(&a, 1024);
    int given = 0;
    while (wc_arena_alloc(&a, 1))
        given++;
    assert_int_equal(given, 1024 / 16);
    wc_arena_reset(&a);
    assert_non_null(wc_arena_alloc(&a, 1024));
    assert_null(wc_arena_alloc(&a, 1));
    wc_arena_release(&a);
}

static void a_small_first_block_is_followed_by_others(void **state)
{
    (void)state;
    struct wc_arena a;
    wc_arena_init_sized(&a, 1 << 20, 64);
    uint8_t *at[200];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 200; i++) {
            at[i] = wc_arena_alloc(&a, 48);
            assert_non_null(at[i]);
            memset(at[i], (int)i, 48);
        }
        for (size_t i = 0; i < 200; i++)
            assert_int_equal(at[i][47], i);
        if (round == 0)
            wc_arena_release(&a); /* keeps the ceiling and the size */
    }
    assert_null(wc_arena_alloc(&a, 1 << 20));
    wc_arena_release(&a);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    struct wc_arena a;
    wc_arena_init(&a, SIZE_MAX);
    assert_null(wc_arena_alloc(&a, SIZE_MAX));
    assert_null(wc_arena_alloc(&a, SIZE_MAX - 7));
    assert_null(wc_arena_calloc(&a, SIZE_MAX / 2, 3));
    assert_null(wc_arena_strdup(&a, wc_slice("x", SIZE_MAX)));
    assert_non_null(wc_arena_alloc(&a, 8));
    wc_arena_release(&a);
}

static void one_allocation_may_be_larger_than_any_block(void **state)
{
    (void)state;
    struct wc_arena a;
    wc_arena_init(&a, 64 << 20);
    uint8_t *p = wc_arena_alloc(&a, 5 << 20);
    assert_non_null(p);
    p[0] = p[(5 << 20) - 1] = 1;
    assert_non_null(wc_arena_alloc(&a, 10));
    wc_arena_release(&a);
}

static void reset_gives_the_first_block_again(void **state)
{
    (void)state;
    struct wc_arena a;
    wc_arena_init(&a, 1 << 20);
    void *first = wc_arena_alloc(&a, 100);
    for (int i = 0; i < 100; i++)
        assert_non_null(wc_arena_alloc(&a, 1000));
    wc_arena_reset(&a);
    assert_int_equal(a.used, 0);
    assert_ptr_equal(wc_arena_alloc(&a, 100), first);
    wc_arena_release(&a);
    wc_arena_reset(&a); /* an empty arena resets to an empty arena */
    assert_null(a.first);
}

static void calloc_clears_reused_memory(void **state)
{
    (void)state;
    struct wc_arena a;
    wc_arena_init(&a, 1 << 20);
    memset(wc_arena_alloc(&a, 256), 0xff, 256);
    wc_arena_reset(&a);
    const uint8_t *p = wc_arena_calloc(&a, 16, 16);
    for (size_t i = 0; i < 256; i++)
        assert_int_equal(p[i], 0);
    wc_arena_release(&a);
}

static void copied_text_is_terminated(void **state)
{
    (void)state;
    struct wc_arena a;
    wc_arena_init(&a, 1 << 20);
    assert_string_equal(wc_arena_strdup(&a, wc_slice("abc", 2)), "ab");
    assert_string_equal(wc_arena_strdup(&a, wc_slice(NULL, 0)), "");
    wc_arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_do_not_overlap),
        cmocka_unit_test(ceiling_counts_what_is_really_taken),
        cmocka_unit_test(a_small_first_block_is_followed_by_others),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(one_allocation_may_be_larger_than_any_block),
        cmocka_unit_test(reset_gives_the_first_block_again),
        cmocka_unit_test(calloc_clears_reused_memory),
        cmocka_unit_test(copied_text_is_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The floor with each allocation failing in turn. */
#include "base/json.h"
#include "base/map.h"
#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_buffer_without_memory_is_empty_and_says_so(void **state)
{
    (void)state;
    struct wc_buf b;
    wc_buf_init(&b, 1 << 20);
    for (long n = 0; n < 3; n++) {
        wc_test_fail_alloc(n);
        for (int i = 0; i < 2000; i++)
            wc_buf_byte(&b, 'x');
        assert_true(wc_test_alloc_failed());
        assert_int_equal(b.status, WC_NOMEM);
        assert_int_equal(b.len, 0);
        assert_true(wc_buf_ok(&b));
        wc_buf_release(&b);
    }
}

static void an_arena_without_memory_stays_usable(void **state)
{
    (void)state;
    struct wc_arena a;
    wc_arena_init(&a, 1 << 20);
    assert_non_null(wc_arena_alloc(&a, 4000));
    wc_test_fail_alloc(0);
    assert_null(wc_arena_alloc(&a, 4000));
    assert_non_null(wc_arena_alloc(&a, 4000));
    wc_arena_release(&a);
}

static void a_map_that_cannot_grow_goes_on(void **state)
{
    (void)state;
    struct wc_map m;
    struct wc_map_node node[100];
    uint8_t key[100];
    wc_map_init(&m);
    for (size_t i = 0; i < 100; i++) {
        key[i] = (uint8_t)i;
        node[i].key = wc_slice(&key[i], 1);
        wc_test_fail_alloc(0);
        assert_int_equal(wc_map_insert(&m, &node[i]), i ? WC_OK : WC_NOMEM);
        wc_test_fail_alloc(-1);
        if (i == 0)
            assert_int_equal(wc_map_insert(&m, &node[i]), WC_OK);
    }
    for (size_t i = 0; i < 100; i++)
        assert_ptr_equal(wc_map_get(&m, node[i].key), &node[i]);
    wc_map_release(&m);
}

static void json_without_memory_is_nomem(void **state)
{
    (void)state;
    struct wc_arena a;
    struct wc_json doc = {0};
    struct wc_json_limits limits = {.depth = 4, .nodes = 100};
    wc_arena_init(&a, 1 << 20);
    wc_test_fail_alloc(0);
    assert_int_equal(wc_json_parse(&doc, wc_slice_str("[1]"), &a, limits, NULL), WC_NOMEM);
    assert_null(doc.node);
    assert_int_equal(wc_json_parse(&doc, wc_slice_str("[\"a\\n\"]"), &a, limits, NULL), WC_OK);
    struct wc_slice s = wc_slice(NULL, 7);
    a.cap = a.used;
    assert_false(wc_json_string(&doc, 1, &a, &s));
    assert_int_equal(s.len, 7); /* untouched */
    wc_arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_without_memory_is_empty_and_says_so),
        cmocka_unit_test(an_arena_without_memory_stays_usable),
        cmocka_unit_test(a_map_that_cannot_grow_goes_on),
        cmocka_unit_test(json_without_memory_is_nomem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

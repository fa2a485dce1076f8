#include "fanout/binding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t id_of(const char *text)
{
    struct wc_arena arena;
    struct wc_json doc;
    uint32_t id = 0;
    wc_arena_init(&arena, 1 << 20);
    struct wc_json_limits limits = {.depth = 16, .nodes = 1000};
    assert_int_equal(wc_json_parse(&doc, wc_slice_str(text), &arena, limits, NULL), WC_OK);
    assert_true(wc_binding_hash(&doc, 0, &arena, &id));
    wc_arena_release(&arena);
    assert_in_range(id, WC_BINDING_ID_MIN, WC_BINDING_ID_MAX);
    return id;
}

static void equal_content_gives_equal_ids(void **state)
{
    (void)state;
    uint32_t id = id_of("{\"event\":\"*\",\"schema\":\"public\",\"select\":[\"a\",\"b\"]}");
    assert_int_equal(id, id_of("{\"schema\":\"public\",\"select\":[\"a\",\"b\"],\"event\":\"*\"}"));
    assert_int_equal(
        id, id_of(" { \"\\u0065vent\" : \"\\u002a\", \"schema\":\"public\", \"select\":[ \"a\" , "
                  "\"b\" ] }"));
}

static void different_content_gives_different_ids(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"a\":1}",
        "{\"a\":\"1\"}",
        "{\"a\":null}",
        "{\"a\":[]}",
        "{\"a\":{}}",
        "{\"b\":1}",
        "{\"a\":[1,2]}",
        "{\"a\":[2,1]}",
        "{\"a\":\"b\",\"c\":\"d\"}",
        "{\"a\":\"d\",\"c\":\"b\"}",
        "{\"event\":\"*\",\"schema\":\"public\",\"table\":\"a\",\"filter\":\"id=eq.1\"}",
        "{\"event\":\"*\",\"schema\":\"public\",\"table\":\"a\",\"filter\":\"id=eq.2\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(id_of(texts[i]), id_of(texts[j]));
}

/* Nodes and releases must agree on ids: this one is from the first release. */
static void ids_do_not_change_between_runs(void **state)
{
    (void)state;
    assert_int_equal(id_of("{\"event\":\"*\",\"schema\":\"public\",\"table\":\"t0\"}"), 54921637);
}

static void taken_ids_are_passed_over(void **state)
{
    (void)state;
    static const uint32_t taken[] = {WC_BINDING_ID_MAX, WC_BINDING_ID_MIN, 2000000, 2000001};
    assert_int_equal(wc_binding_unique(3000000, taken, 4), 3000000);
    assert_int_equal(wc_binding_unique(2000000, taken, 4), 2000002);
    assert_int_equal(wc_binding_unique(WC_BINDING_ID_MAX, taken, 4), WC_BINDING_ID_MIN + 1);
    assert_int_equal(wc_binding_unique(5, NULL, 0), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_content_gives_equal_ids),
        cmocka_unit_test(different_content_gives_different_ids),
        cmocka_unit_test(ids_do_not_change_between_runs),
        cmocka_unit_test(taken_ids_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/json.h"
#include "base/jsonw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check_string(struct wc_slice in, const char *expected)
{
    struct wc_buf b;
    wc_buf_init(&b, 1 << 20);
    wc_jsonw_string(&b, in);
    wc_buf_byte(&b, '\0');
    assert_string_equal((const char *)b.p, expected);
    wc_buf_release(&b);
}

static void strings_are_escaped_only_where_json_asks(void **state)
{
    (void)state;
    check_string(wc_slice(NULL, 0), "\"\"");
    check_string(wc_slice_str("plain / text"), "\"plain / text\"");
    check_string(wc_slice_str("\"\\"), "\"\\\"\\\\\"");
    check_string(wc_slice_str("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\"");
    check_string(wc_slice("a\0\x1f\x7f", 4), "\"a\\u0000\\u001f\x7f\"");
    check_string(wc_slice_str("\xc3\xa4\xf0\x9f\x98\x80"), "\"\xc3\xa4\xf0\x9f\x98\x80\"");
}

static void every_ascii_byte_comes_back_through_the_reader(void **state)
{
    (void)state;
    uint8_t all[128];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    struct wc_buf b;
    struct wc_arena arena;
    struct wc_json doc;
    struct wc_slice back;
    wc_buf_init(&b, 1 << 20);
    wc_arena_init(&arena, 1 << 20);
    wc_jsonw_string(&b, wc_slice(all, sizeof all));
    struct wc_json_limits limits = {.depth = 1, .nodes = 1};
    assert_int_equal(wc_json_parse(&doc, wc_buf_view(&b), &arena, limits, NULL), WC_OK);
    assert_true(wc_json_string(&doc, 0, &arena, &back));
    assert_int_equal(back.len, sizeof all);
    assert_memory_equal(back.p, all, sizeof all);
    wc_arena_release(&arena);
    wc_buf_release(&b);
}

static void a_uuid_is_written_in_lower_case_with_hyphens(void **state)
{
    static const uint8_t uuid[16] = {0x3f, 0x25, 0x04, 0xe0, 0x4f, 0x89, 0x41, 0xd3,
                                     0x9a, 0x0c, 0x03, 0x05, 0xe8, 0x2c, 0x33, 0x01};
    struct wc_buf out;
    (void)state;
    wc_buf_init(&out, 64);
    wc_jsonw_uuid(&out, uuid);
    assert_true(wc_slice_is(wc_buf_view(&out), "\"3f2504e0-4f89-41d3-9a0c-0305e82c3301\""));
    wc_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped_only_where_json_asks),
        cmocka_unit_test(every_ascii_byte_comes_back_through_the_reader),
        cmocka_unit_test(a_uuid_is_written_in_lower_case_with_hyphens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

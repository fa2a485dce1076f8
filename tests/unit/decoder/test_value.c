#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "decoder/pgoutput.h"
#include "decoder/value.h"
#include "tests/unit/decoder/capture.h"

static const struct {
    enum wc_value_class value_class;
    const char *text, *json;
} rendered[] = {
    {WC_VALUE_BOOL, "t", "true"},
    {WC_VALUE_BOOL, "f", "false"},

    {WC_VALUE_NUMBER, "0", "0"},
    {WC_VALUE_NUMBER, "-0", "-0"},
    {WC_VALUE_NUMBER, "-32768", "-32768"},
    {WC_VALUE_NUMBER, "9007199254740993", "9007199254740993"},
    {WC_VALUE_NUMBER, "0.0000000001", "0.0000000001"},
    {WC_VALUE_NUMBER, "12.50", "12.50"},
    {WC_VALUE_NUMBER, "1e+20", "1e+20"},
    {WC_VALUE_NUMBER, "1e-07", "1e-07"},
    {WC_VALUE_NUMBER, "3.4028235e+38", "3.4028235e+38"},
    {WC_VALUE_NUMBER, "2E5", "2E5"},
    {WC_VALUE_NUMBER, "NaN", "null"},
    {WC_VALUE_NUMBER, "Infinity", "null"},
    {WC_VALUE_NUMBER, "-Infinity", "null"},

    {WC_VALUE_STRING, "", "\"\""},
    {WC_VALUE_STRING, "plain", "\"plain\""},
    {WC_VALUE_STRING, "a \"b\" \\ \n\t\r\b\f\x01\x1f\x7f",
     "\"a \\\"b\\\" \\\\ \\n\\t\\r\\b\\f\\u0001\\u001f\x7f\""},
    {WC_VALUE_STRING, "\xc3\xa9 \xf0\x9f\x98\x80", "\"\xc3\xa9 \xf0\x9f\x98\x80\""},
    {WC_VALUE_STRING, "ab   ", "\"ab   \""},

    {WC_VALUE_TIMESTAMP, "2024-02-29 13:14:15", "\"2024-02-29T13:14:15\""},
    {WC_VALUE_TIMESTAMP, "2024-02-29 13:14:15.1", "\"2024-02-29T13:14:15.1\""},
    {WC_VALUE_TIMESTAMP, "2024-02-29 13:14:15.123456", "\"2024-02-29T13:14:15.123456\""},
    {WC_VALUE_TIMESTAMP, "10000-01-01 00:00:00", "\"10000-01-01T00:00:00\""},
    {WC_VALUE_TIMESTAMP, "0044-03-15 01:02:03 BC", "\"0044-03-15T01:02:03 BC\""},
    {WC_VALUE_TIMESTAMP, "infinity", "\"infinity\""},
    {WC_VALUE_TIMESTAMP, "-infinity", "\"-infinity\""},

    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15+00", "\"2024-02-29T13:14:15+00:00\""},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 07:44:15.123456+00", "\"2024-02-29T07:44:15.123456+00:00\""},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15+05", "\"2024-02-29T13:14:15+05:00\""},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15-08", "\"2024-02-29T13:14:15-08:00\""},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15+05:30", "\"2024-02-29T13:14:15+05:30\""},
    {WC_VALUE_TIMESTAMPTZ, "1880-01-01 00:53:28+00:53:28", "\"1880-01-01T00:53:28+00:53:28\""},
    {WC_VALUE_TIMESTAMPTZ, "0044-03-15 01:02:03+00 BC", "\"0044-03-15T01:02:03+00:00 BC\""},
    {WC_VALUE_TIMESTAMPTZ, "0044-03-15 01:02:03+05:30 BC", "\"0044-03-15T01:02:03+05:30 BC\""},
    {WC_VALUE_TIMESTAMPTZ, "infinity", "\"infinity\""},
    {WC_VALUE_TIMESTAMPTZ, "-infinity", "\"-infinity\""},

    {WC_VALUE_JSON, "{\"b\": 1,\n \"b\": 2}", "{\"b\": 1,\n \"b\": 2}"},
    {WC_VALUE_JSON, "null", "null"},
    {WC_VALUE_JSON, "\"\\u0000\"", "\"\\u0000\""},

    {WC_VALUE_BYTEA, "\\x", "\"\""},
    {WC_VALUE_BYTEA, "\\xdeadbeef", "\"deadbeef\""},
    {WC_VALUE_BYTEA, "\\x0123456789abcdef", "\"0123456789abcdef\""},
};

static void values_render_as_to_jsonb_says(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof rendered / sizeof rendered[0]; i++) {
        struct wc_slice text = wc_exact_copy(wc_slice_str(rendered[i].text));
        struct wc_buf out;
        wc_buf_init(&out, 4096);
        if (wc_value_render(&out, rendered[i].value_class, text) != WC_OK)
            fail_msg("refused \"%s\"", rendered[i].text);
        wc_buf_byte(&out, '\0');
        assert_int_equal(out.status, WC_OK);
        assert_string_equal((const char *)out.p, rendered[i].json);
        wc_buf_release(&out);
        wc_exact_free(text);
    }
}

static const struct {
    enum wc_value_class value_class;
    const char *text;
} refused[] = {
    {WC_VALUE_BOOL, ""},
    {WC_VALUE_BOOL, "true"},
    {WC_VALUE_BOOL, "T"},
    {WC_VALUE_BOOL, "tf"},

    {WC_VALUE_NUMBER, ""},
    {WC_VALUE_NUMBER, "-"},
    {WC_VALUE_NUMBER, "+1"},
    {WC_VALUE_NUMBER, "01"},
    {WC_VALUE_NUMBER, "-01"},
    {WC_VALUE_NUMBER, ".5"},
    {WC_VALUE_NUMBER, "1."},
    {WC_VALUE_NUMBER, "1.e5"},
    {WC_VALUE_NUMBER, "1e"},
    {WC_VALUE_NUMBER, "1e+"},
    {WC_VALUE_NUMBER, "1e+-5"},
    {WC_VALUE_NUMBER, "1 "},
    {WC_VALUE_NUMBER, "0x10"},
    {WC_VALUE_NUMBER, "1,\"admin\":true"},
    {WC_VALUE_NUMBER, "nan"},
    {WC_VALUE_NUMBER, "NaNs"},
    {WC_VALUE_NUMBER, "$1,234.50"},

    {WC_VALUE_TIMESTAMP, ""},
    {WC_VALUE_TIMESTAMP, "now"},
    {WC_VALUE_TIMESTAMP, "2024-02-29"},
    {WC_VALUE_TIMESTAMP, "44-03-15 01:02:03"},
    {WC_VALUE_TIMESTAMP, "2024-02-29T13:14:15"},
    {WC_VALUE_TIMESTAMP, "2024-02-29 13:14"},
    {WC_VALUE_TIMESTAMP, "2024-02-29 13:14:15."},
    {WC_VALUE_TIMESTAMP, "2024-02-29 13:14:15+00"},
    {WC_VALUE_TIMESTAMP, "2024-02-29 13:14:15 AD"},
    {WC_VALUE_TIMESTAMP, "2024-02-29 13:14:15\""},
    {WC_VALUE_TIMESTAMP, "Thu Feb 29 13:14:15 2024"},
    {WC_VALUE_TIMESTAMP, "29/02/2024 13:14:15"},

    {WC_VALUE_TIMESTAMPTZ, ""},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29"},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15"},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15Z"},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15+"},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15+0"},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15+000"},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15+00:0"},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15+00:00:"},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15+00 BCE"},
    {WC_VALUE_TIMESTAMPTZ, "2024-02-29 13:14:15 UTC"},

    {WC_VALUE_JSON, ""},

    {WC_VALUE_BYTEA, ""},
    {WC_VALUE_BYTEA, "\\"},
    {WC_VALUE_BYTEA, "deadbeef"},
    {WC_VALUE_BYTEA, "\\xabc"},
    {WC_VALUE_BYTEA, "\\xag"},
    {WC_VALUE_BYTEA, "\\000\\377A"},
    {WC_VALUE_BYTEA, "\\x\"\""},
};

static void texts_that_cannot_be_of_their_class_are_refused(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct wc_slice text = wc_exact_copy(wc_slice_str(refused[i].text));
        struct wc_buf out;
        wc_buf_init(&out, 4096);
        wc_buf_str(&out, "before");
        if (wc_value_render(&out, refused[i].value_class, text) != WC_PROTO)
            fail_msg("rendered \"%s\"", refused[i].text);
        assert_true(wc_slice_is(wc_buf_view(&out), "before"));
        wc_buf_release(&out);
        wc_exact_free(text);
    }
}

static void every_value_cut_anywhere_is_rendered_or_refused(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof rendered / sizeof rendered[0]; i++) {
        for (size_t len = 0; len < strlen(rendered[i].text); len++) {
            struct wc_slice text = wc_exact_copy(wc_slice(rendered[i].text, len));
            struct wc_buf out;
            wc_buf_init(&out, 4096);
            enum wc_status status = wc_value_render(&out, rendered[i].value_class, text);
            assert_true((status == WC_OK && out.len > 0) || (status == WC_PROTO && out.len == 0));
            wc_buf_release(&out);
            wc_exact_free(text);
        }
    }
}

static void full_buffer_is_told_by_the_buffer(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof rendered / sizeof rendered[0]; i++) {
        struct wc_buf out;
        wc_buf_init(&out, 0);
        assert_int_equal(
            wc_value_render(&out, rendered[i].value_class, wc_slice_str(rendered[i].text)), WC_OK);
        assert_int_equal(out.status, WC_LIMIT);
        wc_buf_release(&out);
    }
}

/* The rows of scenario/values.sql, in the order of its columns. */
static const char *const recorded_rows[] = {
    ("[1,true,-32768,9007199254740993,1.5,1e+20,123456789012345678901234567890.1234500,"
     "\"he said \\\"hi\\\"\\n\\ttab \\\\ \xc3\xa9 \xf0\x9f\x98\x80\",\"ab   \","
     "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\",\"2024-02-29\",\"13:14:15.123456\","
     "\"13:14:15.123+05:30\",\"2024-02-29T13:14:15.1\",\"2024-02-29T07:44:15.123456+00:00\","
     "\"1 year 2 mons 3 days 04:05:06.789\",{\"b\": 1, \"a\": [1, 2.50, null],\n \"b\": 2},"
     "{\"a\": 100, \"b\": 1},\"deadbeef\",\"12345\"]"),
    ("[2,false,0,-1,null,null,null,\"\",\"     \",null,\"0044-03-15 BC\",\"24:00:00\","
     "\"00:00:00+00\",\"-infinity\",\"0044-03-15T01:02:03+00:00 BC\",\"-1 days +02:03:00\",null,"
     "\"x\",\"\",\"0\"]"),
    ("[3,null,null,null,null,1e-07,0.0000000001,null,null,null,null,null,null,"
     "\"10000-01-01T00:00:00\",\"infinity\",null,null,null,null,null]"),
};

static void render_row(struct wc_buf *out, const struct wc_rel *rel, const struct wc_row *row)
{
    for (uint16_t i = 0; i < row->ncols; i++) {
        wc_buf_byte(out, i ? ',' : '[');
        if (row->col[i].kind == WC_COL_TEXT)
            assert_int_equal(
                wc_value_render(out, wc_value_class(rel->col[i].type), row->col[i].val), WC_OK);
        else
            wc_buf_str(out, "null");
    }
    wc_buf_str(out, "]");
    wc_buf_byte(out, '\0');
}

static void recorded_rows_of_all_types_render_by_their_type(void **state)
{
    (void)state; /* unused */
    struct wc_capture *c = wc_capture_load("values");
    struct wc_pgoutput *decoder = wc_pgoutput_new(1);
    struct wc_arena arena;
    wc_arena_init(&arena, 4096);
    size_t rows = 0;
    for (size_t i = 0; i < c->count - 1; i++) { /* the last is a keepalive */
        struct wc_slice msg = wc_capture_message(c, i);
        struct wc_event event;
        assert_int_equal(wc_pgoutput_decode(decoder, msg, &arena, &event, NULL), WC_OK);
        if (event.kind == WC_EVENT_CHANGE) {
            struct wc_buf out;
            wc_buf_init(&out, 4096);
            render_row(&out, event.change.rel, &event.change.new);
            assert_int_equal(out.status, WC_OK);
            assert_in_range(rows, 0, 2);
            assert_string_equal((const char *)out.p, recorded_rows[rows++]);
            wc_buf_release(&out);
        }
        wc_exact_free(msg);
    }
    assert_int_equal(rows, 3);
    wc_arena_release(&arena);
    wc_pgoutput_free(decoder);
    wc_capture_free(c);
}

static void types_that_are_not_listed_are_strings(void **state)
{
    (void)state; /* unused */
    static const wc_oid strings[] = {0, 25, 26, 1043, 1082, 1083, 1266, 1186, 2950, 790, 16384};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        assert_int_equal(wc_value_class(strings[i]), WC_VALUE_STRING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_render_as_to_jsonb_says),
        cmocka_unit_test(texts_that_cannot_be_of_their_class_are_refused),
        cmocka_unit_test(every_value_cut_anywhere_is_rendered_or_refused),
        cmocka_unit_test(full_buffer_is_told_by_the_buffer),
        cmocka_unit_test(recorded_rows_of_all_types_render_by_their_type),
        cmocka_unit_test(types_that_are_not_listed_are_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

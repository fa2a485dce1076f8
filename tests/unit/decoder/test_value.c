#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "decoder/pgoutput.h"
#include "decoder/value.h"
#include "tests/unit/decoder/capture.h"

/* A type of each class. */
enum {
    BOOL = 16,
    BYTEA = 17,
    STRING = 25,
    JSON = 114,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    NUMBER = 1700
};

static const struct {
    wc_oid type;
    const char *text, *json;
} rendered[] = {
    {BOOL, "t", "true"},
    {BOOL, "f", "false"},

    {NUMBER, "0", "0"},
    {NUMBER, "-0", "0"},
    {NUMBER, "-32768", "-32768"},
    {NUMBER, "9007199254740993", "9007199254740993"},
    {NUMBER, "0.0000000001", "0.0000000001"},
    {NUMBER, "12.50", "12.50"},
    {NUMBER, "1e+20", "1e+20"},
    {NUMBER, "1e-07", "1e-07"},
    {NUMBER, "3.4028235e+38", "3.4028235e+38"},
    {NUMBER, "2E5", "2E5"},
    {NUMBER, "NaN", "null"},
    {NUMBER, "Infinity", "null"},
    {NUMBER, "-Infinity", "null"},

    {STRING, "", "\"\""},
    {STRING, "plain", "\"plain\""},
    {STRING, "a \"b\" \\ \n\t\r\b\f\x01\x1f\x7f",
     "\"a \\\"b\\\" \\\\ \\n\\t\\r\\b\\f\\u0001\\u001f\x7f\""},
    {STRING, "\xc3\xa9 \xf0\x9f\x98\x80", "\"\xc3\xa9 \xf0\x9f\x98\x80\""},
    {STRING, "ab   ", "\"ab   \""},

    {TIMESTAMP, "2024-02-29 13:14:15", "\"2024-02-29T13:14:15\""},
    {TIMESTAMP, "2024-02-29 13:14:15.1", "\"2024-02-29T13:14:15.1\""},
    {TIMESTAMP, "2024-02-29 13:14:15.123456", "\"2024-02-29T13:14:15.123456\""},
    {TIMESTAMP, "10000-01-01 00:00:00", "\"10000-01-01T00:00:00\""},
    {TIMESTAMP, "0044-03-15 01:02:03 BC", "\"0044-03-15T01:02:03 BC\""},
    {TIMESTAMP, "infinity", "\"infinity\""},
    {TIMESTAMP, "-infinity", "\"-infinity\""},

    {TIMESTAMPTZ, "2024-02-29 13:14:15+00", "\"2024-02-29T13:14:15+00:00\""},
    {TIMESTAMPTZ, "2024-02-29 07:44:15.123456+00", "\"2024-02-29T07:44:15.123456+00:00\""},
    {TIMESTAMPTZ, "2024-02-29 13:14:15+05", "\"2024-02-29T13:14:15+05:00\""},
    {TIMESTAMPTZ, "2024-02-29 13:14:15-08", "\"2024-02-29T13:14:15-08:00\""},
    {TIMESTAMPTZ, "2024-02-29 13:14:15+05:30", "\"2024-02-29T13:14:15+05:30\""},
    {TIMESTAMPTZ, "1880-01-01 00:53:28+00:53:28", "\"1880-01-01T00:53:28+00:53:28\""},
    {TIMESTAMPTZ, "0044-03-15 01:02:03+00 BC", "\"0044-03-15T01:02:03+00:00 BC\""},
    {TIMESTAMPTZ, "0044-03-15 01:02:03+05:30 BC", "\"0044-03-15T01:02:03+05:30 BC\""},
    {TIMESTAMPTZ, "infinity", "\"infinity\""},
    {TIMESTAMPTZ, "-infinity", "\"-infinity\""},

    {JSON, "{\"b\": 1,\n \"b\": 2}", "{\"b\": 1,\n \"b\": 2}"},
    {JSON, "null", "null"},
    {JSON, "\"\\u0000\"", "\"\\u0000\""},

    {BYTEA, "\\x", "\"\""},
    {BYTEA, "\\xdeadbeef", "\"deadbeef\""},
    {BYTEA, "\\x0123456789abcdef", "\"0123456789abcdef\""},
};

static void values_render_as_to_jsonb_says(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof rendered / sizeof rendered[0]; i++) {
        struct wc_slice text = wc_exact_copy(wc_slice_str(rendered[i].text));
        struct wc_buf out;
        wc_buf_init(&out, 4096);
        if (wc_value_render(&out, wc_type_builtin(rendered[i].type), text) != WC_OK)
            fail_msg("refused \"%s\"", rendered[i].text);
        wc_buf_byte(&out, '\0');
        assert_int_equal(out.status, WC_OK);
        assert_string_equal((const char *)out.p, rendered[i].json);
        wc_buf_release(&out);
        wc_exact_free(text);
    }
}

static void exact_numbers_are_strings_of_their_text(void **state)
{
    (void)state; /* unused */
    static const struct {
        wc_oid type;
        const char *text, *json; /* NULL: refused */
    } exact[] = {
        {20, "9007199254740993", "\"9007199254740993\""},
        {20, "-9223372036854775808", "\"-9223372036854775808\""},
        {NUMBER, "1.10", "\"1.10\""},
        {NUMBER, "-0.00", "\"-0.00\""},
        {NUMBER, "NaN", "\"NaN\""},
        {NUMBER, "-Infinity", "\"-Infinity\""},
        {NUMBER, "1,\"admin\":true", NULL},
        {NUMBER, "", NULL},
        {20, "\"", NULL},
        /* what a double holds, and what is no number, stays */
        {21, "7", "7"},
        {23, "-7", "-7"},
        {700, "1.5", "1.5"},
        {701, "NaN", "null"},
        {STRING, "1", "\"1\""},
        {JSON, "[9007199254740993]", "[9007199254740993]"},
        {BOOL, "t", "true"},
    };
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        struct wc_slice text = wc_exact_copy(wc_slice_str(exact[i].text));
        struct wc_buf out;
        wc_buf_init(&out, 4096);
        enum wc_status status = wc_value_render_exact(&out, wc_type_builtin(exact[i].type), text);
        assert_int_equal(status, exact[i].json ? WC_OK : WC_PROTO);
        wc_buf_byte(&out, '\0');
        assert_string_equal((const char *)out.p, exact[i].json ? exact[i].json : "");
        wc_buf_release(&out);
        wc_exact_free(text);
    }
}

static const struct {
    wc_oid type;
    const char *text;
} refused[] = {
    {BOOL, ""},
    {BOOL, "true"},
    {BOOL, "T"},
    {BOOL, "tf"},

    {NUMBER, ""},
    {NUMBER, "-"},
    {NUMBER, "+1"},
    {NUMBER, "01"},
    {NUMBER, "-01"},
    {NUMBER, ".5"},
    {NUMBER, "1."},
    {NUMBER, "1.e5"},
    {NUMBER, "1e"},
    {NUMBER, "1e+"},
    {NUMBER, "1e+-5"},
    {NUMBER, "1 "},
    {NUMBER, "0x10"},
    {NUMBER, "1,\"admin\":true"},
    {NUMBER, "nan"},
    {NUMBER, "NaNs"},
    {NUMBER, "$1,234.50"},

    {TIMESTAMP, ""},
    {TIMESTAMP, "now"},
    {TIMESTAMP, "2024-02-29"},
    {TIMESTAMP, "44-03-15 01:02:03"},
    {TIMESTAMP, "2024-02-29T13:14:15"},
    {TIMESTAMP, "2024-02-29 13:14"},
    {TIMESTAMP, "2024-02-29 13:14:15."},
    {TIMESTAMP, "2024-02-29 13:14:15+00"},
    {TIMESTAMP, "2024-02-29 13:14:15 AD"},
    {TIMESTAMP, "2024-02-29 13:14:15\""},
    {TIMESTAMP, "Thu Feb 29 13:14:15 2024"},
    {TIMESTAMP, "29/02/2024 13:14:15"},

    {TIMESTAMPTZ, ""},
    {TIMESTAMPTZ, "2024-02-29"},
    {TIMESTAMPTZ, "2024-02-29 13:14:15"},
    {TIMESTAMPTZ, "2024-02-29 13:14:15Z"},
    {TIMESTAMPTZ, "2024-02-29 13:14:15+"},
    {TIMESTAMPTZ, "2024-02-29 13:14:15+0"},
    {TIMESTAMPTZ, "2024-02-29 13:14:15+000"},
    {TIMESTAMPTZ, "2024-02-29 13:14:15+00:0"},
    {TIMESTAMPTZ, "2024-02-29 13:14:15+00:00:"},
    {TIMESTAMPTZ, "2024-02-29 13:14:15+00 BCE"},
    {TIMESTAMPTZ, "2024-02-29 13:14:15 UTC"},

    {JSON, ""},

    {BYTEA, ""},
    {BYTEA, "\\"},
    {BYTEA, "deadbeef"},
    {BYTEA, "\\xabc"},
    {BYTEA, "\\xag"},
    {BYTEA, "\\000\\377A"},
    {BYTEA, "\\x\"\""},
};

static void texts_that_cannot_be_of_their_class_are_refused(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct wc_slice text = wc_exact_copy(wc_slice_str(refused[i].text));
        struct wc_buf out;
        wc_buf_init(&out, 4096);
        wc_buf_str(&out, "before");
        if (wc_value_render(&out, wc_type_builtin(refused[i].type), text) != WC_PROTO)
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
            enum wc_status status = wc_value_render(&out, wc_type_builtin(rendered[i].type), text);
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
        assert_int_equal(wc_value_render(&out, wc_type_builtin(rendered[i].type),
                                         wc_slice_str(rendered[i].text)),
                         WC_OK);
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
                wc_value_render(out, wc_type_builtin(rel->col[i].type), row->col[i].val), WC_OK);
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

/* A row for each type that PostgreSQL has by itself: what to_jsonb prints for the text. */
static const struct {
    wc_oid type, array;
    const char *text, *json;
} builtin[] = {
    {16, 1000, "t", "true"},
    {18, 1002, "x", "\"x\""},
    {19, 1003, "nm", "\"nm\""},
    {20, 1016, "9007199254740993", "9007199254740993"},
    {21, 1005, "-32768", "-32768"},
    {23, 1007, "2147483647", "2147483647"},
    {24, 1008, "now", "\"now\""},
    {25, 1009, "ab", "\"ab\""},
    {26, 1028, "12345", "\"12345\""},
    {27, 1010, "(0,1)", "\"(0,1)\""},
    {28, 1011, "789", "\"789\""},
    {29, 1012, "5", "\"5\""},
    {114, 199, "[1, 2.50]", "[1, 2.50]"},
    {142, 143, "<a>x</a>", "\"<a>x</a>\""},
    {600, 1017, "(1.5,2)", "\"(1.5,2)\""},
    {601, 1018, "[(1,2),(3,4)]", "\"[(1,2),(3,4)]\""},
    {602, 1019, "((1,2),(3,4))", "\"((1,2),(3,4))\""},
    {603, 1020, "(1,1),(0,0)", "\"(1,1),(0,0)\""},
    {604, 1027, "((0,0),(1,1))", "\"((0,0),(1,1))\""},
    {628, 629, "{1,2,3}", "\"{1,2,3}\""},
    {650, 651, "10.0.0.0/8", "\"10.0.0.0/8\""},
    {700, 1021, "3.4028235e+38", "3.4028235e+38"},
    {701, 1022, "123456789.12345679", "123456789.12345679"},
    {718, 719, "<(0,0),5>", "\"<(0,0),5>\""},
    {774, 775, "08:00:2b:01:02:03:04:05", "\"08:00:2b:01:02:03:04:05\""},
    {790, 791, "$1,234.50", "\"$1,234.50\""},
    {829, 1040, "08:00:2b:01:02:03", "\"08:00:2b:01:02:03\""},
    {869, 1041, "192.168.1.5/24", "\"192.168.1.5/24\""},
    {1033, 1034, "a=r/b", "\"a=r/b\""},
    {1042, 1014, "ab   ", "\"ab   \""},
    {1043, 1015, "ab", "\"ab\""},
    {1082, 1182, "0044-03-15 BC", "\"0044-03-15 BC\""},
    {1083, 1183, "13:14:15.123456", "\"13:14:15.123456\""},
    {1114, 1115, "2024-02-29 13:14:15.1", "\"2024-02-29T13:14:15.1\""},
    {1184, 1185, "2024-02-29 07:44:15+00", "\"2024-02-29T07:44:15+00:00\""},
    {1186, 1187, "1 year 2 mons", "\"1 year 2 mons\""},
    {1266, 1270, "13:14:15.123+05:30", "\"13:14:15.123+05:30\""},
    {1560, 1561, "1010", "\"1010\""},
    {1562, 1563, "10101", "\"10101\""},
    {1700, 1231, "12345678901234567890.1234500", "12345678901234567890.1234500"},
    {1790, 2201, "cursor", "\"cursor\""},
    {2202, 2207, "now()", "\"now()\""},
    {2203, 2208, "&&", "\"&&\""},
    {2204, 2209, "+(int,int)", "\"+(int,int)\""},
    {2205, 2210, "pg_class", "\"pg_class\""},
    {2206, 2211, "integer", "\"integer\""},
    {2950, 2951, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
     "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\""},
    {2970, 2949, "10:20:", "\"10:20:\""},
    {3220, 3221, "16/B374D848", "\"16/B374D848\""},
    {3614, 3643, "'ate':3A 'cats' 'fat'", "\"'ate':3A 'cats' 'fat'\""},
    {3615, 3645, "'fat' & 'cat'", "\"'fat' & 'cat'\""},
    {3642, 3644, "1 true bits", "\"1 true bits\""},
    {3734, 3735, "english", "\"english\""},
    {3769, 3770, "simple", "\"simple\""},
    {3802, 3807, "{\"a\": 1}", "{\"a\": 1}"},
    {3904, 3905, "[1,5)", "\"[1,5)\""},
    {3906, 3907, "[1.5,2.5)", "\"[1.5,2.5)\""},
    {3908, 3909, "[\"2024-01-01 00:00:00\",)", "\"[\\\"2024-01-01 00:00:00\\\",)\""},
    {3910, 3911, "[\"2024-01-01 00:00:00+00\",)", "\"[\\\"2024-01-01 00:00:00+00\\\",)\""},
    {3912, 3913, "[2024-01-01,2024-01-02)", "\"[2024-01-01,2024-01-02)\""},
    {3926, 3927, "empty", "\"empty\""},
    {4072, 4073, "$.\"a\"[*]", "\"$.\\\"a\\\"[*]\""},
    {4089, 4090, "public", "\"public\""},
    {4096, 4097, "anon", "\"anon\""},
    {4191, 4192, "\"C\"", "\"\\\"C\\\"\""},
    {4451, 6150, "{[1,3),[5,7)}", "\"{[1,3),[5,7)}\""},
    {4532, 6151, "{[1.5,2.5)}", "\"{[1.5,2.5)}\""},
    {4533, 6152, "{}", "\"{}\""},
    {4534, 6153, "{}", "\"{}\""},
    {4535, 6155, "{[2024-01-01,)}", "\"{[2024-01-01,)}\""},
    {4536, 6157, "{[1,2)}", "\"{[1,2)}\""},
    {5038, 5039, "10:20:10", "\"10:20:10\""},
    {5069, 271, "4294967296", "\"4294967296\""},
    {22, 1006, "1 -2 3", "[1,-2,3]"},
    {22, 1006, "", "[]"},
    {30, 1013, "1 2", "[\"1\",\"2\"]"},
};

static void assert_renders(wc_oid type, const char *text, const char *json)
{
    struct wc_slice exact = wc_exact_copy(wc_slice_str(text));
    struct wc_buf out;
    wc_buf_init(&out, 4096);
    if (!wc_type_builtin(type) || wc_value_render(&out, wc_type_builtin(type), exact) != WC_OK)
        fail_msg("type %u refused \"%s\"", type, text);
    wc_buf_byte(&out, '\0');
    assert_int_equal(out.status, WC_OK);
    assert_string_equal((const char *)out.p, json);
    wc_buf_release(&out);
    wc_exact_free(exact);
}

/* As array_out quotes it, whether it must or not. */
static void quote_element(struct wc_buf *literal, const char *text)
{
    wc_buf_byte(literal, '"');
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            wc_buf_byte(literal, '\\');
        wc_buf_byte(literal, *c);
    }
    wc_buf_byte(literal, '"');
}

static void every_builtin_type_and_its_array_render(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++) {
        assert_renders(builtin[i].type, builtin[i].text, builtin[i].json);
        bool is_box = builtin[i].type == 603;
        struct wc_buf literal, json;
        wc_buf_init(&literal, 4096);
        wc_buf_byte(&literal, '{');
        quote_element(&literal, builtin[i].text);
        wc_buf_str(&literal, is_box ? ";NULL}" : ",NULL}");
        wc_buf_byte(&literal, '\0');
        wc_buf_init(&json, 4096);
        wc_buf_printf(&json, "[%s,null]", builtin[i].json);
        wc_buf_byte(&json, '\0');
        assert_renders(builtin[i].array, (const char *)literal.p, (const char *)json.p);
        wc_buf_release(&literal);
        wc_buf_release(&json);
    }
}

static void types_that_are_not_builtin_are_left_to_the_catalog(void **state)
{
    (void)state; /* unused */
    static const wc_oid others[] = {0, 83, 2249, 2287, 12345, 16383, 16384, UINT32_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_null(wc_type_builtin(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_render_as_to_jsonb_says),
        cmocka_unit_test(exact_numbers_are_strings_of_their_text),
        cmocka_unit_test(texts_that_cannot_be_of_their_class_are_refused),
        cmocka_unit_test(every_value_cut_anywhere_is_rendered_or_refused),
        cmocka_unit_test(full_buffer_is_told_by_the_buffer),
        cmocka_unit_test(recorded_rows_of_all_types_render_by_their_type),
        cmocka_unit_test(every_builtin_type_and_its_array_render),
        cmocka_unit_test(types_that_are_not_builtin_are_left_to_the_catalog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Values made of values: what PostgreSQL prints, what to_jsonb makes of it, and what neither does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decoder/value.h"
#include "tests/unit/decoder/capture.h"

#define NUMBER      wc_type_builtin(1700)
#define TEXT        wc_type_builtin(25)
#define BYTEA       wc_type_builtin(17)
#define JSONB       wc_type_builtin(3802)
#define TIMESTAMPTZ wc_type_builtin(1184)

enum type_name {
    NUMBERS,
    TEXTS,
    BOXES,
    BYTEAS,
    JSONS,
    TIMES,
    INT2VECTOR,
    NOTHING, /* () */
    SINGLE,  /* (t text) */
    ADDRESS, /* (street text, num numeric) */
    PLACE,   /* (home address, tags text[], "a ""b""" bytea, seen timestamptz, doc jsonb) */
    ADDRESSES,
    PLACES,
    HSTORE,
    HSTORES,
    ODD, /* (t of a type that the catalog does not know) */
    TYPES
};

static struct wc_attr single_attr[1], address_attr[2], place_attr[5], odd_attr[1];
static struct wc_type made[TYPES];
static const struct wc_type *type[TYPES];

static struct wc_attr attr(const char *json_key, const struct wc_type *of)
{
    return (struct wc_attr){.json_key = wc_slice_str(json_key), .type = of};
}

static void make(enum type_name name, struct wc_type is)
{
    made[name] = is;
    type[name] = &made[name];
}

static void make_composite(enum type_name name, const struct wc_attr *attrs, uint16_t count)
{
    make(name, (struct wc_type){.value_class = WC_VALUE_COMPOSITE, .nattrs = count, .attr = attrs});
}

static void make_array(enum type_name name, const struct wc_type *of)
{
    make(name, (struct wc_type){.value_class = WC_VALUE_ARRAY, .delimiter = ',', .element = of});
}

static int make_types(void **state)
{
    (void)state; /* unused */
    type[NUMBERS] = wc_type_builtin(1231);
    type[TEXTS] = wc_type_builtin(1009);
    type[BOXES] = wc_type_builtin(1020);
    type[BYTEAS] = wc_type_builtin(1001);
    type[JSONS] = wc_type_builtin(3807);
    type[TIMES] = wc_type_builtin(1185);
    type[INT2VECTOR] = wc_type_builtin(22);
    make(HSTORE, (struct wc_type){.value_class = WC_VALUE_HSTORE});
    make_array(HSTORES, type[HSTORE]);
    make_composite(NOTHING, NULL, 0);
    single_attr[0] = attr("\"t\":", TEXT);
    make_composite(SINGLE, single_attr, 1);
    address_attr[0] = attr("\"street\":", TEXT);
    address_attr[1] = attr("\"num\":", NUMBER);
    make_composite(ADDRESS, address_attr, 2);
    make_array(ADDRESSES, type[ADDRESS]);
    place_attr[0] = attr("\"home\":", type[ADDRESS]);
    place_attr[1] = attr("\"tags\":", type[TEXTS]);
    place_attr[2] = attr("\"a \\\"b\\\"\":", BYTEA);
    place_attr[3] = attr("\"seen\":", TIMESTAMPTZ);
    place_attr[4] = attr("\"doc\":", JSONB);
    make_composite(PLACE, place_attr, 5);
    make_array(PLACES, type[PLACE]);
    odd_attr[0] = attr("\"t\":", NULL);
    make_composite(ODD, odd_attr, 1);
    return 0;
}

/* Texts and JSON from PostgreSQL 15.20, white space in the JSON aside. */
static const struct {
    enum type_name type;
    const char *text, *json;
} rendered[] = {
    {NUMBERS, "{}", "[]"},
    {NUMBERS, "{1}", "[1]"},
    {NUMBERS, "{1,NULL,3}", "[1,null,3]"},
    {NUMBERS, "{1.10,NaN,Infinity,-Infinity}", "[1.10,\"NaN\",\"Infinity\",\"-Infinity\"]"},
    {NUMBERS, "{{1,2},{3,4}}", "[[1,2],[3,4]]"},
    {NUMBERS, "{{{1},{2}},{{3},{NULL}}}", "[[[1],[2]],[[3],[null]]]"},
    {NUMBERS, "{{{{{{1}}}}}}", "[[[[[[1]]]]]]"},
    {NUMBERS, "[0:1]={5,6}", "[5,6]"},
    {NUMBERS, "[-2:-1][10:11]={{1,2},{3,4}}", "[[1,2],[3,4]]"},

    {TEXTS, "{\"a b\",\"c,d\",NULL,\"q\\\"x\"}", "[\"a b\",\"c,d\",null,\"q\\\"x\"]"},
    {TEXTS, "{\"NULL\",\"null\",\"\",x}", "[\"NULL\",\"null\",\"\",\"x\"]"},
    {TEXTS, "{\"\\\\\",\"{}\",\"a\\\\\\\"b\"}", "[\"\\\\\",\"{}\",\"a\\\\\\\"b\"]"},
    {TEXTS, "{\"\n\t\",\xc3\xa9,a(b)}", "[\"\\n\\t\",\"\xc3\xa9\",\"a(b)\"]"},

    {BOXES, "{(1,1),(0,0);(2,2),(1,1);NULL}", "[\"(1,1),(0,0)\",\"(2,2),(1,1)\",null]"},
    {BOXES, "{{(1,1),(0,0)};{(2,2),(1,1)}}", "[[\"(1,1),(0,0)\"],[\"(2,2),(1,1)\"]]"},
    {BYTEAS, "{\"\\\\xdead\",\"\\\\x\"}", "[\"\\\\xdead\",\"\\\\x\"]"},
    {JSONS, "{\"{\\\"a\\\": 1}\",\"null\",\"\\\"x\\\"\"}", "[{\"a\": 1},null,\"x\"]"},
    {TIMES, "{\"2024-02-29 13:14:15+00\",infinity}",
     "[\"2024-02-29T13:14:15+00:00\",\"infinity\"]"},
    {INT2VECTOR, "", "[]"},
    {INT2VECTOR, "1 -2", "[1,-2]"},

    {NOTHING, "()", "{}"},
    {SINGLE, "()", "{\"t\":null}"},
    {SINGLE, "(\"\")", "{\"t\":\"\"}"},
    {SINGLE, "(\"\"\"\")", "{\"t\":\"\\\"\"}"},
    {SINGLE, "(NULL)", "{\"t\":\"NULL\"}"},
    {SINGLE, "({x})", "{\"t\":\"{x}\"}"},
    {ADDRESS, "(\"1 Main St\",5)", "{\"street\":\"1 Main St\",\"num\":5}"},
    {ADDRESS, "(,)", "{\"street\":null,\"num\":null}"},
    {ADDRESS, "(\"a,b)\",NaN)", "{\"street\":\"a,b)\",\"num\":\"NaN\"}"},
    {ADDRESS, "(\"say \"\"hi\"\" \\\\\",-1.50)",
     "{\"street\":\"say \\\"hi\\\" \\\\\",\"num\":-1.50}"},
    {ADDRESSES, "{\"(a,1)\",\"(b,)\",NULL}",
     "[{\"street\":\"a\",\"num\":1},{\"street\":\"b\",\"num\":null},null]"},
    {ADDRESSES, "{\"(\\\"x \\\"\\\"y\\\"\\\"\\\",1)\"}",
     "[{\"street\":\"x \\\"y\\\"\",\"num\":1}]"},
    {PLACE,
     "(\"(\"\"1 Main\"\",5)\",\"{a,\"\"b c\"\"}\",\"\\\\x00ff\",\"2024-02-29 13:14:15+00\","
     "\"{\"\"k\"\": [1, 2.50]}\")",
     "{\"home\":{\"street\":\"1 Main\",\"num\":5},\"tags\":[\"a\",\"b c\"],"
     "\"a \\\"b\\\"\":\"\\\\x00ff\",\"seen\":\"2024-02-29T13:14:15+00:00\","
     "\"doc\":{\"k\": [1, 2.50]}}"},
    {PLACES, "{\"(\\\"(a,1)\\\",{x},,,)\"}",
     "[{\"home\":{\"street\":\"a\",\"num\":1},\"tags\":[\"x\"],\"a \\\"b\\\"\":null,"
     "\"seen\":null,\"doc\":null}]"},

    {HSTORE, "", "{}"},
    {HSTORE, "\"a\"=>\"1\", \"b\"=>NULL", "{\"a\":\"1\",\"b\":null}"},
    {HSTORE, "\"\"=>\"\"", "{\"\":\"\"}"},
    {HSTORE, "\"k\\\"\\\\\"=>\"v, =>\"", "{\"k\\\"\\\\\":\"v, =>\"}"},
    {HSTORES, "{\"\\\"a\\\"=>\\\"1\\\"\",\"\"}", "[{\"a\":\"1\"},{}]"},
    {ODD, "()", "{\"t\":null}"},
};

static void nested_values_render_as_to_jsonb_says(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof rendered / sizeof rendered[0]; i++) {
        struct wc_slice text = wc_exact_copy(wc_slice_str(rendered[i].text));
        struct wc_buf out;
        wc_buf_init(&out, 4096);
        if (wc_value_render(&out, type[rendered[i].type], text) != WC_OK)
            fail_msg("refused \"%s\"", rendered[i].text);
        wc_buf_byte(&out, '\0');
        assert_int_equal(out.status, WC_OK);
        assert_string_equal((const char *)out.p, rendered[i].json);
        wc_buf_release(&out);
        wc_exact_free(text);
    }
}

static void exact_numbers_are_strings_on_every_level(void **state)
{
    (void)state; /* unused */
    static const struct {
        enum type_name type;
        const char *text, *json;
    } exact[] = {
        {NUMBERS, "{1.10,NULL,NaN}", "[\"1.10\",null,\"NaN\"]"},
        {ADDRESS, "(\"1 Main St\",5.0)", "{\"street\":\"1 Main St\",\"num\":\"5.0\"}"},
        {PLACES, "{\"(\\\"(a,1)\\\",{x},,,)\"}",
         "[{\"home\":{\"street\":\"a\",\"num\":\"1\"},\"tags\":[\"x\"],\"a \\\"b\\\"\":null,"
         "\"seen\":null,\"doc\":null}]"},
        {INT2VECTOR, "1 -2", "[1,-2]"},
    };
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        struct wc_buf out;
        wc_buf_init(&out, 4096);
        assert_int_equal(
            wc_value_render_exact(&out, type[exact[i].type], wc_slice_str(exact[i].text)), WC_OK);
        wc_buf_byte(&out, '\0');
        assert_string_equal((const char *)out.p, exact[i].json);
        wc_buf_release(&out);
    }
}

static const struct {
    enum type_name type;
    const char *text;
} refused[] = {
    {NUMBERS, ""},
    {NUMBERS, "1"},
    {NUMBERS, "{"},
    {NUMBERS, "{}}"},
    {NUMBERS, "{{}}"},
    {NUMBERS, "{1"},
    {NUMBERS, "{1,"},
    {NUMBERS, "{1,}"},
    {NUMBERS, "{,1}"},
    {NUMBERS, "{1}x"},
    {NUMBERS, "{1;2}"},
    {NUMBERS, "{1, 2}"},
    {NUMBERS, "{null}"},
    {NUMBERS, "{one}"},
    {NUMBERS, "{\"1}"},
    {NUMBERS, "{\"1\"2}"},
    {NUMBERS, "{1\"2\"}"},
    {NUMBERS, "{{1},2}"},
    {NUMBERS, "{1,{2}}"},
    {NUMBERS, "{{1}{2}}"},
    {NUMBERS, "{{1},{{2}}}"},
    {NUMBERS, "{{{{{{{1}}}}}}}"},
    {NUMBERS, "{1},2"},
    {NUMBERS, "[0:1]{5,6}"},
    {NUMBERS, "[0:1={5,6}"},
    {NUMBERS, "[0]={5}"},
    {NUMBERS, "[:1]={5}"},
    {NUMBERS, "[0:1]="},
    {TEXTS, "{\"a\\"},
    {TEXTS, "{\"a\\\"}"},
    {TEXTS, "{\"a\"\"b\"}"},
    {TEXTS, "{a\\b}"},
    {BOXES, "{(1,1),(0,0),(2,2),(1,1)"},
    {BYTEAS, "{dead}"},
    {JSONS, "{\"\"}"},
    {TIMES, "{2024-02-29}"},
    {INT2VECTOR, " "},
    {INT2VECTOR, "1 "},
    {INT2VECTOR, " 1"},
    {INT2VECTOR, "1  2"},
    {INT2VECTOR, "1 x"},
    {NOTHING, ""},
    {NOTHING, "(1)"},
    {NOTHING, "(,)"},
    {SINGLE, "("},
    {SINGLE, ")"},
    {SINGLE, "(\"\"\")"},
    {SINGLE, "(a\"b\")"},
    {SINGLE, "(a(b))"},
    {SINGLE, "(\"a\"b)"},
    {SINGLE, "(a)b"},
    {ADDRESS, "()"},
    {ADDRESS, "(a)"},
    {ADDRESS, "(a,1,2)"},
    {ADDRESS, "(a,)x"},
    {ADDRESS, "(a,one)"},
    {ADDRESSES, "{\"(a)\"}"},
    {HSTORE, "a=>b"},
    {HSTORE, "\"a\""},
    {HSTORE, "\"a\"=>"},
    {HSTORE, "\"a\"=>null"},
    {HSTORE, "\"a\"=>\"b\","},
    {HSTORE, "\"a\"=>\"b\", "},
    {HSTORE, "\"a\"=>\"b\"\"c\"=>\"d\""},
    {HSTORE, "\"a\"=>NULLx"},
    {ODD, "(1)"},
};

static void texts_of_another_shape_are_refused(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct wc_slice text = wc_exact_copy(wc_slice_str(refused[i].text));
        struct wc_buf out;
        wc_buf_init(&out, 4096);
        wc_buf_str(&out, "before");
        if (wc_value_render(&out, type[refused[i].type], text) != WC_PROTO)
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
            enum wc_status status = wc_value_render(&out, type[rendered[i].type], text);
            assert_true((status == WC_OK && out.len > 0) || (status == WC_PROTO && out.len == 0));
            wc_buf_release(&out);
            wc_exact_free(text);
        }
    }
}

static void a_buffer_of_any_size_holds_all_or_says_so(void **state)
{
    (void)state; /* unused */
    for (size_t i = 0; i < sizeof rendered / sizeof rendered[0]; i++) {
        size_t need = strlen(rendered[i].json);
        for (size_t cap = 0; cap <= need; cap++) {
            struct wc_buf out;
            wc_buf_init(&out, cap);
            assert_int_equal(
                wc_value_render(&out, type[rendered[i].type], wc_slice_str(rendered[i].text)),
                WC_OK);
            assert_int_equal(out.status, cap < need ? WC_LIMIT : WC_OK);
            assert_true(wc_buf_ok(&out));
            wc_buf_release(&out);
        }
    }
}

/* Vectors of vectors: the one container whose text is not longer than its element's. */
static enum wc_status render_chain(size_t levels)
{
    struct wc_type chain[WC_VALUE_DEPTH + 2];
    struct wc_buf out;
    wc_buf_init(&out, 4096);
    for (size_t i = 0; i < levels; i++)
        chain[i] = (struct wc_type){.value_class = WC_VALUE_VECTOR,
                                    .element = i + 1 < levels ? &chain[i + 1] : NUMBER};
    enum wc_status status = wc_value_render(&out, &chain[0], wc_slice_str("7 8"));
    assert_true((status == WC_OK) == (out.len > 0));
    wc_buf_release(&out);
    return status;
}

static void depth_has_a_ceiling(void **state)
{
    (void)state; /* unused */
    assert_int_equal(render_chain(WC_VALUE_DEPTH), WC_OK);
    assert_int_equal(render_chain(WC_VALUE_DEPTH + 1), WC_PROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nested_values_render_as_to_jsonb_says),
        cmocka_unit_test(exact_numbers_are_strings_on_every_level),
        cmocka_unit_test(texts_of_another_shape_are_refused),
        cmocka_unit_test(every_value_cut_anywhere_is_rendered_or_refused),
        cmocka_unit_test(a_buffer_of_any_size_holds_all_or_says_so),
        cmocka_unit_test(depth_has_a_ceiling),
    };
    return cmocka_run_group_tests(tests, make_types, NULL);
}

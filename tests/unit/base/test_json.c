#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct wc_json_limits roomy = {.depth = 64, .nodes = 100000};

/* A document over an exact heap copy of the text, so that a sanitizer sees a read past its end. */
struct parsed {
    struct wc_arena arena;
    uint8_t *copy;
    struct wc_json doc;
    struct wc_err err;
    enum wc_status status;
};

static void parse_limited(struct parsed *p, struct wc_slice text, struct wc_json_limits limits)
{
    *p = (struct parsed){0};
    wc_arena_init(&p->arena, 64 << 20);
    p->copy = malloc(text.len ? text.len : 1);
    assert_non_null(p->copy);
    if (text.len)
        memcpy(p->copy, text.p, text.len);
    p->status = wc_json_parse(&p->doc, wc_slice(p->copy, text.len), &p->arena, limits, &p->err);
}

static void parse(struct parsed *p, const char *text)
{
    parse_limited(p, wc_slice_str(text), roomy);
}

static void done(struct parsed *p)
{
    free(p->copy);
    wc_arena_release(&p->arena);
}

/* clang-format off */
static const char *const valid[] = {
    "0", "-0", "-1", "123", "1.5", "-0.1", "0e1", "0E+1", "1e-2", "1.25E3", "20e1", "1e999", "123e45678",
    "null", "true", "false", "\"\"", "\"a\"", " 1", "1 ", "\t\r\n 1 \t\r\n",
    "[]", "[ ]", "[1]", "[1,2]", "[ 1 , 2 ]", "[[]]", "[[],[[]],[]]", "[null,true,false,\"x\",-1.5e3,{},[]]",
    "{}", "{ }", "{\"a\":1}", "{ \"a\" : 1 , \"b\" : [ ] }", "{\"\":0}", "{\"a\":{\"b\":{\"c\":[]}}}", "{\"a\":1,\"a\":2}",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0000\"", "\"\\u0041\\u00e4\\u20AC\"", "\"\\uD83D\\uDE00\"", "\"\\ud83d\\ude00\"",
    "\"\\uFFFF\"", "\"\x7f\"", "\"\xc2\x80\"", "\"\xdf\xbf\"", "\"\xe0\xa0\x80\"", "\"\xed\x9f\xbf\"", "\"\xee\x80\x80\"",
    "\"\xef\xbf\xbf\"", "\"\xf0\x90\x80\x80\"", "\"\xf4\x8f\xbf\xbf\"", "\"\xe2\x80\xa8\"", "\"\\u005Cu0041\"",
    "\"exactly8\"", "\"longer than one machine word, and then \xc3\xa4 and \\n\"", "[\"12345678\",\"1234567\",\"123456789\"]",
};

static const char *const invalid[] = {
    "", " ", "\xef\xbb\xbf{}", "nul", "nulll", "Null", "TRUE", "tru", "truee", "nan", "NaN", "Infinity", "undefined",
    "-", "+1", "01", "-01", "00", "1.", ".5", "-.5", "1.e1", "1e", "1e+", "1E-", "1.5e", "0x10", "1_000", "1a", "- 1", "--1", "1 2",
    "1,", ",1", "1.2.3", "1e1.5", "0.", "-a", "\xef\xbc\x91",
    "\"", "\"a", "a\"", "'a'", "\"\\\"", "\"\\", "\"\\x41\"", "\"\\a\"", "\"\\'\"", "\"\\0\"", "\"\\u\"", "\"\\u1\"", "\"\\u12\"",
    "\"\\u123\"", "\"\\u123", "\"\\u12G4\"", "\"\\U0041\"", "\"\\u 041\"", "\"\\u+041\"", "\"a\nb\"", "\"a\tb\"", "\"\x01\"", "\"\x1f\"",
    "\"\\\xc3\xa4\"", "\"a\" \"b\"",
    "\"\\uD800\"", "\"\\uDBFF\"", "\"\\uDC00\"", "\"\\uDFFF\"", "\"\\uD83Dx\"", "\"\\uD83D\\n\"", "\"\\uD83D\\u0041\"",
    "\"\\uDE00\\uD83D\"", "\"\\uD83D\\uD83D\"", "\"\\uD83D\\uDE0\"", "\"\\uD83D\\u\"", "\"\\uD83D", "\"\\uD83D\\",
    "\"\x80\"", "\"\xbf\"", "\"\xc0\xaf\"", "\"\xc1\xbf\"", "\"\xc2\"", "\"\xc2\"\"", "\"\xc3\x28\"", "\"\xe0\x80\xaf\"", "\"\xe0\x9f\xbf\"",
    "\"\xe2\x82\"", "\"\xe2\x28\xa1\"", "\"\xed\xa0\x80\"", "\"\xed\xbf\xbf\"", "\"\xf0\x80\x80\xaf\"", "\"\xf0\x8f\xbf\xbf\"",
    "\"\xf0\x9f\x98\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"", "\"\xf8\x88\x80\x80\x80\"", "\"\xfe\"", "\"\xff\"", "[\"\xff\"]", "\xff",
    "[", "]", "[1", "1]", "[1,", "[1,]", "[,1]", "[,]", "[1,,2]", "[1 2]", "[1:2]", "[\"a\":1]", "[1}", "[[]", "[]]", "[[}]", "[1];", "[]#", "[\"a\",\n4\n,1,",
    "[1,\n1\n,1", "[*]", "[\\n]", "[a]", "[\x0c]", "[\"a\"", "[\"", "[{}", "[1 true]", "[tru]", "[-]", "[1.]", "[0e]", "[nulll]",
    "{", "}", "{]", "{1:1}", "{a:1}", "{'a':1}", "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{\"a\"::1}", "{:1}", "{\"a\":1,}", "{,\"a\":1}",
    "{\"a\":1,,\"b\":2}", "{\"a\":1 \"b\":2}", "{\"a\":1:2}", "{\"a\",1}", "{\"a\":1}}", "{\"a\":[}", "{\"a\":{}", "{\"a\":\"b\"",
    "{null:1}", "{[]:1}", "{{}:1}", "{\"a\":1]", "{\"a\":1,1}", "{\"a\":1,\"b\"}", "{\"a\":/*c*/1}", "// c\n1", "1 // c", "{\"a\":\"b\"}#", "{\"\\uD800\":1}",
};
/* clang-format on */

static void every_valid_document_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
        struct parsed p;
        parse(&p, valid[i]);
        if (p.status != WC_OK)
            fail_msg("%s: %s", valid[i], p.err.text);
        done(&p);
    }
}

static void every_invalid_document_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        struct parsed p;
        parse(&p, invalid[i]);
        if (p.status != WC_PROTO)
            fail_msg("accepted: %s", invalid[i]);
        assert_true(p.err.at <= strlen(invalid[i]));
        assert_null(p.doc.node); /* untouched */
        done(&p);
    }
}

static void every_truncation_of_a_container_is_refused(void **state)
{
    (void)state;
    const char text[] = "[{\"a\\n\":[1.5e-3,true,null,\"\\uD83D\\uDE00\xc3\xa4\"],\"b\":{}}]";
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct parsed p;
        parse_limited(&p, wc_slice(text, n), roomy);
        assert_int_equal(p.status, WC_PROTO);
        done(&p);
    }
    struct parsed p;
    parse_limited(&p, wc_slice(text, sizeof text - 1), roomy);
    assert_int_equal(p.status, WC_OK);
    done(&p);
}

static void a_nul_byte_does_not_end_the_text(void **state)
{
    (void)state;
    const struct wc_slice texts[] = {wc_slice("[1]\0", 4), wc_slice("[1\0]", 4),
                                     wc_slice("\"a\0b\"", 5), wc_slice("1\0", 2)};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct parsed p;
        parse_limited(&p, texts[i], roomy);
        assert_int_equal(p.status, WC_PROTO);
        done(&p);
    }
}

static void errors_tell_where(void **state)
{
    (void)state;
    const struct {
        const char *text;
        size_t at;
    } table[] = {{"[1,x]", 3}, {"{\"a\":1,}", 7}, {"\"ab\x01\"", 3}, {"[1] 2", 4}, {"[1", 2}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct parsed p;
        parse(&p, table[i].text);
        assert_int_equal(p.err.at, table[i].at);
        assert_int_equal(p.err.code, WC_PROTO);
        done(&p);
    }
}

static void depth_is_limited(void **state)
{
    (void)state;
    struct wc_json_limits limits = {.depth = 3, .nodes = 100};
    struct parsed p;
    parse_limited(&p, wc_slice_str("[{\"a\":[]}]"), limits);
    assert_int_equal(p.status, WC_OK);
    done(&p);
    parse_limited(&p, wc_slice_str("[{\"a\":[[]]}]"), limits);
    assert_int_equal(p.status, WC_LIMIT);
    done(&p);
}

static void depth_is_limited_even_when_the_caller_does_not(void **state)
{
    (void)state;
    enum { LEVELS = 200000 };
    struct wc_json_limits limits = {.depth = UINT32_MAX, .nodes = UINT32_MAX};
    char *text = malloc(LEVELS);
    assert_non_null(text);
    memset(text, '[', LEVELS);
    struct parsed p;
    parse_limited(&p, wc_slice(text, LEVELS), limits);
    assert_int_equal(p.status, WC_LIMIT);
    done(&p);
    memset(text + 512, ']', 512);
    parse_limited(&p, wc_slice(text, 1024), limits);
    assert_int_equal(p.status, WC_OK);
    done(&p);
    free(text);
}

static void nodes_are_limited(void **state)
{
    (void)state;
    struct wc_json_limits limits = {.depth = 3, .nodes = 4};
    struct parsed p;
    parse_limited(&p, wc_slice_str("{\"a\":[1]}"), limits); /* object, key, array, number */
    assert_int_equal(p.status, WC_OK);
    done(&p);
    parse_limited(&p, wc_slice_str("{\"a\":[1,2]}"), limits);
    assert_int_equal(p.status, WC_LIMIT);
    done(&p);
}

static void a_full_arena_is_reported(void **state)
{
    (void)state;
    struct wc_arena arena;
    struct wc_json doc = {0};
    wc_arena_init(&arena, 64);
    assert_int_equal(wc_json_parse(&doc, wc_slice_str("[1,2,3,4,5,6,7,8]"), &arena, roomy, NULL),
                     WC_NOMEM);
    assert_null(doc.node);
    wc_arena_release(&arena);
}

/* With jsmn's own search for the enclosing bracket this would take minutes. */
static void wide_documents_take_linear_time(void **state)
{
    (void)state;
    enum { ELEMENTS = 300000 };
    struct wc_json_limits limits = {.depth = 8, .nodes = 2 * ELEMENTS};
    char *text = malloc(ELEMENTS * 3 + 2);
    assert_non_null(text);
    size_t n = 0;
    text[n++] = '[';
    for (int i = 0; i < ELEMENTS; i++) {
        memcpy(text + n, "[],", 3);
        n += 3;
    }
    text[n - 1] = ']';
    struct parsed p;
    parse_limited(&p, wc_slice(text, n), limits);
    assert_int_equal(p.status, WC_OK);
    assert_int_equal(wc_json_count(&p.doc, 0), ELEMENTS);
    uint32_t seen = 0;
    for (uint32_t at = wc_json_first(&p.doc, 0); at != WC_JSON_NONE; at = wc_json_next(&p.doc, at))
        seen++;
    assert_int_equal(seen, ELEMENTS);
    done(&p);
    free(text);
}

static void types_are_told_apart(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enum wc_json_type type;
    } table[] = {
        {"null", WC_JSON_NULL},    {" false ", WC_JSON_FALSE}, {"true", WC_JSON_TRUE},
        {"-1", WC_JSON_NUMBER},    {"7", WC_JSON_NUMBER},      {"\"true\"", WC_JSON_STRING},
        {"[null]", WC_JSON_ARRAY}, {" {} ", WC_JSON_OBJECT},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct parsed p;
        parse(&p, table[i].text);
        assert_int_equal(wc_json_type(&p.doc, 0), table[i].type);
        done(&p);
    }
}

static void members_are_found_by_their_unescaped_key(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "{\"a\":1,\"b\\u0063\":2,\"\":3,\"a\\\"\":4,\"\\uD83D\\uDE00\":5,\"x\":{\"a\":6},"
              "\"ab\":7}");
    const struct {
        const char *key;
        int64_t value;
    } table[] = {{"a", 1}, {"bc", 2}, {"", 3}, {"a\"", 4}, {"\xf0\x9f\x98\x80", 5}, {"ab", 7}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int64_t v;
        assert_true(wc_json_int(&p.doc, wc_json_get(&p.doc, 0, table[i].key), &v));
        assert_int_equal(v, table[i].value);
    }
    const char *absent[] = {"A", "b", "b\\u0063", "abc", "\xf0\x9f\x98", "c"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_int_equal(wc_json_get(&p.doc, 0, absent[i]), WC_JSON_NONE);
    done(&p);
}

static void the_last_of_repeated_keys_wins(void **state)
{
    (void)state;
    struct parsed p;
    int64_t v;
    parse(&p, "{\"a\":1,\"\\u0061\":2,\"b\":0,\"a\":[3],\"a\":4,\"c\":5}");
    assert_true(wc_json_int(&p.doc, wc_json_get(&p.doc, 0, "a"), &v));
    assert_int_equal(v, 4);
    assert_int_equal(wc_json_count(&p.doc, 0), 6);
    done(&p);
}

static void missing_nodes_can_be_chained(void **state)
{
    (void)state;
    struct parsed p;
    int64_t i;
    double d;
    struct wc_slice s;
    parse(&p, "{\"a\":[1]}");
    uint32_t none = wc_json_get(&p.doc, wc_json_get(&p.doc, 0, "x"), "y");
    assert_int_equal(none, WC_JSON_NONE);
    assert_int_equal(wc_json_type(&p.doc, none), WC_JSON_ABSENT);
    assert_int_equal(wc_json_raw(&p.doc, none).len, 0);
    assert_int_equal(wc_json_count(&p.doc, none), 0);
    assert_int_equal(wc_json_first(&p.doc, none), WC_JSON_NONE);
    assert_int_equal(wc_json_next(&p.doc, none), WC_JSON_NONE);
    assert_false(wc_json_string(&p.doc, none, &p.arena, &s));
    assert_false(wc_json_int(&p.doc, none, &i));
    assert_false(wc_json_double(&p.doc, none, &d));
    assert_int_equal(wc_json_get(&p.doc, wc_json_get(&p.doc, 0, "a"), "a"), WC_JSON_NONE);
    done(&p);
}

static void children_come_in_order(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *children[8];
    } table[] = {
        {"[1,[2,[3]],{\"a\":[4]},\"]\" , null]", {"1", "[2,[3]]", "{\"a\":[4]}", "\"]\"", "null"}},
        {"{\"a\" : {\"b\":1}, \"c\":[ ] ,\"d\":\"x\"}",
         {"\"a\"", "{\"b\":1}", "\"c\"", "[ ]", "\"d\"", "\"x\""}},
        {"[[[]],[]]", {"[[]]", "[]"}},
        {"[]", {NULL}},
        {"{}", {NULL}},
        {"\"a\"", {NULL}},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct parsed p;
        parse(&p, table[i].text);
        size_t n = 0;
        for (uint32_t at = wc_json_first(&p.doc, 0); at != WC_JSON_NONE;
             at = wc_json_next(&p.doc, at), n++) {
            assert_non_null(table[i].children[n]);
            assert_true(wc_slice_is(wc_json_raw(&p.doc, at), table[i].children[n]));
        }
        assert_null(table[i].children[n]);
        size_t pairs = wc_json_type(&p.doc, 0) == WC_JSON_OBJECT ? 2 : 1;
        assert_int_equal(wc_json_count(&p.doc, 0) * pairs, n);
        done(&p);
    }
}

static void strings_are_unescaped(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *value;
        size_t len;
    } table[] = {
        {"\"\"", "", 0},
        {"\"plain\"", "plain", 5},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"\\u0041\\u00e4\\u20AC\\uD83D\\uDE00\"", "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 10},
        {"\"\\uDBFF\\uDFFF\\uFFFF\\u07FF\\u0800\"",
         "\xf4\x8f\xbf\xbf\xef\xbf\xbf\xdf\xbf\xe0\xa0\x80", 12},
        {"\"a\\u0000b\"", "a\0b", 3},
        {"\"\xc3\xa4\\n\xc3\xb6\"", "\xc3\xa4\n\xc3\xb6", 5},
        {"\"\\u005Cu0041\"", "\\u0041", 6},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct parsed p;
        struct wc_slice s;
        parse(&p, table[i].text);
        assert_true(wc_json_string(&p.doc, 0, &p.arena, &s));
        assert_int_equal(s.len, table[i].len);
        assert_memory_equal(s.p, table[i].value, s.len);
        done(&p);
    }
}

static void a_string_without_escapes_is_borrowed(void **state)
{
    (void)state;
    struct parsed p;
    struct wc_slice s;
    parse(&p, "[\"abc\"]");
    assert_true(wc_json_string(&p.doc, 1, &p.arena, &s));
    assert_ptr_equal(s.p, p.copy + 2);
    done(&p);
}

static void only_strings_are_strings(void **state)
{
    (void)state;
    const char *texts[] = {"null", "1", "true", "[]", "{}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct parsed p;
        struct wc_slice s;
        parse(&p, texts[i]);
        assert_false(wc_json_string(&p.doc, 0, &p.arena, &s));
        done(&p);
    }
}

static void integers_in_any_notation_are_integers(void **state)
{
    (void)state;
    const struct {
        const char *text;
        bool ok;
        int64_t value;
    } table[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"0.000", true, 0},
        {"0e99999999999999999999", true, 0},
        {"1.0", true, 1},
        {"1e3", true, 1000},
        {"1.5E1", true, 15},
        {"-1.50e+1", true, -15},
        {"1000e-3", true, 1},
        {"0.0001e4", true, 1},
        {"100000000000000000000e-2", true, 1000000000000000000},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775807.000", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"1e18", true, 1000000000000000000},
        {"1e19", false, 0},
        {"1.5", false, 0},
        {"1e-1", false, 0},
        {"10e-2", false, 0},
        {"1e-99999999999999999999", false, 0},
        {"1e99999999999999999999", false, 0},
        {"18446744073709551616", false, 0},
        {"99999999999999999999999999999999", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
        {"[1]", false, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct parsed p;
        int64_t v = 77;
        parse(&p, table[i].text);
        if (wc_json_int(&p.doc, 0, &v) != table[i].ok)
            fail_msg("%s", table[i].text);
        assert_int_equal(v, table[i].ok ? table[i].value : 77);
        done(&p);
    }
}

static void doubles_are_read_when_they_are_finite(void **state)
{
    (void)state;
    const struct {
        const char *text;
        bool ok;
        double value;
    } table[] = {
        {"0", true, 0},         {"1.5", true, 1.5},  {"-2.5e-1", true, -0.25},
        {"1e308", true, 1e308}, {"1e309", false, 0}, {"-1e999", false, 0},
        {"1e-999", true, 0},    {"\"1\"", false, 0}, {"null", false, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct parsed p;
        double v = 77;
        parse(&p, table[i].text);
        if (wc_json_double(&p.doc, 0, &v) != table[i].ok)
            fail_msg("%s", table[i].text);
        assert_true(v == (table[i].ok ? table[i].value : 77));
        done(&p);
    }
}

static void a_number_of_absurd_length_is_no_double(void **state)
{
    (void)state;
    char text[600];
    memset(text, '1', sizeof text);
    struct parsed p;
    double v;
    parse_limited(&p, wc_slice(text, sizeof text), roomy);
    assert_int_equal(p.status, WC_OK);
    assert_false(wc_json_double(&p.doc, 0, &v));
    done(&p);
}

static void utf8_is_checked_alone_too(void **state)
{
    (void)state;
    assert_true(wc_utf8_ok(wc_slice(NULL, 0)));
    assert_true(wc_utf8_ok(wc_slice_str("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")));
    assert_true(wc_utf8_ok(wc_slice("\0", 1)));
    assert_false(wc_utf8_ok(wc_slice_str("a\xc3")));
    assert_false(wc_utf8_ok(wc_slice_str("\xed\xa0\x80")));
    assert_false(wc_utf8_ok(wc_slice_str("\xc0\x80")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_valid_document_is_accepted),
        cmocka_unit_test(every_invalid_document_is_refused),
        cmocka_unit_test(every_truncation_of_a_container_is_refused),
        cmocka_unit_test(a_nul_byte_does_not_end_the_text),
        cmocka_unit_test(errors_tell_where),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(depth_is_limited_even_when_the_caller_does_not),
        cmocka_unit_test(nodes_are_limited),
        cmocka_unit_test(a_full_arena_is_reported),
        cmocka_unit_test(wide_documents_take_linear_time),
        cmocka_unit_test(types_are_told_apart),
        cmocka_unit_test(members_are_found_by_their_unescaped_key),
        cmocka_unit_test(the_last_of_repeated_keys_wins),
        cmocka_unit_test(missing_nodes_can_be_chained),
        cmocka_unit_test(children_come_in_order),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(a_string_without_escapes_is_borrowed),
        cmocka_unit_test(only_strings_are_strings),
        cmocka_unit_test(integers_in_any_notation_are_integers),
        cmocka_unit_test(doubles_are_read_when_they_are_finite),
        cmocka_unit_test(a_number_of_absurd_length_is_no_double),
        cmocka_unit_test(utf8_is_checked_alone_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

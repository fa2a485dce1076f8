#include "bridge/subs/spec.h"

#include "decoder/pgoutput.h"
#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ARENA_CAP = 16 << 20, MESSAGE_CAP = 16 << 20, ANY = 7 };

#define NO_PARAMS                                                                                  \
    "No subscription params provided. Please provide at least a `schema` or `table` to subscribe " \
    "to: "
#define BAD_SELECT                                                                                 \
    "Error parsing `select` params: expected a list of column name strings, e.g. select: "         \
    "[\"col1\", \"col2\"]"
#define WILD_SELECT                                                                                \
    "Column selection is not supported for wildcard subscriptions. Provide an explicit schema "    \
    "and table name."
#define BAD_FILTER    "Error parsing `filter` params: "
#define EMPTY_SEGMENT BAD_FILTER "filter must not contain empty segments (check for extra commas)"
#define BARE_IN       BAD_FILTER "`in` filter value must be wrapped by parentheses"

/* ---- one attempt ---- */

struct attempt {
    struct wc_arena arena;
    struct wc_buf text; /* the message, or what describe says */
    struct wc_spec spec;
    enum wc_status status;
};

static void check_terminated(struct wc_slice s)
{
    assert_non_null(s.p);
    assert_int_equal(s.p[s.len], 0);
    assert_int_equal(strlen((const char *)s.p), s.len);
}

static void check_spec(const struct wc_spec *s)
{
    check_terminated(s->schema);
    check_terminated(s->table);
    for (size_t i = 0; i < s->nfilters; i++) {
        check_terminated(s->filter[i].column);
        check_terminated(s->filter[i].value);
    }
    for (size_t i = 0; i < s->nselect; i++)
        check_terminated(s->select[i]);
}

static void parse(struct attempt *a, struct wc_slice json, size_t arena_cap)
{
    *a = (struct attempt){0};
    wc_arena_init(&a->arena, arena_cap);
    wc_buf_init(&a->text, MESSAGE_CAP);
    a->status = wc_spec_parse(json, &a->arena, &a->spec, &a->text);
    if (a->status == WC_OK) {
        assert_int_equal(a->text.len, 0);
        check_spec(&a->spec);
        wc_spec_describe(&a->spec, &a->text);
    } else {
        assert_null(a->spec.event); /* untouched */
        assert_true((a->status == WC_INVALID) == (a->text.len > 0));
    }
    assert_int_equal(a->text.status, WC_OK);
}

static void done(struct attempt *a)
{
    wc_arena_release(&a->arena);
    wc_buf_release(&a->text);
}

static void expect(const char *json, enum wc_status status, const char *text)
{
    struct attempt a;
    parse(&a, wc_slice_str(json), ARENA_CAP);
    wc_buf_byte(&a.text, '\0');
    if (strcmp((const char *)a.text.p, text) != 0)
        print_error("%s\n", json);
    assert_string_equal((const char *)a.text.p, text);
    assert_int_equal(a.status, status);
    done(&a);
}

struct binding_case {
    const char *json, *text;
};

/* ---- where and what ---- */

static void a_binding_is_described_as_it_was_understood(void **state)
{
    (void)state;
    static const struct binding_case table[] = {
        {"{\"event\":\"*\",\"schema\":\"public\",\"table\":\"t\"}",
         "[event: *, schema: public, table: t, filters: [], select: nil]"},
        {"{\"schema\":\"public\"}",
         "[event: *, schema: public, table: *, filters: [], select: nil]"},
        {"{\"table\":\"t\"}", "[event: *, schema: public, table: t, filters: [], select: nil]"},
        {"{\"schema\":\"*\"}", "[event: *, schema: *, table: *, filters: [], select: nil]"},
        {"{\"schema\":\"*\",\"table\":\"*\"}",
         "[event: *, schema: *, table: *, filters: [], select: nil]"},
        {"{\"schema\":\"\",\"table\":\"\"}",
         "[event: *, schema: , table: , filters: [], select: nil]"},
        {"{\"schema\":\"Caps\",\"table\":\"b c\"}",
         "[event: *, schema: Caps, table: b c, filters: [], select: nil]"},
        {"{\"schema\":\"p\\u00e4\\\"\",\"table\":\"\\ud83d\\ude00\"}",
         "[event: *, schema: pä\", table: 😀, filters: [], select: nil]"},
        {"{\"sch\\u0065ma\":\"s\"}", "[event: *, schema: s, table: *, filters: [], select: nil]"},
        {"{\"schema\":\"first\",\"schema\":\"last\"}",
         "[event: *, schema: last, table: *, filters: [], select: nil]"},
        {"{\"schema\":\"s\",\"unknown\":{\"deep\":[1,2]}}",
         "[event: *, schema: s, table: *, filters: [], select: nil]"},
        {"{\"schema\":\"s\",\"table\":\"t\",\"filter\":\"\"}",
         "[event: *, schema: s, table: t, filters: [], select: nil]"},
        {"{\"schema\":\"s\",\"table\":\"t\",\"filter\":\" \\t\\n \"}",
         "[event: *, schema: s, table: t, filters: [], select: nil]"},
        {"{\"schema\":\"*\",\"table\":\"*\",\"filter\":\"id=eq.1\"}",
         "[event: *, schema: *, table: *, filters: [{\"id\", \"eq\", \"1\", false}], select: nil]"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        expect(table[i].json, WC_OK, table[i].text);
}

static void params_without_a_place_are_refused_as_they_were_sent(void **state)
{
    (void)state;
    static const struct binding_case table[] = {
        {"{}", NO_PARAMS "%{}"},
        {"{\"event\":\"*\"}", NO_PARAMS "%{\"event\" => \"*\"}"},
        {"{\"event\":\"INSERT\",\"filter\":\"id=eq.1\"}",
         NO_PARAMS "%{\"event\" => \"INSERT\", \"filter\" => \"id=eq.1\"}"},
        {"{\"filter\":\"id=eq.1\",\"schema\":\"public\"}",
         NO_PARAMS "%{\"filter\" => \"id=eq.1\", \"schema\" => \"public\"}"},
        {"{\"filter\":\"\",\"table\":\"t\"}",
         NO_PARAMS "%{\"filter\" => \"\", \"table\" => \"t\"}"},
        {"{\"schema\":null}", NO_PARAMS "%{\"schema\" => nil}"},
        {"{\"schema\":\"public\",\"table\":null}",
         NO_PARAMS "%{\"schema\" => \"public\", \"table\" => nil}"},
        {"{\"schema\":1,\"table\":\"t\"}", NO_PARAMS "%{\"schema\" => 1, \"table\" => \"t\"}"},
        {"{\"schema\":true}", NO_PARAMS "%{\"schema\" => true}"},
        {"{\"schema\":[\"public\"]}", NO_PARAMS "%{\"schema\" => [...]}"},
        {"{\"schema\":{\"name\":\"public\"}}", NO_PARAMS "%{\"schema\" => %{...}}"},
        {"{\"filter\":null,\"schema\":\"s\",\"table\":\"t\"}",
         NO_PARAMS "%{\"filter\" => nil, \"schema\" => \"s\", \"table\" => \"t\"}"},
        {"{\"filter\":7,\"schema\":\"s\",\"table\":\"t\"}",
         NO_PARAMS "%{\"filter\" => 7, \"schema\" => \"s\", \"table\" => \"t\"}"},
        /* what looks like a token is not echoed */
        {"{\"user_token\":\"secret\"}", NO_PARAMS "<redacted>"},
        {"{\"event\":\"*\",\"auth_token\":null}", NO_PARAMS "<redacted>"},
        {"{\"\\u0061uth_token\":\"secret\"}", NO_PARAMS "<redacted>"},
        /* Postgres has no name with a NUL */
        {"{\"schema\":\"a\\u0000b\"}", NO_PARAMS "%{\"schema\" => \"a\\u0000b\"}"},
        {"{\"table\":\"\\u0000\"}", NO_PARAMS "%{\"table\" => \"\\u0000\"}"},
        {"{\"filter\":\"id=eq.\\u0000\",\"schema\":\"s\",\"table\":\"t\"}",
         NO_PARAMS "%{\"filter\" => \"id=eq.\\u0000\", \"schema\" => \"s\", \"table\" => \"t\"}"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        expect(table[i].json, WC_INVALID, table[i].text);
}

static void an_event_is_read_in_any_case_and_anything_else_stands_for_all(void **state)
{
    (void)state;
    static const struct {
        const char *value, *event;
        uint32_t events;
    } table[] = {
        {"\"*\"", "*", ANY},
        {"\"INSERT\"", "INSERT", WC_OP_INSERT},
        {"\"insert\"", "INSERT", WC_OP_INSERT},
        {"\"Update\"", "UPDATE", WC_OP_UPDATE},
        {"\"dElEtE\"", "DELETE", WC_OP_DELETE},
        {"\"\\u0049NSERT\"", "INSERT", WC_OP_INSERT},
        {"\"TRUNCATE\"", "*", ANY},
        {"\"INSERT \"", "*", ANY},
        {"\"INSERTS\"", "*", ANY},
        {"\"INSERT\\u0000\"", "*", ANY},
        {"\"\"", "*", ANY},
        {"null", "*", ANY},
        {"1", "*", ANY},
        {"[\"INSERT\"]", "*", ANY},
        {"{\"INSERT\":1}", "*", ANY},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char json[80];
        struct attempt a;
        (void)snprintf(json, sizeof json, "{\"schema\":\"s\",\"event\":%s}", table[i].value);
        parse(&a, wc_slice_str(json), ARENA_CAP);
        assert_int_equal(a.status, WC_OK);
        assert_string_equal(a.spec.event, table[i].event);
        assert_int_equal(a.spec.events, table[i].events);
        done(&a);
    }
}

/* ---- select ---- */

static void a_select_is_a_list_of_names(void **state)
{
    (void)state;
#define AT   "{\"schema\":\"s\",\"table\":\"t\",\"select\":"
#define SAID "[event: *, schema: s, table: t, filters: [], select: "
    static const struct binding_case good[] = {
        {AT "[\"a\"]}", SAID "[\"a\"]]"},
        {AT "[\"b\",\"a\",\"b\"]}", SAID "[\"b\", \"a\", \"b\"]]"},
        {AT "[\"say \\\"hi\\\"\",\"back\\\\slash\"]}",
         SAID "[\"say \\\"hi\\\"\", \"back\\\\slash\"]]"},
        {AT "[\"\"]}", SAID "[\"\"]]"},
        {AT "[1,\"a\",null,[\"x\"],{\"y\":\"z\"},true,\"b\"]}", SAID "[\"a\", \"b\"]]"},
        {AT "[]}", SAID "nil]"},
        {AT "[1,null]}", SAID "nil]"},
        {AT "null}", SAID "nil]"},
        {AT "7}", SAID "nil]"},
        {AT "{\"a\":1}}", SAID "nil]"},
        {"{\"table\":\"t\",\"select\":[\"a\"]}",
         "[event: *, schema: public, table: t, filters: [], select: [\"a\"]]"},
        {"{\"schema\":\"*\",\"select\":[]}",
         "[event: *, schema: *, table: *, filters: [], select: nil]"},
    };
    static const struct binding_case bad[] = {
        {AT "\"a,b\"}", BAD_SELECT},
        {AT "\"\"}", BAD_SELECT},
        {AT "[\"a\",\"b\\u0000\"]}", BAD_SELECT},
        {"{\"select\":\"a\"}", BAD_SELECT}, /* said before anything else */
        {"{\"schema\":\"s\",\"table\":\"t\",\"filter\":\"wrong\",\"select\":\"a\"}", BAD_SELECT},
        {"{\"schema\":\"s\",\"select\":[\"a\"]}", WILD_SELECT},
        {"{\"schema\":\"*\",\"select\":[\"a\"]}", WILD_SELECT},
        {"{\"schema\":\"s\",\"table\":\"*\",\"select\":[\"a\"]}", WILD_SELECT},
        {"{\"schema\":\"*\",\"table\":\"t\",\"select\":[\"a\"]}", WILD_SELECT},
        {"{\"schema\":\"*\",\"table\":\"t\",\"filter\":\"wrong\",\"select\":[\"a\"]}",
         BAD_FILTER "[\"wrong\"]"},
    };
#undef AT
#undef SAID
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        expect(good[i].json, WC_OK, good[i].text);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect(bad[i].json, WC_INVALID, bad[i].text);
}

/* ---- filter ---- */

struct filter_case {
    const char *filter; /* as the text of a JSON string */
    const char *said;   /* the inside of the described list, or the message */
};

static void expect_filter(const struct filter_case *c, enum wc_status status)
{
    char json[400], text[400];
    (void)snprintf(json, sizeof json, "{\"schema\":\"s\",\"table\":\"t\",\"filter\":\"%s\"}",
                   c->filter);
    (void)snprintf(text, sizeof text, "[event: *, schema: s, table: t, filters: [%s], select: nil]",
                   c->said);
    expect(json, status, status == WC_OK ? text : c->said);
}

static void every_operator_is_known_by_its_name(void **state)
{
    (void)state;
    static const struct filter_case table[] = {
        {"c=eq.1", "{\"c\", \"eq\", \"1\", false}"},
        {"c=neq.1", "{\"c\", \"neq\", \"1\", false}"},
        {"c=lt.1", "{\"c\", \"lt\", \"1\", false}"},
        {"c=lte.1", "{\"c\", \"lte\", \"1\", false}"},
        {"c=gt.1", "{\"c\", \"gt\", \"1\", false}"},
        {"c=gte.1", "{\"c\", \"gte\", \"1\", false}"},
        {"c=in.(1,3)", "{\"c\", \"in\", \"{1,3}\", false}"},
        {"c=like.a%", "{\"c\", \"like\", \"a%\", false}"},
        {"c=ilike.A%", "{\"c\", \"ilike\", \"A%\", false}"},
        {"c=is.null", "{\"c\", \"is\", \"null\", false}"},
        {"c=match.^[ab]", "{\"c\", \"match\", \"^[ab]\", false}"},
        {"c=imatch.^[AB]", "{\"c\", \"imatch\", \"^[AB]\", false}"},
        {"c=isdistinct.a", "{\"c\", \"isdistinct\", \"a\", false}"},
        {"c=not.eq.a", "{\"c\", \"eq\", \"a\", true}"},
        {"c=not.in.(1)", "{\"c\", \"in\", \"{1}\", true}"},
        {"c=not.is.null", "{\"c\", \"is\", \"null\", true}"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        expect_filter(&table[i], WC_OK);
}

static void a_segment_is_split_at_its_first_signs(void **state)
{
    (void)state;
    static const struct filter_case table[] = {
        {"c=eq.a.b=c", "{\"c\", \"eq\", \"a.b=c\", false}"},
        {"c=eq.", "{\"c\", \"eq\", \"\", false}"},
        {"=eq.1", "{\"\", \"eq\", \"1\", false}"},
        {"  c=eq.1  ", "{\"c\", \"eq\", \"1\", false}"},
        {"c =eq. 1", "{\"c \", \"eq\", \" 1\", false}"},
        {"a=eq.1,b=lt.2", "{\"a\", \"eq\", \"1\", false}, {\"b\", \"lt\", \"2\", false}"},
        {"a=eq.1 , b=lt.2", "{\"a\", \"eq\", \"1\", false}, {\"b\", \"lt\", \"2\", false}"},
        {"c=eq.not.eq.1", "{\"c\", \"eq\", \"not.eq.1\", false}"},
        {"Größe=eq.é", "{\"Größe\", \"eq\", \"é\", false}"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        expect_filter(&table[i], WC_OK);
}

static void commas_split_outside_parentheses_and_quotes_only(void **state)
{
    (void)state;
#define THEN_B ", {\"b\", \"eq\", \"y\", false}"
    static const struct filter_case table[] = {
        {"a=in.(1,2),b=eq.y", "{\"a\", \"in\", \"{1,2}\", false}" THEN_B},
        {"a=in.((1,2),3),b=eq.y", "{\"a\", \"in\", \"{(1,2),3}\", false}" THEN_B},
        {"a=eq.x),b=eq.y", "{\"a\", \"eq\", \"x)\", false}" THEN_B},
        {"a=eq.))(,b=eq.y", "{\"a\", \"eq\", \"))(,b=eq.y\", false}"},
        {"a=eq.(x,b=eq.y", "{\"a\", \"eq\", \"(x,b=eq.y\", false}"},
        {"a=eq.\\\"x,y\\\",b=eq.y", "{\"a\", \"eq\", \"x,y\", false}" THEN_B},
        {"a=eq.\\\"(\\\",b=eq.y", "{\"a\", \"eq\", \"(\", false}" THEN_B},
        {"a=in.(\\\")\\\",\\\",\\\"),b=eq.y",
         "{\"a\", \"in\", \"{\\\")\\\",\\\",\\\"}\", false}" THEN_B},
        {"a=in.(\\\"\\\\\\\"),\\\"),b=eq.y",
         "{\"a\", \"in\", \"{\\\"\\\\\\\"),\\\"}\", false}" THEN_B},
        /* a quote elsewhere is an ordinary character */
        {"a=eq.5\\\" tall,b=eq.y", "{\"a\", \"eq\", \"5\\\" tall\", false}" THEN_B},
        {"a=eq.x\\\"(,b=eq.y", "{\"a\", \"eq\", \"x\\\"(,b=eq.y\", false}"},
        {"a=eq.x,\\\"b=eq.y", "{\"a\", \"eq\", \"x\", false}, {\"\\\"b\", \"eq\", \"y\", false}"},
        /* a quoted run without end takes the rest */
        {"a=eq.\\\"x,b=eq.y", "{\"a\", \"eq\", \"\\\"x,b=eq.y\", false}"},
        {"a=eq.\\\"x\\\\\\\",b=eq.y", "{\"a\", \"eq\", \"\\\"x\\\\\\\",b=eq.y\", false}"},
        {"a=eq.\\\"x\\\\", "{\"a\", \"eq\", \"\\\"x\\\\\", false}"},
    };
#undef THEN_B
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        expect_filter(&table[i], WC_OK);
}

static void a_value_that_is_one_quoted_string_is_unquoted(void **state)
{
    (void)state;
    static const struct filter_case table[] = {
        {"c=eq.\\\"a b\\\"", "{\"c\", \"eq\", \"a b\", false}"},
        {"c=eq.\\\"\\\"", "{\"c\", \"eq\", \"\", false}"},
        {"c=eq.\\\"  \\\"", "{\"c\", \"eq\", \"  \", false}"},
        {"c=eq.\\\"say \\\\\\\"hi\\\\\\\"\\\"", "{\"c\", \"eq\", \"say \\\"hi\\\"\", false}"},
        {"c=eq.\\\"a\\\\\\\\b\\\"", "{\"c\", \"eq\", \"a\\\\b\", false}"},
        {"c=eq.\\\"\\\\n\\\\x\\\"", "{\"c\", \"eq\", \"nx\", false}"},
        {"c=not.like.\\\"a,%\\\"", "{\"c\", \"like\", \"a,%\", true}"},
        /* literal: no end, or more after it */
        {"c=eq.\\\"", "{\"c\", \"eq\", \"\\\"\", false}"},
        {"c=eq.\\\"a", "{\"c\", \"eq\", \"\\\"a\", false}"},
        {"c=eq.\\\"a\\\\\\\"", "{\"c\", \"eq\", \"\\\"a\\\\\\\"\", false}"},
        {"c=eq.\\\"a\\\"b", "{\"c\", \"eq\", \"\\\"a\\\"b\", false}"},
        {"c=eq.\\\"a\\\"\\\"b\\\"", "{\"c\", \"eq\", \"\\\"a\\\"\\\"b\\\"\", false}"},
        {"c=eq. \\\"a\\\"", "{\"c\", \"eq\", \" \\\"a\\\"\", false}"},
        {"c=eq.a\\\\b", "{\"c\", \"eq\", \"a\\\\b\", false}"},
        /* the inside of a list is an array literal already */
        {"c=in.()", "{\"c\", \"in\", \"{}\", false}"},
        {"c=in.(\\\"a\\\",\\\"b,c\\\")", "{\"c\", \"in\", \"{\\\"a\\\",\\\"b,c\\\"}\", false}"},
        {"c=in.( a , NULL )", "{\"c\", \"in\", \"{ a , NULL }\", false}"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        expect_filter(&table[i], WC_OK);
}

static void a_malformed_filter_is_refused_with_its_parts(void **state)
{
    (void)state;
    static const struct filter_case table[] = {
        {"c=foo.hey", BAD_FILTER "[\"foo\", \"hey\"]"},
        {"id=zz.1", BAD_FILTER "[\"zz\", \"1\"]"},
        {"c=EQ.1", BAD_FILTER "[\"EQ\", \"1\"]"},
        {"c= eq.1", BAD_FILTER "[\" eq\", \"1\"]"},
        {"c=foo.a.b", BAD_FILTER "[\"foo\", \"a.b\"]"},
        {"c=.1", BAD_FILTER "[\"\", \"1\"]"},
        {"c=foo.\\\"a\\\\b\\\"", BAD_FILTER "[\"foo\", \"\\\"a\\\\b\\\"\"]"},
        {"wrong", BAD_FILTER "[\"wrong\"]"},
        {" wrong ", BAD_FILTER "[\"wrong\"]"},
        {"undefined", BAD_FILTER "[\"undefined\"]"},
        {"id=undefined", BAD_FILTER "[\"undefined\"]"},
        {"id=5", BAD_FILTER "[\"5\"]"},
        {"id=", BAD_FILTER "[\"\"]"},
        {"id=not.eq", BAD_FILTER "[\"eq\"]"},
        {"id=not.not.eq.1", BAD_FILTER "[\"not\", \"eq.1\"]"},
        {"c=in.1,2", BARE_IN}, /* the first segment speaks */
        {"c=in.", BARE_IN},
        {"c=in.(", BARE_IN},
        {"c=in.(1", BARE_IN},
        {"c=in.(1) x", BARE_IN},
        {"c=in. (1)", BARE_IN},
        {"c=in.\\\"(1)\\\"", BARE_IN},
        {",", EMPTY_SEGMENT},
        {"c=eq.1,", EMPTY_SEGMENT},
        {",c=eq.1", EMPTY_SEGMENT},
        {"c=eq.1,,d=eq.2", EMPTY_SEGMENT},
        {"c=eq.1, ,d=eq.2", EMPTY_SEGMENT},
        {"c=eq.1,wrong,", BAD_FILTER "[\"wrong\"]"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        expect_filter(&table[i], WC_INVALID);
}

/* ---- groups ---- */

static void a_group_is_read_as_postgrest_writes_it(void **state)
{
    (void)state;
#define A "{\"a\", \"eq\", \"1\", false}"
#define B "{\"b\", \"gt\", \"2\", false}"
    static const struct filter_case table[] = {
        {"or(a.eq.1,b.gt.2)", "{\"or\", [" A ", " B "], false}"},
        {"or=(a.eq.1,b.gt.2)", "{\"or\", [" A ", " B "], false}"},
        {"and=(a.eq.1,b.gt.2)", "{\"and\", [" A ", " B "], false}"},
        {"not.or=(a.eq.1,b.gt.2)", "{\"or\", [" A ", " B "], true}"},
        {"not.and(a.eq.1,b.gt.2)", "{\"and\", [" A ", " B "], true}"},
        {"or(a.eq.1)", "{\"or\", [" A "], false}"},
        {" or( a.eq.1 , b.gt.2 ) ", "{\"or\", [" A ", " B "], false}"},
        {"a=eq.1,or(a.eq.1,b.gt.2),b=gt.2", A ", {\"or\", [" A ", " B "], false}, " B},
        {"or=(a.eq.1,and(a.eq.1,not.or(b.gt.2,a.eq.1)),b.gt.2)",
         "{\"or\", [" A ", {\"and\", [" A ", {\"or\", [" B ", " A "], true}], false}, " B
         "], false}"},
        {"or(a.not.eq.1,b.not.in.(1,2))",
         "{\"or\", [{\"a\", \"eq\", \"1\", true}, {\"b\", \"in\", \"{1,2}\", true}], false}"},
        {"or(a.in.(\\\"x,)\\\",y),b.gt.2)",
         "{\"or\", [{\"a\", \"in\", \"{\\\"x,)\\\",y}\", false}, " B "], false}"},
        /* quoted values and columns */
        {"or(a.eq.\\\"x,y)\\\",b.gt.2)",
         "{\"or\", [{\"a\", \"eq\", \"x,y)\", false}, " B "], false}"},
        {"or(\\\"a.b, (c)\\\".eq.1,\\\"say \\\\\\\"hi\\\\\\\"\\\".gt.2)",
         "{\"or\", [{\"a.b, (c)\", \"eq\", \"1\", false}, {\"say \\\"hi\\\"\", \"gt\", \"2\", "
         "false}], "
         "false}"},
        {"or(a.eq.f(x,y),b.gt.2)", "{\"or\", [{\"a\", \"eq\", \"f(x,y)\", false}, " B "], false}"},
        {"or(a.eq.x=y.z,b.gt.2)", "{\"or\", [{\"a\", \"eq\", \"x=y.z\", false}, " B "], false}"},
        {"or(a.eq.)", "{\"or\", [{\"a\", \"eq\", \"\", false}], false}"},
        /* columns of such names are what they were */
        {"or=eq.1", "{\"or\", \"eq\", \"1\", false}"},
        {"and=in.(1,2)", "{\"and\", \"in\", \"{1,2}\", false}"},
        {"or(x)=eq.1", "{\"or(x)\", \"eq\", \"1\", false}"},
        {"not.or=eq.(1)", "{\"not.or\", \"eq\", \"(1)\", false}"},
        {"order=eq.1", "{\"order\", \"eq\", \"1\", false}"},
        {"or(or.eq.1)", "{\"or\", [{\"or\", \"eq\", \"1\", false}], false}"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        expect_filter(&table[i], WC_OK);
#undef A
#undef B
}

static void a_malformed_group_is_refused(void **state)
{
    (void)state;
    static const struct filter_case table[] = {
        /* not closed, or closed too early: no group, so refused as it always was */
        {"or(a.eq.1", BAD_FILTER "[\"or(a.eq.1\"]"},
        {"or=(a.eq.1", BAD_FILTER "[\"(a\", \"eq.1\"]"},
        {"or=(a.eq.1)x", BAD_FILTER "[\"(a\", \"eq.1)x\"]"},
        {"or=(a.eq.x),b.eq.1)", BAD_FILTER "[\"b.eq.1)\"]"},
        {"or(a.eq.\\\"x)", BAD_FILTER "[\"or(a.eq.\\\"x)\"]"},
        {"OR(a.eq.1)", BAD_FILTER "[\"OR(a.eq.1)\"]"},
        {"not.not.or(a.eq.1)", BAD_FILTER "[\"not.not.or(a.eq.1)\"]"},
        {"or", BAD_FILTER "[\"or\"]"},
        {"or=", BAD_FILTER "[\"\"]"},
        /* closed, but wrong inside */
        {"or()", EMPTY_SEGMENT},
        {"or=( )", EMPTY_SEGMENT},
        {"or(a.eq.1,)", EMPTY_SEGMENT},
        {"or(a.eq.1,and(),b.eq.2)", EMPTY_SEGMENT},
        {"or(a.zz.1)", BAD_FILTER "[\"zz\", \"1\"]"},
        {"or(a=eq.1)", BAD_FILTER "[\"1\"]"},
        {"or(a.eq)", BAD_FILTER "[\"eq\"]"},
        {"or(a)", BAD_FILTER "[\"a\"]"},
        {"or(a.in.1)", BARE_IN},
        {"or(a.eq.1)(b.eq.2)", BAD_FILTER "[\"or(a.eq.1)(b.eq.2)\"]"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        expect_filter(&table[i], WC_INVALID);
}

/* ---- numbers ---- */

static void numbers_may_be_asked_for_as_strings(void **state)
{
    (void)state;
    static const struct binding_case accepted[] = {
        {"{\"schema\":\"s\",\"numbers\":\"string\"}",
         "[event: *, schema: s, table: *, filters: [], select: nil, numbers: \"string\"]"},
        {"{\"schema\":\"s\",\"numbers\":\"number\"}",
         "[event: *, schema: s, table: *, filters: [], select: nil]"},
    };
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++)
        expect(accepted[i].json, WC_OK, accepted[i].text);
    static const char *const refused[] = {
        "{\"schema\":\"s\",\"numbers\":\"text\"}",
        "{\"schema\":\"s\",\"numbers\":true}",
        "{\"schema\":\"s\",\"numbers\":null}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        expect(refused[i], WC_INVALID,
               "Error parsing `numbers` params: expected \"number\" or \"string\"");
}

/* ---- removals ---- */

static void removals_are_asked_for_by_who_wants_deletes(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool removals;
        uint32_t events, looked_at;
    } accepted[] = {
        {"{\"schema\":\"s\",\"removals\":true}", true, 7, 7 | WC_SPEC_OLD_ROW},
        {"{\"schema\":\"s\",\"event\":\"*\",\"removals\":true}", true, 7, 7 | WC_SPEC_OLD_ROW},
        {"{\"schema\":\"s\",\"event\":\"DELETE\",\"removals\":true}", true, WC_OP_DELETE,
         WC_OP_DELETE | WC_OP_UPDATE | WC_SPEC_OLD_ROW},
        {"{\"schema\":\"s\",\"event\":\"DELETE\"}", false, WC_OP_DELETE, WC_OP_DELETE},
        {"{\"schema\":\"s\",\"event\":\"INSERT\",\"removals\":false}", false, WC_OP_INSERT,
         WC_OP_INSERT},
        {"{\"schema\":\"s\",\"event\":\"INSERT\",\"removals\":\"true\"}", false, WC_OP_INSERT,
         WC_OP_INSERT},
    };
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        struct attempt a;
        parse(&a, wc_slice_str(accepted[i].json), ARENA_CAP);
        assert_int_equal(a.status, WC_OK);
        assert_int_equal(a.spec.removals, accepted[i].removals);
        assert_int_equal(a.spec.events, accepted[i].events);
        assert_int_equal(wc_spec_looked_at(&a.spec), accepted[i].looked_at);
        done(&a);
    }
    expect(
        "{\"schema\":\"s\",\"event\":\"update\",\"removals\":true}", WC_INVALID,
        "Error parsing `removals` params: removals are DELETEs, which an event of UPDATE does not "
        "ask for");
}

/* ---- limits ---- */

static char *repeated(const char *head, const char *piece, size_t n, const char *tail)
{
    size_t head_len = strlen(head), len = strlen(piece);
    char *s = malloc(head_len + len * n + strlen(tail) + 1);
    assert_non_null(s);
    memcpy(s, head, head_len);
    for (size_t i = 0; i < n; i++)
        memcpy(s + head_len + i * len, piece, len);
    memcpy(s + head_len + len * n, tail, strlen(tail) + 1);
    return s;
}

#define FILTERED "{\"schema\":\"s\",\"table\":\"t\",\"filter\":\""

static void a_filter_has_at_most_32_conditions(void **state)
{
    (void)state;
    struct attempt a;
    char *most = repeated(FILTERED "a=eq.1", ",a=eq.1", 31, "\"}");
    char *more = repeated(FILTERED "a=eq.1", ",a=eq.1", 32, "\"}");
    parse(&a, wc_slice_str(most), ARENA_CAP);
    assert_int_equal(a.status, WC_OK);
    assert_int_equal(a.spec.nfilters, 32);
    done(&a);
    expect(more, WC_INVALID, BAD_FILTER "too many conditions, at most 32");
    free(most);
    free(more);
}

static void groups_are_limited_in_depth_and_number(void **state)
{
    (void)state;
    struct attempt a;
    char *deep = repeated(FILTERED, "or(", 8, "a.eq.1))))))))\"}");
    char *deeper = repeated(FILTERED, "or(", 9, "a.eq.1)))))))))\"}");
    char *most = repeated(FILTERED "or(a.eq.1)", ",or(a.eq.1)", 31, "\"}");
    char *inside = repeated(FILTERED "or(a.eq.1", ",a.eq.1", 32, ")\"}");
    char *groups = repeated(FILTERED "and(or(a.eq.1)", ",or(a.eq.1)", 31, ")\"}");
    char *open = repeated(FILTERED, "or(", 100000, "\"}");
    parse(&a, wc_slice_str(deep), ARENA_CAP);
    assert_int_equal(a.status, WC_OK);
    assert_int_equal(a.spec.nconditions, 9);
    assert_int_equal(a.spec.ntop, 1);
    done(&a);
    parse(&a, wc_slice_str(most), ARENA_CAP);
    assert_int_equal(a.status, WC_OK);
    assert_int_equal(a.spec.nconditions, 64);
    assert_int_equal(a.spec.ntop, 32);
    done(&a);
    expect(deeper, WC_INVALID, BAD_FILTER "groups in groups, at most 8 deep");
    expect(inside, WC_INVALID, BAD_FILTER "too many conditions, at most 32");
    expect(groups, WC_INVALID, BAD_FILTER "too many groups, at most 32");
    parse(&a, wc_slice_str(open), ARENA_CAP);
    assert_int_equal(a.status, WC_INVALID);
    done(&a);
    free(deep);
    free(deeper);
    free(most);
    free(inside);
    free(groups);
    free(open);
}

static void a_binding_beyond_its_limits_is_refused(void **state)
{
    (void)state;
    char *const json[] = {
        repeated("{\"schema\":\"s\",\"select\":[1", ",1", 2000, "]}"),
        repeated("{\"schema\":\"s\",\"x\":", "[", 40, "]}"),
        repeated("{\"schema\":\"s\"", ",\"k\":1", 1000, "}"),
    };
    for (size_t i = 0; i < sizeof json / sizeof json[0]; i++) {
        expect(json[i], WC_INVALID, "the binding is too large");
        free(json[i]);
    }
}

static void a_megabyte_of_value_is_kept_whole(void **state)
{
    (void)state;
    enum { MEGABYTE = 1 << 20 };
    static const char *const pieces[] = {"x", "(", "\\\"", "\\\\", " "};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct attempt a;
        char *json = repeated(FILTERED "a=eq.", pieces[i], MEGABYTE, "!\"}");
        parse(&a, wc_slice_str(json), ARENA_CAP);
        assert_int_equal(a.status, WC_OK);
        assert_int_equal(a.spec.filter[0].value.len, MEGABYTE + 1);
        done(&a);
        free(json);
    }
}

/* Memory that runs out is never taken for a mistake of the client, and never for less than was
 * asked: no event, name or column is lost on the way. */
static void an_arena_that_is_too_small_is_out_of_memory(void **state)
{
    (void)state;
    static const char json[] =
        "{\"ev\\u0065nt\":\"\\u0049NSERT\",\"schema\":\"s\\u0063hema\",\"table\":\"t\\u0061ble\","
        "\"filter\":\"\\u0061=eq.\\\"1\\\",b=in.(2)\",\"select\":[\"\\u0061\",\"b\"]}";
    static const char said[] =
        "[event: INSERT, schema: schema, table: table, filters: [{\"a\", \"eq\", \"1\", false}, "
        "{\"b\", \"in\", \"{2}\", false}], select: [\"a\", \"b\"]]";
    enum wc_status st = WC_NOMEM;
    size_t cap = 0;
    for (; st != WC_OK; cap += 16) {
        struct attempt a;
        assert_in_range(cap, 0, 1 << 20);
        parse(&a, wc_slice_str(json), cap);
        st = a.status;
        assert_true(st == WC_OK || st == WC_NOMEM);
        if (st == WC_OK)
            assert_true(wc_slice_is(wc_buf_view(&a.text), said));
        done(&a);
    }
    assert_in_range(cap, 1000, 1 << 20); /* it was refused many times */
}

/* One allocation fails and the next would succeed: the padding moves the failure to each of them.
 */
static void a_failed_allocation_loses_nothing_silently(void **state)
{
    (void)state;
    enum { PADDINGS = 300, FAILURES = 3 };
    static const char said[] =
        "[event: INSERT, schema: s, table: t, filters: [{\"a\", \"eq\", \"1\", false}], select: "
        "[\"b\"]]";
    size_t refused = 0;
    for (size_t i = 0; i < PADDINGS; i++) {
        char *json = repeated("{\"event\":\"INSERT\",\"schema\":\"s\",\"table\":\"t\",\"filter\":"
                              "\"a=eq.1\",\"select\":[\"b\"]",
                              ",\"\":1", i, "}");
        for (long n = 0; n < FAILURES; n++) {
            struct attempt a = {0};
            wc_arena_init(&a.arena, ARENA_CAP);
            wc_buf_init(&a.text, MESSAGE_CAP);
            wc_test_fail_alloc(n);
            a.status = wc_spec_parse(wc_slice_str(json), &a.arena, &a.spec, &a.text);
            assert_int_equal(a.status, wc_test_alloc_failed() ? WC_NOMEM : WC_OK);
            wc_test_fail_alloc(-1);
            refused += a.status == WC_NOMEM;
            if (a.status == WC_OK)
                wc_spec_describe(&a.spec, &a.text);
            assert_true(a.status != WC_OK || wc_slice_is(wc_buf_view(&a.text), said));
            done(&a);
        }
        free(json);
    }
    assert_in_range(refused, PADDINGS, PADDINGS * FAILURES);
}

static void a_copy_outlives_what_it_was_parsed_in(void **state)
{
    (void)state;
    static const char *const json[] = {
        "{\"event\":\"INSERT\",\"schema\":\"s\",\"table\":\"t\",\"filter\":\"a=eq.1,b=not.in.(2,3)"
        "\","
        "\"select\":[\"c\",\"d\"]}",
        "{\"schema\":\"s\",\"table\":\"t\",\"filter\":\"a=eq.1,not.or=(b.eq.2,and(c.eq.3,d.eq.4))"
        "\","
        "\"numbers\":\"string\"}",
        "{\"schema\":\"*\"}",
    };
    for (size_t i = 0; i < sizeof json / sizeof json[0]; i++) {
        struct attempt a;
        struct wc_arena kept;
        struct wc_spec copy;
        struct wc_buf text;
        wc_arena_init(&kept, ARENA_CAP);
        wc_buf_init(&text, MESSAGE_CAP);
        parse(&a, wc_slice_str(json[i]), ARENA_CAP);
        assert_int_equal(a.status, WC_OK);
        assert_int_equal(wc_spec_copy(&a.spec, &kept, &copy), WC_OK);
        assert_int_equal(copy.events, a.spec.events);
        wc_arena_release(&a.arena);
        check_spec(&copy);
        wc_spec_describe(&copy, &text);
        assert_true(wc_slice_eq(wc_buf_view(&text), wc_buf_view(&a.text)));
        wc_buf_release(&text);
        wc_arena_release(&kept);
        done(&a);
    }
}

static void a_copy_that_finds_no_room_is_out_of_memory(void **state)
{
    (void)state;
    struct attempt a;
    parse(
        &a,
        wc_slice_str("{\"table\":\"t\",\"schema\":\"s\",\"filter\":\"a=eq.1\",\"select\":[\"b\"]}"),
        ARENA_CAP);
    assert_int_equal(a.status, WC_OK);
    enum wc_status st = WC_NOMEM;
    size_t refused = 0;
    for (size_t cap = 0; st != WC_OK; cap += 16) {
        struct wc_arena kept;
        struct wc_spec copy = {.nfilters = SIZE_MAX};
        wc_arena_init(&kept, cap);
        st = wc_spec_copy(&a.spec, &kept, &copy);
        assert_true(st == WC_OK || (st == WC_NOMEM && copy.nfilters == SIZE_MAX));
        refused += st != WC_OK;
        wc_arena_release(&kept);
    }
    assert_in_range(refused, 8, 64);
    done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_binding_is_described_as_it_was_understood),
        cmocka_unit_test(params_without_a_place_are_refused_as_they_were_sent),
        cmocka_unit_test(an_event_is_read_in_any_case_and_anything_else_stands_for_all),
        cmocka_unit_test(a_select_is_a_list_of_names),
        cmocka_unit_test(every_operator_is_known_by_its_name),
        cmocka_unit_test(a_segment_is_split_at_its_first_signs),
        cmocka_unit_test(commas_split_outside_parentheses_and_quotes_only),
        cmocka_unit_test(a_value_that_is_one_quoted_string_is_unquoted),
        cmocka_unit_test(a_malformed_filter_is_refused_with_its_parts),
        cmocka_unit_test(a_group_is_read_as_postgrest_writes_it),
        cmocka_unit_test(a_malformed_group_is_refused),
        cmocka_unit_test(numbers_may_be_asked_for_as_strings),
        cmocka_unit_test(removals_are_asked_for_by_who_wants_deletes),
        cmocka_unit_test(a_filter_has_at_most_32_conditions),
        cmocka_unit_test(groups_are_limited_in_depth_and_number),
        cmocka_unit_test(a_binding_beyond_its_limits_is_refused),
        cmocka_unit_test(a_megabyte_of_value_is_kept_whole),
        cmocka_unit_test(an_arena_that_is_too_small_is_out_of_memory),
        cmocka_unit_test(a_copy_outlives_what_it_was_parsed_in),
        cmocka_unit_test(a_copy_that_finds_no_room_is_out_of_memory),
        cmocka_unit_test(a_failed_allocation_loses_nothing_silently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

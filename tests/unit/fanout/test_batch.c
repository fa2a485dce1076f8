/* What the body of a batch broadcast may hold, and how it is refused. */
#include "fanout/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_KB = 1 };

static const struct wc_json_limits limits = {.depth = 64, .nodes = 1000000};

struct read {
    struct wc_arena arena;
    struct wc_buf errors;
    struct wc_batch batch;
    enum wc_status status;
};

static void read_text(struct read *r, const char *text)
{
    struct wc_json doc = {.text = {NULL, 0}};
    *r = (struct read){.status = WC_OK};
    wc_arena_init(&r->arena, 64 << 20);
    wc_buf_init(&r->errors, 64 << 20);
    if (text[0])
        assert_int_equal(wc_json_parse(&doc, wc_slice_str(text), &r->arena, limits, NULL), WC_OK);
    r->status = wc_batch_read(&doc, MAX_KB, &r->arena, &r->batch, &r->errors);
    assert_int_equal(r->errors.status, WC_OK);
    assert_int_equal(r->errors.len > 0, r->status == WC_INVALID);
}

static void release(struct read *r)
{
    wc_arena_release(&r->arena);
    wc_buf_release(&r->errors);
}

static void good_messages_are_read(void **state)
{
    (void)state;
    struct read r;
    read_text(&r, "{\"x\":1,\"messages\":["
                  "{\"topic\":\"a:b\",\"event\":\"e\\u00fc\",\"payload\":{ \"n\":1.0 }},"
                  "{\"id\":\"i\",\"private\":true,\"payload\":{},\"event\":\"f\",\"topic\":\"t\","
                  "\"other\":[]},"
                  "{\"id\":\"\",\"private\":\"0\",\"payload\":{},\"event\":\"f\",\"topic\":\"t\"},"
                  "{\"id\":null,\"private\":null,\"payload\":{},\"event\":\" f\",\"topic\":\"t\"}"
                  "]}");
    assert_int_equal(r.status, WC_OK);
    assert_int_equal(r.batch.count, 4);
    const struct wc_batch_message *m = r.batch.message;
    assert_true(wc_slice_is(m[0].topic, "a:b"));
    assert_true(wc_slice_is(m[0].event, "e\xc3\xbc"));
    assert_true(wc_slice_is(m[0].payload, "{ \"n\":1.0 }"));
    assert_null(m[0].id.p);
    assert_false(m[0].is_private);
    assert_true(wc_slice_is(m[1].id, "i"));
    assert_true(m[1].is_private);
    assert_null(m[2].id.p); /* an empty id is none */
    assert_false(m[2].is_private);
    assert_null(m[3].id.p);
    assert_true(wc_slice_is(m[3].event, " f"));
    release(&r);
}

static void private_may_be_written_in_several_ways(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want; /* -1: refused */
    } cases[] = {{"true", 1},  {"\"true\"", 1}, {"\"1\"", 1},    {"false", 0}, {"\"false\"", 0},
                 {"\"0\"", 0}, {"1", -1},       {"\"yes\"", -1}, {"[]", -1},   {"\"TRUE\"", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_buf text;
        struct read r;
        wc_buf_init(&text, 1000);
        wc_buf_printf(&text,
                      "{\"messages\":[{\"topic\":\"t\",\"event\":\"e\",\"payload\":{},"
                      "\"private\":%s}]}",
                      cases[i].text);
        wc_buf_byte(&text, '\0');
        read_text(&r, (const char *)text.p);
        assert_int_equal(r.status, cases[i].want < 0 ? WC_INVALID : WC_OK);
        if (r.status == WC_OK)
            assert_int_equal(r.batch.message[0].is_private, cases[i].want);
        release(&r);
        wc_buf_release(&text);
    }
}

static void bad_messages_are_named_field_by_field(void **state)
{
    (void)state;
    static const struct {
        const char *text, *errors;
    } cases[] = {
        {"", "{\"errors\":{\"messages\":[\"can't be blank\"]}}"}, /* no JSON body at all */
        {"{}", "{\"errors\":{\"messages\":[\"can't be blank\"]}}"},
        {"[]", "{\"errors\":{\"messages\":[\"can't be blank\"]}}"},
        {"{\"messages\":null}", "{\"errors\":{\"messages\":[\"can't be blank\"]}}"},
        {"{\"messages\":[]}", "{\"errors\":{\"messages\":[\"can't be blank\"]}}"},
        {"{\"messages\":\"x\"}", "{\"errors\":{\"messages\":[\"is invalid\"]}}"},
        {"{\"messages\":{}}", "{\"errors\":{\"messages\":[\"is invalid\"]}}"},
        {"{\"messages\":[{},7]}", "{\"errors\":{\"messages\":[\"is invalid\"]}}"},
        {"{\"messages\":[{\"topic\":\"hb\"},{}]}",
         "{\"errors\":{\"messages\":[{\"event\":[\"can't be blank\"],\"payload\":[\"can't be "
         "blank\"]},{\"topic\":[\"can't be blank\"],\"event\":[\"can't be blank\"],\"payload\":"
         "[\"can't be blank\"]}]}}"},
        {"{\"messages\":[{\"topic\":\"t\",\"event\":\"e\",\"payload\":{}},"
         "{\"topic\":\" \\n\",\"event\":7,\"payload\":[],\"id\":{}}]}",
         "{\"errors\":{\"messages\":[{},{\"topic\":[\"can't be blank\"],\"event\":[\"is invalid\"],"
         "\"id\":[\"is invalid\"],\"payload\":[\"is invalid\"]}]}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct read r;
        read_text(&r, cases[i].text);
        assert_int_equal(r.status, WC_INVALID);
        wc_buf_byte(&r.errors, '\0');
        assert_string_equal(r.errors.p, cases[i].errors);
        release(&r);
    }
}

/* {"messages":[{"topic":"t","event":"e","payload":{"x":"..."}}]} with a payload of len bytes. */
static void read_payload_of(struct read *r, size_t len)
{
    struct wc_buf text;
    wc_buf_init(&text, 1 << 20);
    wc_buf_str(&text, "{\"messages\":[{\"topic\":\"t\",\"event\":\"e\",\"payload\":{\"x\":\"");
    for (size_t i = sizeof "{\"x\":\"\"}" - 1; i < len; i++)
        wc_buf_byte(&text, 'x');
    wc_buf_str(&text, "\"}}]}");
    wc_buf_byte(&text, '\0');
    read_text(r, (const char *)text.p);
    wc_buf_release(&text);
}

static void a_payload_over_the_limit_is_refused(void **state)
{
    (void)state;
    struct read r;
    read_payload_of(&r, MAX_KB * 1000 + 500);
    assert_int_equal(r.status, WC_OK);
    release(&r);
    read_payload_of(&r, MAX_KB * 1000 + 501);
    assert_int_equal(r.status, WC_INVALID);
    wc_buf_byte(&r.errors, '\0');
    assert_string_equal(
        r.errors.p,
        "{\"errors\":{\"messages\":[{\"payload\":[\"Payload size exceeds tenant limit\"]}]}}");
    release(&r);
}

static void the_answer_to_very_many_bad_messages_is_short(void **state)
{
    (void)state;
    struct wc_buf text;
    struct read r;
    wc_buf_init(&text, 1 << 20);
    wc_buf_str(&text, "{\"messages\":[{}");
    for (int i = 0; i < 100000; i++)
        wc_buf_str(&text, ",{}");
    wc_buf_str(&text, "]}");
    wc_buf_byte(&text, '\0');
    read_text(&r, (const char *)text.p);
    assert_int_equal(r.status, WC_INVALID);
    assert_true(r.errors.len < 100);
    release(&r);
    wc_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_messages_are_read),
        cmocka_unit_test(private_may_be_written_in_several_ways),
        cmocka_unit_test(bad_messages_are_named_field_by_field),
        cmocka_unit_test(a_payload_over_the_limit_is_refused),
        cmocka_unit_test(the_answer_to_very_many_bad_messages_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

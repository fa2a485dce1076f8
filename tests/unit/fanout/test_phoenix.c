#include "fanout/phoenix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect_slice(struct wc_slice got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.p, want, got.len);
}

static void expect_frame(struct wc_frame *f, const char *want)
{
    assert_non_null(f);
    size_t len = strlen(want);
    assert_int_equal(f->len - f->payload, len);
    assert_memory_equal(wc_frame_payload(f), want, len);
    wc_frame_unref(f);
}

static void messages_are_decoded(void **state)
{
    (void)state;
    static const struct {
        enum wc_serializer serializer;
        const char *text, *topic, *event, *ref, *join_ref, *payload;
    } cases[] = {
        {WC_PHX_V1, "{\"topic\":\"realtime:a\",\"event\":\"e\",\"payload\":{},\"ref\":\"1\"}",
         "realtime:a", "e", "\"1\"", "null", "{}"},
        {WC_PHX_V1,
         " {\"x\":[1],\"join_ref\":7,\"ref\":null,\"payload\":[ ],\"event\":\"\",\"topic\":"
         "\"\\u00fc\\\"\"} ",
         "\xc3\xbc\"", "", "null", "7", "[ ]"},
        {WC_PHX_V2, "[\"1\",\"2\",\"phoenix\",\"heartbeat\",{}]", "phoenix", "heartbeat", "\"2\"",
         "\"1\"", "{}"},
        {WC_PHX_V2, "[null, 3 ,\"t\",\"e\",null,\"more\",{}]", "t", "e", "3", "null", "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_arena arena;
        struct wc_phx_message m;
        wc_arena_init(&arena, 1 << 20);
        assert_int_equal(
            wc_phx_decode(cases[i].serializer, wc_slice_str(cases[i].text), &arena, &m, NULL),
            WC_OK);
        expect_slice(m.topic, cases[i].topic);
        expect_slice(m.event, cases[i].event);
        expect_slice(m.ref, cases[i].ref);
        expect_slice(m.join_ref, cases[i].join_ref);
        expect_slice(wc_json_raw(&m.doc, m.payload), cases[i].payload);
        wc_arena_release(&arena);
    }
}

static void everything_else_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum wc_serializer serializer;
        const char *text;
    } cases[] = {
        {WC_PHX_V1, ""},
        {WC_PHX_V1, "not json"},
        {WC_PHX_V1, "[]"},
        {WC_PHX_V1, "\"str\""},
        {WC_PHX_V1, "{\"topic\":\"x\"}"},
        {WC_PHX_V1, "{\"topic\":\"x\",\"event\":\"e\",\"payload\":{}}"},
        {WC_PHX_V1, "{\"topic\":1,\"event\":\"e\",\"payload\":{},\"ref\":null}"},
        {WC_PHX_V1, "{\"topic\":\"x\",\"event\":null,\"payload\":{},\"ref\":null}"},
        {WC_PHX_V1, "{\"topic\":\"\xff\",\"event\":\"e\",\"payload\":{},\"ref\":null}"},
        {WC_PHX_V2, "{}"},
        {WC_PHX_V2, "[1,2]"},
        {WC_PHX_V2, "[null,null,\"t\",\"e\"]"},
        {WC_PHX_V2, "[null,null,\"t\",5,{}]"},
        {WC_PHX_V2, "[null,null,\"t\",\"e\",{}]x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_arena arena;
        struct wc_phx_message m;
        struct wc_err err = {0};
        wc_arena_init(&arena, 1 << 20);
        assert_int_equal(
            wc_phx_decode(cases[i].serializer, wc_slice_str(cases[i].text), &arena, &m, &err),
            WC_PROTO);
        assert_true(err.text[0] != '\0');
        wc_arena_release(&arena);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    static const char text[] = "[\"1\",\"2\",\"realtime:a\",\"phx_join\",{\"config\":{}}]";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        struct wc_arena arena;
        struct wc_phx_message m;
        uint8_t *copy = malloc(len + 1); /* exact, for the sanitizer's red zone */
        assert_non_null(copy);
        memcpy(copy, text, len);
        wc_arena_init(&arena, 1 << 20);
        assert_int_equal(wc_phx_decode(WC_PHX_V2, wc_slice(copy, len), &arena, &m, NULL), WC_PROTO);
        wc_arena_release(&arena);
        free(copy);
    }
}

static void refs_and_topics_have_a_ceiling(void **state)
{
    (void)state;
    struct wc_arena arena;
    struct wc_phx_message m;
    struct wc_buf text;
    wc_arena_init(&arena, 1 << 20);
    for (int long_topic = 0; long_topic < 2; long_topic++) {
        wc_buf_init(&text, 1 << 16);
        wc_buf_printf(&text, "[null,\"%0*d\",\"%0*d\",\"e\",{}]", long_topic ? 1 : WC_PHX_REF_MAX,
                      0, long_topic ? WC_PHX_TOPIC_MAX + 1 : 1, 0);
        assert_int_equal(wc_phx_decode(WC_PHX_V2, wc_buf_view(&text), &arena, &m, NULL), WC_LIMIT);
        wc_buf_release(&text);
    }
    wc_arena_release(&arena);
}

static void messages_are_encoded_byte_for_byte(void **state)
{
    (void)state;
    struct wc_phx_envelope e = {.topic = wc_slice_str("realtime:a\"\\\n\x01\xc3\xbc"),
                                .event = wc_slice_str("system"),
                                .ref = wc_slice_str("7"),
                                .join_ref = wc_slice_str("\"1\"")};
    expect_frame(wc_phx_encode(WC_PHX_V1, &e, wc_slice_str("{\"a\":1}")),
                 "{\"topic\":\"realtime:a\\\"\\\\\\n\\u0001\xc3\xbc\",\"event\":\"system\","
                 "\"payload\":{\"a\":1},\"ref\":7}");
    expect_frame(wc_phx_encode(WC_PHX_V2, &e, wc_slice_str("{\"a\":1}")),
                 "[\"1\",7,\"realtime:a\\\"\\\\\\n\\u0001\xc3\xbc\",\"system\",{\"a\":1}]");
}

static void replies_are_encoded_byte_for_byte(void **state)
{
    (void)state;
    struct wc_phx_envelope e = {.topic = wc_slice_str("phoenix"), .ref = wc_slice_str("\"5\"")};
    expect_frame(wc_phx_reply(WC_PHX_V1, &e, true, wc_slice_str("{}")),
                 "{\"topic\":\"phoenix\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\","
                 "\"response\":{}},\"ref\":\"5\"}");
    expect_frame(wc_phx_reply(WC_PHX_V2, &e, false, wc_slice_str("{\"reason\":\"x\"}")),
                 "[null,\"5\",\"phoenix\",\"phx_reply\",{\"status\":\"error\",\"response\":{"
                 "\"reason\":\"x\"}}]");
}

static void changes_are_encoded_byte_for_byte(void **state)
{
    (void)state;
    static const uint32_t ids[] = {4294967295, 0, 44071117};
    struct wc_slice topic = wc_slice_str("realtime:t"), data = wc_slice_str("{\"x\":1}");
    expect_frame(wc_phx_change(WC_PHX_V1, topic, ids, 3, data),
                 "{\"topic\":\"realtime:t\",\"event\":\"postgres_changes\",\"payload\":{\"ids\":"
                 "[4294967295,0,44071117],\"data\":{\"x\":1}},\"ref\":null}");
    expect_frame(wc_phx_change(WC_PHX_V2, topic, ids, 1, data),
                 "[null,null,\"realtime:t\",\"postgres_changes\",{\"ids\":[4294967295],\"data\":{"
                 "\"x\":1}}]");
    expect_frame(wc_phx_change(WC_PHX_V2, wc_slice(NULL, 0), NULL, 0, data),
                 "[null,null,\"\",\"postgres_changes\",{\"ids\":[],\"data\":{\"x\":1}}]");
}

/* What is encoded decodes to the same again. */
static void encode_and_decode_round_trip(void **state)
{
    (void)state;
    for (unsigned s = 0; s < WC_PHX_COUNT; s++) {
        struct wc_arena arena;
        struct wc_phx_message m;
        struct wc_phx_envelope e = {.topic = wc_slice("a\x00\x1f\"\\/\x7f\xe2\x82\xac", 10),
                                    .event = wc_slice_str("\t"),
                                    .ref = wc_slice_str("\"r\"")};
        struct wc_frame *f = wc_phx_encode((enum wc_serializer)s, &e, wc_slice_str("[1]"));
        assert_non_null(f);
        wc_arena_init(&arena, 1 << 20);
        assert_int_equal(wc_phx_decode((enum wc_serializer)s,
                                       wc_slice(wc_frame_payload(f), f->len - f->payload), &arena,
                                       &m, NULL),
                         WC_OK);
        assert_true(wc_slice_eq(m.topic, e.topic));
        assert_true(wc_slice_eq(m.event, e.event));
        assert_true(wc_slice_eq(m.ref, e.ref));
        wc_arena_release(&arena);
        wc_frame_unref(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_decoded),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(refs_and_topics_have_a_ceiling),
        cmocka_unit_test(messages_are_encoded_byte_for_byte),
        cmocka_unit_test(replies_are_encoded_byte_for_byte),
        cmocka_unit_test(changes_are_encoded_byte_for_byte),
        cmocka_unit_test(encode_and_decode_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

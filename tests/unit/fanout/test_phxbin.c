/* The binary frames of V2: every field, every truncation, and what the encoder refuses. */
#include "fanout/phxbin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A literal that may hold NULs. */
#define BYTES(s) wc_slice((s), sizeof(s) - 1)

static void expect_slice(struct wc_slice got, struct wc_slice want)
{
    assert_int_equal(got.len, want.len);
    if (want.len)
        assert_memory_equal(got.p, want.p, want.len);
}

/* In memory of exactly its size, so that a read past the end is found by the sanitizer. */
static enum wc_status decode(struct wc_slice bytes, struct wc_arena *arena,
                             struct wc_phx_message *out)
{
    uint8_t *exact = malloc(bytes.len ? bytes.len : 1);
    struct wc_err err = {0};
    assert_non_null(exact);
    if (bytes.len)
        memcpy(exact, bytes.p, bytes.len);
    enum wc_status st = wc_phxbin_decode(wc_slice(exact, bytes.len), arena, out, &err);
    assert_true(st == WC_OK || err.text[0]);
    free(exact); /* the caller looks at fields of good ones through its own bytes */
    return st;
}

static void messages_are_decoded(void **state)
{
    (void)state;
    const struct {
        struct wc_slice bytes;
        enum wc_phx_form form;
        const char *join_ref, *ref, *topic, *event, *user_event;
        struct wc_slice data;
    } cases[] = {
        {BYTES("\x00\x01\x02\x0a\x09"
               "1"
               "23"
               "realtime:a"
               "broadcast"
               "\x00\xff"),
         WC_PHX_BINARY_PUSH, "\"1\"", "\"23\"", "realtime:a", "broadcast", "", BYTES("\x00\xff")},
        {BYTES("\x03\x01\x01\x0a\x02\x00\x01"
               "1"
               "9"
               "realtime:a"
               "ev"
               "{\"b\":1.0}"),
         WC_PHX_USER_JSON, "\"1\"", "\"9\"", "realtime:a", "broadcast", "ev", BYTES("{\"b\":1.0}")},
        {BYTES("\x03\x00\x00\x01\x01\x02\x00"
               "t"
               "e"
               "{}"
               "abc"),
         WC_PHX_USER_BINARY, "\"\"", "\"\"", "t", "broadcast", "e", BYTES("abc")},
        /* any encoding but 0 is JSON, a ref is escaped, and a payload may be empty */
        {BYTES("\x03\x01\x01\x00\x00\x00\xff"
               "\""
               "\x01"),
         WC_PHX_USER_JSON,
         "\"\\\"\"",
         "\"\\u0001\"",
         "",
         "broadcast",
         "",
         {NULL, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_arena arena;
        struct wc_phx_message m;
        wc_arena_init(&arena, 1 << 20);
        assert_int_equal(wc_phxbin_decode(cases[i].bytes, &arena, &m, NULL), WC_OK);
        assert_int_equal(m.form, cases[i].form);
        expect_slice(m.join_ref, wc_slice_str(cases[i].join_ref));
        expect_slice(m.ref, wc_slice_str(cases[i].ref));
        expect_slice(m.topic, wc_slice_str(cases[i].topic));
        expect_slice(m.event, wc_slice_str(cases[i].event));
        expect_slice(m.user_event, wc_slice_str(cases[i].user_event));
        expect_slice(m.data, cases[i].data);
        assert_int_equal(m.payload, WC_JSON_NONE);
        assert_int_equal(wc_json_type(&m.doc, m.payload), WC_JSON_ABSENT);
        wc_arena_release(&arena);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    const struct wc_slice frames[] = {
        BYTES("\x00\x01\x01\x02\x03"
              "1"
              "2"
              "ab"
              "xyz"),
        BYTES("\x03\x01\x01\x02\x03\x02\x01"
              "1"
              "2"
              "ab"
              "xyz"
              "{}"),
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct wc_arena arena;
        struct wc_phx_message m = {.ref = wc_slice_str("untouched")};
        wc_arena_init(&arena, 1 << 20);
        for (size_t len = 0; len < frames[i].len; len++)
            assert_int_equal(decode(wc_slice(frames[i].p, len), &arena, &m), WC_PROTO);
        expect_slice(m.ref, wc_slice_str("untouched"));
        assert_int_equal(decode(frames[i], &arena, &m), WC_OK);
        wc_arena_release(&arena);
    }
}

static void wrong_lengths_and_contents_are_refused(void **state)
{
    (void)state;
    const struct wc_slice frames[] = {
        BYTES(""),
        BYTES("\x01\x00\x00\x00\x00"), /* kinds that only the server sends */
        BYTES("\x02\x00\x00"),
        BYTES("\x04\x00\x00\x00\x01"),
        BYTES("\x05"),
        BYTES("\xff\x00\x00\x00\x00\x00\x00"),
        BYTES("\x00\xff\x00\x00\x00"
              "1"),
        BYTES("\x00\x00\xff\x00\x00"
              "1"),
        BYTES("\x00\x00\x00\xff\x00"
              "1"),
        BYTES("\x00\x00\x00\x00\xff"
              "1"),
        BYTES("\x03\x00\x00\x00\x00\xff\x01"
              "{}"),
        BYTES("\x03\x00\x00\x00\x00\x04\x01"
              "{bad"),
        BYTES("\x03\x00\x00\x00\x00\x01\x00"
              "x"),
        BYTES("\x00\x00\x00\x01\x00"
              "\xff"), /* not UTF-8: topic, event, ref, join_ref */
        BYTES("\x00\x00\x00\x00\x01"
              "\xc0"),
        BYTES("\x00\x00\x01\x00\x00"
              "\x80"),
        BYTES("\x00\x01\x00\x00\x00"
              "\xe2"),
    };
    struct wc_arena arena;
    struct wc_phx_message m;
    wc_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
        assert_int_equal(decode(frames[i], &arena, &m), WC_PROTO);
    wc_arena_release(&arena);
}

static void a_frame_with_all_fields_of_255_bytes_is_decoded(void **state)
{
    (void)state;
    uint8_t bytes[7 + 5 * 255] = {3, 255, 255, 255, 255, 255, 0};
    memset(bytes + 7, 'a', sizeof bytes - 7);
    memset(bytes + 7 + 4 * 255, '1', 255); /* metadata: a number of 255 digits */
    struct wc_arena arena;
    struct wc_phx_message m;
    wc_arena_init(&arena, 1 << 20);
    assert_int_equal(wc_phxbin_decode(wc_slice(bytes, sizeof bytes), &arena, &m, NULL), WC_OK);
    assert_int_equal(m.join_ref.len, 257);
    assert_int_equal(m.topic.len, 255);
    assert_int_equal(m.user_event.len, 255);
    assert_int_equal(m.data.len, 0);
    wc_arena_release(&arena);
}

static void out_of_memory_is_told(void **state)
{
    (void)state;
    struct wc_arena arena;
    struct wc_phx_message m;
    wc_arena_init(&arena, 1);
    assert_int_equal(wc_phxbin_decode(BYTES("\x00\x01\x00\x00\x00"
                                            "1"),
                                      &arena, &m, NULL),
                     WC_NOMEM);
    wc_arena_release(&arena);
}

static void frames_are_encoded(void **state)
{
    (void)state;
    const struct {
        struct wc_phxbin in;
        struct wc_slice want;
    } cases[] = {
        {{.kind = WC_PHXBIN_REPLY,
          .join_ref = wc_slice_str("1"),
          .ref = wc_slice_str("23"),
          .topic = wc_slice_str("t"),
          .event = wc_slice_str("ok"),
          .payload = BYTES("\x00\x01")},
         BYTES("\x01\x01\x02\x01\x02"
               "1"
               "23"
               "t"
               "ok"
               "\x00\x01")},
        {{.kind = WC_PHXBIN_BROADCAST,
          .topic = wc_slice_str("realtime:a"),
          .event = wc_slice_str("broadcast"),
          .payload = BYTES("\xff")},
         BYTES("\x02\x0a\x09"
               "realtime:a"
               "broadcast"
               "\xff")},
        /* the worked example of the protocol reference */
        {{.kind = WC_PHXBIN_USER_BROADCAST,
          .topic = wc_slice_str("realtime:a"),
          .event = wc_slice_str("m"),
          .is_json = true,
          .payload = BYTES("{}")},
         BYTES("\x04\x0a\x01\x00\x01"
               "realtime:a"
               "m"
               "{}")},
        {{.kind = WC_PHXBIN_USER_BROADCAST,
          .topic = wc_slice_str("t"),
          .event = wc_slice_str("e"),
          .metadata = wc_slice_str("{\"id\":1}")},
         BYTES("\x04\x01\x01\x08\x00"
               "t"
               "e"
               "{\"id\":1}")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_frame *f = NULL;
        assert_int_equal(wc_phxbin_encode(&cases[i].in, &f), WC_OK);
        assert_int_equal(f->bytes[0], 0x80 | WC_FRAME_BINARY);
        expect_slice(wc_slice(wc_frame_payload(f), f->len - f->payload), cases[i].want);
        wc_frame_unref(f);
    }
}

static void fields_of_more_than_255_bytes_are_refused(void **state)
{
    (void)state;
    char text[256];
    memset(text, 'x', sizeof text);
    const struct wc_slice fits = wc_slice(text, 255), too_long = wc_slice(text, 256);
    const struct {
        struct wc_phxbin in;
        enum wc_status want;
    } cases[] = {
        {{.kind = WC_PHXBIN_USER_BROADCAST, .topic = fits, .event = fits, .metadata = fits}, WC_OK},
        {{.kind = WC_PHXBIN_USER_BROADCAST, .topic = too_long}, WC_LIMIT},
        {{.kind = WC_PHXBIN_USER_BROADCAST, .event = too_long}, WC_LIMIT},
        {{.kind = WC_PHXBIN_USER_BROADCAST, .metadata = too_long}, WC_LIMIT},
        {{.kind = WC_PHXBIN_BROADCAST, .topic = too_long}, WC_LIMIT},
        {{.kind = WC_PHXBIN_BROADCAST, .event = too_long}, WC_LIMIT},
        {{.kind = WC_PHXBIN_REPLY, .join_ref = too_long}, WC_LIMIT},
        {{.kind = WC_PHXBIN_REPLY, .ref = too_long}, WC_LIMIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_frame *f = NULL;
        assert_int_equal(wc_phxbin_encode(&cases[i].in, &f), cases[i].want);
        assert_int_equal(f != NULL, cases[i].want == WC_OK);
        wc_frame_unref(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_decoded),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(wrong_lengths_and_contents_are_refused),
        cmocka_unit_test(a_frame_with_all_fields_of_255_bytes_is_decoded),
        cmocka_unit_test(out_of_memory_is_told),
        cmocka_unit_test(frames_are_encoded),
        cmocka_unit_test(fields_of_more_than_255_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

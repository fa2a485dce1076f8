/* Broadcast between channels of two threads: who gets what, in which serializer. */
#include "fanout/broadcast.h"
#include "tests/unit/fanout/fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BYTES(s) wc_slice((s), sizeof(s) - 1)

static void expect_bytes(struct wc_session *s, enum wc_frame_opcode opcode, struct wc_slice want)
{
    struct wc_frame *f = wc_fake_take(s);
    assert_non_null(f);
    assert_int_equal(f->bytes[0] & 15, opcode);
    assert_int_equal(f->len - f->payload, want.len);
    assert_memory_equal(wc_frame_payload(f), want.p, want.len);
    wc_frame_unref(f);
}

static void expect(struct wc_session *s, const char *want)
{
    struct wc_frame *f = wc_fake_take(s);
    assert_non_null(f);
    assert_int_equal(f->bytes[0] & 15, WC_FRAME_TEXT);
    char *got = wc_slice_dup(wc_slice(wc_frame_payload(f), f->len - f->payload));
    assert_string_equal(got, want);
    free(got);
    wc_frame_unref(f);
}

static void expect_nothing(struct wc_session *s)
{
    assert_int_equal(s->out.count, 0);
}

#define V2_OK(ref)                                                                                 \
    "[\"1\"," ref ",\"realtime:a\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]"
#define V2_ERROR(ref)                                                                              \
    "[\"1\"," ref                                                                                  \
    ",\"realtime:a\",\"phx_reply\",{\"status\":\"error\",\"response\":\"payload_size_exceeded\"}]"
#define V1_TEXT(payload)                                                                           \
    "{\"topic\":\"realtime:a\",\"event\":\"broadcast\",\"payload\":" payload ",\"ref\":null}"
#define V2_TEXT(payload) "[null,null,\"realtime:a\",\"broadcast\"," payload "]"

/* A sender and a receiver of each serializer on each thread, all in room "a". */
struct party {
    struct wc_session *sender, *v1[WC_FAKE_HUBS], *v2[WC_FAKE_HUBS];
};

static struct party gather(struct wc_fake_world *w, enum wc_serializer v, const char *config)
{
    struct party p = {.sender = wc_fake_open(w, 0, v)};
    wc_fake_join(p.sender, "a", config);
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++) {
        p.v1[i] = wc_fake_open(w, i, WC_PHX_V1);
        p.v2[i] = wc_fake_open(w, i, WC_PHX_V2);
        wc_fake_join(p.v1[i], "a", "{}");
        wc_fake_join(p.v2[i], "a", "{}");
    }
    return p;
}

static void part(struct party *p)
{
    wc_fake_drop(p->sender);
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++) {
        expect_nothing(p->v1[i]);
        expect_nothing(p->v2[i]);
        wc_fake_drop(p->v1[i]);
        wc_fake_drop(p->v2[i]);
    }
}

static void expect_texts(struct party *p, const char *v1, const char *v2)
{
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++) {
        if (v1)
            expect(p->v1[i], v1);
        if (v2)
            expect(p->v2[i], v2);
    }
}

static void payloads_pass_through_byte_for_byte(void **state)
{
    struct wc_fake_world *w = *state;
    struct party p = gather(w, WC_PHX_V2, "{}");
#define ODD "{ \"n\":1.0, \"big\":12345678901234567890,\"u\":\"\\u00fc\",\"meta\":{} }"
    wc_fake_send(p.sender, "[\"1\",\"2\",\"realtime:a\",\"broadcast\"," ODD "]");
    expect_nothing(p.v1[0]); /* not before the turn */
    wc_fake_turn(w);
    expect_texts(&p, V1_TEXT(ODD), V2_TEXT(ODD));
    expect_nothing(p.sender); /* neither self nor ack */
    part(&p);
}

static void v1_and_v2_hear_each_other(void **state)
{
    struct wc_fake_world *w = *state;
    struct party p = gather(w, WC_PHX_V1, "{}");
    wc_fake_send(p.sender, "{\"topic\":\"realtime:a\",\"event\":\"broadcast\",\"ref\":\"2\","
                           "\"payload\":{\"x\":1}}");
    wc_fake_turn(w);
    expect_texts(&p, V1_TEXT("{\"x\":1}"), V2_TEXT("{\"x\":1}"));
    part(&p);
}

static void what_is_no_object_reaches_v1_alone(void **state)
{
    static const char *const payloads[][2] = {{"[1,2]", V1_TEXT("[1,2]")},
                                              {"\"{\"", V1_TEXT("\"{\"")},
                                              {"null", V1_TEXT("null")},
                                              {"7", V1_TEXT("7")}};
    struct wc_fake_world *w = *state;
    struct party p = gather(w, WC_PHX_V2, "{\"broadcast\":{\"ack\":true}}");
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        char text[128];
        assert_true(snprintf(text, sizeof text, "[\"1\",\"2\",\"realtime:a\",\"broadcast\",%s]",
                             payloads[i][0]) > 0);
        wc_fake_send(p.sender, text);
        wc_fake_turn(w);
        expect_texts(&p, payloads[i][1], NULL);
        expect(p.sender, V2_OK("\"2\""));
    }
    part(&p);
}

static void user_broadcasts_are_transcoded(void **state)
{
    struct wc_fake_world *w = *state;
    struct party p = gather(w, WC_PHX_V2, "{}");
    wc_session_receive(p.sender,
                       BYTES("\x03\x01\x01\x0a\x01\x00\x01"
                             "19realtime:a\""
                             "{\"b\": 1.0}"),
                       true);
    wc_fake_turn(w);
    expect_texts(
        &p, V1_TEXT("{\"event\":\"\\\"\",\"payload\":{\"b\": 1.0},\"type\":\"broadcast\"}"), NULL);
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++)
        expect_bytes(p.v2[i], WC_FRAME_BINARY,
                     BYTES("\x04\x0a\x01\x00\x01"
                           "realtime:a\""
                           "{\"b\": 1.0}"));
    wc_session_receive(p.sender,
                       BYTES("\x03\x01\x01\x0a\x01\x00\x00"
                             "19realtime:ae"
                             "\x00\xff\xde"),
                       true);
    wc_fake_turn(w);
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++)
        expect_bytes(p.v2[i], WC_FRAME_BINARY,
                     BYTES("\x04\x0a\x01\x00\x00"
                           "realtime:ae"
                           "\x00\xff\xde"));
    part(&p);
}

/* Deliberately better than the original, which puts the text into the V1 message unseen. */
static void user_json_that_is_none_is_kept_from_v1(void **state)
{
    struct wc_fake_world *w = *state;
    struct party p = gather(w, WC_PHX_V2, "{\"broadcast\":{\"ack\":true}}");
    wc_session_receive(p.sender,
                       BYTES("\x03\x01\x01\x0a\x01\x00\x01"
                             "19realtime:ae"
                             "1},\"event\":\"phx_close\",\"x\":{\"y\":1"),
                       true);
    wc_fake_turn(w);
    expect(p.sender, V2_OK("\"9\""));
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++)
        expect_bytes(p.v2[i], WC_FRAME_BINARY,
                     BYTES("\x04\x0a\x01\x00\x01"
                           "realtime:ae"
                           "1},\"event\":\"phx_close\",\"x\":{\"y\":1"));
    part(&p);
}

static void a_binary_push_becomes_a_binary_broadcast(void **state)
{
    struct wc_fake_world *w = *state;
    struct party p = gather(w, WC_PHX_V2, "{\"broadcast\":{\"ack\":true,\"self\":true}}");
    const struct wc_slice want = BYTES("\x02\x0a\x09"
                                       "realtime:abroadcast"
                                       "\xff\x00");
    wc_session_receive(p.sender,
                       BYTES("\x00\x01\x01\x0a\x09"
                             "19realtime:abroadcast"
                             "\xff\x00"),
                       true);
    wc_fake_turn(w);
    expect(p.sender, V2_OK("\"9\""));
    expect_bytes(p.sender, WC_FRAME_BINARY, want);
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++)
        expect_bytes(p.v2[i], WC_FRAME_BINARY, want);
    part(&p);
}

static void self_and_ack_are_as_the_join_says(void **state)
{
    static const struct {
        const char *config;
        bool self, ack;
    } cases[] = {{"{}", false, false},
                 {"{\"broadcast\":{\"self\":true}}", true, false},
                 {"{\"broadcast\":{\"ack\":\"TRUE\"}}", false, true},
                 {"{\"broadcast\":{\"self\":\"true\",\"ack\":true}}", true, true}};
    struct wc_fake_world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_session *s = wc_fake_open(w, 1, WC_PHX_V2);
        wc_fake_join(s, "a", cases[i].config);
        wc_fake_send(s, "[\"1\",7,\"realtime:a\",\"broadcast\",{}]");
        wc_fake_turn(w);
        if (cases[i].ack)
            expect(s, V2_OK("7"));
        if (cases[i].self)
            expect(s, V2_TEXT("{}"));
        expect_nothing(s);
        wc_fake_drop(s);
    }
}

static void another_channel_of_the_room_on_the_same_thread_hears_it(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2), *t = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_join(s, "a", "{}");
    wc_fake_join(t, "a", "{}");
    wc_fake_join(t, "b", "{}");
    wc_fake_send(s, "[\"1\",7,\"realtime:a\",\"broadcast\",{}]");
    wc_fake_turn(w);
    expect(t, V2_TEXT("{}")); /* once, and not in room b */
    expect_nothing(t);
    expect_nothing(s);
    wc_fake_drop(s);
    wc_fake_drop(t);
}

static void the_join_ref_of_a_push_does_not_matter(void **state)
{
    static const char *const pushes[] = {
        "[\"stale\",\"2\",\"realtime:a\",\"broadcast\",{}]",
        "[null,\"2\",\"realtime:a\",\"broadcast\",{}]",
        "[7,\"2\",\"realtime:a\",\"broadcast\",{}]",
    };
    struct wc_fake_world *w = *state;
    struct party p = gather(w, WC_PHX_V2, "{\"broadcast\":{\"ack\":true}}");
    for (size_t i = 0; i < sizeof pushes / sizeof *pushes; i++) {
        wc_fake_send(p.sender, pushes[i]);
        wc_fake_turn(w);
        expect(p.sender, V2_OK("\"2\""));
        expect_texts(&p, V1_TEXT("{}"), V2_TEXT("{}"));
    }
    part(&p);
}

static void a_channel_that_was_left_hears_nothing_and_says_nothing(void **state)
{
    struct wc_fake_world *w = *state;
    struct party p = gather(w, WC_PHX_V2, "{\"broadcast\":{\"self\":true}}");
    wc_fake_send(p.sender, "[\"1\",\"2\",\"realtime:a\",\"broadcast\",{\"last\":1}]");
    wc_fake_send(p.sender, "[\"1\",\"3\",\"realtime:a\",\"phx_leave\",{}]");
    wc_fake_skip(p.sender);
    wc_fake_turn(w);
    expect_nothing(p.sender);
    expect_texts(&p, V1_TEXT("{\"last\":1}"), V2_TEXT("{\"last\":1}"));
    wc_fake_send(p.sender, "[\"1\",\"4\",\"realtime:a\",\"broadcast\",{}]");
    wc_fake_turn(w);
    expect(p.sender, "[null,\"4\",\"realtime:a\",\"phx_reply\",{\"status\":\"error\",\"response\":"
                     "{\"reason\":\"unmatched topic\"}}]");
    part(&p);
}

/* The tenant of the fake source allows 1 kB, that is 1,500 bytes. */
static void oversized_payloads_are_refused_with_ack_and_silent_without(void **state)
{
    struct wc_fake_world *w = *state;
    char text[2000], filler[1600];
    struct party loud = gather(w, WC_PHX_V2, "{\"broadcast\":{\"ack\":true}}");
    struct wc_session *silent = wc_fake_open(w, 1, WC_PHX_V2);
    wc_fake_join(silent, "a", "{}");
    int64_t before = wc_metric_sum(WC_M_BROADCASTS_TOO_LARGE);
    memset(filler, 'x', sizeof filler);
    assert_true(snprintf(text, sizeof text,
                         "[\"1\",\"2\",\"realtime:a\",\"broadcast\",{\"x\":\"%.*s\"}]", 1493,
                         filler) > 0);
    wc_fake_send(loud.sender, text);
    wc_fake_send(silent, text);
    wc_fake_turn(w);
    expect(loud.sender, V2_ERROR("\"2\""));
    expect_nothing(loud.sender);
    expect_nothing(silent);
    assert_int_equal(wc_metric_sum(WC_M_BROADCASTS_TOO_LARGE), before + 2);
    assert_true(snprintf(text, sizeof text,
                         "[\"1\",\"2\",\"realtime:a\",\"broadcast\",{\"x\":\"%.*s\"}]", 1492,
                         filler) > 0);
    wc_fake_send(silent, text);
    wc_fake_turn(w);
    assert_int_equal(loud.v1[0]->out.count, 1);
    wc_fake_skip(loud.sender);
    for (unsigned i = 0; i < WC_FAKE_HUBS; i++) {
        wc_fake_skip(loud.v1[i]);
        wc_fake_skip(loud.v2[i]);
    }
    wc_fake_drop(silent);
    part(&loud);
}

static void the_size_of_a_user_broadcast_counts_its_event(void **state)
{
    (void)state;
    char bytes[1500] = {0};
    struct wc_broadcast b = {.form = WC_BROADCAST_USER_BINARY,
                             .event = wc_slice(bytes, 100),
                             .payload = wc_slice(bytes, 1500 - 126)};
    assert_true(wc_broadcast_fits(&b, 1));
    b.payload.len++;
    assert_false(wc_broadcast_fits(&b, 1));
    b.form = WC_BROADCAST_PUSH;
    b.payload.len = 1500;
    assert_true(wc_broadcast_fits(&b, 1));
}

/* What is encoded is decided by who is there; counted in frames made. */
static void nothing_is_encoded_for_a_serializer_nobody_uses(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2), *t = wc_fake_open(w, 1, WC_PHX_V2);
    wc_fake_join(s, "a", "{}");
    wc_fake_join(t, "a", "{}");
    wc_fake_send(s, "[\"1\",7,\"realtime:a\",\"broadcast\",{}]");
    wc_publisher_flush(w->hub[0]->publisher);
    struct wc_msg *m = wc_mesh_pop(w->mesh, 1, 0);
    assert_non_null(m);
    assert_int_equal(m->kind, WC_MSG_ROOM);
    assert_null(m->frame[WC_PHX_V1]);
    assert_non_null(m->frame[WC_PHX_V2]);
    struct wc_msg *own = wc_mesh_pop(w->mesh, 0, 0);
    assert_ptr_equal(own, m); /* one message for all threads */
    wc_msg_unref(own);
    wc_msg_unref(m);
    wc_fake_drop(s);
    wc_fake_drop(t);
}

static void a_serializer_is_used_until_the_last_that_uses_it_leaves(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *v2 = wc_fake_open(w, 0, WC_PHX_V2);
    struct wc_session *v1[] = {wc_fake_open(w, 0, WC_PHX_V1), wc_fake_open(w, 0, WC_PHX_V1)};
    wc_fake_join(v2, "a", "{}");
    for (size_t i = 0; i < 2; i++)
        wc_fake_join(v1[i], "a", "{}");
    for (size_t i = 0; i < 2; i++) {
        wc_fake_drop(v1[i]);
        wc_fake_send(v2, "[\"1\",7,\"realtime:a\",\"broadcast\",{}]");
        wc_publisher_flush(w->hub[0]->publisher);
        struct wc_msg *m = wc_mesh_pop(w->mesh, 0, 0);
        assert_non_null(m);
        assert_int_equal(m->frame[WC_PHX_V1] != NULL, i == 0);
        assert_non_null(m->frame[WC_PHX_V2]);
        wc_msg_unref(m);
    }
    wc_fake_drop(v2);
}

static void unknown_events_are_not_answered(void **state)
{
    struct wc_fake_world *w = *state;
    struct party p = gather(w, WC_PHX_V2, "{\"broadcast\":{\"self\":true,\"ack\":true}}");
    wc_fake_send(p.sender, "[\"1\",\"2\",\"realtime:a\",\"Broadcast\",{}]");
    wc_session_receive(p.sender,
                       BYTES("\x00\x01\x01\x0a\x01"
                             "19realtime:ax"),
                       true);
    wc_fake_turn(w);
    expect_nothing(p.sender);
    part(&p);
}

/* ---- back-pressure ---- */

static void the_sender_is_paused_while_a_ring_is_full(void **state)
{
    struct wc_fake_world w;
    (void)state;
    wc_fake_world_init(&w, 2);
    struct wc_session *s = wc_fake_open(&w, 0, WC_PHX_V2), *t = wc_fake_open(&w, 1, WC_PHX_V2);
    wc_fake_join(s, "a", "{}");
    wc_fake_join(t, "a", "{}");
    for (int i = 0; i < 2; i++)
        wc_fake_send(s, "[\"1\",7,\"realtime:a\",\"broadcast\",{}]");
    assert_true(wc_list_is_empty(&s->paused));
    wc_fake_send(s, "[\"1\",7,\"realtime:a\",\"broadcast\",{}]");
    assert_false(wc_list_is_empty(&s->paused));
    assert_true(wc_list_is_empty(&t->paused));
    wc_fake_turn(&w);
    wc_fake_turn(&w);
    assert_int_equal(t->out.count, 3); /* late, but none lost */
    wc_fake_skip(t);
    wc_fake_drop(s); /* paused or not */
    assert_true(wc_list_is_empty(&w.hub[0]->paused));
    wc_fake_drop(t);
    wc_fake_world_release(&w);
}

static void a_full_overflow_refuses_and_counts(void **state)
{
    struct wc_fake_world w;
    (void)state;
    wc_fake_world_init(&w, 2);
    struct wc_session *s = wc_fake_open(&w, 0, WC_PHX_V2);
    wc_fake_join(s, "a", "{\"broadcast\":{\"ack\":true}}");
    struct wc_channel *c =
        wc_channel_find(&w.hub[0]->channels, s->serial, wc_slice_str("realtime:a"));
    const size_t len = 4 << 20;
    void *big = calloc(1, len);
    assert_non_null(big);
    const struct wc_broadcast b = {.form = WC_BROADCAST_PUSH, .payload = wc_slice(big, len)};
    int64_t before = wc_metric_sum(WC_M_BROADCASTS_OVERFLOW);
    unsigned sent = 0;
    while (wc_broadcast_publish(w.hub[0], WC_ORIGIN_CLIENT, c->room, c->topic,
                                (struct wc_handle){0}, &b) == WC_OK)
        sent++;
    assert_int_equal(sent, 2 + WC_PUBLISHER_OVERFLOW_MAX / len);
    assert_int_equal(wc_metric_sum(WC_M_BROADCASTS_OVERFLOW), before + 1);
    wc_fake_send(s, "[\"1\",\"2\",\"realtime:a\",\"broadcast\",{}]");
    expect(s, "[\"1\",\"2\",\"realtime:a\",\"phx_reply\",{\"status\":\"error\",\"response\":"
              "\"broadcast_failed\"}]");
    assert_int_equal(wc_metric_sum(WC_M_BROADCASTS_OVERFLOW), before + 2);
    free(big);
    wc_fake_drop(s);
    wc_fake_world_release(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wc_fake_setup, wc_fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(payloads_pass_through_byte_for_byte),
        TEST(v1_and_v2_hear_each_other),
        TEST(what_is_no_object_reaches_v1_alone),
        TEST(user_broadcasts_are_transcoded),
        TEST(user_json_that_is_none_is_kept_from_v1),
        TEST(a_binary_push_becomes_a_binary_broadcast),
        TEST(self_and_ack_are_as_the_join_says),
        TEST(another_channel_of_the_room_on_the_same_thread_hears_it),
        TEST(the_join_ref_of_a_push_does_not_matter),
        TEST(a_channel_that_was_left_hears_nothing_and_says_nothing),
        TEST(oversized_payloads_are_refused_with_ack_and_silent_without),
        cmocka_unit_test(the_size_of_a_user_broadcast_counts_its_event),
        TEST(nothing_is_encoded_for_a_serializer_nobody_uses),
        TEST(a_serializer_is_used_until_the_last_that_uses_it_leaves),
        TEST(unknown_events_are_not_answered),
        cmocka_unit_test(the_sender_is_paused_while_a_ring_is_full),
        cmocka_unit_test(a_full_overflow_refuses_and_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

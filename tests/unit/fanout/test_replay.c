/* What a channel of a private room gets again. */
#include "fanout/wait.h"
#include "tests/unit/fanout/fake_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { READ = WC_MAY_READ_BROADCAST, SEE = WC_MAY_READ_PRESENCE, WRITE = WC_MAY_WRITE };

#define REPLAYING                                                                                  \
    "{\"config\":{\"private\":true,\"broadcast\":{\"replay\":{\"since\":1700000000000,"            \
    "\"limit\":3}}}}"
static const struct wc_replayed rows[] = {
    {.id = {1},
     .event = {(const uint8_t *)"first", 5},
     .payload = {(const uint8_t *)"{\"i\":1}", 7}},
    {.id = {2},
     .is_binary = true,
     .event = {(const uint8_t *)"bytes", 5},
     .payload = {(const uint8_t *)"\0\1\2", 3}},
    {.id = {3}, .event = {(const uint8_t *)"\"third", 6}, .payload = {(const uint8_t *)"[]", 2}},
};

static void answer_with_rows(struct wc_fake_world *w, unsigned granted)
{
    struct wc_msg *m = wc_fake_permissions(&w->source, granted, WC_AUTHORIZE_OK);
    m->replay = malloc(sizeof *m->replay + sizeof rows);
    assert_non_null(m->replay);
    m->replay->count = sizeof rows / sizeof *rows;
    memcpy(m->replay->row, rows, sizeof rows);
    wc_fake_deliver(w, m);
}

#define ID(n)   "\"0" #n "000000-0000-0000-0000-000000000000\""
#define META(n) "{\"id\":" ID(n) ",\"replayed\":true}"

static void rows_are_replayed_right_after_the_reply_oldest_first(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    uint64_t events = wc_quota_total(w->source.view.quota, WC_QUOTA_EVENTS);
    wc_fake_push(s, "phx_join", REPLAYING, 1);
    assert_true(wc_fake_asked(&w->source)->wants_replay);
    assert_int_equal(wc_fake_asked(&w->source)->replay_since_ms, 1700000000000);
    assert_int_equal(wc_fake_asked(&w->source)->replay_limit, 3);
    answer_with_rows(w, READ);
    wc_fake_expect(s, "\"status\":\"ok\"");
    wc_fake_expect(
        s, "[\"1\",null,\"realtime:r\",\"broadcast\",{\"event\":\"first\",\"payload\":{\"i\":1},"
           "\"type\":\"broadcast\",\"meta\":" META(1) "}]");
    wc_fake_expect(s, "bytes" META(2));
    wc_fake_expect(
        s, "{\"event\":\"\\\"third\",\"payload\":[],\"type\":\"broadcast\",\"meta\":" META(3));
    wc_fake_expect_nothing(s);
    assert_int_equal(wc_quota_total(w->source.view.quota, WC_QUOTA_EVENTS), events);
    wc_fake_drop(s);
}

static void version_1_clients_get_no_bytes_again(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V1);
    wc_fake_push(s, "phx_join", REPLAYING, 1);
    answer_with_rows(w, READ);
    wc_fake_expect(s, "\"status\":\"ok\"");
    wc_fake_expect(s, "\"event\":\"first\"");
    wc_fake_expect(s, "\"event\":\"\\\"third\"");
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
}

static void what_was_replayed_is_not_delivered_again(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2),
                      *other = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ);
    static const uint8_t fresh[16] = {9};
    wc_fake_push(s, "phx_join", REPLAYING, 1);
    answer_with_rows(w, READ);
    wc_fake_skip(s);
    for (size_t i = 0; i < 3; i++)
        wc_fake_broadcast(w, s, "{\"again\":1}", rows[i].id);
    wc_fake_broadcast(w, s, "{\"fresh\":1}", fresh);
    wc_fake_expect(s, "fresh");
    wc_fake_expect_nothing(s);
    for (size_t i = 0; i < 3; i++)
        wc_fake_expect(other, "again");
    wc_fake_drop(s);
    wc_fake_drop(other);
}

static void what_arrives_while_the_rows_are_read_comes_after_them_once(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2),
                      *other = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ);
    static const uint8_t fresh[16] = {9};
    wc_fake_push(s, "phx_join", REPLAYING, 1);
    wc_fake_broadcast(w, other, "{\"again\":1}", rows[2].id);
    wc_fake_broadcast(w, other, "{\"fresh\":1}", fresh);
    wc_fake_broadcast(w, other, "{\"without\":1}", NULL);
    wc_fake_expect_nothing(s);
    answer_with_rows(w, READ);
    wc_fake_expect(s, "\"status\":\"ok\"");
    for (size_t i = 0; i < 3; i++)
        wc_fake_expect(s, "replayed");
    wc_fake_expect(s, "fresh");
    wc_fake_expect(s, "without");
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
    wc_fake_drop(other);
}

static void of_too_much_that_arrives_while_the_rows_are_read_the_newest_is_kept(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2),
                      *other = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ);
    int64_t before = wc_metric_sum(WC_M_BROADCAST_HELD);
    char payload[32];
    wc_fake_push(s, "phx_join", REPLAYING, 1);
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(payload, sizeof payload, "{\"n\":%u}", i); /* it fits */
        wc_fake_broadcast(w, other, payload, NULL);
        wc_fake_skip(other);
    }
    assert_int_equal(wc_metric_sum(WC_M_BROADCAST_HELD) - before, 300 - 256);
    answer_with_rows(w, READ);
    wc_fake_expect(s, "\"status\":\"ok\"");
    for (size_t i = 0; i < 3; i++)
        wc_fake_expect(s, "replayed");
    for (unsigned i = 300 - 256; i < 300; i++) {
        (void)snprintf(payload, sizeof payload, "{\"n\":%u}", i); /* it fits */
        wc_fake_expect(s, payload);
    }
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
    wc_fake_drop(other);
}

static void a_frame_too_large_to_be_held_back_is_dropped(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2),
                      *other = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ);
    static char large[(1 << 20) + 3] = "\"";
    memset(large + 1, 'x', sizeof large - 3);
    large[sizeof large - 2] = '"';
    wc_fake_push(s, "phx_join", REPLAYING, 1);
    wc_fake_broadcast(w, other, "{\"before\":1}", NULL);
    wc_fake_broadcast(w, other, large, NULL);
    wc_fake_broadcast(w, other, "{\"after\":1}", NULL);
    answer_with_rows(w, READ);
    wc_fake_expect(s, "\"status\":\"ok\"");
    for (size_t i = 0; i < 3; i++)
        wc_fake_expect(s, "replayed");
    wc_fake_expect(s, "after");
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
    wc_fake_drop(other);
}

static void a_join_that_is_refused_gets_nothing_of_what_arrived_meanwhile(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2),
                      *other = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ);
    wc_fake_push(s, "phx_join", REPLAYING, 1);
    wc_fake_broadcast(w, other, "{}", NULL);
    wc_fake_answer(w, 0);
    wc_fake_expect(s, WC_FAKE_UNAUTHORIZED);
    wc_fake_broadcast(w, other, "{}", NULL);
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
    wc_fake_drop(other);
}

static void a_replay_waits_with_the_join_for_its_changes(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2),
                      *other = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ);
    wc_fake_push(s, "phx_join",
                 "{\"config\":{\"private\":true,\"postgres_changes\":[{}],\"broadcast\":{"
                 "\"replay\":{\"since\":1}},\"postgres_changes_options\":{\"wait\":true}}}",
                 1);
    answer_with_rows(w, READ);
    wc_fake_broadcast(w, other, "{\"live\":1}", NULL);
    wc_fake_expect_nothing(s);
    struct wc_msg *m = wc_msg_new(WC_MSG_VERDICT, wc_slice_str("yes"));
    assert_non_null(m);
    m->handle = w->source.last->handle;
    m->ok = true;
    wc_fake_deliver(w, m);
    wc_fake_expect(s, "\"status\":\"ok\"");
    for (size_t i = 0; i < 3; i++)
        wc_fake_expect(s, "replayed");
    wc_fake_expect(s, "live");
    wc_fake_expect(s, "yes");
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
    wc_fake_drop(other);
}

static void a_replay_is_refused_to_who_may_only_see_presences_or_asks_for_nonsense(void **state)
{
    static const char *const nonsense[] = {
        "{}",
        "[]",
        "7",
        "\"x\"",
        "{\"since\":\"x\"}",
        "{\"since\":1.5}",
        "{\"since\":1e3}",
        "{\"since\":null}",
        "{\"since\":1,\"limit\":\"1\"}",
        "{\"since\":1,\"limit\":1.0}",
        "{\"since\":9223372036854775808}",
        "{\"since\":253402300800000}",
    };
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    char payload[512];
    wc_fake_push(
        s, "phx_join",
        "{\"config\":{\"private\":true,\"presence\":{\"enabled\":true},\"broadcast\":{\"replay\":"
        "{\"since\":1}}}}",
        1);
    wc_fake_answer(w, SEE);
    wc_fake_expect(s, WC_FAKE_UNAUTHORIZED);
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        (void)snprintf(payload, sizeof payload, /* it fits */
                       "{\"config\":{\"private\":true,\"broadcast\":{\"replay\":%s}}}",
                       nonsense[i]);
        wc_fake_push(s, "phx_join", payload, 1);
        assert_false(wc_fake_asked(&w->source)->wants_replay);
        wc_fake_answer(w, i % 2 ? READ : 0);
        wc_fake_expect(
            s, i % 2 ? "{\"reason\":\"UnableToReplayMessages: Replay params are not valid\"}"
                     : WC_FAKE_UNAUTHORIZED); /* which is said first */
    }
    assert_int_equal(s->nchannels, 0);
    wc_fake_drop(s);
}

static void the_limit_of_a_replay_is_clamped_and_null_is_none(void **state)
{
    static const struct {
        const char *replay;
        bool wanted;
        int64_t since;
        uint32_t limit;
    } cases[] = {
        {"null", false, 0, 0},
        {"{\"since\":5}", true, 5, 25},
        {"{\"since\":5,\"limit\":null}", true, 5, 25},
        {"{\"since\":5,\"limit\":100}", true, 5, 25},
        {"{\"since\":5,\"limit\":0}", true, 5, 1},
        {"{\"since\":-5,\"limit\":-9}", true, 0, 1},
        {"{\"since\":5,\"limit\":7}", true, 5, 7},
    };
    struct wc_fake_world *w = *state;
    char payload[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
        (void)snprintf(payload, sizeof payload, /* it fits */
                       "{\"config\":{\"private\":true,\"broadcast\":{\"replay\":%s}}}",
                       cases[i].replay);
        wc_fake_push(s, "phx_join", payload, 1);
        const struct wc_authorize *q = wc_fake_asked(&w->source);
        assert_int_equal(q->wants_replay, cases[i].wanted);
        assert_int_equal(q->replay_since_ms, cases[i].since);
        assert_int_equal(q->replay_limit, cases[i].limit);
        wc_fake_drop(s);
    }
}

static void rows_too_large_for_the_queue_are_left_out_from_the_oldest_on(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    static uint8_t large[300 << 10];
    memset(large, '1', sizeof large);
    wc_fake_push(s, "phx_join", REPLAYING, 1);
    struct wc_msg *m = wc_fake_permissions(&w->source, READ, WC_AUTHORIZE_OK);
    m->replay = calloc(1, sizeof *m->replay + 3 * sizeof(struct wc_replayed));
    assert_non_null(m->replay);
    m->replay->count = 3;
    for (uint8_t i = 0; i < 3; i++)
        m->replay->row[i] = (struct wc_replayed){.id = {(uint8_t)(i + 1)},
                                                 .event = wc_slice_str("e"),
                                                 .payload = wc_slice(large, sizeof large)};
    wc_fake_deliver(w, m);
    wc_fake_expect(s, "\"status\":\"ok\"");
    wc_fake_expect(s, META(3)); /* one of them is more than half of the half of a mebibyte */
    wc_fake_expect_nothing(s);
    assert_int_equal(s->state, WC_SESSION_OPEN);
    wc_fake_drop(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, wc_fake_setup, wc_fake_teardown)
    const struct CMUnitTest tests[] = {
        TEST(rows_are_replayed_right_after_the_reply_oldest_first),
        TEST(version_1_clients_get_no_bytes_again),
        TEST(what_was_replayed_is_not_delivered_again),
        TEST(what_arrives_while_the_rows_are_read_comes_after_them_once),
        TEST(of_too_much_that_arrives_while_the_rows_are_read_the_newest_is_kept),
        TEST(a_frame_too_large_to_be_held_back_is_dropped),
        TEST(a_join_that_is_refused_gets_nothing_of_what_arrived_meanwhile),
        TEST(a_replay_waits_with_the_join_for_its_changes),
        TEST(a_replay_is_refused_to_who_may_only_see_presences_or_asks_for_nonsense),
        TEST(the_limit_of_a_replay_is_clamped_and_null_is_none),
        TEST(rows_too_large_for_the_queue_are_left_out_from_the_oldest_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

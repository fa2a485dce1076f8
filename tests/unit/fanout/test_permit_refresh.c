/* New tokens for channels of private rooms. */
#include "fanout/wait.h"
#include "tests/unit/fanout/fake_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { READ = WC_MAY_READ_BROADCAST, SEE = WC_MAY_READ_PRESENCE, WRITE = WC_MAY_WRITE };

#define OTHER_CLAIMS "{\"role\":\"other\",\"exp\":9100000000}"

static void a_new_token_is_asked_about_with_its_claims_and_write_is_forgotten(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_PRESENT, READ | SEE);
    wc_fake_skip(s);
    wc_fake_push(s, "broadcast", "{}", 2);
    wc_fake_answer(w, WRITE);
    wc_fake_refresh(w, s, OTHER_CLAIMS);
    assert_int_equal(wc_fake_asked(&w->source)->ask, READ | SEE);
    assert_true(wc_slice_is(wc_fake_asked(&w->source)->claims->role, "other"));
    wc_fake_answer(w, READ | SEE);
    wc_fake_refresh(w, s, OTHER_CLAIMS); /* the same again */
    assert_int_equal(w->source.asked, 3);
    wc_fake_expect_nothing(s);
    wc_fake_push(s, "broadcast", "{}", 3);
    assert_int_equal(wc_fake_asked(&w->source)->ask, WRITE);
    wc_fake_answer(w, 0);
    wc_fake_settle(w);
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
}

static void what_arrives_while_a_token_is_judged_is_delivered_only_if_it_may_be_read(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ);
    wc_fake_refresh(w, s, OTHER_CLAIMS);
    wc_fake_broadcast(w, s, "{\"n\":1}", NULL);
    wc_fake_broadcast(w, s, "{\"n\":2}", NULL);
    wc_fake_expect_nothing(s);
    wc_fake_answer(w, READ);
    wc_fake_expect(s, "{\"n\":1}");
    wc_fake_expect(s, "{\"n\":2}");
    wc_fake_refresh(w, s, "{\"role\":\"third\",\"exp\":9100000000}");
    wc_fake_broadcast(w, s, "{\"n\":3}", NULL);
    wc_fake_answer(w, 0);
    wc_fake_expect(s,
                   "{\"extension\":\"system\",\"status\":\"error\",\"message\":\"You do not have "
                   "permissions to read from this Channel topic: r\",\"channel\":\"r\"}");
    wc_fake_expect(s, "phx_close");
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
}

static void what_is_held_back_is_bounded(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ);
    int64_t before = wc_metric_sum(WC_M_BROADCAST_HELD);
    wc_fake_refresh(w, s, OTHER_CLAIMS);
    for (unsigned i = 0; i < 300; i++)
        wc_fake_broadcast(w, s, "{}", NULL);
    assert_int_equal(wc_metric_sum(WC_M_BROADCAST_HELD) - before, 300 - 256);
    wc_fake_answer(w, READ);
    assert_int_equal(s->out.count, 256);
    wc_fake_refresh(w, s, "{\"role\":\"third\",\"exp\":9100000000}");
    wc_fake_broadcast(w, s, "{}", NULL);
    wc_fake_drop(s); /* with one held back */
}

static void a_presence_only_member_that_may_read_broadcasts_now_gets_them(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_PRESENT, SEE);
    wc_fake_skip(s);
    wc_fake_refresh(w, s, OTHER_CLAIMS);
    wc_fake_broadcast(w, s, "{\"n\":1}", NULL); /* when it might not */
    wc_fake_answer(w, SEE | READ);
    wc_fake_broadcast(w, s, "{\"n\":2}", NULL);
    wc_fake_expect(s, "{\"n\":2}");
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
}

static void presences_that_may_be_seen_now_begin_with_their_state(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_PRESENT, READ);
    wc_fake_refresh(w, s, OTHER_CLAIMS);
    wc_fake_answer(w, READ | SEE);
    wc_fake_settle(w);
    wc_fake_expect(s, "presence_state");
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
}

static void a_state_that_arrives_while_a_token_is_judged_is_asked_for_again(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_push(s, "phx_join", WC_FAKE_PRESENT, 1);
    wc_fake_answer(w, READ | SEE);
    wc_fake_skip(s);
    wc_fake_refresh(w, s, OTHER_CLAIMS);
    wc_fake_settle(w);
    wc_fake_expect_nothing(s);
    wc_fake_answer(w, READ | SEE);
    wc_fake_settle(w);
    wc_fake_expect(s, "presence_state");
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
}

static void
losing_one_of_two_permissions_shuts_the_channel_and_what_was_sent_is_answered(void **state)
{
    static const unsigned rest[] = {READ, SEE};
    struct wc_fake_world *w = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_PRESENT, READ | SEE);
        wc_fake_skip(s);
        wc_fake_refresh(w, s, OTHER_CLAIMS);
        wc_fake_push(s, "phx_leave", "{}", 5);
        wc_fake_answer(w, rest[i]);
        wc_fake_expect(
            s, "\"message\":\"You no longer have permission to read from this Channel topic: "
               "r\",\"channel\":\"r\"}");
        wc_fake_expect(s, "phx_close");
        wc_fake_expect(s, "\"5\",\"realtime:r\",\"phx_reply\",{\"status\":\"ok\"");
        wc_fake_expect_nothing(s);
        wc_fake_drop(s);
    }
}

static void a_new_token_that_cannot_be_judged_shuts_the_channel(void **state)
{
    static const struct {
        enum wc_authorize_error error;
        const char *text;
    } cases[] = {
        {WC_AUTHORIZE_POLICY, "\"You do not have permissions to read from this Channel topic: r\""},
        {WC_AUTHORIZE_CANCELED, "\"Query was cancelled, please try again\""},
        {WC_AUTHORIZE_UNAVAILABLE, "\"Realtime was unable to connect to the project database\""},
        {WC_AUTHORIZE_CONNECTIONS, "\"Realtime was unable to connect to the project database\""},
        {WC_AUTHORIZE_CONNECT_RATE, "\"Realtime was unable to connect to the project database\""},
        {WC_AUTHORIZE_POOL, "\"Please increase your connection pool size\""},
        {WC_AUTHORIZE_REPLAY, "\"You do not have permissions to read from this Channel topic: r\""},
        {(enum wc_authorize_error)77, "\"Realtime was unable to connect to the project database\""},
    };
    struct wc_fake_world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ);
        wc_fake_refresh(w, s, OTHER_CLAIMS);
        wc_fake_fail(w, cases[i].error);
        wc_fake_expect(s, cases[i].text);
        wc_fake_expect(s, "phx_close");
        wc_fake_drop(s);
    }
}

static void the_subscription_is_asked_for_again_when_the_new_token_is_judged(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_push(s, "phx_join", "{\"config\":{\"private\":true,\"postgres_changes\":[{}]}}", 1);
    wc_fake_answer(w, READ);
    wc_fake_refresh(w, s, OTHER_CLAIMS);
    assert_int_equal(w->source.subscribed, 1);
    wc_fake_answer(w, READ);
    assert_int_equal(w->source.subscribed, 2);
    assert_true(wc_slice_is(w->source.last->claims->role, "other"));
    wc_fake_drop(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, wc_fake_setup, wc_fake_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_new_token_is_asked_about_with_its_claims_and_write_is_forgotten),
        TEST(what_arrives_while_a_token_is_judged_is_delivered_only_if_it_may_be_read),
        TEST(what_is_held_back_is_bounded),
        TEST(a_presence_only_member_that_may_read_broadcasts_now_gets_them),
        TEST(presences_that_may_be_seen_now_begin_with_their_state),
        TEST(a_state_that_arrives_while_a_token_is_judged_is_asked_for_again),
        TEST(losing_one_of_two_permissions_shuts_the_channel_and_what_was_sent_is_answered),
        TEST(a_new_token_that_cannot_be_judged_shuts_the_channel),
        TEST(the_subscription_is_asked_for_again_when_the_new_token_is_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Sending to private rooms. */
#include "fanout/wait.h"
#include "tests/unit/fanout/fake_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { READ = WC_MAY_READ_BROADCAST, SEE = WC_MAY_READ_PRESENCE, WRITE = WC_MAY_WRITE };

static void the_first_broadcast_asks_and_what_follows_waits_in_order(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_ACKED, READ),
                      *other = wc_fake_member(w, 1, WC_FAKE_PRIVATE, READ);
    wc_fake_push(s, "broadcast", "{\"n\":1}", 2);
    assert_int_equal(wc_fake_asked(&w->source)->ask, WRITE);
    wc_fake_push(s, "broadcast", "{\"n\":2}", 3);
    wc_fake_push(s, "phx_leave", "{}", 4);
    wc_fake_settle(w);
    wc_fake_expect_nothing(other);
    wc_fake_answer(w, WRITE);
    wc_fake_settle(w);
    wc_fake_expect(other, "{\"n\":1}");
    wc_fake_expect(other, "{\"n\":2}");
    wc_fake_expect(s, "\"2\",\"realtime:r\",\"phx_reply\",{\"status\":\"ok\"");
    wc_fake_expect(s, "\"3\",\"realtime:r\",\"phx_reply\",{\"status\":\"ok\"");
    wc_fake_expect(s, "\"4\",\"realtime:r\",\"phx_reply\",{\"status\":\"ok\"");
    wc_fake_expect(s, "phx_close");
    assert_int_equal(w->source.asked, 3); /* two joins, one question about both messages */
    assert_int_equal(s->kept_bytes, 0);
    wc_fake_drop(other);
    wc_fake_drop(s);
}

static void what_may_not_be_sent_vanishes_without_a_reply_and_without_asking_again(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_ACKED, READ);
    wc_fake_push(s, "broadcast", "{\"n\":1}", 2);
    wc_fake_answer(w, WC_MAY_WRITE_PRESENCE);
    wc_fake_push(s, "broadcast", "{\"n\":2}", 3);
    wc_fake_settle(w);
    wc_fake_expect_nothing(s);
    assert_int_equal(w->source.asked, 2);
    wc_fake_push(s, "presence", WC_FAKE_TRACK, 4); /* settled with the broadcast, but for reading */
    assert_int_equal(wc_fake_asked(&w->source)->ask, SEE);
    wc_fake_answer(w, 0);
    wc_fake_settle(w);
    wc_fake_expect(s, "\"4\",\"realtime:r\",\"phx_reply\",{\"status\":\"ok\"");
    wc_fake_expect_nothing(s); /* its own diff, which it may not see */
    wc_fake_drop(s);
}

static void without_an_answer_nothing_is_sent_and_the_next_message_asks_again(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_ACKED, READ);
    wc_fake_push(s, "broadcast", "{\"n\":1}", 2);
    wc_fake_push(s, "presence", WC_FAKE_TRACK, 3);
    wc_fake_fail(w, WC_AUTHORIZE_UNAVAILABLE);
    wc_fake_settle(w);
    wc_fake_expect(s, "\"3\",\"realtime:r\",\"phx_reply\",{\"status\":\"error\",\"response\":{}}");
    wc_fake_expect_nothing(s);
    wc_fake_push(s, "broadcast", "{\"n\":4}", 4);
    assert_int_equal(wc_fake_asked(&w->source)->ask, WRITE);
    wc_fake_pass(w, WC_WAIT_ANSWER_MS * 1000);
    wc_wait_expire(w->hub[0]);
    struct wc_msg *late = wc_fake_permissions(&w->source, WRITE, WC_AUTHORIZE_OK);
    wc_fake_push(s, "broadcast", "{\"n\":5}", 5);
    wc_fake_deliver(w, late); /* to the question before */
    wc_fake_settle(w);
    wc_fake_expect_nothing(s);
    wc_fake_answer(w, WRITE);
    wc_fake_settle(w);
    wc_fake_expect(s, "\"5\",\"realtime:r\",\"phx_reply\"");
    wc_fake_expect(s, "{\"n\":5}");
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
}

static void a_first_track_asks_whether_it_may_see_presences(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ);
    wc_fake_push(s, "presence", "{\"event\":\"untrack\"}", 2);
    wc_fake_push(s, "presence", "{\"event\":\"dance\"}", 3);
    wc_fake_expect(s, "\"2\",\"realtime:r\",\"phx_reply\",{\"status\":\"ok\"");
    wc_fake_expect(s, "\"3\",\"realtime:r\",\"phx_reply\",{\"status\":\"error\"");
    assert_int_equal(w->source.asked, 1);
    wc_fake_push(s, "presence", WC_FAKE_TRACK, 4);
    assert_int_equal(wc_fake_asked(&w->source)->ask, WRITE | SEE);
    wc_fake_answer(w, WRITE | SEE);
    wc_fake_settle(w);
    wc_fake_expect(s, "\"4\",\"realtime:r\",\"phx_reply\",{\"status\":\"ok\"");
    wc_fake_expect(s, "presence_diff");
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
}

static void a_reader_may_see_others_and_not_track_itself(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_PRESENT, READ | SEE),
                      *other = wc_fake_member(w, 1, WC_FAKE_PRESENT, SEE);
    wc_fake_skip(s);
    wc_fake_skip(other);
    wc_fake_push(s, "presence", WC_FAKE_TRACK, 2);
    wc_fake_answer(w, WC_MAY_WRITE_BROADCAST);
    wc_fake_expect(s, "\"2\",\"realtime:r\",\"phx_reply\",{\"status\":\"error\",\"response\":{}}");
    wc_fake_push(s, "presence", "{\"event\":\"untrack\"}", 3);
    wc_fake_expect(s, "\"3\",\"realtime:r\",\"phx_reply\",{\"status\":\"ok\"");
    wc_fake_push(other, "presence", WC_FAKE_TRACK, 2);
    wc_fake_answer(w, WRITE);
    wc_fake_settle(w);
    wc_fake_expect(s, "presence_diff");
    wc_fake_drop(other);
    wc_fake_settle(w);
    wc_fake_expect(s, "\"leaves\":{\"k\"");
    wc_fake_drop(s);
}

static void a_large_first_message_is_kept_and_the_connection_not_read_meanwhile(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ);
    static char text[WC_WAIT_BYTES_MAX + 200];
    (void)snprintf(text, sizeof text, "[\"1\",\"2\",\"realtime:r\",\"broadcast\",{\"n\":\"%0*d\"}]",
                   WC_WAIT_BYTES_MAX, 0);
    wc_quota_set_limits(w->source.view.quota, &(struct wc_tenant_limits){.max_payload_kb = 1000});
    for (unsigned i = 0; i < 2; i++) /* the second was read already */
        wc_fake_send(s, text);
    assert_true(wc_wait_is_full(s));
    assert_false(wc_list_is_empty(&s->paused));
    struct wc_session *other = wc_fake_member(w, 1, WC_FAKE_PRIVATE, READ);
    struct wc_handle mine = {.thread = 0};
    mine = wc_channel_handle(&w->hub[0]->channels, wc_channel_find(&w->hub[0]->channels, s->serial,
                                                                   wc_slice_str("realtime:r")));
    struct wc_msg *m = wc_fake_permissions(&w->source, WRITE, WC_AUTHORIZE_OK);
    m->handle = mine;
    m->question = 2;
    wc_fake_deliver(w, m);
    assert_false(wc_wait_is_full(s));
    wc_fake_settle(w);
    for (unsigned i = 0; i < 2; i++)
        wc_fake_expect(other, "0000000");
    wc_fake_drop(other);
    wc_fake_drop(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, wc_fake_setup, wc_fake_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_first_broadcast_asks_and_what_follows_waits_in_order),
        TEST(what_may_not_be_sent_vanishes_without_a_reply_and_without_asking_again),
        TEST(without_an_answer_nothing_is_sent_and_the_next_message_asks_again),
        TEST(a_first_track_asks_whether_it_may_see_presences),
        TEST(a_reader_may_see_others_and_not_track_itself),
        TEST(a_large_first_message_is_kept_and_the_connection_not_read_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Joins that wait, limits of joins, new tokens and shutdown, without sockets. */
#include "fanout/phoenix.h"
#include "fanout/wait.h"
#include "tests/unit/fanout/fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MS = 1000 };

#define WAITING                                                                                    \
    "{\"config\":{\"postgres_changes\":[{\"event\":\"*\",\"schema\":\"public\"}],"                 \
    "\"postgres_changes_options\":{\"wait\":true,\"timeout\":200}}}"

static void send(struct wc_session *s, const char *topic, const char *event, const char *payload,
                 unsigned ref)
{
    char text[1024];
    assert_true(snprintf(text, sizeof text, "[\"1\",\"%u\",\"%s\",\"%s\",%s]", ref, topic, event,
                         payload) < (int)sizeof text);
    wc_fake_send(s, text);
}

/* The next message must contain this text. */
static void expect(struct wc_session *s, const char *part)
{
    struct wc_frame *f = wc_fake_take(s);
    if (!f)
        fail_msg("nothing instead of %s", part);
    struct wc_slice got = wc_slice(wc_frame_payload(f), f->len - f->payload);
    if (!memmem(got.p, got.len, part, strlen(part)))
        fail_msg("%.*s instead of %s", WC_SLICE_ARG(got), part);
    wc_frame_unref(f);
}

static void expect_nothing(struct wc_session *s)
{
    assert_int_equal(s->out.count, 0);
}

static void verdict(struct wc_fake_world *w, bool ok, const char *text)
{
    struct wc_msg *m = wc_msg_new(WC_MSG_VERDICT, wc_slice_str(text));
    assert_non_null(m);
    assert_non_null(w->source.last);
    m->handle = w->source.last->handle;
    m->ok = ok;
    wc_hub_deliver(w->hub[m->handle.thread], m);
    wc_msg_unref(m);
}

static void a_verdict_answers_the_join_and_what_was_kept_follows(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    send(s, "realtime:w", "phx_join", WAITING, 1);
    send(s, "realtime:w", "broadcast", "{\"event\":\"x\"}", 2);
    send(s, "realtime:w", "phx_leave", "{}", 3);
    expect_nothing(s);
    send(s, "phoenix", "heartbeat", "{}", 4);
    expect(s, "[null,\"4\",\"phoenix\"");
    verdict(w, true, "Subscribed to PostgreSQL");
    expect(s, "[\"1\",\"1\",\"realtime:w\",\"phx_reply\",{\"status\":\"ok\"");
    expect(s, "Subscribed to PostgreSQL");
    expect(s, "[\"1\",\"3\",\"realtime:w\",\"phx_reply\",{\"status\":\"ok\"");
    expect(s, "phx_close");
    expect_nothing(s);
    assert_int_equal(s->kept_bytes, 0);
    wc_fake_drop(s);
}

static void while_it_waits_the_channel_is_in_no_room(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2), *other = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_join(other, "w", "{}");
    send(s, "realtime:w", "phx_join", WAITING, 1);
    send(other, "realtime:w", "broadcast", "{\"event\":\"early\"}", 2);
    wc_fake_turn(w);
    expect_nothing(s);
    verdict(w, true, "yes");
    wc_fake_skip(s);
    send(other, "realtime:w", "broadcast", "{\"event\":\"late\"}", 3);
    wc_fake_turn(w);
    expect(s, "late");
    wc_fake_drop(s);
    wc_fake_drop(other);
}

static void a_verdict_against_it_or_none_in_time_refuses_the_join(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    send(s, "realtime:w", "phx_join", WAITING, 1);
    verdict(w, false, "no such table");
    expect(s, "{\"reason\":\"RealtimeDisabledForConfiguration: no such table\"}");
    assert_int_equal(w->source.unsubscribed, 1);
    assert_int_equal(s->nchannels, 0);
    send(s, "realtime:w", "phx_join", WAITING, 2);
    w->hub[0]->now += 199 * MS;
    wc_wait_expire(w->hub[0]);
    expect_nothing(s);
    w->hub[0]->now += MS;
    wc_wait_expire(w->hub[0]);
    expect(s, "\"PostgresChangesSubscribeTimeout: Timed out after 200ms waiting for the "
              "postgres_changes subscription\"");
    verdict(w, true, "too late");
    expect_nothing(s);
    wc_fake_drop(s);
}

static void joins_expire_each_in_its_time(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    send(s, "realtime:long", "phx_join",
         "{\"config\":{\"postgres_changes\":[{}],"
         "\"postgres_changes_options\":{\"wait\":true,\"timeout\":900}}}",
         1);
    send(s, "realtime:a", "phx_join", WAITING, 2);
    send(s, "realtime:a", "phx_join", WAITING, 3); /* kept, and begins to wait in its turn */
    send(s, "realtime:b", "phx_join", WAITING, 4);
    w->hub[0]->now += 200 * MS;
    wc_wait_expire(w->hub[0]);
    expect(s, "[\"1\",\"2\",\"realtime:a\",\"phx_reply\",{\"status\":\"error\"");
    expect(s, "[\"1\",\"4\",\"realtime:b\",\"phx_reply\",{\"status\":\"error\"");
    expect_nothing(s);
    w->hub[0]->now += 200 * MS;
    wc_wait_expire(w->hub[0]);
    expect(s, "[\"1\",\"3\",\"realtime:a\",\"phx_reply\",{\"status\":\"error\"");
    expect_nothing(s);
    w->hub[0]->now += 500 * MS;
    wc_wait_expire(w->hub[0]);
    expect(s, "[\"1\",\"1\",\"realtime:long\",\"phx_reply\",{\"status\":\"error\"");
    assert_true(wc_list_is_empty(&w->hub[0]->waiting));
    wc_fake_drop(s);
}

static void a_source_that_takes_nothing_refuses_at_once(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    w->source.answer = WC_AGAIN;
    send(s, "realtime:w", "phx_join", WAITING, 1);
    expect(s, "RealtimeDisabledForConfiguration: Unable to subscribe to changes: not now");
    expect_nothing(s);
    assert_int_equal(s->nchannels, 0);
    wc_fake_drop(s);
}

static void what_is_kept_is_bounded_over_all_topics_of_a_connection(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    static char text[WC_WAIT_BYTES_MAX / 4 + 100];
    for (unsigned i = 0; i < 10; i++) {
        char topic[32];
        (void)snprintf(topic, sizeof topic, "realtime:w%u", i); /* it fits */
        send(s, topic, "phx_join", WAITING, i);
        (void)snprintf(text, sizeof text, "[\"1\",\"9\",\"%s\",\"broadcast\",\"%0*d\"]", topic,
                       WC_WAIT_BYTES_MAX / 4 - 200, 0);
        wc_fake_send(s, text);
    }
    assert_in_range(s->kept_bytes, WC_WAIT_BYTES_MAX - 1000, WC_WAIT_BYTES_MAX);
    wc_fake_drop(s); /* with all of them waiting */
}

static void refresh(struct wc_fake_world *w, struct wc_session *s, const char *claims)
{
    char payload[2048];
    char *token = wc_fake_token(&w->source, claims);
    (void)snprintf(payload, sizeof payload,
                   "[null,null,\"realtime:t\",\"access_token\",{\"access_token\":\"%s\"}]", token);
    wc_fake_send(s, payload);
    free(token);
}

static void deliver_change(struct wc_fake_world *w, struct wc_handle to, const char *data)
{
    struct wc_msg *m = wc_msg_new(WC_MSG_DIRECT, wc_slice(NULL, 0));
    assert_non_null(m);
    m->handle = to;
    m->frame[WC_PHX_V2] =
        wc_phx_change(WC_PHX_V2, wc_slice_str("realtime:t"), NULL, 0, wc_slice_str(data));
    wc_hub_deliver(w->hub[0], m);
    wc_msg_unref(m);
}

static void with_a_new_token_the_subscription_goes_on_until_the_next_stands(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_join(s, "t", "{\"postgres_changes\":[{\"event\":\"*\"}]}");
    struct wc_handle before = w->source.last->handle;
    refresh(w, s, "{\"role\":\"admin\",\"exp\":9100000000}");
    assert_int_equal(w->source.unsubscribed, 0);
    assert_int_equal(w->source.last->handle.slot, before.slot);
    assert_int_equal(w->source.last->handle.generation, before.generation);
    assert_true(wc_slice_is(w->source.last->claims->role, "admin"));
    assert_true(wc_slice_is(w->source.last->binding[0].json, "{\"event\":\"*\"}"));
    deliver_change(w, before, "\"under way\"");
    expect(s, "under way");
    refresh(w, s, "{\"role\":\"admin\",\"exp\":9100000000}"); /* the same again */
    assert_int_equal(w->source.subscribed, 2);
    assert_true(wc_channels_ok(&w->hub[0]->channels));
    wc_fake_drop(s);
    assert_true(wc_channels_ok(&w->hub[0]->channels));
}

static void a_new_token_that_is_not_taken_ends_the_subscription(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_join(s, "t", "{\"postgres_changes\":[{\"event\":\"*\"}]}");
    struct wc_handle before = w->source.last->handle;
    w->source.answer = WC_AGAIN;
    refresh(w, s, "{\"role\":\"admin\",\"exp\":9100000000}");
    expect(s, "Unable to subscribe to changes: not now");
    assert_int_equal(w->source.unsubscribed, 1);
    assert_int_equal(w->source.unsubscribed_handle.generation, before.generation);
    deliver_change(w, before, "\"on the old claims\"");
    expect_nothing(s);
    wc_fake_drop(s);
}

static void a_sender_that_refreshes_does_not_get_its_own_broadcast(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    char payload[2048];
    wc_fake_join(s, "t", "{\"postgres_changes\":[{\"event\":\"*\"}]}");
    char *token = wc_fake_token(&w->source, "{\"role\":\"admin\",\"exp\":9100000000}");
    (void)snprintf(payload, sizeof payload,
                   "[null,null,\"realtime:t\",\"access_token\",{\"access_token\":\"%s\"}]", token);
    send(s, "realtime:t", "broadcast", "{\"event\":\"mine\"}", 2);
    wc_fake_send(s, payload);
    wc_fake_turn(w);
    expect_nothing(s);
    free(token);
    wc_fake_drop(s);
}

static void over_the_rate_every_receiver_is_shut_and_the_room_may_end(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_quota *q = w->source.view.quota;
    struct wc_session *a = wc_fake_open(w, 0, WC_PHX_V2), *b = wc_fake_open(w, 0, WC_PHX_V1);
    wc_quota_set_limits(q, &(struct wc_tenant_limits){.max_events_per_second = 1});
    wc_quota_tick(q, 1);
    wc_fake_join(a, "r", "{\"broadcast\":{\"self\":true}}");
    wc_fake_join(b, "r", "{}");
    wc_quota_count(q, 0, WC_QUOTA_EVENTS, 1000);
    wc_quota_tick(q, 5000001);
    send(a, "realtime:r", "broadcast", "{\"event\":\"x\"}", 2);
    wc_fake_turn(w);
    for (unsigned i = 0; i < 2; i++) {
        expect(i ? b : a, "Too many messages per second");
        expect(i ? b : a, "phx_close");
        expect_nothing(i ? b : a);
    }
    assert_int_equal(w->hub[0]->groups[WC_GROUP_ROOM].map.count, 0);
    wc_fake_drop(a);
    wc_fake_drop(b);
}

static void a_place_is_held_only_by_who_has_joined(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_quota *q = w->source.view.quota;
    wc_quota_set_limits(q, &(struct wc_tenant_limits){.max_concurrent_users = 1});
    struct wc_session *a = wc_fake_open(w, 0, WC_PHX_V2), *b = wc_fake_open(w, 1, WC_PHX_V2);
    send(a, "realtime:w", "phx_join", WAITING, 1); /* reserved while it waits */
    assert_true(wc_quota_is_full(q));
    send(b, "realtime:w", "phx_join", "{\"config\":{}}", 1);
    expect(b, "ConnectionRateLimitReached: Too many connected users");
    verdict(w, false, "no");
    assert_false(wc_quota_is_full(q));
    send(b, "realtime:w", "phx_join", "{\"config\":{}}", 2);
    expect(b, "\"status\":\"ok\"");
    wc_fake_skip(a);
    send(a, "realtime:w", "phx_join", "{\"config\":{}}", 3);
    expect(a, "ConnectionRateLimitReached");
    wc_fake_drop(b);
    assert_false(wc_quota_is_full(q));
    wc_fake_drop(a);
}

static void on_the_way_down_joins_are_refused_and_channels_told(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_join(s, "a", "{}");
    send(s, "realtime:w", "phx_join", WAITING, 5);
    w->hub[0]->is_restarting = true;
    send(s, "realtime:b", "phx_join", "{\"config\":{}}", 6);
    expect(s, "{\"reason\":\"RealtimeRestarting: Realtime is restarting, please standby\"}");
    wc_session_disconnect(s, WC_CLOSE_SHUTDOWN);
    expect(s, "[null,null,\"realtime:a\",\"system\",{\"extension\":\"system\",\"status\":\"ok\","
              "\"message\":\"Server requested disconnect\"}]");
    assert_int_equal(s->out.count, 1); /* the close frame; nothing to who still waits */
    assert_int_equal(s->state, WC_SESSION_CLOSING);
    wc_fake_drop(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, wc_fake_setup, wc_fake_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_verdict_answers_the_join_and_what_was_kept_follows),
        TEST(while_it_waits_the_channel_is_in_no_room),
        TEST(a_verdict_against_it_or_none_in_time_refuses_the_join),
        TEST(joins_expire_each_in_its_time),
        TEST(a_source_that_takes_nothing_refuses_at_once),
        TEST(what_is_kept_is_bounded_over_all_topics_of_a_connection),
        TEST(with_a_new_token_the_subscription_goes_on_until_the_next_stands),
        TEST(a_new_token_that_is_not_taken_ends_the_subscription),
        TEST(a_sender_that_refreshes_does_not_get_its_own_broadcast),
        TEST(over_the_rate_every_receiver_is_shut_and_the_room_may_end),
        TEST(a_place_is_held_only_by_who_has_joined),
        TEST(on_the_way_down_joins_are_refused_and_channels_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Joins of private rooms, and who gets what in them, without sockets or a database. */
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
/* ---- joins ---- */

static void a_join_asks_what_it_may_read_and_is_answered_once(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    s->headers = strdup("{\"x-real-ip\":\"192.0.2.1\"}");
    wc_fake_push(s, "phx_join", WC_FAKE_PRIVATE, 1);
    wc_fake_expect_nothing(s);
    const struct wc_authorize *q = wc_fake_asked(&w->source);
    assert_int_equal(q->ask, READ);
    assert_true(wc_slice_is(q->topic, "r"));
    assert_true(wc_slice_is(q->headers, "{\"x-real-ip\":\"192.0.2.1\"}"));
    assert_ptr_equal(q->claims, s->claims);
    assert_false(q->is_call || q->wants_replay);
    assert_int_equal(atomic_load(&w->source.touched), 1);
    wc_fake_send(s, "[null,\"7\",\"phoenix\",\"heartbeat\",{}]");
    wc_fake_expect(s, "[null,\"7\",\"phoenix\"");
    wc_fake_answer(w, READ);
    wc_fake_expect(s, "[\"1\",\"1\",\"realtime:r\",\"phx_reply\",{\"status\":\"ok\","
                      "\"response\":{\"postgres_changes\":[]}}]");
    wc_fake_answer(w, READ);
    wc_fake_expect_nothing(s);
    assert_int_equal(w->source.asked, 1);
    wc_fake_drop(s);
}

static void presence_is_asked_about_when_client_or_tenant_want_it(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_push(s, "phx_join", WC_FAKE_PRESENT, 1);
    assert_int_equal(wc_fake_asked(&w->source)->ask, READ | SEE);
    wc_fake_drop(s);
    wc_quota_set_limits(w->source.view.quota,
                        &(struct wc_tenant_limits){.max_payload_kb = 1, .presence_enabled = true});
    s = wc_fake_member(w, 0, WC_FAKE_PRIVATE, SEE);
    assert_int_equal(wc_fake_asked(&w->source)->ask, READ | SEE);
    wc_fake_expect(s, "presence_state");
    wc_fake_drop(s);
}

static void a_failed_question_refuses_the_join_in_the_words_of_the_reference(void **state)
{
    static const struct {
        enum wc_authorize_error error;
        const char *reason;
    } cases[] = {
        {WC_AUTHORIZE_POLICY, WC_FAKE_UNAUTHORIZED},
        {WC_AUTHORIZE_CANCELED, "{\"reason\":\"QueryCanceled: "},
        {WC_AUTHORIZE_NO_PARTITION, "{\"reason\":\"MissingPartition: Realtime was unable to find "
                                    "the expected messages partition\"}"},
        {WC_AUTHORIZE_POOL, "{\"reason\":\"IncreaseConnectionPool: Please increase your "
                            "connection pool size\"}"},
        {WC_AUTHORIZE_UNAVAILABLE, "{\"reason\":\"UnableToConnectToProject: Realtime was unable "
                                   "to connect to the project database\"}"},
        {WC_AUTHORIZE_CONNECTIONS, "{\"reason\":\"DatabaseLackOfConnections: Database can't "
                                   "accept more connections, Realtime won't connect\"}"},
        {WC_AUTHORIZE_CONNECT_RATE, "{\"reason\":\"DatabaseConnectionRateLimitReached: Too many "
                                    "database connections attempts per second\"}"},
        {WC_AUTHORIZE_REPLAY, "{\"reason\":\"UnableToReplayMessages: Realtime was unable to "
                              "replay messages\"}"},
        {(enum wc_authorize_error)99, "{\"reason\":\"UnableToConnectToProject: "},
    };
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wc_fake_push(s, "phx_join", REPLAYING, 1);
        wc_fake_fail(w, cases[i].error);
        wc_fake_expect(s, cases[i].reason);
        wc_fake_expect_nothing(s);
        assert_int_equal(s->nchannels, 0);
    }
    wc_fake_push(s, "phx_join", WC_FAKE_PRIVATE, 1);
    wc_fake_answer(w, WC_MAY_WRITE | SEE); /* none of which was asked */
    wc_fake_expect(s, WC_FAKE_UNAUTHORIZED);
    wc_fake_drop(s);
}

static void a_question_that_is_not_taken_or_not_answered_refuses_the_join(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    w->source.authorize_answer = WC_AGAIN;
    wc_fake_push(s, "phx_join", WC_FAKE_PRIVATE, 1);
    wc_fake_expect(s, "IncreaseConnectionPool");
    w->source.authorize_answer = WC_OK;
    wc_fake_push(s, "phx_join", WC_FAKE_PRIVATE, 2);
    wc_fake_push(s, "broadcast", "{}", 3);
    wc_fake_pass(w, WC_WAIT_ANSWER_MS * 1000 - 1);
    wc_wait_expire(w->hub[0]);
    wc_fake_expect_nothing(s);
    wc_fake_pass(w, 1);
    wc_wait_expire(w->hub[0]);
    wc_fake_expect(s, "UnableToConnectToProject");
    wc_fake_expect(s, "unmatched topic"); /* what was kept */
    wc_fake_answer(w, READ);
    wc_fake_expect_nothing(s);
    assert_int_equal(s->nchannels, 0);
    wc_fake_drop(s);
}

static void a_token_that_expires_meanwhile_refuses_the_join(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_push(s, "phx_join", WC_FAKE_PRIVATE, 1);
    wc_hub_expire(w->hub[0], INT64_C(9000000003));
    wc_fake_expect(s, "{\"reason\":\"InvalidJWTToken: Token has expired 3 seconds ago\"}");
    wc_fake_expect_nothing(s);
    wc_fake_drop(s);
}

static void permissions_come_first_then_the_changes_it_waits_for(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_push(s, "phx_join",
                 "{\"config\":{\"private\":true,\"postgres_changes\":[{\"table\":\"t\"}],"
                 "\"postgres_changes_options\":{\"wait\":true,\"timeout\":100}}}",
                 1);
    wc_fake_push(s, "phx_leave", "{}", 2);
    assert_int_equal(w->source.subscribed, 0);
    wc_fake_pass(w, 1000000); /* the time for the changes begins with the answer */
    wc_wait_expire(w->hub[0]);
    wc_fake_answer(w, READ);
    assert_int_equal(w->source.subscribed, 1);
    wc_fake_answer(w, 0); /* the same question again changes nothing */
    wc_fake_expect_nothing(s);
    struct wc_msg *m = wc_msg_new(WC_MSG_VERDICT, wc_slice_str("Subscribed to PostgreSQL"));
    assert_non_null(m);
    m->handle = w->source.last->handle;
    m->ok = true;
    wc_fake_deliver(w, m);
    wc_fake_expect(s, "\"status\":\"ok\"");
    wc_fake_expect(s, "Subscribed to PostgreSQL");
    wc_fake_expect(s, "[\"1\",\"2\",\"realtime:r\",\"phx_reply\"");
    wc_fake_drop(s);
}

static void changes_of_a_refused_join_are_not_asked_for(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    wc_fake_push(s, "phx_join", "{\"config\":{\"private\":\"TRUE\",\"postgres_changes\":[{}]}}", 1);
    wc_fake_answer(w, 0);
    wc_fake_expect(s, WC_FAKE_UNAUTHORIZED);
    assert_int_equal(w->source.subscribed, 0);
    wc_fake_push(s, "phx_join", "{\"config\":{\"private\":true,\"postgres_changes\":[{}]}}", 1);
    wc_fake_answer(w, READ);
    wc_fake_expect(s, "\"status\":\"ok\"");
    assert_int_equal(w->source.subscribed, 1);
    wc_fake_drop(s);
}

static void a_tenant_may_refuse_public_channels_or_all(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    w->source.view.private_only = true;
    wc_fake_push(s, "phx_join", "{\"config\":{}}", 1);
    wc_fake_expect(s, "{\"reason\":\"PrivateOnly: This project only allows private channels\"}");
    wc_fake_push(s, "phx_join", "null", 1);
    wc_fake_expect(s, "PrivateOnly");
    wc_fake_push(s, "phx_join", WC_FAKE_PRIVATE, 1);
    wc_fake_answer(w, READ);
    wc_fake_expect(s, "\"status\":\"ok\"");
    w->source.view.is_suspended = true;
    wc_fake_push(s, "phx_join", WC_FAKE_PRIVATE, 2);
    wc_fake_expect(s,
                   "{\"reason\":\"RealtimeDisabledForTenant: Realtime disabled for this tenant\"}");
    wc_fake_expect(s, "phx_close");
    assert_int_equal(w->source.asked, 1);
    w->source.view.private_only = w->source.view.is_suspended = false;
    wc_fake_drop(s);
}

/* ---- delivery ---- */

static void a_private_room_is_not_the_public_one_of_the_same_name(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *private = wc_fake_member(w, 0, WC_FAKE_PRIVATE, READ),
                      *public = wc_fake_open(w, 0, 0);
    wc_fake_join(public, "r", "{\"broadcast\":{\"self\":true}}");
    wc_fake_push(public, "broadcast", "{\"event\":\"open\"}", 2);
    wc_fake_broadcast(w, private, "{\"event\":\"closed\"}", NULL);
    wc_fake_settle(w);
    wc_fake_expect(private, "closed");
    wc_fake_expect(public, "open");
    wc_fake_expect_nothing(private);
    wc_fake_expect_nothing(public);
    wc_fake_drop(private);
    wc_fake_drop(public);
}

static void
who_may_not_read_broadcasts_gets_none_and_who_may_not_see_presences_neither(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *reads = wc_fake_member(w, 0, WC_FAKE_PRESENT, READ),
                      *sees = wc_fake_member(w, 1, WC_FAKE_PRESENT, SEE);
    wc_fake_expect_nothing(reads);
    wc_fake_expect(sees, "presence_state");
    wc_fake_broadcast(w, reads, "{\"event\":\"b\"}", NULL);
    wc_fake_expect(reads, "{\"event\":\"b\"}");
    wc_fake_expect_nothing(sees);
    wc_fake_push(sees, "presence", WC_FAKE_TRACK, 2);
    wc_fake_answer(w, WRITE);
    wc_fake_settle(w);
    wc_fake_expect(sees, "\"2\",\"realtime:r\",\"phx_reply\",{\"status\":\"ok\"");
    wc_fake_expect(sees, "presence_diff");
    wc_fake_expect_nothing(reads);
    wc_fake_drop(sees);
    wc_fake_drop(reads);
}

static void over_the_rate_only_those_who_may_read_are_shut(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_quota *q = w->source.view.quota;
    struct wc_session *reads = wc_fake_member(w, 0, WC_FAKE_PRESENT, READ),
                      *sees = wc_fake_member(w, 0, WC_FAKE_PRESENT, SEE);
    wc_fake_skip(sees);
    wc_quota_set_limits(q, &(struct wc_tenant_limits){.max_events_per_second = 1});
    wc_quota_tick(q, 1);
    wc_quota_count(q, 0, WC_QUOTA_EVENTS, 1000);
    wc_quota_tick(q, 5000001);
    wc_fake_broadcast(w, sees, "{}", NULL);
    wc_fake_expect(reads, "Too many messages per second");
    wc_fake_expect_nothing(sees);
    wc_fake_drop(sees);
    wc_fake_drop(reads);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, wc_fake_setup, wc_fake_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_join_asks_what_it_may_read_and_is_answered_once),
        TEST(presence_is_asked_about_when_client_or_tenant_want_it),
        TEST(a_failed_question_refuses_the_join_in_the_words_of_the_reference),
        TEST(a_question_that_is_not_taken_or_not_answered_refuses_the_join),
        TEST(a_token_that_expires_meanwhile_refuses_the_join),
        TEST(permissions_come_first_then_the_changes_it_waits_for),
        TEST(changes_of_a_refused_join_are_not_asked_for),
        TEST(a_tenant_may_refuse_public_channels_or_all),
        TEST(a_private_room_is_not_the_public_one_of_the_same_name),
        TEST(who_may_not_read_broadcasts_gets_none_and_who_may_not_see_presences_neither),
        TEST(over_the_rate_only_those_who_may_read_are_shut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

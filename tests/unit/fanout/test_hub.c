/* Sessions, joins, delivery and pacing, without sockets: what a session would write is read from
 * its queue. */
#include "fanout/hub.h"
#include "tests/unit/fanout/fake_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_QUEUED = 10000, PACE = 1000000 }; /* the pace: a byte buys a microsecond */

struct world {
    struct wc_fake_source source;
    struct wc_mesh *mesh;
    struct wc_rooms *rooms;
    struct wc_hub *hub;
    char *token;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    wc_fake_source_init(&w->source);
    w->token = wc_fake_token(&w->source, "{\"role\":\"anon\",\"exp\":9000000000}");
    w->mesh = wc_mesh_new(1, 2, 64);
    w->rooms = wc_rooms_new();
    w->hub = wc_hub_new(&(struct wc_hub_options){.thread = 1,
                                                 .mesh = w->mesh,
                                                 .rooms = w->rooms,
                                                 .source = wc_fake_bridge(&w->source),
                                                 .max_queued_bytes = MAX_QUEUED,
                                                 .pace_bytes_per_second = PACE,
                                                 .idle_timeout = 60000000});
    wc_thread_own(&w->hub->owner);
    w->hub->now = 1000;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    wc_hub_free(w->hub);
    wc_rooms_free(w->rooms);
    wc_mesh_free(w->mesh);
    wc_fake_source_release(&w->source);
    free(w->token);
    free(w);
    return 0;
}

static struct wc_session *connect_with(struct world *w, enum wc_serializer serializer,
                                       const char *token)
{
    struct wc_directory d = wc_fake_directory(&w->source);
    struct wc_connect_request req = {.vsn =
                                         wc_slice_str(serializer == WC_PHX_V1 ? "1.0.0" : "2.0.0"),
                                     .address.host = wc_slice_str("dev"),
                                     .key = wc_slice_str(token)};
    struct wc_connect_result r = wc_connect_check(&d, &req, 0);
    assert_int_equal(r.status, 0);
    struct wc_session *s = wc_session_new(w->hub, &r);
    assert_non_null(s);
    wc_session_open(s);
    return s;
}

static struct wc_session *open_session(struct world *w, enum wc_serializer serializer)
{
    return connect_with(w, serializer, w->token);
}

static void drop(struct wc_session *s)
{
    wc_session_lost(s, WC_CLOSE_ABORTED);
    wc_session_free(s);
}

static void send(struct wc_session *s, const char *message)
{
    wc_session_receive(s, wc_slice_str(message), false);
}

static void written(struct wc_session *s, size_t n)
{
    wc_session_written(s, n);
    wc_session_accepted(s, n);
}

static void expect(struct wc_session *s, const char *want)
{
    assert_true(s->out.count > 0);
    struct wc_frame *f = wc_outq_at(&s->out, 0)->frame;
    char *got = wc_slice_dup(wc_slice(wc_frame_payload(f), f->len - f->payload));
    assert_string_equal(got, want);
    free(got);
    written(s, f->len);
}

static void expect_nothing(struct wc_session *s)
{
    assert_int_equal(s->out.count, 0);
}

#define OK_REPLY(join_ref, ref, topic, response)                                                   \
    "[" join_ref "," ref ",\"" topic "\",\"phx_reply\",{\"status\":\"ok\",\"response\":" response  \
    "}]"
#define ERROR_REPLY(join_ref, ref, topic, reason)                                                  \
    "[" join_ref "," ref ",\"" topic "\",\"phx_reply\",{\"status\":\"error\",\"response\":"        \
    "{\"reason\":\"" reason "\"}}]"

static void heartbeats_are_answered(void **state)
{
    struct wc_session *v1 = open_session(*state, WC_PHX_V1), *v2 = open_session(*state, WC_PHX_V2);
    send(v1, "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":\"5\"}");
    expect(v1, "{\"topic\":\"phoenix\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\","
               "\"response\":{}},\"ref\":\"5\"}");
    send(v2, "[null,\"5\",\"phoenix\",\"heartbeat\",{}]");
    expect(v2, OK_REPLY("null", "\"5\"", "phoenix", "{}"));
    drop(v1);
    drop(v2);
}

static void a_v1_session_takes_binary_for_text(void **state)
{
    struct wc_session *s = open_session(*state, WC_PHX_V1);
    const char *m = "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":1}";
    wc_session_receive(s, wc_slice_str(m), true);
    assert_int_equal(s->out.count, 1);
    drop(s);
}

static void unknown_topics_are_unmatched_except_for_leave(void **state)
{
    struct wc_session *s = open_session(*state, WC_PHX_V2);
    send(s, "[\"1\",\"1\",\"room:x\",\"phx_join\",{}]");
    expect(s, ERROR_REPLY("null", "\"1\"", "room:x", "unmatched topic"));
    send(s, "[\"1\",\"2\",\"realtime:n\",\"broadcast\",{}]");
    expect(s, ERROR_REPLY("null", "\"2\"", "realtime:n", "unmatched topic"));
    send(s, "[\"1\",\"3\",\"realtime:n\",\"phx_leave\",{}]");
    expect(s, OK_REPLY("\"1\"", "\"3\"", "realtime:n", "{}"));
    drop(s);
}

static void garbage_is_dropped_and_counted(void **state)
{
    struct wc_session *s = open_session(*state, WC_PHX_V2);
    int64_t before = wc_metric_sum(WC_M_MALFORMED_IN);
    send(s, "");
    send(s, "{}");
    send(s, "[1,2]");
    wc_session_receive(s, wc_slice("\x03\xff", 2), true);
    assert_int_equal(wc_metric_sum(WC_M_MALFORMED_IN), before + 4);
    expect_nothing(s);
    assert_int_equal(s->state, WC_SESSION_OPEN);
    drop(s);
}

static void join_and_leave(void **state)
{
    struct wc_session *s = open_session(*state, WC_PHX_V2);
    send(s, "[\"1\",\"1\",\"realtime:a\",\"phx_join\",{\"config\":{}}]");
    expect(s, OK_REPLY("\"1\"", "\"1\"", "realtime:a", "{\"postgres_changes\":[]}"));
    send(s, "[\"1\",\"2\",\"realtime:a\",\"whatever\",{}]");
    send(s, "[\"7\",\"3\",\"realtime:a\",\"phx_leave\",{}]"); /* of another join */
    expect_nothing(s);
    send(s, "[\"1\",\"4\",\"realtime:a\",\"phx_leave\",{}]");
    expect(s, OK_REPLY("\"1\"", "\"4\"", "realtime:a", "{}"));
    expect(s, "[\"1\",\"1\",\"realtime:a\",\"phx_close\",{}]");
    assert_int_equal(s->nchannels, 0);
    drop(s);
}

static void a_join_without_join_ref_is_left_by_any_leave(void **state)
{
    struct wc_session *s = open_session(*state, WC_PHX_V1);
    send(s, "{\"topic\":\"realtime:a\",\"event\":\"phx_join\",\"payload\":{\"config\":null},"
            "\"ref\":\"1\"}");
    expect(s, "{\"topic\":\"realtime:a\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\","
              "\"response\":{\"postgres_changes\":[]}},\"ref\":\"1\"}");
    send(s, "{\"topic\":\"realtime:a\",\"event\":\"phx_leave\",\"payload\":{},\"ref\":\"2\",\"join_"
            "ref\":\"9\"}");
    expect(s, "{\"topic\":\"realtime:a\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\","
              "\"response\":{}},\"ref\":\"2\"}");
    expect(s, "{\"topic\":\"realtime:a\",\"event\":\"phx_close\",\"payload\":{},\"ref\":null}");
    drop(s);
}

static void joining_again_closes_the_old_channel_after_the_reply(void **state)
{
    struct wc_session *s = open_session(*state, WC_PHX_V2);
    send(s, "[\"1\",\"1\",\"realtime:a\",\"phx_join\",{\"config\":{}}]");
    written(s, s->out.bytes);
    send(s, "[\"2\",\"2\",\"realtime:a\",\"phx_join\",{\"config\":{}}]");
    expect(s, OK_REPLY("\"2\"", "\"2\"", "realtime:a", "{\"postgres_changes\":[]}"));
    expect(s, "[\"1\",\"1\",\"realtime:a\",\"phx_close\",{}]");
    send(s,
         "[\"3\",\"3\",\"realtime:a\",\"phx_join\",{\"config\":{},\"access_token\":\"potato\"}]");
    expect(s, ERROR_REPLY("\"3\"", "\"3\"", "realtime:a",
                          "MalformedJWT: The token provided is not a valid JWT"));
    expect(s, "[\"2\",\"2\",\"realtime:a\",\"phx_close\",{}]");
    assert_int_equal(s->nchannels, 0);
    drop(s);
}

static void joins_are_refused_with_the_documented_reasons(void **state)
{
    static const struct {
        const char *topic, *payload, *reason;
    } cases[] = {
        {"realtime:", "{}", "TopicNameRequired: You must provide a topic name"},
        {"realtime:a", "{\"config\":{\"broadcast\":{\"replay\":{\"since\":1}}}}",
         "UnableToReplayMessages: Replay is not allowed for public channels"},
        {"realtime:a", "{\"config\":{\"broadcast\":{\"replay\":null}}}",
         "UnableToReplayMessages: Replay is not allowed for public channels"},
        {"realtime:a", "{\"config\":[]}", "UnknownErrorOnChannel: config is not an object"},
        {"realtime:a", "{\"config\":1}", "UnknownErrorOnChannel: config is not an object"},
        {"realtime:a", "null", "UnknownErrorOnChannel: the join payload is not an object"},
        {"realtime:a", "{\"config\":{\"postgres_changes\":[{},7]}}",
         "UnknownErrorOnChannel: postgres_changes holds something that is not an object"},
        {"realtime:a", "{\"user_token\":\"potato\",\"access_token\":\"sb\"}",
         "MalformedJWT: The token provided is not a valid JWT"},
    };
    struct world *w = *state;
    struct wc_session *s = open_session(w, WC_PHX_V2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[512], want[512];
        assert_true(snprintf(message, sizeof message, "[null,\"1\",\"%s\",\"phx_join\",%s]",
                             cases[i].topic, cases[i].payload) > 0);
        assert_true(snprintf(want, sizeof want, ERROR_REPLY("null", "\"1\"", "%s", "%s"),
                             cases[i].topic, cases[i].reason) > 0);
        send(s, message);
        expect(s, want);
        expect_nothing(s);
    }
    assert_int_equal(s->nchannels, 0);
    assert_int_equal(w->source.subscribed, 0);
    drop(s);
}

static void lenient_configurations_join_without_subscription(void **state)
{
    static const char *const payloads[] = {
        "{\"config\":null}",
        "{\"config\":{\"private\":\"yes\"}}",
        "{\"config\":{\"postgres_changes\":null}}",
        "{\"config\":{\"postgres_changes\":[null]}}",
        "{\"config\":{\"postgres_changes\":\"x\"}}",
        "{\"config\":{\"postgres_changes\":{}}}",
        "{\"config\":{},\"access_token\":\"sb_x\"}",
        "{\"config\":{},\"access_token\":7,\"user_token\":null}",
    };
    struct world *w = *state;
    struct wc_session *s = open_session(w, WC_PHX_V2);
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        char message[256];
        assert_true(snprintf(message, sizeof message, "[null,1,\"realtime:%zu\",\"phx_join\",%s]",
                             i, payloads[i]) > 0);
        send(s, message);
        assert_int_equal(s->nchannels, i + 1);
        written(s, s->out.bytes);
    }
    assert_int_equal(w->source.subscribed, 0);
    drop(s);
}

static void the_connections_own_token_can_run_out(void **state)
{
    struct world *w = *state;
    char *token = wc_fake_token(&w->source, "{\"role\":\"anon\",\"exp\":10}");
    struct wc_session *s = connect_with(w, WC_PHX_V2, token); /* at time 0 */
    send(s, "[null,1,\"realtime:a\",\"phx_join\",{\"config\":{}}]");
    struct wc_frame *f = wc_outq_at(&s->out, 0)->frame;
    char *got = wc_slice_dup(wc_slice(wc_frame_payload(f), f->len - f->payload));
    assert_non_null(strstr(got, "\"InvalidJWTToken: Token has expired "));
    free(got);
    free(token);
    drop(s);
}

/* Joins with one binding; the reply is consumed, the request is in source.last. */
static struct wc_handle subscribe(struct world *w, struct wc_session *s)
{
    send(s,
         s->serializer == WC_PHX_V1
             ? "{\"topic\":\"realtime:a\",\"event\":\"phx_join\",\"ref\":\"1\",\"join_ref\":\"1\","
               "\"payload\":{\"config\":{\"postgres_changes\":[{\"table\":\"t\"}]}}}"
             : "[\"1\",\"1\",\"realtime:a\",\"phx_join\",{\"config\":{\"postgres_changes\":"
               "[{\"table\":\"t\"}]}}]");
    written(s, s->out.bytes);
    assert_non_null(w->source.last);
    return w->source.last->handle;
}

static void bindings_are_answered_with_ids_and_handed_on(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_session(w, WC_PHX_V2);
    send(s, "[\"1\",\"1\",\"realtime:a\",\"phx_join\",{\"config\":{\"postgres_changes\":"
            "[{ \"event\":\"*\" }, null, {\"event\" : \"*\"}, {}]}}]");
    struct wc_subscribe *r = w->source.last;
    assert_non_null(r);
    assert_int_equal(r->nbindings, 3);
    uint32_t id = r->binding[0].id;
    assert_int_equal(r->binding[1].id, id + 1); /* equal objects, unique ids */
    assert_true(wc_slice_is(r->binding[0].json, "{ \"event\":\"*\" }"));
    assert_true(wc_slice_is(r->topic, "realtime:a"));
    assert_true(wc_slice_is(r->claims->role, "anon"));
    assert_int_equal(r->handle.thread, 1);
    char want[256];
    assert_true(snprintf(want, sizeof want,
                         OK_REPLY("\"1\"", "\"1\"", "realtime:a",
                                  "{\"postgres_changes\":[{ \"event\":\"*\" ,\"id\":%u},{\"event\" "
                                  ": \"*\",\"id\":%u},{\"id\":%u}]}"),
                         id, id + 1, r->binding[2].id) > 0);
    expect(s, want);
    struct wc_handle h = r->handle;
    drop(s);
    assert_int_equal(w->source.unsubscribed, 1);
    assert_int_equal(w->source.unsubscribed_handle.slot, h.slot);
    assert_int_equal(w->source.unsubscribed_handle.generation, h.generation);
}

static void a_legacy_topic_is_its_own_binding(void **state)
{
    static const char *const cases[][2] = {
        {"*", "{\"schema\":\"*\"}"},
        {"public:t", "{\"schema\":\"public\",\"table\":\"t\"}"},
        {"public:t:id=eq.a:b", "{\"schema\":\"public\",\"table\":\"t\",\"filter\":\"id=eq.a:b\"}"},
        {"a\\\"b:", "{\"schema\":\"a\\\"b\",\"table\":\"\"}"},
    };
    struct world *w = *state;
    struct wc_session *s = open_session(w, WC_PHX_V2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[256];
        assert_true(snprintf(message, sizeof message,
                             "[null,1,\"realtime:%s\",\"phx_join\",{\"user_token\":\"%s\"}]",
                             cases[i][0], w->token) > 0);
        send(s, message);
        assert_non_null(w->source.last);
        assert_int_equal(w->source.last->nbindings, 1);
        assert_true(wc_slice_is(w->source.last->binding[0].json, cases[i][1]));
        written(s, s->out.bytes);
    }
    drop(s);
}

static void a_refused_subscription_is_told(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_session(w, WC_PHX_V2);
    w->source.answer = WC_AGAIN;
    send(s, "[\"1\",\"1\",\"realtime:a\",\"phx_join\",{\"config\":{\"postgres_changes\":[{}]}}]");
    written(s, wc_outq_at(&s->out, 0)->frame->len);
    expect(s,
           "[\"1\",null,\"realtime:a\",\"system\",{\"extension\":\"postgres_changes\",\"status\":"
           "\"error\",\"message\":\"Unable to subscribe to changes: not now\",\"channel\":\"a\"}]");
    drop(s);
    assert_int_equal(w->source.unsubscribed, 0);
}

/* ---- delivery ---- */

static struct wc_msg *message(enum wc_msg_kind kind, struct wc_handle h, uint64_t audience,
                              size_t len)
{
    struct wc_msg *m = wc_msg_new(kind, wc_slice_str("text"));
    m->handle = h;
    m->audience = audience;
    for (unsigned i = 0; len && i < WC_PHX_COUNT; i++) {
        m->frame[i] = wc_frame_new(WC_FRAME_TEXT, len);
        memset(wc_frame_payload(m->frame[i]), i ? '2' : '1', len);
    }
    return m;
}

/* A change, for one channel or as many as are in the audience. */
static struct wc_msg *direct(struct wc_handle h, size_t len)
{
    struct wc_msg *m = message(WC_MSG_DIRECT, h, 0, len);
    wc_msg_carry(m, 1);
    return m;
}

static struct wc_msg *audience(uint32_t members, size_t len)
{
    struct wc_msg *m = message(WC_MSG_AUDIENCE, (struct wc_handle){0}, 7, len);
    wc_msg_carry(m, members);
    return m;
}

static void deliver(struct world *w, struct wc_msg *m)
{
    wc_msg_settle(m, wc_hub_deliver(w->hub, m));
}

static void verdicts_become_system_messages(void **state)
{
    struct world *w = *state;
    struct wc_session *v1 = open_session(w, WC_PHX_V1), *v2 = open_session(w, WC_PHX_V2);
    struct wc_handle h1 = subscribe(w, v1), h2 = subscribe(w, v2);
    struct wc_msg *m = message(WC_MSG_VERDICT, h1, 0, 0);
    m->ok = true;
    deliver(w, m);
    deliver(w, message(WC_MSG_VERDICT, h2, 0, 0));
    expect(v1,
           "{\"topic\":\"realtime:a\",\"event\":\"system\",\"payload\":{\"extension\":"
           "\"postgres_changes\",\"status\":\"ok\",\"message\":\"text\",\"channel\":\"a\"},\"ref\":"
           "null}");
    expect(v2,
           "[\"1\",null,\"realtime:a\",\"system\",{\"extension\":\"postgres_changes\",\"status\":"
           "\"error\",\"message\":\"text\",\"channel\":\"a\"}]");
    drop(v1);
    drop(v2);
}

static void changes_reach_their_channels_in_their_serializer(void **state)
{
    struct world *w = *state;
    struct wc_session *v1 = open_session(w, WC_PHX_V1), *v2 = open_session(w, WC_PHX_V2);
    struct wc_handle h1 = subscribe(w, v1), h2 = subscribe(w, v2);
    deliver(w, direct(h1, 3));
    expect(v1, "111");
    expect_nothing(v2);
    deliver(w, audience(0, 3)); /* nobody is enlisted yet */
    deliver(w, message(WC_MSG_ENLIST, h1, 7, 0));
    deliver(w, message(WC_MSG_ENLIST, h2, 7, 0));
    deliver(w, audience(2, 2));
    expect(v1, "11");
    expect(v2, "22");
    int64_t stale = wc_metric_sum(WC_M_WITHHELD_STALE);
    send(v1, "{\"topic\":\"realtime:a\",\"event\":\"phx_leave\",\"payload\":{},\"ref\":\"2\","
             "\"join_ref\":\"1\"}");
    written(v1, v1->out.bytes);
    deliver(w, direct(h1, 3));
    deliver(w, message(WC_MSG_VERDICT, h1, 0, 0));
    deliver(w, message(WC_MSG_ENLIST, h1, 7, 0));
    deliver(w, audience(2, 1));
    expect_nothing(v1);
    expect(v2, "2");
    assert_int_equal(wc_metric_sum(WC_M_WITHHELD_STALE), stale + 2);
    drop(v1);
    drop(v2);
}

static void an_expired_token_ends_its_channel_only(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_session(w, WC_PHX_V2);
    (void)subscribe(w, s);
    wc_hub_expire(w->hub, 8999999999);
    expect_nothing(s);
    wc_hub_expire(w->hub, 9000000001);
    expect(s,
           "[\"1\",null,\"realtime:a\",\"system\",{\"extension\":\"system\",\"status\":\"error\","
           "\"message\":\"Token has expired 1 seconds ago\",\"channel\":\"a\"}]");
    expect(s, "[\"1\",\"1\",\"realtime:a\",\"phx_close\",{}]");
    assert_int_equal(s->nchannels, 0);
    assert_int_equal(s->state, WC_SESSION_OPEN);
    assert_int_equal(w->source.unsubscribed, 1);
    drop(s);
}

/* ---- closing and pacing ---- */

static void closing_sends_the_code_of_its_reason(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_session(w, WC_PHX_V2);
    (void)subscribe(w, s);
    int64_t before = wc_metric_sum(WC_M_CLOSED_SHUTDOWN);
    wc_session_close(s, WC_CLOSE_SHUTDOWN);
    wc_session_close(s, WC_CLOSE_IDLE); /* the first reason counts */
    assert_int_equal(s->state, WC_SESSION_CLOSING);
    assert_int_equal(s->nchannels, 0);
    assert_int_equal(w->source.unsubscribed, 1);
    assert_int_equal(s->out.count, 1);
    assert_memory_equal(wc_outq_at(&s->out, 0)->frame->bytes, "\x88\x02\x03\xf4", 4); /* 1012 */
    assert_int_equal(wc_metric_sum(WC_M_CLOSED_SHUTDOWN), before + 1);
    assert_false(wc_list_is_empty(&w->hub->closing));
    drop(s);
    assert_true(wc_list_is_empty(&w->hub->closing));
}

static void a_session_holds_back_only_while_it_has_credit(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_session(w, WC_PHX_V2);
    struct wc_handle h = subscribe(w, s);
    deliver(w, direct(h, MAX_QUEUED / 2 - 10));
    assert_int_equal(wc_hub_hold_time(w->hub), 0);
    deliver(w, direct(h, 100));
    assert_int_equal(wc_hub_hold_time(w->hub), WC_CREDIT_MAX_US / 2);
    w->hub->now += WC_CREDIT_MAX_US / 2 - 50000;
    assert_int_equal(wc_hub_hold_time(w->hub), 50000);
    written(s, 10); /* ten bytes, ten microseconds, still above the half */
    assert_int_equal(wc_hub_hold_time(w->hub), 50010);
    w->hub->now += 60000;
    assert_int_equal(wc_hub_hold_time(w->hub), 0); /* spent */
    w->hub->now += 1000000;                        /* the thread is patient again */
    written(s, 30);
    assert_int_equal(wc_hub_hold_time(w->hub), 30);
    written(s, 1000);
    assert_int_equal(wc_hub_hold_time(w->hub), 0); /* drained below the half */
    drop(s);
}

static void sessions_that_do_not_read_share_the_patience_of_their_thread(void **state)
{
    struct world *w = *state;
    struct wc_session *s[10];
    struct wc_handle h[10];
    wc_us held = 0;
    for (int i = 0; i < 10; i++) {
        s[i] = open_session(w, WC_PHX_V2);
        h[i] = subscribe(w, s[i]);
    }
    for (int i = 0; i < 10; i++) { /* one after the other reaches the half */
        deliver(w, direct(h[i], MAX_QUEUED / 2 + 1));
        for (wc_us t; (t = wc_hub_hold_time(w->hub)) > 0; held += t)
            w->hub->now += t;
    }
    assert_true(held < WC_CREDIT_MAX_US && held > WC_CREDIT_MAX_US * 9 / 10);
    w->hub->now += 500000; /* a tenth comes back, to a session with credit left */
    deliver(w, direct(h[9], 1));
    assert_in_range(wc_hub_hold_time(w->hub), 25000, 35000);
    for (int i = 0; i < 10; i++)
        drop(s[i]);
}

static void without_credit_an_overflow_closes_the_slow_consumer(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_session(w, WC_PHX_V2), *other = open_session(w, WC_PHX_V2);
    struct wc_handle h = subscribe(w, s), h2 = subscribe(w, other);
    deliver(w, message(WC_MSG_ENLIST, h, 7, 0));
    deliver(w, message(WC_MSG_ENLIST, h2, 7, 0));
    int64_t withheld = wc_metric_sum(WC_M_WITHHELD_SLOW);
    int64_t closed = wc_metric_sum(WC_M_CLOSED_SLOW_CONSUMER);
    for (int i = 0; i < 9; i++) {
        deliver(w, audience(2, 1000));
        written(other, other->out.bytes);
    }
    assert_int_equal(s->state, WC_SESSION_OPEN);
    w->hub->now += 1000000;
    deliver(w, audience(2, 1000));
    assert_int_equal(s->state, WC_SESSION_CLOSING);
    assert_int_equal(s->reason, WC_CLOSE_SLOW_CONSUMER);
    assert_int_equal(wc_metric_sum(WC_M_WITHHELD_SLOW), withheld + 10);
    assert_int_equal(wc_metric_sum(WC_M_CLOSED_SLOW_CONSUMER), closed + 1);
    assert_int_equal(s->out.count, 1); /* the close frame */
    assert_memory_equal(wc_outq_at(&s->out, 0)->frame->bytes + 2, "\x03\xf5slow consumer", 15);
    assert_int_equal(other->state, WC_SESSION_OPEN);
    assert_int_equal(other->out.count, 1);
    drop(s);
    drop(other);
}

static void the_last_member_of_an_audience_may_close_during_delivery(void **state)
{
    struct world *w = *state;
    struct wc_session *s[3];
    struct wc_handle h = {0};
    for (int i = 0; i < 3; i++) {
        s[i] = open_session(w, WC_PHX_V2);
        h = subscribe(w, s[i]);
        deliver(w, message(WC_MSG_ENLIST, h, 7, 0));
    }
    deliver(w, audience(3, MAX_QUEUED / 2 + 1));
    w->hub->now += 1000000;
    deliver(w, audience(3, MAX_QUEUED / 2 + 1));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s[i]->state, WC_SESSION_CLOSING);
        drop(s[i]);
    }
}

static void one_frame_larger_than_the_queue_passes(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_session(w, WC_PHX_V2);
    struct wc_handle h = subscribe(w, s);
    deliver(w, direct(h, 3 * MAX_QUEUED));
    assert_int_equal(s->state, WC_SESSION_OPEN);
    assert_true(wc_hub_hold_time(w->hub) > 0);
    deliver(w, direct(h, 1));
    assert_int_equal(s->state, WC_SESSION_CLOSING);
    drop(s);
}

static void nothing_is_taken_or_sent_after_closing(void **state)
{
    struct world *w = *state;
    struct wc_session *s = open_session(w, WC_PHX_V2);
    wc_session_close(s, WC_CLOSE_TOO_LARGE);
    uint32_t count = s->out.count;
    wc_session_send(s, wc_frame_copy(WC_FRAME_TEXT, wc_slice_str("x")));
    assert_int_equal(s->out.count, count);
    drop(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(heartbeats_are_answered),
        TEST(a_v1_session_takes_binary_for_text),
        TEST(unknown_topics_are_unmatched_except_for_leave),
        TEST(garbage_is_dropped_and_counted),
        TEST(join_and_leave),
        TEST(a_join_without_join_ref_is_left_by_any_leave),
        TEST(joining_again_closes_the_old_channel_after_the_reply),
        TEST(joins_are_refused_with_the_documented_reasons),
        TEST(lenient_configurations_join_without_subscription),
        TEST(the_connections_own_token_can_run_out),
        TEST(bindings_are_answered_with_ids_and_handed_on),
        TEST(a_legacy_topic_is_its_own_binding),
        TEST(a_refused_subscription_is_told),
        TEST(verdicts_become_system_messages),
        TEST(changes_reach_their_channels_in_their_serializer),
        TEST(an_expired_token_ends_its_channel_only),
        TEST(closing_sends_the_code_of_its_reason),
        TEST(a_session_holds_back_only_while_it_has_credit),
        TEST(sessions_that_do_not_read_share_the_patience_of_their_thread),
        TEST(without_credit_an_overflow_closes_the_slow_consumer),
        TEST(the_last_member_of_an_audience_may_close_during_delivery),
        TEST(one_frame_larger_than_the_queue_passes),
        TEST(nothing_is_taken_or_sent_after_closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

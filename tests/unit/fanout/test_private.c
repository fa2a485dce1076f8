/* Private messages over HTTP: what is asked, what is sent, what is answered. */
#include "fanout/api.h"
#include "tests/unit/fanout/fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct world {
    struct wc_fake_world fake;
    struct wc_directory directory;
    struct wc_http_route routes[WC_API_ROUTES];
    struct wc_session *member; /* in the private and in the public room "a" */
    char *authorization;
    struct wc_http_response res; /* of the last request */
};

static struct wc_room *room(struct world *w, bool is_private)
{
    return wc_room_find(w->fake.rooms, w->fake.source.view.id, is_private, wc_slice_str("a"));
}

/* Into the private room of its topic, whatever a join would ask. */
static void make_private(struct world *w, struct wc_session *s)
{
    struct wc_hub *hub = s->hub;
    struct wc_channel *c = wc_channel_find(&hub->channels, s->serial, wc_slice_str("realtime:a"));
    assert_non_null(c);
    wc_group_leave(&hub->groups[WC_GROUP_ROOM], c);
    wc_room_leave(w->fake.rooms, c->room, hub->opt.thread, s->serializer, true);
    c->room = NULL;
    assert_int_equal(wc_hub_enter_room(hub, c, true), WC_OK);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    wc_fake_world_init(&w->fake, 64);
    w->directory = wc_fake_directory(&w->fake.source);
    wc_api_routes(&w->directory, w->routes);
    w->member = wc_fake_open(&w->fake, 1, WC_PHX_V2);
    wc_fake_join(w->member, "a", "{}");
    make_private(w, w->member);
    atomic_store(&w->fake.source.touched, 0);
    w->authorization = malloc(4096);
    assert_non_null(w->authorization);
    assert_true(snprintf(w->authorization, 4096, "Bearer %s", w->fake.token) < 4096);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    wc_buf_release(&w->res.body);
    wc_fake_drop(w->member);
    assert_int_equal(w->fake.hub[0]->intake.drawn, 0);
    wc_fake_world_release(&w->fake);
    free(w->authorization);
    free(w);
    return 0;
}

static struct wc_slice headers(const struct wc_http_request *req)
{
    (void)req;
    return wc_slice_str("{\"x-a\":\"b\"}");
}

static void post(struct world *w, const char *path, const char *query, struct wc_slice body)
{
    struct wc_http_request req = {.method = wc_slice_str("POST"),
                                  .path = wc_slice_str(path),
                                  .query = wc_slice_str(query),
                                  .host = wc_slice_str("dev"),
                                  .authorization = wc_slice_str(w->authorization),
                                  .content_type = wc_slice_str("application/json"),
                                  .body = body,
                                  .headers = headers,
                                  .hub = w->fake.hub[0]};
    wc_buf_release(&w->res.body);
    w->res = (struct wc_http_response){.status = 200, .content_type = "text/plain"};
    wc_buf_init(&w->res.body, 1 << 24);
    wc_request_answer(w->routes, WC_API_ROUTES, &req, &w->res);
    wc_arena_reset(&w->fake.hub[0]->arena);
    assert_int_equal(w->res.body.status, WC_OK);
    (void)wc_fake_turn(&w->fake);
}

static void post_single(struct world *w)
{
    post(w, "/api/broadcast/a/events/e", "private=true", wc_slice_str("{\"n\":1}"));
}

static void post_batch(struct world *w, const char *messages)
{
    post(w, "/api/broadcast", "", wc_slice_str(messages));
}

/* The oldest question, whose topic must be this one, is answered. */
static void answer(struct world *w, const char *topic, unsigned permissions, unsigned error)
{
    struct wc_authorize *a = wc_fake_question(&w->fake.source);
    assert_non_null(a);
    assert_true(wc_slice_is(a->topic, topic));
    assert_true(a->is_call);
    assert_int_equal(a->ask, WC_MAY_WRITE_BROADCAST);
    assert_true(wc_slice_is(a->headers, "{\"x-a\":\"b\"}"));
    assert_true(wc_slice_is(a->claims->role, "anon"));
    struct wc_msg *m = wc_msg_new(WC_MSG_PERMISSIONS, wc_slice(NULL, 0));
    assert_non_null(m);
    m->handle = a->handle;
    m->question = a->question;
    m->is_call = true;
    m->permissions = permissions;
    m->error = error;
    wc_authorize_free(a);
    assert_int_equal(wc_mesh_push(w->fake.mesh, 0, m->handle.thread, m), WC_OK);
    wc_mesh_flush(w->fake.mesh, 0);
    (void)wc_fake_turn(&w->fake);
    (void)wc_fake_turn(&w->fake);
}

static void permit(struct world *w, const char *topic)
{
    answer(w, topic, WC_MAY_WRITE_BROADCAST, WC_AUTHORIZE_OK);
}

static void deny(struct world *w, const char *topic)
{
    answer(w, topic, 0, WC_AUTHORIZE_OK);
}

static void expect(struct world *w, struct wc_slice want)
{
    struct wc_frame *f = wc_fake_take(w->member);
    assert_non_null(f);
    assert_int_equal(f->len - f->payload, want.len);
    assert_memory_equal(wc_frame_payload(f), want.p, want.len);
    wc_frame_unref(f);
}

static void expect_nothing(struct world *w)
{
    assert_int_equal(w->member->out.count, 0);
}

/* What a parked request is answered. */
static void expect_answer(struct world *w, unsigned status, const char *body)
{
    struct wc_call *c = wc_calls_answered(w->fake.hub[0]->calls);
    assert_non_null(w->res.call);
    assert_ptr_equal(c, w->res.call);
    assert_int_equal(c->res.status, status);
    assert_int_equal(c->res.body.len, strlen(body));
    assert_memory_equal(c->res.body.p ? c->res.body.p : (const uint8_t *)"", body, strlen(body));
    assert_true((c->res.content_type == NULL) == (body[0] == '\0'));
    assert_int_equal(c->res.nfields, 3); /* the rate headers */
    wc_call_end(c);
}

static void expect_waiting(struct world *w)
{
    assert_non_null(w->res.call);
    assert_null(wc_calls_answered(w->fake.hub[0]->calls));
}

static void expect_response(struct world *w, unsigned status, const char *body)
{
    assert_null(w->res.call);
    assert_int_equal(w->res.status, status);
    assert_int_equal(w->res.body.len, strlen(body));
    assert_memory_equal(w->res.body.p ? w->res.body.p : (const uint8_t *)"", body, strlen(body));
}

#define BYTES(s) wc_slice((s), sizeof(s) - 1)
#define NAMED(event)                                                                               \
    BYTES("[null,null,\"realtime:a\",\"broadcast\",{\"event\":\"" event                            \
          "\",\"payload\":{},\"type\":\"broadcast\"}]")
#define MESSAGE(topic, event)                                                                      \
    "{\"topic\":\"" topic "\",\"event\":\"" event "\",\"payload\":{},\"private\":true}"

static uint64_t events(const struct world *w)
{
    return wc_quota_total(w->fake.source.view.quota, WC_QUOTA_EVENTS);
}

static void a_permitted_message_is_sent_before_it_is_answered(void **state)
{
    struct world *w = *state;
    post_single(w);
    expect_waiting(w);
    expect_nothing(w);
    assert_int_equal(atomic_load(&w->fake.source.touched), 1);
    assert_int_equal(events(w), 0);
    permit(w, "a");
    expect(w, BYTES("\x04\x0a\x01\x00\x01realtime:ae{\"n\":1}"));
    assert_int_equal(events(w), 1 + 1); /* sent and delivered */
    expect_answer(w, 202, "");
}

static void a_private_message_does_not_reach_the_public_room(void **state)
{
    struct world *w = *state;
    struct wc_session *outsider = wc_fake_open(&w->fake, 0, WC_PHX_V2);
    wc_fake_join(outsider, "a", "{}");
    struct wc_room *public = room(w, false), *private = room(w, true);
    assert_true(public && private && public != private);
    wc_room_release(w->fake.rooms, public);
    wc_room_release(w->fake.rooms, private);
    post_single(w);
    permit(w, "a");
    assert_int_equal(outsider->out.count, 0);
    expect(w, BYTES("\x04\x0a\x01\x00\x01realtime:ae{\"n\":1}"));
    expect_answer(w, 202, "");
    wc_fake_drop(outsider);
}

static void a_single_message_is_told_why_it_is_not_sent(void **state)
{
    static const struct {
        unsigned error, status;
        const char *text;
    } cases[] = {
        {WC_AUTHORIZE_OK, 403, "Unauthorized"},
        {WC_AUTHORIZE_POLICY, 422, "RLS policy error"},
        {WC_AUTHORIZE_CANCELED, 422, "Query canceled"},
        {WC_AUTHORIZE_NO_PARTITION, 422, "Missing messages partition"},
        {WC_AUTHORIZE_POOL, 429, "Connection pool exhausted"},
        {WC_AUTHORIZE_UNAVAILABLE, 422, "Tenant database unavailable"},
        {WC_AUTHORIZE_CONNECTIONS, 422, "Tenant database has too many connections"},
        {WC_AUTHORIZE_CONNECT_RATE, 422, "Connect rate limit reached"},
        {77, 500, "Unable to authorize broadcast"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[128];
        assert_true(snprintf(body, sizeof body, "{\"message\":\"%s\"}", cases[i].text) > 0);
        post_single(w);
        /* Nothing is permitted when there was an error, whatever else the answer says. */
        answer(w, "a", cases[i].error ? ~0U : (unsigned)WC_MAY_READ_BROADCAST, cases[i].error);
        expect_answer(w, cases[i].status, body);
        expect_nothing(w);
    }
    assert_int_equal(events(w), 0);
}

static void what_cannot_be_asked_is_answered_at_once(void **state)
{
    struct world *w = *state;
    w->fake.source.authorize_answer = WC_AGAIN;
    post_single(w);
    expect_response(w, 429, "{\"message\":\"Connection pool exhausted\"}");
    w->fake.source.authorize_answer = WC_NOMEM;
    post_single(w);
    expect_response(w, 500, "{\"message\":\"Unable to authorize broadcast\"}");
    post_batch(w, "{\"messages\":[" MESSAGE("a", "e") "]}");
    expect_response(w, 202, "");
    expect_nothing(w);
    assert_int_equal(w->fake.hub[0]->calls->count, 0);
}

static void a_batch_asks_once_for_each_topic(void **state)
{
    struct world *w = *state;
    post_batch(w, "{\"messages\":[" MESSAGE("a", "1") "," MESSAGE("b", "x") "," MESSAGE(
                      "a", "2") "," MESSAGE("c", "y") "," MESSAGE("a", "3") "]}");
    assert_int_equal(w->fake.source.asked, 3);
    permit(w, "a");
    expect(w, NAMED("1"));
    expect(w, NAMED("2"));
    expect(w, NAMED("3"));
    expect_waiting(w);
    answer(w, "b", 0, WC_AUTHORIZE_UNAVAILABLE);
    expect_waiting(w);
    permit(w, "c");
    expect_answer(w, 202, "");
    expect_nothing(w);
    assert_int_equal(events(w), 3 + 3 + 1); /* sent to "a", delivered there, sent to "c" */
}

static void public_messages_of_a_batch_do_not_wait(void **state)
{
    struct world *w = *state;
    struct wc_session *public = wc_fake_open(&w->fake, 1, WC_PHX_V2);
    wc_fake_join(public, "a", "{}");
    post_batch(w, "{\"messages\":[" MESSAGE("a", "p") ",{\"topic\":\"a\",\"event\":\"e\","
                                                      "\"payload\":{}}]}");
    (void)wc_fake_turn(&w->fake);
    assert_int_equal(public->out.count, 1);
    expect_nothing(w);
    deny(w, "a");
    expect_answer(w, 202, "");
    expect_nothing(w);
    wc_fake_drop(public);
}

static void ids_of_a_batch_reach_the_receivers(void **state)
{
    struct world *w = *state;
    post_batch(w,
               "{\"messages\":[{\"topic\":\"a\",\"event\":\"e\",\"payload\":{},\"private\":\"1\","
               "\"id\":\"given\"}]}");
    permit(w, "a");
    expect(w, BYTES("[null,null,\"realtime:a\",\"broadcast\",{\"event\":\"e\",\"payload\":{},"
                    "\"type\":\"broadcast\",\"meta\":{\"id\":\"given\"}}]"));
    expect_answer(w, 202, "");
}

static void topics_of_a_large_batch_are_asked_about_a_few_at_a_time(void **state)
{
    enum { TOPICS = 100 };
    struct world *w = *state;
    struct wc_buf text;
    wc_buf_init(&text, 1 << 20);
    wc_buf_str(&text, "{\"messages\":[");
    for (int i = 0; i < TOPICS; i++)
        wc_buf_printf(&text, "%s" MESSAGE("t%d", "e"), i ? "," : "", i);
    wc_buf_str(&text, "]}");
    post(w, "/api/broadcast", "", wc_buf_view(&text));
    for (int i = 0; i < TOPICS; i++) {
        char topic[16];
        assert_in_range(w->fake.source.nquestions, 1, 8);
        assert_true(snprintf(topic, sizeof topic, "t%d", i) > 0);
        expect_waiting(w);
        permit(w, topic);
    }
    expect_answer(w, 202, "");
    assert_int_equal(w->fake.source.asked, TOPICS);
    wc_buf_release(&text);
}

static void what_waits_is_counted(void **state)
{
    enum { BIG = 100000 };
    struct world *w = *state;
    const struct wc_tenant_limits limits = {.max_payload_kb = 1000};
    struct wc_hub *hub = w->fake.hub[0];
    char *payload = malloc(BIG + 1);
    assert_non_null(payload);
    wc_quota_set_limits(w->fake.source.view.quota, &limits);
    memset(payload, ' ', BIG);
    payload[0] = '{';
    payload[BIG - 1] = '}';
    post(w, "/api/broadcast/a/events/e", "private=true", wc_slice(payload, BIG));
    assert_in_range(hub->intake.drawn, BIG - WC_INTAKE_FREE, BIG);
    wc_call_end(w->res.call); /* the client hangs up */
    assert_int_equal(hub->intake.drawn, 0);
    hub->intake.drawn = WC_INTAKE_MAX;
    post(w, "/api/broadcast/a/events/e", "private=true", wc_slice(payload, BIG));
    expect_response(w, 503,
                    "{\"message\":\"Too many messages wait to be sent, please try again\"}");
    hub->intake.drawn = 0;
    deny(w, "a"); /* the question of the call that is gone */
    free(payload);
}

static void answers_that_were_not_asked_for_permit_nothing(void **state)
{
    struct world *w = *state;
    post_single(w);
    w->fake.source.question[0]->question++;
    permit(w, "a");
    expect_waiting(w);
    expect_nothing(w);
    wc_call_end(w->res.call);
}

static void a_suspended_tenant_sends_nothing(void **state)
{
    static const char suspended[] = "{\"message\":\"Tenant is suspended\"}";
    struct world *w = *state;
    w->fake.source.view.is_suspended = true;
    post_single(w);
    expect_response(w, 403, suspended);
    post_batch(w, "{\"messages\":[{\"topic\":\"a\",\"event\":\"e\",\"payload\":{}}]}");
    expect_response(w, 403, suspended);
    assert_int_equal(w->fake.source.asked, 0);
    expect_nothing(w);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_permitted_message_is_sent_before_it_is_answered),
        TEST(a_private_message_does_not_reach_the_public_room),
        TEST(a_single_message_is_told_why_it_is_not_sent),
        TEST(what_cannot_be_asked_is_answered_at_once),
        TEST(a_batch_asks_once_for_each_topic),
        TEST(public_messages_of_a_batch_do_not_wait),
        TEST(ids_of_a_batch_reach_the_receivers),
        TEST(topics_of_a_large_batch_are_asked_about_a_few_at_a_time),
        TEST(what_waits_is_counted),
        TEST(answers_that_were_not_asked_for_permit_nothing),
        TEST(a_suspended_tenant_sends_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

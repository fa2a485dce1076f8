/* The HTTP endpoints, called as http.c calls them, in a world without sockets. */
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
    struct wc_session *v1, *v2; /* on different threads, both in room "hb" */
    char *authorization;
    struct wc_http_response res; /* of the last call */
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    wc_fake_world_init(&w->fake, 64);
    w->directory = wc_fake_directory(&w->fake.source);
    wc_api_routes(&w->directory, w->routes);
    w->v1 = wc_fake_open(&w->fake, 0, WC_PHX_V1);
    w->v2 = wc_fake_open(&w->fake, 1, WC_PHX_V2);
    wc_fake_join(w->v1, "hb", "{}");
    wc_fake_join(w->v2, "hb", "{}");
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
    wc_fake_drop(w->v1);
    wc_fake_drop(w->v2);
    wc_fake_world_release(&w->fake);
    free(w->authorization);
    free(w);
    return 0;
}

struct call {
    const char *method, *path, *query, *host, *authorization, *apikey, *content_type, *accept;
    const char *body;
    size_t body_len; /* 0: up to the NUL */
};

static struct wc_slice maybe(const char *s)
{
    return s ? wc_slice_str(s) : wc_slice(NULL, 0);
}

/* With the token and a JSON body unless the call says otherwise; "" means absent. */
static struct wc_slice or_default(const char *s, const char *other)
{
    return s && !s[0] ? wc_slice(NULL, 0) : wc_slice_str(s ? s : other);
}

static unsigned do_call(struct world *w, const struct call *c)
{
    struct wc_http_request req = {
        .method = wc_slice_str(c->method ? c->method : "POST"),
        .path = wc_slice_str(c->path),
        .query = maybe(c->query),
        .host = wc_slice_str(c->host ? c->host : "dev"),
        .authorization = or_default(c->authorization, w->authorization),
        .apikey = maybe(c->apikey),
        .content_type = or_default(c->content_type, "application/json"),
        .accept = maybe(c->accept),
        .body = c->body_len ? wc_slice(c->body, c->body_len) : maybe(c->body),
        .hub = w->fake.hub[0],
    };
    wc_buf_release(&w->res.body);
    wc_arena_reset(&w->fake.hub[0]->arena); /* where the fields of the last response were */
    w->res = (struct wc_http_response){.status = 200, .content_type = "text/plain"};
    wc_buf_init(&w->res.body, 1 << 24);
    wc_request_answer(w->routes, WC_API_ROUTES, &req, &w->res);
    assert_int_equal(w->res.body.status, WC_OK);
    wc_buf_byte(&w->res.body, '\0');
    wc_fake_turn(&w->fake);
    return w->res.status;
}

static void expect_body(struct world *w, const char *want)
{
    assert_string_equal(w->res.body.p, want);
}

static void expect(struct wc_session *s, struct wc_slice want)
{
    struct wc_frame *f = wc_fake_take(s);
    assert_non_null(f);
    assert_int_equal(f->len - f->payload, want.len);
    assert_memory_equal(wc_frame_payload(f), want.p, want.len);
    wc_frame_unref(f);
}

static void expect_nothing(struct world *w)
{
    assert_int_equal(w->v1->out.count + w->v2->out.count, 0);
}

#define BYTES(s) wc_slice((s), sizeof(s) - 1)
#define V1(payload)                                                                                \
    BYTES("{\"topic\":\"realtime:hb\",\"event\":\"broadcast\",\"payload\":" payload                \
          ",\"ref\":null}")
#define V2(payload) BYTES("[null,null,\"realtime:hb\",\"broadcast\"," payload "]")

static const char batch[] = "/api/broadcast";
static const char single[] = "/api/broadcast/hb/events/ev";
static const char hello[] = "{\"messages\":[{\"topic\":\"hb\",\"event\":\"e\",\"payload\":{}}]}";
static const char unauthorized[] = "{\"message\":\"Unauthorized\"}";

static void a_batch_reaches_both_serializers_as_text(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        do_call(w, &(struct call){.path = batch,
                                  .body = "{\"messages\":[{\"topic\":\"hb\",\"event\":\"one\","
                                          "\"payload\":{\"a\":1.0}},{\"topic\":\"hb\",\"event\":"
                                          "\"two\",\"payload\":{},\"id\":\"given\"},{\"topic\":"
                                          "\"nobody\",\"event\":\"x\",\"payload\":{}}]}"}),
        202);
    expect_body(w, "");
    assert_null(w->res.content_type);
#define ONE "{\"event\":\"one\",\"payload\":{\"a\":1.0},\"type\":\"broadcast\"}"
#define TWO "{\"event\":\"two\",\"payload\":{},\"type\":\"broadcast\",\"meta\":{\"id\":\"given\"}}"
    expect(w->v1, V1(ONE));
    expect(w->v1, V1(TWO));
    expect(w->v2, V2(ONE));
    expect(w->v2, V2(TWO));
    expect_nothing(w);
}

static void one_bad_message_refuses_the_batch(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        do_call(w, &(struct call){.path = batch,
                                  .body = "{\"messages\":[{\"topic\":\"hb\",\"event\":\"e\","
                                          "\"payload\":{}},{\"topic\":\"hb\",\"event\":\"e\"}]}"}),
        422);
    expect_body(w, "{\"errors\":{\"messages\":[{},{\"payload\":[\"can't be blank\"]}]}}");
    expect_nothing(w);
}

static void a_single_message_takes_the_binary_shape_for_v2(void **state)
{
    struct world *w = *state;
    assert_int_equal(do_call(w, &(struct call){.path = single, .body = "{\"s\": 1.0}"}), 202);
    expect(w->v1, V1("{\"event\":\"ev\",\"payload\":{\"s\": 1.0},\"type\":\"broadcast\"}"));
    expect(w->v2, BYTES("\x04\x0b\x02\x00\x01realtime:hbev{\"s\": 1.0}"));
    assert_int_equal(do_call(w, &(struct call){.path = single, .body = " [1, 2] "}), 202);
    expect(w->v1, V1("{\"event\":\"ev\",\"payload\":{\"_json\":[1, 2]},\"type\":\"broadcast\"}"));
    expect(w->v2, BYTES("\x04\x0b\x02\x00\x01realtime:hbev{\"_json\":[1, 2]}"));
    expect_nothing(w);
}

static void a_single_binary_message_is_for_v2_alone(void **state)
{
    static const char octets[] = "application/octet-stream";
    struct world *w = *state;
    assert_int_equal(do_call(w, &(struct call){.path = single,
                                               .content_type = octets,
                                               .body = "a\x00\xff",
                                               .body_len = 3}),
                     202);
    expect(w->v2, BYTES("\x04\x0b\x02\x00\x00realtime:hbev"
                        "a\x00\xff"));
    assert_int_equal(do_call(w, &(struct call){.path = single, .content_type = octets}), 202);
    expect(w->v2, BYTES("\x04\x0b\x02\x00\x00realtime:hbev"));
    expect_nothing(w);
}

static void content_types_of_the_single_endpoint(void **state)
{
    static const struct {
        const char *type;
        unsigned status;
    } cases[] = {
        {"application/json", 202},
        {"Application/JSON; charset=utf-8", 202},
        {"", 202},
        {"application/octet-stream ; x=y", 202},
        {"text/plain", 415},
        {"application/xml", 415},
        {"multipart/form-data; b=c", 415},
        {"application/jsonx", 415},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(
            do_call(w, &(struct call){.path = single, .content_type = cases[i].type, .body = "{}"}),
            cases[i].status);
    expect_body(w, "{\"error\":\"Unsupported Media Type. Use application/json or "
                   "application/octet-stream\"}");
    wc_fake_skip(w->v1);
    wc_fake_skip(w->v2);
}

static void names_of_the_single_endpoint_are_checked(void **state)
{
    static const struct {
        const char *topic, *event;
        unsigned pad_topic, pad_event; /* that many bytes instead */
        const char *errors;            /* NULL: fine */
    } cases[] = {
        {"a:b c", "\xc3\xbc", 0, 0, NULL},
        {" ", "e", 0, 0, "{\"errors\":{\"topic\":[\"can't be blank\"]}}"},
        {"t", "\t", 0, 0, "{\"errors\":{\"event\":[\"can't be blank\"]}}"},
        {"\xff", "e", 0, 0, "{\"errors\":{\"topic\":[\"is invalid\"]}}"},
        {"t", "\xc0\x80", 0, 0, "{\"errors\":{\"event\":[\"is invalid\"]}}"},
        {"", "e", 246, 0, NULL},
        {"", "e", 247, 0, "{\"errors\":{\"topic\":[\"should be at most 246 byte(s)\"]}}"},
        {"t", "", 0, 255, NULL},
        {"t", "", 0, 256, "{\"errors\":{\"event\":[\"should be at most 255 byte(s)\"]}}"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[1024], filler[256];
        memset(filler, 'x', sizeof filler);
        assert_true(snprintf(path, sizeof path, "/api/broadcast/%s%.*s/events/%s%.*s",
                             cases[i].topic, (int)cases[i].pad_topic, filler, cases[i].event,
                             (int)cases[i].pad_event, filler) > 0);
        assert_int_equal(do_call(w, &(struct call){.path = path, .body = "{}"}),
                         cases[i].errors ? 422 : 202);
        expect_body(w, cases[i].errors ? cases[i].errors : "");
    }
    expect_nothing(w);
}

static void only_private_true_is_private(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        do_call(w, &(struct call){.path = single, .query = "private=false", .body = "{}"}), 202);
    assert_null(w->res.call);
    assert_int_equal(w->v1->out.count, 1);
    wc_fake_skip(w->v1);
    wc_fake_skip(w->v2);
}

/* The tenant of the fake source allows 1 kB. */
static void oversized_single_payloads_are_refused(void **state)
{
    struct world *w = *state;
    char body[1501];
    memset(body, 'x', sizeof body);
    assert_int_equal(do_call(w, &(struct call){.path = single,
                                               .content_type = "application/octet-stream",
                                               .body = body,
                                               .body_len = sizeof body}),
                     422);
    expect_body(w, "{\"errors\":{\"payload\":[\"Payload size exceeds tenant limit\"]}}");
    expect_nothing(w);
}

static void tokens_come_as_bearer_or_apikey(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *before, *after;
        unsigned status;
    } cases[] = {
        {"Bearer ", "", 202},  {"bearer ", "", 202},   {"BEARER ", "", 202}, {"Basic ", "", 401},
        {"Bearer  ", "", 401}, {"Bearer ", " x", 401}, {"Bearer", "", 401},  {"", "", 401},
    };
    const char *t = w->fake.token;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[4096];
        assert_true(snprintf(text, sizeof text, "%s%s%s", cases[i].before, t, cases[i].after) > 0);
        assert_int_equal(
            do_call(
                w,
                &(struct call){.path = batch, .authorization = text, .apikey = t, .body = hello}),
            cases[i].status);
    }
    assert_int_equal(do_call(w, &(struct call){.path = batch, .authorization = "", .body = hello}),
                     401);
    expect_body(w, unauthorized);
    assert_int_equal(
        do_call(w, &(struct call){.path = batch, .authorization = "", .apikey = t, .body = hello}),
        202);
    wc_fake_skip(w->v1);
    wc_fake_skip(w->v2);
}

static void tokens_need_role_and_a_date_in_the_future(void **state)
{
    static const char *const claims[] = {"{\"role\":\"anon\"}", "{\"exp\":9000000000}",
                                         "{\"role\":\"anon\",\"exp\":10}"};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        char *token = wc_fake_token(&w->fake.source, claims[i]);
        assert_int_equal(
            do_call(
                w,
                &(struct call){.path = batch, .authorization = "", .apikey = token, .body = hello}),
            401);
        free(token);
    }
    expect_nothing(w);
}

static void checks_come_in_the_documented_order(void **state)
{
    static const struct {
        struct call call;
        unsigned status;
        const char *body;
    } cases[] = {
        {{.path = batch, .body = "{bad", .host = "nobody"}, 400, "Bad Request"},
        {{.path = batch, .body = hello, .accept = "text/html", .host = "nobody"},
         406,
         "Not Acceptable"},
        {{.path = batch, .body = hello, .host = "nobody", .authorization = ""},
         401,
         "{\"message\":\"Tenant not found in database\"}"},
        {{.path = batch, .body = "{}", .authorization = ""}, 401, unauthorized},
        {{.path = single, .body = "x", .content_type = "text/plain", .host = "nobody"},
         415,
         "{\"error\":\"Unsupported Media Type. Use application/json or "
         "application/octet-stream\"}"},
        {{.path = single, .body = "{}", .authorization = "", .query = "private=true"},
         401,
         unauthorized},
        {{.path = "/api/ping", .method = "GET"}, 200, "{\"message\":\"Success\"}"},
        {{.path = "/api/ping", .method = "GET", .authorization = ""},
         200,
         "{\"message\":\"Success\"}"},
        {{.path = "/api/ping", .method = "GET", .host = "nobody"},
         401,
         "{\"message\":\"Tenant not found in database\"}"},
        {{.path = "/api/ping", .method = "GET", .accept = "application/*;q=1"},
         200,
         "{\"message\":\"Success\"}"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(do_call(w, &cases[i].call), cases[i].status);
        expect_body(w, cases[i].body);
    }
    expect_nothing(w);
}

static struct wc_slice field(const struct world *w, const char *name)
{
    for (size_t i = 0; i < w->res.nfields; i++)
        if (strcmp(w->res.field[i].name, name) == 0)
            return w->res.field[i].value;
    return wc_slice(NULL, 0);
}

static void limit_events(struct world *w, uint32_t limit)
{
    const struct wc_tenant_limits limits = {.max_events_per_second = limit};
    wc_quota_set_limits(w->fake.source.view.quota, &limits);
}

static void rate_headers_are_on_every_answer_to_a_tenant(void **state)
{
    struct world *w = *state;
    (void)do_call(w, &(struct call){.path = batch, .body = hello});
    assert_true(wc_slice_is(field(w, "x-rate-rolling"), "0"));
    assert_true(wc_slice_is(field(w, "x-rate-limit"), "4294967295"));
    limit_events(w, 7);
    (void)do_call(w, &(struct call){.path = batch, .body = hello, .authorization = ""});
    assert_true(wc_slice_is(field(w, "x-rate-limit"), "7"));
    assert_true(wc_slice_is(field(w, "x-rate-limit-remaining"), "7"));
    (void)do_call(w, &(struct call){.path = batch, .body = hello, .host = "nobody"});
    assert_null(field(w, "x-rate-limit").p);
    wc_fake_skip(w->v1);
    wc_fake_skip(w->v2);
}

static void a_batch_over_the_rate_is_refused(void **state)
{
    static const char two[] = "{\"messages\":[{\"topic\":\"hb\",\"event\":\"e\",\"payload\":{}},"
                              "{\"topic\":\"hb\",\"event\":\"e\",\"payload\":{}}]}";
    struct world *w = *state;
    limit_events(w, 1);
    assert_int_equal(do_call(w, &(struct call){.path = batch, .body = two}), 429);
    expect_body(w, "{\"message\":\"Too many messages to broadcast, please reduce the batch "
                   "size\"}");
    expect_nothing(w);
}

static void tenants_over_their_rate_are_refused(void **state)
{
    struct world *w = *state;
    struct wc_quota *q = w->fake.source.view.quota;
    limit_events(w, 1);
    wc_quota_tick(q, 1000000);
    wc_quota_count(q, 1, WC_QUOTA_EVENTS, 1000);
    wc_quota_tick(q, 7000000);
    assert_int_equal(do_call(w, &(struct call){.path = single, .body = "{}"}), 429);
    expect_body(w, "{\"message\":\"You have exceeded your rate limit\"}");
    assert_int_equal(do_call(w, &(struct call){.path = batch, .body = hello}), 429);
    expect_body(w, "{\"message\":\"You have exceeded your rate limit\"}");
    wc_quota_count(q, 1, WC_QUOTA_REQUESTS, 1000);
    wc_quota_tick(q, 9000000);
    assert_int_equal(do_call(w, &(struct call){.path = batch, .body = hello}), 429);
    expect_body(w, "{\"message\":\"Too many requests\"}");
    assert_true(field(w, "x-rate-rolling").len > 0);
    expect_nothing(w);
}

static void every_request_and_message_is_counted(void **state)
{
    struct world *w = *state;
    struct wc_quota *q = w->fake.source.view.quota;
    uint64_t events = wc_quota_total(q, WC_QUOTA_EVENTS);
    uint64_t requests = wc_quota_total(q, WC_QUOTA_REQUESTS);
    (void)do_call(w, &(struct call){.path = batch, .body = "{}"}); /* refused: no event */
    (void)do_call(w, &(struct call){.path = "/api/broadcast/nobody/events/e", .body = "{}"});
    (void)do_call(w, &(struct call){.path = "/api/ping", .method = "GET"});
    assert_int_equal(wc_quota_total(q, WC_QUOTA_EVENTS), events + 1);
    assert_int_equal(wc_quota_total(q, WC_QUOTA_REQUESTS), requests + 3);
    expect_nothing(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_reaches_both_serializers_as_text),
        TEST(one_bad_message_refuses_the_batch),
        TEST(a_single_message_takes_the_binary_shape_for_v2),
        TEST(a_single_binary_message_is_for_v2_alone),
        TEST(content_types_of_the_single_endpoint),
        TEST(names_of_the_single_endpoint_are_checked),
        TEST(only_private_true_is_private),
        TEST(oversized_single_payloads_are_refused),
        TEST(tokens_come_as_bearer_or_apikey),
        TEST(tokens_need_role_and_a_date_in_the_future),
        TEST(checks_come_in_the_documented_order),
        TEST(rate_headers_are_on_every_answer_to_a_tenant),
        TEST(a_batch_over_the_rate_is_refused),
        TEST(tenants_over_their_rate_are_refused),
        TEST(every_request_and_message_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

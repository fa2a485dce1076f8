/* Routes with parameters, CORS, the request id: HTTP without a socket. */
#include "fanout/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Says which route it was and with what. */
static void handle(void *self, const struct wc_http_request *req, struct wc_http_response *res)
{
    wc_buf_printf(&res->body, "%s(%.*s|%.*s)", (const char *)self, WC_SLICE_ARG(req->param[0]),
                  WC_SLICE_ARG(req->param[1]));
}

static char health[] = "health", ping[] = "ping", single[] = "single", item[] = "item",
            item_health[] = "item_health", guarded[] = "guarded";

static const struct wc_http_route routes[] = {
    {.method = "GET", .path = "/health", .handle = handle, .self = health},
    {.method = "GET", .path = "/api/ping", .handle = handle, .self = ping, .is_tenants = true},
    {.method = "POST",
     .path = "/api/broadcast/:topic/events/:event",
     .handle = handle,
     .self = single},
    {.method = "GET", .path = "/api/items/:id/health", .handle = handle, .self = item_health},
    {.method = "GET", .path = "/api/items/:id", .handle = handle, .self = item},
    {.method = "PUT",
     .path = "/api/guarded/:id",
     .handle = handle,
     .self = guarded,
     .no_cors = true},
};

static struct wc_http_response answer(const char *method, const char *path,
                                      struct wc_http_request *req)
{
    struct wc_http_response res = {.status = 200, .content_type = "text/plain"};
    wc_buf_init(&res.body, 1 << 16);
    req->method = wc_slice_str(method);
    req->path = wc_slice_str(path);
    wc_request_answer(routes, sizeof routes / sizeof *routes, req, &res);
    assert_int_equal(res.body.status, WC_OK);
    return res;
}

static const struct wc_http_field *field(const struct wc_http_response *res, const char *name)
{
    for (size_t i = 0; i < res->nfields; i++)
        if (strcmp(res->field[i].name, name) == 0)
            return &res->field[i];
    return NULL;
}

static void routes_are_found_with_their_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *want; /* NULL: 404 */
    } cases[] = {
        {"GET", "/health", "health(|)"},
        {"POST", "/health", NULL},
        {"GET", "/healthy", NULL},
        {"GET", "/healt", NULL},
        {"GET", "", NULL},
        {"GET", "/realtime/v1/health", NULL},
        {"GET", "/realtime/v1/api/ping", "ping(|)"},
        {"GET", "/realtime/v1/api", NULL},
        {"POST", "/api/broadcast/a/events/b", "single(a|b)"},
        {"POST", "/realtime/v1/api/broadcast/a/events/b", "single(a|b)"},
        {"POST", "/api/broadcast/a:b c/events/d:e", "single(a:b c|d:e)"},
        {"POST", "/api/broadcast/a/b/events/c", "single(a/b|c)"},
        {"POST", "/api/broadcast/a/events/b/events/c", "single(a/events/b|c)"},
        {"POST", "/api/broadcast/a/events/b/c", "single(a|b/c)"},
        {"POST", "/api/broadcast/:topic/events/:event", "single(:topic|:event)"},
        {"POST", "/api/broadcast//events/b", NULL},
        {"POST", "/api/broadcast/a/events/", NULL},
        {"POST", "/api/broadcast/a/events", NULL},
        {"POST", "/api/broadcast/a", NULL},
        {"POST", "/api/broadcast/", NULL},
        {"GET", "/api/items/7", "item(7|)"},
        {"GET", "/api/items/7/health", "item_health(7|)"},
        {"GET", "/api/items/7/healthy", "item(7/healthy|)"},
        {"GET", "/api/items/", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_http_request req = {.query = {NULL, 0}};
        struct wc_http_response res = answer(cases[i].method, cases[i].path, &req);
        assert_int_equal(res.status, cases[i].want ? 200 : 404);
        wc_buf_byte(&res.body, '\0');
        assert_string_equal(res.body.p, cases[i].want ? cases[i].want : "Not Found");
        wc_buf_release(&res.body);
    }
}

static void preflights_are_answered_where_there_is_a_route(void **state)
{
    (void)state;
    static const struct {
        const char *path, *wanted;
        unsigned status;
        const char *headers;
    } cases[] = {
        {"/api/ping", "x-foo, apikey", 204, "x-foo, apikey"},
        {"/realtime/v1/api/broadcast/a/events/b", NULL, 204,
         "authorization, apikey, content-type, x-client-info"},
        {"/api/ping", "x\r\nset-cookie: a", 204,
         "authorization, apikey, content-type, x-client-info"},
        {"/api/nothing", "x-foo", 404, NULL},
        {"/health", "x-foo", 404, NULL},
        {"/api/guarded/1", "x-foo", 404, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_http_request req = {.origin = wc_slice_str("http://example.com")};
        if (cases[i].wanted)
            req.wanted_headers = wc_slice_str(cases[i].wanted);
        struct wc_http_response res = answer("OPTIONS", cases[i].path, &req);
        assert_int_equal(res.status, cases[i].status);
        const struct wc_http_field *f = field(&res, "access-control-allow-headers");
        assert_int_equal(f != NULL, cases[i].headers != NULL);
        if (f) {
            assert_true(wc_slice_is(f->value, cases[i].headers));
            assert_true(wc_slice_is(field(&res, "access-control-allow-origin")->value, "*"));
            assert_non_null(field(&res, "access-control-allow-methods"));
            assert_int_equal(res.body.len, 0);
        }
        wc_buf_release(&res.body);
    }
}

static void a_preflight_that_asks_for_a_nul_does_not_get_it(void **state)
{
    (void)state;
    struct wc_http_request req = {.wanted_headers = wc_slice("a\0b", 3)};
    struct wc_http_response res = answer("OPTIONS", "/api/ping", &req);
    struct wc_slice allowed = field(&res, "access-control-allow-headers")->value;
    assert_null(memchr(allowed.p, '\0', allowed.len));
    wc_buf_release(&res.body);
}

static void an_unknown_route_is_told_in_json_to_who_asks_for_json_alone(void **state)
{
    (void)state;
    static const struct {
        const char *accept, *want;
    } cases[] = {{"", "Not Found"},
                 {"application/json", "\"Not Found\""},
                 {"text/html,application/json", "Not Found"},
                 {"*/*", "Not Found"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_http_request req = {.accept = wc_slice_str(cases[i].accept)};
        struct wc_http_response res = answer("GET", "/nowhere", &req);
        assert_int_equal(res.status, 404);
        assert_true(wc_slice_is(wc_buf_view(&res.body), cases[i].want));
        wc_buf_release(&res.body);
    }
}

static void any_origin_may_read_answers_of_the_api_alone(void **state)
{
    (void)state;
    struct wc_http_request req = {.origin = wc_slice_str("http://example.com")};
    struct wc_http_response res = answer("GET", "/api/ping", &req);
    assert_true(wc_slice_is(field(&res, "access-control-allow-origin")->value, "*"));
    wc_buf_release(&res.body);
    res = answer("GET", "/health", &req);
    assert_null(field(&res, "access-control-allow-origin"));
    wc_buf_release(&res.body);
    res = answer("PUT", "/api/guarded/1", &req);
    assert_int_equal(res.status, 200);
    assert_null(field(&res, "access-control-allow-origin"));
    wc_buf_release(&res.body);
    req.origin = wc_slice(NULL, 0);
    res = answer("GET", "/api/ping", &req);
    assert_null(field(&res, "access-control-allow-origin"));
    wc_buf_release(&res.body);
}

static void query_parameters_are_compared_whole(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        bool want;
    } cases[] = {
        {"", false},
        {"private=true", true},
        {"a=b&private=true", true},
        {"private=false", false},
        {"private=true&a=b", true},
        {"xprivate=true", false},
        {"private=truex", false},
        {"private", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct wc_http_request req = {.query = wc_slice_str(cases[i].query)};
        assert_int_equal(wc_request_has(&req, "private=true"), cases[i].want);
    }
}

#define TWENTY "abcdefghijklmnopqrst"

static void the_request_id_is_taken_over_or_made_up(void **state)
{
    (void)state;
    static const struct {
        const char *baggage, *own, *want; /* NULL: fresh */
    } cases[] = {
        {"", "", NULL},
        {"", TWENTY, TWENTY},
        {"", "abcdefghijklmnopqrs", NULL}, /* 19 */
        {"", TWENTY "\x01", NULL},
        {"request-id=0123456789", TWENTY, "0123456789"},
        {"a=b, request-id = 0123456789 ;p=1,c=d", "", "0123456789"},
        {"request-id=012345678", TWENTY, TWENTY},
        {"xrequest-id=0123456789,request-id", TWENTY, TWENTY},
        {",;=,", TWENTY, TWENTY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char fresh[WC_REQUEST_ID_FRESH], again[WC_REQUEST_ID_FRESH];
        struct wc_slice baggage = wc_slice_str(cases[i].baggage), own = wc_slice_str(cases[i].own);
        struct wc_slice id = wc_request_id("request-id", baggage, own, fresh);
        if (cases[i].want) {
            assert_true(wc_slice_is(id, cases[i].want));
            continue;
        }
        assert_ptr_equal(id.p, fresh);
        assert_int_equal(id.len, sizeof fresh);
        assert_false(wc_slice_eq(id, wc_request_id("request-id", baggage, own, again)));
    }
    char long_id[201], fresh[WC_REQUEST_ID_FRESH];
    memset(long_id, 'a', sizeof long_id);
    struct wc_slice none = wc_slice(NULL, 0);
    struct wc_slice renamed = wc_slice_str("request-id=0123456789,trace=9876543210");
    assert_true(wc_slice_is(wc_request_id("trace", renamed, none, fresh), "9876543210"));
    assert_int_equal(wc_request_id("request-id", none, wc_slice(long_id, 200), fresh).len, 200);
    assert_ptr_equal(wc_request_id("request-id", none, wc_slice(long_id, 201), fresh).p, fresh);
}

static void a_path_with_a_tenant_has_only_what_is_the_tenants(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        unsigned status;
    } cases[] = {
        {"GET", "/api/ping", 200},     {"GET", "/realtime/v1/api/ping", 200},
        {"OPTIONS", "/api/ping", 204}, {"GET", "/health", 404},
        {"GET", "/api/items/1", 404},  {"OPTIONS", "/api/items/1", 404},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_http_request req = {.is_by_path = true};
        struct wc_http_response res = answer(cases[i].method, cases[i].path, &req);
        assert_int_equal(res.status, cases[i].status);
        wc_buf_release(&res.body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_found_with_their_parameters),
        cmocka_unit_test(preflights_are_answered_where_there_is_a_route),
        cmocka_unit_test(a_preflight_that_asks_for_a_nul_does_not_get_it),
        cmocka_unit_test(an_unknown_route_is_told_in_json_to_who_asks_for_json_alone),
        cmocka_unit_test(any_origin_may_read_answers_of_the_api_alone),
        cmocka_unit_test(a_path_with_a_tenant_has_only_what_is_the_tenants),
        cmocka_unit_test(query_parameters_are_compared_whole),
        cmocka_unit_test(the_request_id_is_taken_over_or_made_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

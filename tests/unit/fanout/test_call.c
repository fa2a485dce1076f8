/* HTTP calls that are answered later, in a world without sockets. */
#include "fanout/call.h"
#include "tests/unit/fanout/fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct world {
    struct wc_fake_world fake;
    struct wc_http_request req;
    struct wc_http_response res;
    unsigned asked, freed; /* of states, whose hooks count here */
    bool wants_more;       /* of on_message */
};

static bool on_message(void *state, struct wc_hub *hub, const struct wc_msg *m,
                       struct wc_http_response *res)
{
    struct world *w = state;
    assert_ptr_equal(hub, w->fake.hub[0]);
    w->asked++;
    if (w->wants_more)
        return false;
    if (m->kind == WC_MSG_CALL)
        wc_call_answer(m, res);
    else
        res->status = m->error ? 422 : 202;
    return true;
}

static void on_free(void *state)
{
    struct world *w = state;
    w->freed++;
}

static const struct wc_call_hooks hooks = {.on_message = on_message, .free = on_free};

static void begin(struct world *w)
{
    wc_buf_release(&w->res.body);
    w->res = (struct wc_http_response){.status = 200, .content_type = "text/plain"};
    wc_buf_init(&w->res.body, 1 << 16);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    wc_fake_world_init(&w->fake, 64);
    w->req.hub = w->fake.hub[0];
    begin(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    wc_buf_release(&w->res.body);
    wc_fake_world_release(&w->fake);
    free(w);
    return 0;
}

static struct wc_handle park(struct world *w)
{
    struct wc_handle h;
    begin(w);
    assert_true(wc_call_park(&w->req, &w->res, &hooks, w, &h));
    assert_non_null(w->res.call);
    return h;
}

/* From a bridge, through the ring. */
static void answer(struct world *w, struct wc_handle h, enum wc_msg_kind kind, const char *text,
                   size_t location_len)
{
    struct wc_msg *m = wc_msg_new(kind, wc_slice_str(text));
    assert_non_null(m);
    m->handle = h;
    m->is_call = true;
    m->http_status = 201;
    m->location_len = location_len;
    assert_int_equal(wc_mesh_push(w->fake.mesh, 0, h.thread, m), WC_OK);
    wc_mesh_flush(w->fake.mesh, 0);
    (void)wc_fake_turn(&w->fake);
}

/* The next answer to be written, which ends with it. */
static void expect(struct world *w, unsigned status, const char *body)
{
    struct wc_call *c = wc_calls_answered(w->fake.hub[0]->calls);
    assert_non_null(c);
    assert_int_equal(c->res.status, status);
    assert_int_equal(c->res.body.len, strlen(body));
    assert_memory_equal(c->res.body.p ? c->res.body.p : (const uint8_t *)"", body, strlen(body));
    wc_call_end(c);
}

static void expect_none(struct world *w)
{
    assert_null(wc_calls_answered(w->fake.hub[0]->calls));
}

static void a_call_waits_for_its_message(void **state)
{
    struct world *w = *state;
    struct wc_handle h = park(w);
    (void)wc_fake_turn(&w->fake);
    expect_none(w);
    answer(w, h, WC_MSG_PERMISSIONS, "", 0);
    expect(w, 202, "");
    assert_int_equal(w->asked, 1);
    assert_int_equal(w->freed, 1);
    assert_int_equal(w->fake.hub[0]->calls->count, 0);
}

static void a_call_may_want_more_than_one_message(void **state)
{
    struct world *w = *state;
    struct wc_handle h = park(w);
    w->wants_more = true;
    answer(w, h, WC_MSG_PERMISSIONS, "", 0);
    answer(w, h, WC_MSG_PERMISSIONS, "", 0);
    expect_none(w);
    assert_int_equal(w->freed, 0);
    w->wants_more = false;
    answer(w, h, WC_MSG_PERMISSIONS, "", 0);
    expect(w, 202, "");
    assert_int_equal(w->asked, 3);
}

static void messages_for_calls_that_ended_are_skipped(void **state)
{
    struct world *w = *state;
    struct wc_handle first = park(w);
    answer(w, first, WC_MSG_PERMISSIONS, "", 0);
    answer(w, first, WC_MSG_PERMISSIONS, "", 0); /* answered, not written yet */
    assert_int_equal(w->asked, 1);
    expect(w, 202, "");
    answer(w, first, WC_MSG_PERMISSIONS, "", 0);
    struct wc_handle second = park(w);
    second.generation--;
    answer(w, second, WC_MSG_PERMISSIONS, "", 0);
    second.generation = 0;
    answer(w, second, WC_MSG_PERMISSIONS, "", 0);
    second.slot = WC_CALLS_MAX;
    answer(w, second, WC_MSG_PERMISSIONS, "", 0);
    assert_int_equal(w->asked, 1);
    expect_none(w);
    wc_call_end(w->res.call);
}

static void what_the_handler_has_put_into_the_response_stays(void **state)
{
    struct world *w = *state;
    struct wc_handle h;
    char value[] = "seven";
    begin(w);
    wc_response_field(&w->res, "x-rate-limit", wc_slice_str(value));
    wc_response_field(&w->res, "x-empty", wc_slice(NULL, 0));
    assert_true(wc_call_park(&w->req, &w->res, &hooks, w, &h));
    memset(value, 'x', sizeof value - 1);
    answer(w, h, WC_MSG_CALL, "/api/tenants/1{\"data\":1}", 14);
    const struct wc_http_response *res = &wc_calls_answered(w->fake.hub[0]->calls)->res;
    assert_int_equal(res->nfields, 3);
    assert_true(wc_slice_is(res->field[0].value, "seven"));
    assert_string_equal(res->field[2].name, "location");
    assert_true(wc_slice_is(res->field[2].value, "/api/tenants/1"));
    assert_string_equal(res->content_type, "application/json; charset=utf-8");
    expect(w, 201, "{\"data\":1}");
}

static void an_answer_without_a_body_has_no_content_type(void **state)
{
    struct world *w = *state;
    answer(w, park(w), WC_MSG_CALL, "", 0);
    const struct wc_http_response *res = &wc_calls_answered(w->fake.hub[0]->calls)->res;
    assert_null(res->content_type);
    assert_int_equal(res->nfields, 0);
    expect(w, 201, "");
}

static void calls_without_an_answer_end_after_30_seconds(void **state)
{
    struct world *w = *state;
    struct wc_handle first = park(w);
    wc_fake_pass(&w->fake, 1000000);
    (void)park(w);
    struct wc_call *second = w->res.call;
    wc_fake_pass(&w->fake, WC_CALL_TIMEOUT_US - 1000001);
    wc_calls_expire(w->fake.hub[0]);
    expect_none(w);
    wc_fake_pass(&w->fake, 1);
    wc_calls_expire(w->fake.hub[0]);
    answer(w, first, WC_MSG_PERMISSIONS, "", 0); /* too late */
    expect(w, 504, "{\"message\":\"Gateway Timeout\"}");
    expect_none(w);
    wc_call_end(second); /* its client hangs up */
    assert_int_equal(w->asked, 0);
    assert_int_equal(w->freed, 2);
}

static void as_many_calls_wait_as_there_is_room_for(void **state)
{
    struct world *w = *state;
    struct wc_handle h = {0}, last;
    for (int i = 0; i < WC_CALLS_MAX; i++)
        last = park(w);
    begin(w);
    assert_false(wc_call_park(&w->req, &w->res, &hooks, w, &h));
    assert_null(w->res.call);
    assert_int_equal(w->res.status, 503);
    assert_int_equal(w->freed, 1);
    answer(w, last, WC_MSG_PERMISSIONS, "", 0);
    expect(w, 202, "");
    assert_int_equal(park(w).slot, last.slot);
    wc_calls_refuse(w->fake.hub[0]->calls);
    for (int i = 0; i < WC_CALLS_MAX; i++)
        expect(w, 503, "{\"message\":\"Service Unavailable\"}");
    expect_none(w);
    assert_int_equal(w->freed, 2 + WC_CALLS_MAX);
}

static void who_could_not_ask_answers_at_once(void **state)
{
    struct world *w = *state;
    struct wc_handle h = park(w);
    wc_call_unpark(&w->req, &w->res, h);
    assert_null(w->res.call);
    assert_int_equal(w->res.status, 503);
    assert_int_equal(w->freed, 1);
    answer(w, h, WC_MSG_PERMISSIONS, "", 0);
    assert_int_equal(w->asked, 0);
    expect_none(w);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_call_waits_for_its_message),
        TEST(a_call_may_want_more_than_one_message),
        TEST(messages_for_calls_that_ended_are_skipped),
        TEST(what_the_handler_has_put_into_the_response_stays),
        TEST(an_answer_without_a_body_has_no_content_type),
        TEST(calls_without_an_answer_end_after_30_seconds),
        TEST(as_many_calls_wait_as_there_is_room_for),
        TEST(who_could_not_ask_answers_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Questions that no database answers: each is answered all the same. */
#include "bridge/authz/authz_priv.h"
#include "fanout/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    uv_loop_t loop;
    struct wc_mesh *mesh;
    struct wc_publisher *publisher;
    struct wc_authz *authz;
    struct wc_quota *quota;
    struct wc_tenant_view view;
    int listener; /* accepts into its backlog, and says nothing */
    uint16_t port;
};

static void free_view(struct wc_tenant_view *v)
{
    (void)v;
}

static void listen_anywhere(struct world *w)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    w->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(bind(w->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_return_code(getsockname(w->listener, (struct sockaddr *)&at, &len), 0);
    w->port = ntohs(at.sin_port);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    (void)uv_loop_init(&w->loop);
    listen_anywhere(w);
    w->mesh = wc_mesh_new(1, 1, 64);
    w->publisher = wc_publisher_new(w->mesh, 0);
    const struct wc_tenant_limits limits = {.max_payload_kb = 1};
    w->quota = wc_quota_new(2, &limits);
    assert_non_null(w->quota);
    w->view = (struct wc_tenant_view){
        .refs = 1, .external_id = "test", .quota = w->quota, .free = free_view};
    const struct wc_authz_options o = {.pg = {.host = "127.0.0.1",
                                              .port = w->port,
                                              .dbname = "d",
                                              .user = "u",
                                              .password = "p",
                                              .connect_timeout_ms = 60000},
                                       .tenant = "test",
                                       .search_path = "public",
                                       .pool = 2,
                                       .times = {.statement_ms = 1000,
                                                 .replay_ms = 1000,
                                                 .queue_ms = 20,
                                                 .answer_ms = 60,
                                                 .idle_ms = 1000,
                                                 .retry_ms = 60000}};
    w->authz = wc_authz_new(&w->loop, &o, w->publisher);
    assert_non_null(w->authz);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    wc_authz_free(w->authz);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    wc_publisher_free(w->publisher);
    wc_mesh_free(w->mesh);
    wc_quota_free(w->quota);
    (void)close(w->listener);
    free(w);
    return 0;
}

static void ask(struct world *w, const char *role, const char *json, struct wc_slice topic,
                unsigned wanted)
{
    struct wc_claims *claims = calloc(1, sizeof *claims);
    assert_non_null(claims);
    claims->refs = 1;
    claims->role = wc_slice_str(role);
    claims->json = wc_slice_str(json);
    struct wc_authorize *a = wc_authorize_new(&(struct wc_authorize){
        .tenant = &w->view, .claims = claims, .topic = topic, .ask = wanted});
    assert_non_null(a);
    wc_claims_unref(claims);
    wc_authz_ask(w->authz, a);
}

/* Runs the loop until there is an answer. */
static unsigned answer(struct world *w)
{
    struct wc_msg *m;
    while (!(m = wc_mesh_pop(w->mesh, 0, 0)))
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    wc_mesh_popped(w->mesh, 0);
    assert_int_equal(m->kind, WC_MSG_PERMISSIONS);
    assert_int_equal(m->permissions, 0);
    unsigned error = m->error;
    wc_msg_unref(m);
    return error;
}

static void what_postgres_cannot_be_asked_is_a_policy_error(void **state)
{
    struct world *w = *state;
    const struct wc_slice room = wc_slice_str("room");
    const struct {
        const char *role, *json;
        struct wc_slice topic;
    } table[] = {
        {"none", "{}", room},
        {"", "{}", room},
        {"anon", "{}", wc_slice("a\0b", 3)},
        {"anon", "{\"sub\":\"a\\u0000b\"}", room},
        {"anon", "{\"sub\":", room},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ask(w, table[i].role, table[i].json, table[i].topic, WC_MAY_READ_BROADCAST);
        assert_int_equal(answer(w), WC_AUTHORIZE_POLICY);
    }
}

static void a_question_for_nothing_is_answered_without_a_connection(void **state)
{
    ask(*state, "anon", "{}", wc_slice_str("room"), 0);
    assert_int_equal(answer(*state), WC_AUTHORIZE_OK);
}

static void three_refused_connections_are_enough(void **state)
{
    for (int i = 0; i < 3; i++) { /* nobody listens */
        ask(*state, "anon", "{}", wc_slice_str("room"), WC_MAY_READ_BROADCAST);
        assert_int_equal(answer(*state), WC_AUTHORIZE_UNAVAILABLE);
    }
    ask(*state, "anon", "{}", wc_slice_str("room"), WC_MAY_READ_BROADCAST);
    assert_int_equal(answer(*state), WC_AUTHORIZE_CONNECT_RATE);
}

static void a_server_that_says_nothing_is_unavailable_in_time(void **state)
{
    struct world *w = *state;
    assert_return_code(listen(w->listener, 8), 0);
    for (int i = 0; i < 3; i++)
        ask(w, "anon", "{}", wc_slice_str("room"), WC_MAY_READ_BROADCAST);
    for (int i = 0; i < 3; i++)
        assert_int_equal(answer(w), WC_AUTHORIZE_UNAVAILABLE);
}

static void questions_that_wait_are_answered_when_it_ends(void **state)
{
    struct world *w = *state;
    assert_return_code(listen(w->listener, 8), 0);
    ask(w, "anon", "{}", wc_slice_str("room"), WC_MAY_READ_BROADCAST);
    ask(w, "anon", "{}", wc_slice_str("room"), WC_MAY_WRITE_PRESENCE);
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_null(wc_mesh_pop(w->mesh, 0, 0));
    wc_authz_free(w->authz);
    w->authz = NULL;
    assert_int_equal(answer(w), WC_AUTHORIZE_UNAVAILABLE);
    assert_int_equal(answer(w), WC_AUTHORIZE_UNAVAILABLE);
}

/* ---- what a replay must see ---- */

static void assert_unseen(const struct wc_authz *az, const char *expected)
{
    struct wc_buf out;
    wc_buf_init(&out, 1 << 16);
    wc_authz_write_unseen(az, &out);
    wc_buf_byte(&out, '\0');
    assert_int_equal(out.status, WC_OK);
    assert_string_equal((const char *)out.p, expected);
    wc_buf_release(&out);
}

static void transactions_are_noted_once_until_a_snapshot_has_seen_them(void **state)
{
    struct world *w = *state;
    struct wc_authz_question q = {.authz = w->authz};
    assert_unseen(w->authz, "{}");
    const wc_xid xid[] = {7, 7, 4294967295, 7};
    for (size_t i = 0; i < sizeof xid / sizeof *xid; i++)
        wc_authz_note_streamed(w->authz, xid[i]);
    assert_unseen(w->authz, "{7,4294967295,7}");
    q.streamed = 2;
    wc_authz_see(&q);
    assert_unseen(w->authz, "{7}");
    q.streamed = 1; /* an older question's */
    wc_authz_see(&q);
    assert_unseen(w->authz, "{7}");
    wc_authz_forget_streamed(w->authz);
    assert_unseen(w->authz, "{}");
    wc_authz_note_streamed(w->authz, 7); /* another server's */
    assert_unseen(w->authz, "{7}");
}

static void the_newest_transactions_are_remembered(void **state)
{
    struct world *w = *state;
    const uint32_t first = UINT32_MAX - WC_AUTHZ_STREAMED; /* as long as texts of them can be */
    for (uint32_t i = 0; i <= WC_AUTHZ_STREAMED; i++)
        wc_authz_note_streamed(w->authz, first + i);
    char expected[WC_AUTHZ_STREAMED * WC_AUTHZ_XID_SIZE + 2], *at = expected;
    for (uint32_t i = 1; i <= WC_AUTHZ_STREAMED; i++) {
        int size = (int)(expected + sizeof expected - at);
        at += snprintf(at, (size_t)size, "%c%u", i == 1 ? '{' : ',', first + i);
    }
    (void)snprintf(at, 2, "}");
    assert_unseen(w->authz, expected);
    struct wc_authz_question q = {.authz = w->authz, .streamed = WC_AUTHZ_STREAMED};
    wc_authz_see(&q);
    assert_unseen(w->authz, "{4294967295}");
}

/* ---- the claim sub ---- */

static void sub_is_a_text_whatever_its_type(void **state)
{
    (void)state;
    const char *const table[][2] = {
        {"{}", ""},
        {"{\"sub\":null}", ""},
        {"{\"sub\":\"\"}", ""},
        {"{\"sub\":\"a\\\"b\"}", "a\"b"},
        {"{\"sub\":7.50}", "7.50"},
        {"{\"sub\":true}", "true"},
        {"{\"sub\":{\"a\":[1]}}", "{\"a\":[1]}"},
        {"{\"sub\":\"first\",\"x\":{\"sub\":\"inner\"},\"sub\":\"last\"}", "last"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct wc_buf out;
        wc_buf_init(&out, 100);
        assert_true(wc_authz_sub(wc_slice_str(table[i][0]), &out));
        wc_buf_byte(&out, '\0');
        assert_string_equal((const char *)out.p, table[i][1]);
        wc_buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_postgres_cannot_be_asked_is_a_policy_error, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_question_for_nothing_is_answered_without_a_connection,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(three_refused_connections_are_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_says_nothing_is_unavailable_in_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(questions_that_wait_are_answered_when_it_ends, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(transactions_are_noted_once_until_a_snapshot_has_seen_them,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_newest_transactions_are_remembered, set_up, tear_down),
        cmocka_unit_test(sub_is_a_text_whatever_its_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

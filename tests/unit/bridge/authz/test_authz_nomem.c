/* Memory that runs out: a question is answered, or it waits, and nothing leaks. */
#include "bridge/authz/authz_priv.h"
#include "fanout/quota.h"
#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct world {
    uv_loop_t loop;
    struct wc_mesh *mesh;
    struct wc_publisher *publisher;
    struct wc_tenant_view view;
};

static void free_view(struct wc_tenant_view *v)
{
    (void)v;
}

static struct wc_authorize *question(struct world *w)
{
    struct wc_claims *claims = calloc(1, sizeof *claims);
    assert_non_null(claims);
    claims->refs = 1;
    claims->role = wc_slice_str("anon");
    claims->json = wc_slice_str("{\"sub\":\"\\u00e4\"}");
    struct wc_authorize *a = wc_authorize_new(&(struct wc_authorize){.tenant = &w->view,
                                                                     .claims = claims,
                                                                     .topic = wc_slice_str("room"),
                                                                     .ask = WC_MAY_READ_BROADCAST});
    assert_non_null(a);
    wc_claims_unref(claims);
    return a;
}

/* Makes, asks and frees with the n-th allocation failing; true when none was left to fail. */
static bool attempt(struct world *w, long n)
{
    const struct wc_authz_options o = {.pg = {.host = "127.0.0.1",
                                              .port = 1,
                                              .dbname = "d",
                                              .user = "u",
                                              .password = "p",
                                              .sslmode = "prefer",
                                              .connect_timeout_ms = 60000},
                                       .tenant = "test",
                                       .search_path = "public",
                                       .pool = 1,
                                       .times = wc_authz_times};
    struct wc_authorize *a = question(w);
    wc_test_fail_alloc(n);
    struct wc_authz *authz = wc_authz_new(&w->loop, &o, w->publisher);
    if (authz)
        wc_authz_ask(authz, a);
    bool is_over = authz && !wc_test_alloc_failed();
    wc_authz_free(authz);
    wc_test_fail_alloc(-1);
    if (!authz)
        wc_authorize_free(a);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    for (struct wc_msg *m; (m = wc_mesh_pop(w->mesh, 0, 0)); wc_msg_unref(m))
        assert_true(m->error != WC_AUTHORIZE_OK && m->permissions == 0);
    wc_mesh_popped(w->mesh, 0);
    return is_over;
}

static void a_failing_allocation_grants_and_leaves_nothing(void **state)
{
    (void)state;
    struct world w = {.mesh = wc_mesh_new(1, 1, 64)};
    const struct wc_tenant_limits limits = {.max_payload_kb = 1};
    struct wc_quota *quota = wc_quota_new(2, &limits);
    assert_non_null(quota);
    w.publisher = wc_publisher_new(w.mesh, 0);
    w.view = (struct wc_tenant_view){
        .refs = 1, .external_id = "test", .quota = quota, .free = free_view};
    (void)uv_loop_init(&w.loop);
    long n = 0;
    while (n < 1000 && !attempt(&w, n))
        n++;
    assert_in_range(n, 6, 999); /* strdup is not among them */
    assert_int_equal(uv_loop_close(&w.loop), 0);
    wc_publisher_free(w.publisher);
    wc_mesh_free(w.mesh);
    wc_quota_free(quota);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_allocation_grants_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What an orchestrator's probes are told. */
#include "bridge/ops/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect(struct wc_probe *r, const char *path, unsigned status, const char *body)
{
    struct wc_http_route routes[WC_PROBE_ROUTES];
    struct wc_http_request req = {.method = wc_slice_str("GET"), .path = wc_slice_str(path)};
    struct wc_http_response res = {.status = 200};
    wc_buf_init(&res.body, 1 << 10);
    wc_probe_routes(r, routes);
    wc_request_answer(routes, WC_PROBE_ROUTES, &req, &res);
    assert_int_equal(res.status, status);
    assert_true(wc_slice_is(wc_buf_view(&res.body), body));
    wc_buf_release(&res.body);
}

static void readiness_follows_the_process_and_liveness_does_not(void **state)
{
    (void)state;
    static const char ok[] = "{\"status\":\"ok\"}\n";
    struct wc_probe r = {0};
    expect(&r, "/health/ready", 503, "{\"status\":\"unavailable\",\"reason\":\"starting\"}\n");
    expect(&r, "/health/live", 200, ok);
    wc_probe_set(&r, WC_PROBE_READY);
    expect(&r, "/health/ready", 200, ok);
    wc_probe_set(&r, WC_PROBE_STOPPING);
    wc_probe_set(&r, WC_PROBE_READY); /* of a bridge that has not heard of it */
    expect(&r, "/health/ready", 503, "{\"status\":\"unavailable\",\"reason\":\"shutting_down\"}\n");
    expect(&r, "/health/live", 200, ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readiness_follows_the_process_and_liveness_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

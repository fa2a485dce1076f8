#include "bridge/ops/probe.h"

void wc_probe_set(struct wc_probe *r, enum wc_probe_state state)
{
    /* Relaxed: what the state tells of is published by whoever made it so. */
    unsigned now = atomic_load_explicit(&r->state, memory_order_relaxed);
    while (now < state && !atomic_compare_exchange_weak_explicit(
                              &r->state, &now, state, memory_order_relaxed, memory_order_relaxed))
        ; /* another one came first: look again */
}

static void answer(struct wc_http_response *res, const char *reason)
{
    res->content_type = WC_JSON_TYPE;
    res->status = reason ? 503 : 200;
    if (reason)
        wc_buf_printf(&res->body, "{\"status\":\"unavailable\",\"reason\":\"%s\"}\n", reason);
    else
        wc_buf_str(&res->body, "{\"status\":\"ok\"}\n");
}

static void handle_live(void *self, const struct wc_http_request *req, struct wc_http_response *res)
{
    (void)self;
    (void)req;
    answer(res, NULL);
}

static void handle_ready(void *self, const struct wc_http_request *req,
                         struct wc_http_response *res)
{
    const struct wc_probe *r = self;
    (void)req;
    switch ((enum wc_probe_state)atomic_load_explicit(&r->state, memory_order_relaxed)) {
    case WC_PROBE_READY: answer(res, NULL); break;
    case WC_PROBE_STARTING: answer(res, "starting"); break;
    case WC_PROBE_STOPPING: answer(res, "shutting_down"); break;
    }
}

void wc_probe_routes(struct wc_probe *r, struct wc_http_route out[WC_PROBE_ROUTES])
{
    out[0] = (struct wc_http_route){
        .method = "GET", .path = "/health/live", .handle = handle_live, .self = r};
    out[1] = (struct wc_http_route){
        .method = "GET", .path = "/health/ready", .handle = handle_ready, .self = r};
}

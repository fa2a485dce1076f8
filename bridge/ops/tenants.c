#include "bridge/ops/tenants_priv.h"

#include "bridge/ops/openapi.h"
#include "fanout/call.h"
#include "fanout/hub.h"
#include "fanout/negotiate.h"

#include <stdlib.h>

enum { ERRORS_MAX = 256 << 10 };

/* ---- answers ---- */

static void answer(struct wc_http_response *res, unsigned status, const char *json)
{
    res->status = status;
    res->content_type = WC_JSON_TYPE;
    wc_buf_str(&res->body, json);
}

static void fail(struct wc_http_response *res)
{
    answer(res, 500, "{\"message\":\"Internal Server Error\"}");
}

/* Nothing is kept for the answer: the message is all of it. */
static bool on_message(void *state, struct wc_hub *hub, const struct wc_msg *m,
                       struct wc_http_response *res)
{
    (void)state;
    (void)hub;
    if (m->kind != WC_MSG_CALL)
        return false;
    wc_call_answer(m, res);
    return true;
}

static void forget(void *state)
{
    (void)state; /* the admin's own */
}

/* ---- to the bridge ---- */

static void run_task(void *arg)
{
    wc_task_run(arg);
}

static void discard_task(void *arg)
{
    wc_task_free(arg);
}

/* Takes the task. */
static void submit(const struct wc_http_request *req, struct wc_http_response *res,
                   struct wc_task *task)
{
    static const struct wc_call_hooks hooks = {on_message, forget};
    if (!task) {
        fail(res);
        return;
    }
    if (!wc_call_park(req, res, &hooks, task->admin, &task->handle)) {
        wc_task_free(task);
        return;
    }
    struct wc_handle handle = task->handle;
    const struct wc_bridge_call call = {run_task, discard_task, task};
    if (wc_bridge_post(task->admin->bridge, &call) == WC_OK)
        return;
    wc_task_free(task);
    wc_call_unpark(req, res, handle);
}

/* ---- what all routes ask first ---- */

static bool is_admitted(const struct wc_admin *a, const struct wc_http_request *req)
{
    return a->opt.gate &&
           wc_gate_admits(a->opt.gate, req->authorization, wc_clock_wall() / 1000000);
}

static bool admit(const struct wc_admin *a, const struct wc_http_request *req,
                  struct wc_http_response *res, struct wc_json *body)
{
    if (!wc_negotiate_body(req, &req->hub->arena, res, body) || !wc_negotiate_accept(req, res))
        return false;
    if (is_admitted(a, req))
        return true;
    res->status = 403;
    res->content_type = NULL;
    return false;
}

static void handle_plain(struct wc_admin *a, const struct wc_http_request *req,
                         struct wc_http_response *res, enum wc_task_kind kind)
{
    struct wc_json body;
    if (admit(a, req, res, &body))
        submit(req, res, wc_task_new(a, kind, req->param[0], NULL));
}

static void handle_put(struct wc_admin *a, const struct wc_http_request *req,
                       struct wc_http_response *res)
{
    struct wc_json body;
    struct wc_form *form = NULL;
    if (!admit(a, req, res, &body))
        return;
    uint32_t tenant = wc_json_get(&body, 0, "tenant");
    if (!body.count || wc_json_type(&body, tenant) != WC_JSON_OBJECT) {
        answer(res, 400, "\"Bad Request\"");
        return;
    }
    const struct wc_form_context context = {
        .id = req->param[0], .defaults = a->opt.defaults, .scratch = &req->hub->arena};
    struct wc_buf errors;
    wc_buf_init(&errors, ERRORS_MAX);
    enum wc_status st = wc_form_read(&body, tenant, &context, &form, &errors);
    if (st == WC_OK) {
        submit(req, res, wc_task_new(a, WC_TASK_PUT, wc_slice(NULL, 0), form));
    } else if (st == WC_INVALID) {
        answer(res, 422, "");
        wc_buf_slice(&res->body, wc_buf_view(&errors));
    } else {
        fail(res);
    }
    wc_buf_release(&errors);
}

/* ---- handlers ---- */

#define HANDLER(name, call)                                                                        \
    static void name(void *self, const struct wc_http_request *req, struct wc_http_response *res)  \
    {                                                                                              \
        struct wc_admin *a = self;                                                                 \
        call;                                                                                      \
    }

HANDLER(on_list, handle_plain(a, req, res, WC_TASK_LIST))
HANDLER(on_show, handle_plain(a, req, res, WC_TASK_SHOW))
HANDLER(on_put, handle_put(a, req, res))
HANDLER(on_delete, handle_plain(a, req, res, WC_TASK_DELETE))
HANDLER(on_reload, handle_plain(a, req, res, WC_TASK_RELOAD))
HANDLER(on_shutdown, handle_plain(a, req, res, WC_TASK_SHUTDOWN))
HANDLER(on_health, handle_plain(a, req, res, WC_TASK_HEALTH))

#undef HANDLER

static void on_openapi(void *self, const struct wc_http_request *req, struct wc_http_response *res)
{
    (void)self;
    if (!wc_negotiate_accept(req, res))
        return;
    res->content_type = WC_JSON_TYPE;
    wc_buf_slice(&res->body, wc_openapi());
}

/* A path that is the beginning of another one comes behind it. */
void wc_admin_routes(struct wc_admin *a, struct wc_http_route out[WC_ADMIN_ROUTES])
{
    static const struct wc_http_route routes[WC_ADMIN_ROUTES] = {
        {.method = "GET", .path = "/api/openapi", .handle = on_openapi},
        {.method = "GET", .path = "/api/tenants", .handle = on_list},
        {.method = "POST", .path = "/api/tenants", .handle = on_put},
        {.method = "GET", .path = "/api/tenants/:id/health", .handle = on_health},
        {.method = "GET", .path = "/api/tenants/:id", .handle = on_show},
        {.method = "PUT", .path = "/api/tenants/:id", .handle = on_put},
        {.method = "PATCH", .path = "/api/tenants/:id", .handle = on_put},
        {.method = "DELETE", .path = "/api/tenants/:id", .handle = on_delete},
        {.method = "POST", .path = "/api/tenants/:id/reload", .handle = on_reload},
        {.method = "POST", .path = "/api/tenants/:id/shutdown", .handle = on_shutdown},
    };
    for (size_t i = 0; i < WC_ADMIN_ROUTES; i++) {
        out[i] = routes[i];
        out[i].self = a;
        out[i].no_cors = true;
    }
}

/* ---- life ---- */

struct wc_admin *wc_admin_new(const struct wc_admin_options *o)
{
    struct wc_admin *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->opt = *o;
    wc_list_init(&a->tasks);
    return a;
}

void wc_admin_use_bridge(struct wc_admin *a, struct wc_bridge *bridge)
{
    a->bridge = bridge;
}

void wc_admin_use_record(struct wc_admin *a, struct wc_record *record)
{
    wc_record_free(a->only);
    a->only = record;
}

static void end_tasks(struct wc_admin *a)
{
    WC_LIST_EACH_SAFE (it, &a->tasks)
        wc_task_free(WC_CONTAINER(it, struct wc_task, link));
}

void wc_admin_attach(struct wc_admin *a, struct wc_store *store)
{
    a->store = store;
    if (!store)
        end_tasks(a);
}

void wc_admin_free(struct wc_admin *a)
{
    if (!a)
        return;
    end_tasks(a);
    wc_record_free(a->only);
    free(a);
}

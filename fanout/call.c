#include "fanout/call.h"

#include "base/assert.h"
#include "fanout/call_table.h"
#include "fanout/hub.h"

#include <stdlib.h>

enum { BODY_CAP = INT32_MAX };

struct wc_calls *wc_calls_new(unsigned thread)
{
    struct wc_calls *calls = calloc(1, sizeof *calls);
    if (!calls)
        return NULL;
    calls->thread = thread;
    wc_list_init(&calls->waiting);
    wc_list_init(&calls->answered);
    return calls;
}

void wc_calls_free(struct wc_calls *calls)
{
    WC_ASSERT(!calls || calls->count == 0);
    free(calls);
}

/* ---- parking ---- */

/* With a copy of the response: its fields' values go behind the struct. */
static struct wc_call *copy_response(const struct wc_http_response *res)
{
    size_t bytes = 0;
    for (size_t i = 0; i < res->nfields; i++)
        bytes += res->field[i].value.len;
    struct wc_call *c = calloc(1, sizeof *c + bytes);
    if (!c)
        return NULL;
    uint8_t *at = (uint8_t *)(c + 1);
    c->res = *res;
    wc_buf_init(&c->res.body, BODY_CAP);
    for (size_t i = 0; i < res->nfields; i++) {
        struct wc_slice *value = &c->res.field[i].value;
        if (value->len)
            memcpy(at, value->p, value->len);
        value->p = at;
        at += value->len;
    }
    return c;
}

/* There is a free slot: the table is not full. */
static void enter(struct wc_calls *calls, struct wc_call *c)
{
    while (calls->slot[calls->next_slot])
        calls->next_slot = (calls->next_slot + 1) % WC_CALLS_MAX;
    if (++calls->next_generation == 0) /* 0 names nothing */
        calls->next_generation = 1;
    c->calls = calls;
    c->handle = (struct wc_handle){.thread = (uint16_t)calls->thread,
                                   .slot = calls->next_slot,
                                   .generation = calls->next_generation};
    calls->slot[calls->next_slot] = c;
    calls->next_slot = (calls->next_slot + 1) % WC_CALLS_MAX;
    calls->count++;
    wc_list_init(&c->link);
    wc_list_push(&calls->waiting, &c->link);
}

bool wc_call_park(const struct wc_http_request *req, struct wc_http_response *res,
                  const struct wc_call_hooks *hooks, void *state, struct wc_handle *out)
{
    struct wc_hub *hub = req->hub;
    bool is_full = hub->calls->count == WC_CALLS_MAX;
    struct wc_call *c = is_full ? NULL : copy_response(res);
    if (!c) {
        hooks->free(state);
        wc_response_message(res, is_full ? 503 : 500,
                            is_full ? "Too many requests wait" : "Internal Server Error");
        return false;
    }
    c->hooks = *hooks;
    c->state = state;
    c->deadline = hub->now + WC_CALL_TIMEOUT_US;
    enter(hub->calls, c);
    c->res.call = res->call = c;
    *out = c->handle;
    return true;
}

static struct wc_call *find(const struct wc_calls *calls, struct wc_handle h)
{
    struct wc_call *c = h.slot < WC_CALLS_MAX ? calls->slot[h.slot] : NULL;
    return c && c->handle.generation == h.generation ? c : NULL;
}

void wc_call_unpark(const struct wc_http_request *req, struct wc_http_response *res,
                    struct wc_handle handle)
{
    struct wc_call *c = find(req->hub->calls, handle);
    WC_ASSERT(c && res->call == c);
    res->call = NULL;
    wc_call_end(c);
    wc_response_message(res, 503, "Service Unavailable");
}

/* ---- answering ---- */

static void free_state(struct wc_call *c)
{
    if (c->state)
        c->hooks.free(c->state);
    c->state = NULL;
}

static void answered(struct wc_call *c)
{
    free_state(c);
    wc_list_remove(&c->link);
    wc_list_push(&c->calls->answered, &c->link);
}

static void refuse(struct wc_call *c, unsigned status, const char *message)
{
    wc_response_message(&c->res, status, message);
    answered(c);
}

void wc_calls_deliver(struct wc_hub *hub, const struct wc_msg *m)
{
    struct wc_call *c = find(hub->calls, m->handle);
    if (c && c->state && c->hooks.on_message(c->state, hub, m, &c->res))
        answered(c);
}

void wc_calls_expire(struct wc_hub *hub)
{
    struct wc_list *waiting = &hub->calls->waiting;
    while (!wc_list_is_empty(waiting)) {
        struct wc_call *c = WC_CONTAINER(waiting->next, struct wc_call, link);
        if (c->deadline > hub->now)
            return;
        refuse(c, 504, "Gateway Timeout");
    }
}

void wc_calls_refuse(struct wc_calls *calls)
{
    WC_LIST_EACH_SAFE (it, &calls->waiting) {
        refuse(WC_CONTAINER(it, struct wc_call, link), 503, "Service Unavailable");
    }
}

struct wc_call *wc_calls_answered(const struct wc_calls *calls)
{
    return wc_list_is_empty(&calls->answered)
               ? NULL
               : WC_CONTAINER(calls->answered.next, struct wc_call, link);
}

void wc_call_end(struct wc_call *c)
{
    if (!c)
        return;
    free_state(c);
    wc_list_remove(&c->link);
    c->calls->slot[c->handle.slot] = NULL;
    c->calls->count--;
    wc_buf_release(&c->res.body);
    free(c->location);
    free(c);
}

/* ---- what a message says ---- */

static void add_location(struct wc_http_response *res, struct wc_slice text)
{
    struct wc_call *c = res->call;
    if (!text.len || c->location)
        return;
    c->location = wc_slice_dup(text);
    if (c->location) /* without memory for it the answer does not say where */
        wc_response_field(res, "location", wc_slice(c->location, text.len));
}

void wc_call_answer(const struct wc_msg *m, struct wc_http_response *res)
{
    WC_ASSERT(m->kind == WC_MSG_CALL && m->location_len <= m->text_len);
    struct wc_slice body = wc_slice(m->text + m->location_len, m->text_len - m->location_len);
    res->status = m->http_status;
    res->content_type = body.len ? WC_JSON_TYPE : NULL;
    add_location(res, wc_slice(m->text, m->location_len));
    wc_buf_slice(&res->body, body);
}

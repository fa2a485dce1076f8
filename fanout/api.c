#include "fanout/api.h"

#include "fanout/batch.h"
#include "fanout/broadcast.h"
#include "fanout/negotiate.h"
#include "fanout/phxbin.h"
#include "fanout/private.h"
#include "fanout/quota.h"

#include <stdio.h>
#include <strings.h>

struct call {
    const struct wc_http_request *req;
    struct wc_http_response *res;
    struct wc_hub *hub;
    struct wc_tenant_view *tenant; /* a reference */
    struct wc_claims *claims;      /* likewise, of the token */
    struct wc_json doc;            /* of a JSON body; count 0: there is none */
};

/* ---- answers ---- */

static bool answer_text(struct call *c, unsigned status, const char *type, const char *text)
{
    c->res->status = status;
    c->res->content_type = type;
    wc_buf_str(&c->res->body, text);
    return false;
}

static bool refuse(struct call *c, unsigned status, const char *message)
{
    wc_response_message(c->res, status, message);
    return false;
}

static bool refuse_field(struct call *c, const char *field, const char *why)
{
    c->res->status = 422;
    c->res->content_type = WC_JSON_TYPE;
    wc_buf_printf(&c->res->body, "{\"errors\":{\"%s\":[\"%s\"]}}", field, why);
    return false;
}

static bool refuse_status(struct call *c, enum wc_status st)
{
    wc_response_unsent(c->res, st);
    return false;
}

/* ---- what all endpoints ask first ---- */

static bool negotiate(struct call *c)
{
    return wc_negotiate_body(c->req, &c->hub->arena, c->res, &c->doc) &&
           wc_negotiate_accept(c->req, c->res);
}

static bool find_tenant(struct call *c, const struct wc_directory *directory)
{
    const struct wc_tenant_address at = {.host = c->req->host, .name = c->req->tenant};
    c->tenant = directory->find(directory->self, &at);
    return c->tenant || refuse(c, 401, "Tenant not found in database");
}

static void add_number(struct call *c, const char *name, uint64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    char *kept = n > 0 ? wc_arena_strdup(&c->hub->arena, wc_slice(text, (size_t)n)) : NULL;
    if (kept)
        wc_response_field(c->res, name, wc_slice(kept, (size_t)n));
}

static void count(struct call *c, enum wc_quota_kind kind)
{
    wc_hub_count(c->hub, c->tenant, kind, 1);
}

static bool check_rate(struct call *c)
{
    struct wc_quota_rate r = wc_quota_rate(c->tenant->quota, WC_QUOTA_REQUESTS);
    count(c, WC_QUOTA_REQUESTS);
    add_number(c, "x-rate-rolling", r.average);
    add_number(c, "x-rate-limit", r.limit ? r.limit : UINT32_MAX);
    add_number(c, "x-rate-limit-remaining", r.limit ? r.remaining : UINT32_MAX);
    return !wc_quota_is_triggered(c->tenant->quota, WC_QUOTA_REQUESTS) ||
           refuse(c, 429, "Too many requests");
}

/* Exactly "Bearer" in any letter case, a space and the token; p NULL: anything else. */
static struct wc_slice bearer(struct wc_slice header)
{
    static const char scheme[] = "bearer ";
    size_t n = sizeof scheme - 1;
    if (header.len <= n || strncasecmp((const char *)header.p, scheme, n) != 0 ||
        memchr(header.p + n, ' ', header.len - n))
        return wc_slice(NULL, 0);
    return wc_slice(header.p + n, header.len - n);
}

static bool check_token(struct call *c)
{
    const struct wc_http_request *req = c->req;
    struct wc_slice token = req->authorization.p ? bearer(req->authorization) : req->apikey;
    if (token.p && wc_jwt_verify(c->tenant->keys, token, wc_clock_wall() / 1000000, &c->claims,
                                 NULL) == WC_JWT_OK)
        return true;
    return refuse(c, 401, "Unauthorized");
}

static bool check_suspended(struct call *c)
{
    return !c->tenant->is_suspended || refuse(c, 403, "Tenant is suspended");
}

/* ---- messages ---- */

static bool check_batch_rate(struct call *c, uint32_t n)
{
    struct wc_quota_rate r = wc_quota_rate(c->tenant->quota, WC_QUOTA_EVENTS);
    if (r.limit && r.average > r.limit)
        return refuse(c, 429, "You have exceeded your rate limit");
    return !wc_quota_would_pass(c->tenant->quota, WC_QUOTA_EVENTS, n) ||
           refuse(c, 429, "Too many messages to broadcast, please reduce the batch size");
}

static bool send_public(struct call *c, struct wc_slice sub, const struct wc_broadcast *b)
{
    count(c, WC_QUOTA_EVENTS);
    enum wc_status st = wc_broadcast_send(c->hub, c->tenant, false, sub, b);
    return st == WC_OK || refuse_status(c, st);
}

static struct wc_broadcast broadcast_of(const struct wc_batch_message *m)
{
    return (struct wc_broadcast){
        .form = WC_BROADCAST_NAMED, .event = m->event, .id = m->id, .payload = m->payload};
}

static bool send_publics(struct call *c, const struct wc_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct wc_broadcast b = broadcast_of(&batch->message[i]);
        if (!batch->message[i].is_private && !send_public(c, batch->message[i].topic, &b))
            return false;
    }
    return true;
}

static struct wc_private_sender sender(const struct call *c)
{
    return (struct wc_private_sender){.tenant = c->tenant, .claims = c->claims};
}

/* True: there were none, and all is done. */
static bool send_privates(struct call *c, const struct wc_batch *batch)
{
    uint32_t n = 0;
    struct wc_private_message *message =
        wc_arena_calloc(&c->hub->arena, batch->count, sizeof *message);
    if (!message)
        return refuse_status(c, WC_NOMEM);
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->message[i].is_private)
            message[n++] = (struct wc_private_message){
                .topic = batch->message[i].topic, .broadcast = broadcast_of(&batch->message[i])};
    if (n == 0)
        return true;
    const struct wc_private_sender from = sender(c);
    wc_private_send_batch(c->req, c->res, &from, message, n);
    return false;
}

static bool run_batch(struct call *c)
{
    struct wc_batch batch;
    struct wc_buf *body = &c->res->body;
    enum wc_status st = wc_batch_read(&c->doc, wc_quota_max_payload_kb(c->tenant->quota),
                                      &c->hub->arena, &batch, body);
    if (st == WC_INVALID) {
        c->res->status = 422;
        c->res->content_type = WC_JSON_TYPE;
        return false;
    }
    if (st != WC_OK) {
        wc_buf_reset(body);
        return refuse_status(c, st);
    }
    return check_batch_rate(c, batch.count) && send_publics(c, &batch) && send_privates(c, &batch);
}

/* The payload of the single endpoint; false: no memory. */
static bool take_payload(struct call *c, struct wc_broadcast *b)
{
    static const char open[] = "{\"_json\":";
    b->form = WC_BROADCAST_USER_JSON;
    b->payload = wc_slice_str("{}");
    if (wc_negotiate_is_type(c->req->content_type, "application/octet-stream")) {
        b->form = WC_BROADCAST_USER_BINARY;
        b->payload = c->req->body;
    } else if (wc_json_type(&c->doc, 0) == WC_JSON_OBJECT) {
        b->payload = wc_json_raw(&c->doc, 0);
    } else if (c->doc.count) {
        struct wc_slice raw = wc_json_raw(&c->doc, 0);
        size_t len = sizeof open - 1 + raw.len + 1;
        uint8_t *text = wc_arena_alloc(&c->hub->arena, len);
        if (!text)
            return refuse_status(c, WC_NOMEM);
        memcpy(text, open, sizeof open - 1);
        memcpy(text + sizeof open - 1, raw.p, raw.len);
        text[len - 1] = '}';
        b->payload = wc_slice(text, len);
    }
    return true;
}

static bool check_names(struct call *c, struct wc_slice topic, struct wc_slice event)
{
    size_t topic_max = WC_PHXBIN_FIELD_MAX - (sizeof "realtime:" - 1);
    if (wc_batch_is_blank(topic))
        return refuse_field(c, "topic", "can't be blank");
    if (wc_batch_is_blank(event))
        return refuse_field(c, "event", "can't be blank");
    if (!wc_utf8_ok(topic))
        return refuse_field(c, "topic", "is invalid");
    if (!wc_utf8_ok(event))
        return refuse_field(c, "event", "is invalid");
    if (topic.len > topic_max)
        return refuse_field(c, "topic", "should be at most 246 byte(s)");
    return event.len <= WC_PHXBIN_FIELD_MAX ||
           refuse_field(c, "event", "should be at most 255 byte(s)");
}

static bool run_single(struct call *c)
{
    struct wc_slice topic = c->req->param[0];
    struct wc_broadcast b = {.event = c->req->param[1]};
    if (!take_payload(c, &b) || !check_names(c, topic, b.event))
        return false;
    if (!wc_broadcast_fits(&b, wc_quota_max_payload_kb(c->tenant->quota)))
        return refuse_field(c, "payload", "Payload size exceeds tenant limit");
    if (wc_quota_is_triggered(c->tenant->quota, WC_QUOTA_EVENTS))
        return refuse(c, 429, "You have exceeded your rate limit");
    if (!wc_request_has(c->req, "private=true"))
        return send_public(c, topic, &b);
    const struct wc_private_sender from = sender(c);
    wc_private_send(c->req, c->res, &from,
                    &(struct wc_private_message){.topic = topic, .broadcast = b});
    return false;
}

/* ---- handlers ---- */

static struct call begin(const struct wc_http_request *req, struct wc_http_response *res)
{
    return (struct call){.req = req, .res = res, .hub = req->hub};
}

static void end(struct call *c)
{
    wc_tenant_view_unref(c->tenant);
    wc_claims_unref(c->claims);
}

/* Unless it was refused, or parked. */
static void accepted(struct call *c, bool ok)
{
    if (ok)
        wc_response_empty(c->res, 202);
    end(c);
}

static void handle_ping(void *self, const struct wc_http_request *req, struct wc_http_response *res)
{
    struct call c = begin(req, res);
    if (wc_negotiate_accept(req, res) && find_tenant(&c, self) && check_rate(&c))
        wc_response_message(res, 200, "Success");
    end(&c);
}

static void handle_batch(void *self, const struct wc_http_request *req,
                         struct wc_http_response *res)
{
    struct call c = begin(req, res);
    accepted(&c, negotiate(&c) && find_tenant(&c, self) && check_rate(&c) && check_token(&c) &&
                     check_suspended(&c) && run_batch(&c));
}

static bool check_content_type(struct call *c)
{
    struct wc_slice type = c->req->content_type;
    if (!type.p || wc_negotiate_is_type(type, "application/json") ||
        wc_negotiate_is_type(type, "application/octet-stream"))
        return true;
    return answer_text(c, 415, WC_JSON_TYPE,
                       "{\"error\":\"Unsupported Media Type. Use application/json or "
                       "application/octet-stream\"}");
}

static void handle_single(void *self, const struct wc_http_request *req,
                          struct wc_http_response *res)
{
    struct call c = begin(req, res);
    accepted(&c, negotiate(&c) && check_content_type(&c) && find_tenant(&c, self) &&
                     check_rate(&c) && check_token(&c) && check_suspended(&c) && run_single(&c));
}

void wc_api_routes(struct wc_directory *directory, struct wc_http_route out[WC_API_ROUTES])
{
    static const struct wc_http_route routes[WC_API_ROUTES] = {
        {.method = "GET", .path = "/api/ping", .handle = handle_ping},
        {.method = "POST", .path = "/api/broadcast", .handle = handle_batch},
        {.method = "POST", .path = "/api/broadcast/:topic/events/:event", .handle = handle_single},
    };
    for (size_t i = 0; i < WC_API_ROUTES; i++) {
        out[i] = routes[i];
        out[i].self = directory;
        out[i].is_tenants = true;
    }
}

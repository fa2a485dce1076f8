#include "fanout/http.h"

#include "fanout/headers.h"
#include "fanout/hub.h"
#include "fanout/ws.h"

#include <libwebsockets.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADERS_MAX = 2048 }; /* the longest: the request id, and headers a preflight asks for */

static const char text_plain[] = "text/plain; charset=utf-8";

/* ---- reading ---- */

static char *scratch(struct wc_arena *arena, int len)
{
    return len >= 0 ? wc_arena_alloc(arena, (size_t)len + 1) : NULL;
}

struct wc_slice wc_http_header(struct lws *wsi, int token, struct wc_arena *arena)
{
    enum lws_token_indexes t = (enum lws_token_indexes)token;
    int len = lws_hdr_total_length(wsi, t);
    char *text = len > 0 ? scratch(arena, len) : NULL;
    if (!text || lws_hdr_copy(wsi, text, len + 1, t) < 0)
        return wc_slice(NULL, 0);
    return wc_slice(text, (size_t)len);
}

struct wc_slice wc_http_custom_header(struct lws *wsi, const char *name, struct wc_arena *arena)
{
    int name_len = (int)strlen(name);
    int len = lws_hdr_custom_length(wsi, name, name_len);
    char *text = scratch(arena, len);
    if (!text || lws_hdr_custom_copy(wsi, text, len + 1, name, name_len) < 0)
        return wc_slice(NULL, 0);
    return wc_slice(text, (size_t)len);
}

struct wc_slice wc_http_parameter(struct lws *wsi, const char *name, struct wc_arena *arena)
{
    size_t name_len = strlen(name);
    int room = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS);
    char *text = room > 0 ? scratch(arena, room) : NULL;
    for (int i = 0; text; i++) {
        int len = lws_hdr_copy_fragment(wsi, text, room + 1, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (len < 0)
            break;
        if ((size_t)len >= name_len && memcmp(text, name, name_len) == 0)
            return wc_slice(text + name_len, (size_t)len - name_len);
    }
    return wc_slice(NULL, 0);
}

static struct wc_slice read_path(struct lws *wsi, const char **method, struct wc_arena *arena)
{
    static const struct {
        enum lws_token_indexes token;
        const char *name;
    } methods[] = {
        {WSI_TOKEN_GET_URI, "GET"},         {WSI_TOKEN_POST_URI, "POST"},
        {WSI_TOKEN_PUT_URI, "PUT"},         {WSI_TOKEN_PATCH_URI, "PATCH"},
        {WSI_TOKEN_DELETE_URI, "DELETE"},   {WSI_TOKEN_HEAD_URI, "HEAD"},
        {WSI_TOKEN_OPTIONS_URI, "OPTIONS"},
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (lws_hdr_total_length(wsi, methods[i].token) <= 0)
            continue;
        *method = methods[i].name;
        return wc_http_header(wsi, (int)methods[i].token, arena);
    }
    *method = "";
    return wc_slice(NULL, 0);
}

struct wc_whose wc_http_whose(struct lws *wsi, const char **method, struct wc_arena *arena)
{
    struct wc_slice path = read_path(wsi, method, arena);
    return wc_whose(path, wc_http_header(wsi, WSI_TOKEN_HOST, arena),
                    wc_http_custom_header(wsi, "x-tenant-id:", arena));
}

/* ---- writing ---- */

struct header_sink {
    struct lws *wsi;
    uint8_t *at, *end;
};

static bool put_field(struct header_sink *s, const char *name, struct wc_slice value)
{
    char line[64]; /* our names are shorter, and libwebsockets wants the colon */
    int n = snprintf(line, sizeof line, "%s:", name);
    return n > 0 && (size_t)n < sizeof line &&
           !lws_add_http_header_by_name(s->wsi, (const unsigned char *)line, value.p,
                                        (int)value.len, &s->at, s->end);
}

/* A header of the request on the stack, empty when it is absent or longer. */
static struct wc_slice copy_header(struct lws *wsi, const char *name, char *out, int size)
{
    int len = lws_hdr_custom_copy(wsi, out, size, name, (int)strlen(name));
    return wc_slice(out, len > 0 ? (size_t)len : 0);
}

static bool put_request_id(struct header_sink *s)
{
    char baggage[1024], own[256], fresh[WC_REQUEST_ID_FRESH];
    struct wc_slice b = copy_header(s->wsi, "baggage:", baggage, sizeof baggage);
    struct wc_slice o = copy_header(s->wsi, "x-request-id:", own, sizeof own);
    const struct wc_ws *ws = lws_context_user(lws_get_context(s->wsi)); /* set by ws.c */
    return put_field(s, "x-request-id", wc_request_id(ws->opt.baggage_key, b, o, fresh));
}

static bool put_headers(struct header_sink *s, const struct wc_http_response *res)
{
    if (lws_add_http_header_status(s->wsi, res->status, &s->at, s->end) || !put_request_id(s))
        return false;
    if (res->content_type && !put_field(s, "content-type", wc_slice_str(res->content_type)))
        return false;
    for (size_t i = 0; i < res->nfields; i++)
        if (!put_field(s, res->field[i].name, res->field[i].value))
            return false;
    if (!put_field(s, "connection", wc_slice_str("close")))
        return false;
    /* 204 has no length (RFC 9110, section 8.6). */
    if (res->status != 204 &&
        lws_add_http_header_content_length(s->wsi, res->body.len, &s->at, s->end))
        return false;
    return !lws_finalize_http_header(s->wsi, &s->at, s->end);
}

static void send_response(struct lws *wsi, const struct wc_http_response *res, struct wc_slice body)
{
    uint8_t buf[LWS_PRE + HEADERS_MAX];
    uint8_t *start = buf + LWS_PRE;
    struct header_sink s = {.wsi = wsi, .at = start, .end = buf + sizeof buf};
    if (!put_headers(&s, res))
        return;
    int len = (int)(s.at - start);
    if (lws_write(wsi, start, (size_t)len, LWS_WRITE_HTTP_HEADERS) != len || !body.len)
        return;
    /* libwebsockets' own frame types are written in place, HTTP/1.1 bodies are not: const is kept.
     */
    union {
        const uint8_t *in;
        uint8_t *out;
    } p = {.in = body.p};
    (void)lws_write(wsi, p.out, body.len, LWS_WRITE_HTTP_FINAL); /* the connection ends anyway */
}

void wc_http_respond(struct lws *wsi, unsigned status, const char *content_type,
                     struct wc_slice body)
{
    const struct wc_http_response res = {
        .status = status, .content_type = content_type, .body = {.len = body.len}};
    send_response(wsi, &res, body);
}

static void respond_text(struct lws *wsi, unsigned status, const char *text)
{
    wc_http_respond(wsi, status, text_plain, wc_slice_str(text));
}

/* ---- requests ---- */

/* libwebsockets has taken the query apart and decoded each parameter. */
static struct wc_slice whole_query(struct lws *wsi, struct wc_arena *arena)
{
    int room = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS);
    char *text = room > 0 ? scratch(arena, room) : NULL;
    size_t at = 0;
    for (int i = 0; text; i++) {
        size_t start = i ? at + 1 : 0; /* behind the '&' */
        int len = lws_hdr_copy_fragment(wsi, text + start, room + 1 - (int)start,
                                        WSI_TOKEN_HTTP_URI_ARGS, i);
        if (len < 0)
            break;
        if (i)
            text[at] = '&';
        at = start + (size_t)len;
    }
    return wc_slice(text, at);
}

static struct wc_slice all_headers(const struct wc_http_request *req)
{
    return wc_headers_all(req->wsi, req->other_headers, &req->hub->arena);
}

static struct wc_http_request read_request(const struct wc_http *http, struct lws *wsi)
{
    const char *method;
    struct wc_arena *arena = http->arena;
    struct wc_whose whose = wc_http_whose(wsi, &method, arena);
    struct wc_http_request req = {.path = whose.path, .is_by_path = whose.is_by_path};
    req.hub = http->hub;
    req.method = wc_slice_str(method);
    req.host = whose.address.host;
    req.tenant = whose.address.name;
    req.query = whole_query(wsi, arena);
    req.authorization = wc_http_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, arena);
    req.apikey = wc_http_custom_header(wsi, "apikey:", arena);
    req.content_type = wc_http_header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, arena);
    req.accept = wc_http_header(wsi, WSI_TOKEN_HTTP_ACCEPT, arena);
    req.origin = wc_http_header(wsi, WSI_TOKEN_ORIGIN, arena);
    req.wanted_headers = wc_http_header(wsi, WSI_TOKEN_HTTP_AC_REQUEST_HEADERS, arena);
    req.headers = all_headers;
    req.other_headers = http->request_headers;
    req.wsi = wsi;
    return req;
}

static void respond(struct lws *wsi, const struct wc_http_response *res)
{
    if (res->body.status == WC_OK)
        send_response(wsi, res, wc_buf_view(&res->body));
    else
        respond_text(wsi, 500, "Internal Server Error");
}

/* NULL: it is answered. */
static struct wc_call *answer(const struct wc_http *http, struct lws *wsi, struct wc_slice body)
{
    http->hub->now = wc_clock_mono();
    struct wc_http_request req = read_request(http, wsi);
    struct wc_http_response res = {.status = 200, .content_type = text_plain};
    req.body = body;
    wc_buf_init(&res.body, INT32_MAX);
    wc_request_answer(http->routes, http->nroutes, &req, &res);
    wc_publisher_flush(http->hub->publisher); /* before the answer: "Order" in mesh.h */
    if (!res.call)
        respond(wsi, &res);
    wc_buf_release(&res.body);
    return res.call;
}

/* ---- parked requests ---- */

static struct wc_http_exchange *new_exchange(const struct wc_http *http, struct lws *wsi)
{
    struct wc_http_exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->magic = WC_HTTP_MAGIC;
    x->wsi = wsi;
    x->intake = &http->hub->intake;
    wc_buf_init(&x->body, WC_HTTP_BODY_MAX);
    lws_set_opaque_user_data(wsi, x);
    return x;
}

/* In this state libwebsockets either reads what comes as another body or does not read at all, and
 * then sees the same input in every turn: both are endless loops. So nothing is read, and the tick
 * looks who has hung up. */
static int hold(struct wc_http_exchange *x, struct wc_call *call)
{
    x->call = call;
    call->place = x;
    lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0); /* the call has a deadline */
    (void)lws_rx_flow_control(x->wsi, 0);           /* fails on a dying connection only */
    return 0;
}

/* The call first: libwebsockets tells us of the end a turn later. */
static void hang_up(struct wc_http_exchange *x)
{
    wc_call_end(x->call);
    x->call = NULL;
    lws_set_timeout(x->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

bool wc_http_flush(const struct wc_http *http, wc_us until)
{
    struct wc_call *c;
    while ((c = wc_calls_answered(http->hub->calls))) {
        struct wc_http_exchange *x = c->place;
        /* What is not written at once is written later only if reading is allowed. */
        (void)lws_rx_flow_control(x->wsi, 1);
        respond(x->wsi, &c->res);
        hang_up(x);
        if (wc_clock_mono() >= until)
            break;
    }
    return wc_calls_answered(http->hub->calls) != NULL;
}

void wc_http_tick(const struct wc_http *http)
{
    struct pollfd fds[WC_CALLS_MAX];
    struct wc_http_exchange *of[WC_CALLS_MAX];
    nfds_t n = 0;
    WC_LIST_EACH (it, &http->hub->calls->waiting) {
        struct wc_http_exchange *x = WC_CONTAINER(it, struct wc_call, link)->place;
        fds[n] = (struct pollfd){.fd = lws_get_socket_fd(x->wsi), .events = POLLRDHUP};
        of[n++] = x;
    }
    if (n == 0 || poll(fds, n, 0) <= 0)
        return;
    for (nfds_t i = 0; i < n; i++)
        if (fds[i].revents)
            hang_up(of[i]);
}

/* ---- requests ---- */

static int answer_at_once(const struct wc_http *http, struct lws *wsi)
{
    struct wc_call *call = answer(http, wsi, wc_slice(NULL, 0));
    struct wc_http_exchange *x = call ? new_exchange(http, wsi) : NULL;
    if (x)
        return hold(x, call);
    wc_call_end(call);
    return -1;
}

int wc_http_on_request(const struct wc_http *http, struct lws *wsi)
{
    struct wc_slice length = wc_http_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, http->arena);
    const char *method;
    (void)read_path(wsi, &method, http->arena); /* only the method is of interest here */
    if (wc_http_header(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING, http->arena).p) {
        respond_text(wsi, 411, "Length Required");
        return -1;
    }
    long long n = length.p ? strtoll((const char *)length.p, NULL, 10) : 0;
    if (n < 0 || n > WC_HTTP_BODY_MAX) {
        respond_text(wsi, 413, "Request Entity Too Large");
        return -1;
    }
    /* libwebsockets announces the end of an empty body to POST alone, and not without a length. */
    if (n == 0 && (!length.p || strcmp(method, "POST") != 0))
        return answer_at_once(http, wsi);
    return new_exchange(http, wsi) ? 0 : -1;
}

int wc_http_on_body(struct lws *wsi, struct wc_http_exchange *x, struct wc_slice part)
{
    if (!x->call && wc_intake_add(x->intake, &x->body, part) == WC_OK)
        return 0;
    respond_text(wsi, 503, "Service Unavailable");
    return -1;
}

int wc_http_on_body_end(const struct wc_http *http, struct lws *wsi, struct wc_http_exchange *x)
{
    struct wc_call *call = x->call ? NULL : answer(http, wsi, wc_buf_view(&x->body));
    wc_arena_reset(http->arena);
    wc_intake_release(x->intake, &x->body);
    return call ? hold(x, call) : -1;
}

void wc_http_exchange_free(struct wc_http_exchange *x)
{
    if (!x)
        return;
    wc_intake_release(x->intake, &x->body);
    wc_call_end(x->call);
    free(x);
}

#include "fanout/upgrade.h"

#include "base/jsonw.h"
#include "fanout/headers.h"
#include "fanout/http.h"
#include "fanout/origin.h"

#include <libwebsockets.h>
#include <stdlib.h>

enum {
    KEY_MAX = 128,            /* libwebsockets' limit for Sec-WebSocket-Key */
    REFUSED_LOG_US = 1000000, /* a client that keeps trying is one line a second */
    GUARD_LOG_US = 10 * 1000000,
};

bool wc_upgrade_is_for(struct wc_slice path)
{
    return wc_slice_is(path, "/socket/websocket") || wc_slice_is(path, "/realtime/v1/websocket");
}

/* Who is at the other end. A trusted proxy that names nobody is not watched: anybody may be behind
 * it. */
struct visitor {
    struct wc_address address;
    bool is_watched;
};

static struct visitor visitor_of(struct wc_upgrade *u, struct lws *wsi)
{
    const struct wc_networks *trusted = u->gate.trusted_proxies;
    struct wc_address peer;
    if (!wc_address_of_peer(lws_get_socket_fd(wsi), &peer))
        return (struct visitor){.is_watched = false};
    struct wc_slice forwarded = wc_http_header(wsi, WSI_TOKEN_X_FORWARDED_FOR, &u->hub->arena);
    struct wc_address client = wc_address_of_client(peer, forwarded, trusted);
    return (struct visitor){.address = client, .is_watched = !wc_networks_hold(trusted, &client)};
}

static struct wc_connect_result check_request(struct wc_upgrade *u, struct lws *wsi)
{
    const char *method;
    struct wc_arena *arena = &u->hub->arena;
    struct wc_connect_request req = {
        .address = wc_http_whose(wsi, &method, arena).address,
        .vsn = wc_http_parameter(wsi, "vsn=", arena),
        .key = wc_http_custom_header(wsi, "x-api-key:", arena),
    };
    if (!req.key.p)
        req.key = wc_http_parameter(wsi, "apikey=", arena);
    return wc_connect_check(&u->directory, &req, wc_clock_wall() / 1000000);
}

static void log_guarded(struct wc_upgrade *u, const struct wc_address *a, const char *why)
{
    unsigned long more = 0;
    char text[WC_ADDRESS_TEXT_MAX];
    if (!wc_log_limit(&u->guard_log, GUARD_LOG_US, &more))
        return;
    wc_address_text(a, text);
    WC_LOG(WC_LOG_WARN, "ws", "address_refused",
           "address=%s why=\"%s\" suppressed=%lu hint=\"if this is a proxy, name it in "
           "TRUSTED_PROXIES: then its clients are told apart\"",
           text, why, more);
}

static struct wc_connect_result refuse_visitor(struct wc_upgrade *u, const struct visitor *v,
                                               const char *why)
{
    log_guarded(u, &v->address, why);
    return wc_connect_refusal(429, why);
}

/* The guard, the origin, then the request itself. A tenant's own limits (429) are not the
 * address's fault. */
static struct wc_connect_result admit(struct wc_upgrade *u, struct lws *wsi,
                                      const struct visitor *v)
{
    struct wc_upgrade_gate *gate = &u->gate;
    wc_us now = wc_clock_mono();
    const char *why = v->is_watched ? wc_guard_attempt(gate->guard, &v->address, now) : NULL;
    if (why)
        return refuse_visitor(u, v, why);
    struct wc_slice origin = wc_http_header(wsi, WSI_TOKEN_ORIGIN, &u->hub->arena);
    struct wc_connect_result r = wc_connect_refusal(403, "Origin not allowed");
    if (wc_origin_is_allowed(gate->allowed_origins, origin))
        r = check_request(u, wsi);
    if (v->is_watched && r.status && r.status != 429)
        wc_guard_refused(gate->guard, &v->address, now);
    return r;
}

static void log_refusal(struct wc_upgrade *u, const struct wc_connect_result *r)
{
    unsigned long more = 0;
    if (wc_log_limit(&u->refused_log, REFUSED_LOG_US, &more))
        WC_LOG(WC_LOG_INFO, "ws", "connect_refused", "status=%u reason=\"%s\" suppressed=%lu",
               r->status, r->text[0] ? r->text : "unknown vsn", more);
}

static void respond_refusal(struct lws *wsi, const struct wc_connect_result *r)
{
    struct wc_buf body;
    if (!r->text[0]) {
        wc_http_respond(wsi, r->status, NULL, wc_slice(NULL, 0));
        return;
    }
    wc_buf_init(&body, 4096);
    wc_buf_str(&body, "{\"error\":");
    wc_jsonw_cstr(&body, r->text);
    wc_buf_byte(&body, '}');
    if (body.status == WC_OK)
        wc_http_respond(wsi, r->status, WC_JSON_TYPE, wc_buf_view(&body));
    wc_buf_release(&body);
}

static void respond_text(struct lws *wsi, unsigned status, const char *text)
{
    wc_http_respond(wsi, status, "text/plain; charset=utf-8", wc_slice_str(text));
}

static bool names_upgrade(const char *connection)
{
    return connection && strcasestr(connection, "upgrade");
}

/* What libwebsockets would hang up on without a word. */
static const char *upgrade_problem(struct wc_upgrade *u, struct lws *wsi)
{
    struct wc_arena *arena = &u->hub->arena;
    struct wc_slice key = wc_http_header(wsi, WSI_TOKEN_KEY, arena);
    if (!names_upgrade((const char *)wc_http_header(wsi, WSI_TOKEN_CONNECTION, arena).p))
        return "connection: upgrade is missing";
    if (!key.p || key.len >= KEY_MAX)
        return "sec-websocket-key is missing or too long";
    if (!wc_slice_is(wc_http_header(wsi, WSI_TOKEN_VERSION, arena), "13"))
        return "sec-websocket-version must be 13";
    return NULL;
}

/* Counts the connection; false: another thread has taken the address's last place just now. */
static bool watch(struct wc_upgrade *u, struct wc_session *s, const struct visitor *v)
{
    s->address = v->address;
    s->is_watched = v->is_watched && wc_guard_enter(u->gate.guard, &v->address, wc_clock_mono());
    return s->is_watched == v->is_watched;
}

/* NULL when out of memory. Takes the references of the result. */
static struct wc_session *new_session(struct wc_upgrade *u, struct lws *wsi,
                                      struct wc_connect_result *from)
{
    struct wc_session *s = wc_session_new(u->hub, from);
    struct wc_slice headers = wc_headers_named(wsi, u->gate.request_headers, &u->hub->arena);
    if (s && headers.p)
        s->headers = wc_slice_dup(headers);
    if (s && s->headers)
        return s;
    wc_session_free(s);
    return NULL;
}

/* NULL: it has got a response that says what is wrong. Takes the references of the result. */
static struct wc_session *open_session(struct wc_upgrade *u, struct lws *wsi,
                                       const struct visitor *v, struct wc_connect_result *from)
{
    struct wc_session *s = new_session(u, wsi, from);
    if (!s) {
        respond_text(wsi, 503, "out of memory");
        return NULL;
    }
    if (watch(u, s, v))
        return s;
    wc_session_free(s);
    const struct wc_connect_result r =
        refuse_visitor(u, v, "Too many connections from this address");
    respond_refusal(wsi, &r);
    return NULL;
}

/* What a request brings is judged first, then how it was put: `problem`, NULL for none. */
static struct wc_session *answer(struct wc_upgrade *u, struct lws *wsi, const char *method,
                                 const char *problem)
{
    if (strcmp(method, "GET") != 0) {
        wc_http_respond(wsi, 400, NULL, wc_slice(NULL, 0));
        return NULL;
    }
    struct visitor v = visitor_of(u, wsi);
    struct wc_connect_result r = admit(u, wsi, &v);
    if (r.status) {
        log_refusal(u, &r);
        respond_refusal(wsi, &r);
        return NULL;
    }
    if (!problem)
        return open_session(u, wsi, &v, &r);
    wc_tenant_view_unref(r.tenant);
    wc_claims_unref(r.claims);
    respond_text(wsi, 400, problem);
    return NULL;
}

void wc_upgrade_refuse(struct wc_upgrade *u, struct lws *wsi, const char *method,
                       const char *problem)
{
    (void)answer(u, wsi, method, problem); /* NULL, with a problem */
}

struct wc_session *wc_upgrade_confirm(struct wc_upgrade *u, struct lws *wsi, const char *to)
{
    const char *method;
    struct wc_slice path = wc_http_whose(wsi, &method, &u->hub->arena).path;
    if (strcasecmp(to, "h2c") == 0) /* not spoken; others lws has answered itself */
        respond_text(wsi, 400, "only websocket upgrades are supported");
    else if (strcasecmp(to, "websocket") == 0 && wc_upgrade_is_for(path))
        return answer(u, wsi, method, upgrade_problem(u, wsi));
    else if (strcasecmp(to, "websocket") == 0)
        wc_http_respond(wsi, 404, "text/html; charset=utf-8", wc_slice_str("Not Found"));
    return NULL;
}

/*
 * HTTP requests and responses as handlers see them, and what can be decided about them without a
 * socket: which route a request is for, CORS, the request id.
 *
 * A route's path may hold parameters, "/api/broadcast/:topic/events/:event"; a parameter is at
 * least one byte, and reaches as far as the rest of the path allows. It may hold slashes, since
 * paths arrive percent-decoded: libwebsockets decodes them before anybody can take them apart, and
 * makes one slash of several and no "." or ".." segment of any, so such a name cannot be given in a
 * path; and '+', '&' and ';' are taken for what they mean in a query unless they are encoded, as
 * encodeURIComponent does. Whatever stands under /api/ is reached under /realtime/v1/api/ too, as
 * behind the gateways.
 *
 * Ownership: a request borrows everything, fields of a response are borrowed until it is written;
 * both may lie in the arena of the request's hub, which is reset after that.
 * Threads: pure but for handlers, which run on the socket thread that accepted the request and must
 * not block. Source: protocol reference, sections 10.1 and 10.3.
 */
#ifndef WC_FANOUT_REQUEST_H
#define WC_FANOUT_REQUEST_H

#include "base/buf.h"

struct lws;
struct wc_call;
struct wc_hub;

#define WC_JSON_TYPE "application/json; charset=utf-8"

enum { WC_REQUEST_PARAMS = 2, WC_RESPONSE_FIELDS = 8 };

struct wc_http_request {
    struct wc_slice method, path; /* path decoded */
    struct wc_slice query;        /* parameters joined by '&', each percent-decoded */
    struct wc_slice host;         /* port removed */
    struct wc_slice tenant;       /* named otherwise (whose.h); p NULL: not */
    bool is_by_path;              /* by a prefix of the path, which is removed */
    /* Headers; p NULL: absent. */
    struct wc_slice authorization, apikey, content_type, accept, origin;
    struct wc_slice wanted_headers; /* access-control-request-headers */
    struct wc_slice body;
    struct wc_slice param[WC_REQUEST_PARAMS]; /* of the route's path, in order */
    /* All headers as a JSON object, made when wanted; NULL: there are none. */
    struct wc_slice (*headers)(const struct wc_http_request *);
    const char *other_headers; /* for that, as the next */
    struct lws *wsi;
    struct wc_hub *hub; /* of the thread */
};

struct wc_http_response {
    unsigned status;          /* 200 at the start */
    const char *content_type; /* "text/plain; charset=utf-8" at the start; NULL: none */
    struct wc_buf body;
    struct wc_http_field {
        const char *name;
        struct wc_slice value;
    } field[WC_RESPONSE_FIELDS];
    size_t nfields;
    struct wc_call *call; /* not NULL: the request was parked (call.h), and the rest says nothing */
};

struct wc_http_route {
    const char *method, *path;
    void (*handle)(void *self, const struct wc_http_request *, struct wc_http_response *);
    void *self;
    bool is_tenants; /* about one tenant: found under /t/NAME too, as nothing else is */
    bool no_cors;    /* not for web pages: no preflight is answered */
};

/* Runs the route's handler, or fills in the answer to a CORS preflight, or the 404. The request's
 * parameters are filled in. */
void wc_request_answer(const struct wc_http_route *, size_t nroutes, struct wc_http_request *,
                       struct wc_http_response *);

/* What becomes of the response but for its fields: the body {"message":...}, of text that needs no
 * escapes; none; or why messages could not be sent (LIMIT, NOMEM). */
void wc_response_message(struct wc_http_response *, unsigned status, const char *text);
void wc_response_empty(struct wc_http_response *, unsigned status);
void wc_response_unsent(struct wc_http_response *, enum wc_status why);

/* The response has room for WC_RESPONSE_FIELDS; more is a bug. */
void wc_response_field(struct wc_http_response *, const char *name, struct wc_slice value);

/* All headers of the request as a JSON object (headers.h), for policies; p NULL: no memory. */
struct wc_slice wc_request_headers(const struct wc_http_request *);

/* Is the parameter in the query, with exactly this value? "private=true" */
bool wc_request_has(const struct wc_http_request *, const char *name_and_value);

/* What `x-request-id` of the answer says: the entry `key` of the `baggage` header when it has 10 to
 * 200 printable characters, else the request's own `x-request-id` when that has 20 to
 * 200, else a new one, written to `fresh`. */
enum { WC_REQUEST_ID_FRESH = 32 };
struct wc_slice wc_request_id(const char *key, struct wc_slice baggage, struct wc_slice own,
                              char fresh[WC_REQUEST_ID_FRESH]);

#endif

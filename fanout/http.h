/*
 * Plain HTTP on a socket thread, between libwebsockets and the routes (request.h). Bodies are
 * collected before the handler runs. Every response carries an `x-request-id`. One of the homes of
 * libwebsockets; its types appear by forward declaration only.
 *
 * One request per connection: every response says "connection: close". libwebsockets 4.1.6 takes
 * the body of a pipelined request from the wrong bytes, and then loops for ever with the thread's
 * other connections waiting; the first request of a connection is never served from its backlog.
 *
 * A request that its handler has parked (call.h) leaves its connection unread until it is answered.
 *
 * Threads: the socket thread's. Errors: a request that cannot be answered ends its connection.
 * Limits: bodies of 8,000,000 bytes, 413 above; a body in chunks is 411; 503 when too
 * much of other bodies and messages is on its way (intake.h).
 * Source: protocol reference, sections 1.1 and 10.
 */
#ifndef WC_FANOUT_HTTP_H
#define WC_FANOUT_HTTP_H

#include "base/arena.h"
#include "base/clock.h"
#include "fanout/intake.h"
#include "fanout/request.h"
#include "fanout/whose.h"

struct lws;
struct wc_call;

enum { WC_HTTP_MAGIC = 0x48545450, WC_HTTP_BODY_MAX = 8000000 };

/* A request whose body, or whose answer, is on its way. */
struct wc_http_exchange {
    uint32_t magic; /* first: ws.c gets it back through a void pointer */
    struct lws *wsi;
    struct wc_buf body;
    struct wc_intake *intake; /* the hub's */
    struct wc_call *call;     /* its answer is on its way */
};

struct wc_http {
    const struct wc_http_route *routes; /* borrowed */
    size_t nroutes;
    struct wc_hub *hub;          /* handed to handlers */
    struct wc_arena *arena;      /* the hub's: scratch; on_request's caller resets it */
    const char *request_headers; /* names of those that policies may see beside; headers.h */
};

/* Events of a connection; the results are for libwebsockets (0 goes on, -1 closes). */
int wc_http_on_request(const struct wc_http *, struct lws *);
int wc_http_on_body(struct lws *, struct wc_http_exchange *, struct wc_slice part);
int wc_http_on_body_end(const struct wc_http *, struct lws *, struct wc_http_exchange *);
void wc_http_exchange_free(struct wc_http_exchange *); /* NULL is fine */

/* Writes the answers of parked requests until none is left or `until` has passed; true: some are.
 * To be called outside of libwebsockets. */
bool wc_http_flush(const struct wc_http *, wc_us until);
/* About once a second: ends the parked requests whose clients have hung up. */
void wc_http_tick(const struct wc_http *);

/* Writes a whole response; the caller closes the connection. content_type NULL leaves it out. */
void wc_http_respond(struct lws *, unsigned status, const char *content_type, struct wc_slice body);

/* The value of a header, in the arena and NUL-terminated; p NULL when absent or out of memory. */
struct wc_slice wc_http_header(struct lws *, int token, struct wc_arena *);
struct wc_slice wc_http_custom_header(struct lws *, const char *name_with_colon, struct wc_arena *);
/* A parameter of the query ("vsn="), percent-decoded; the first one counts. */
struct wc_slice wc_http_parameter(struct lws *, const char *name_with_equals, struct wc_arena *);
/* Method ("GET"), and by path, host and x-tenant-id whose the request is. */
struct wc_whose wc_http_whose(struct lws *, const char **method, struct wc_arena *);

#endif

/*
 * The HTTP endpoints under /api/ that act on a tenant's rooms:
 *
 *   GET  /api/ping                            200 {"message":"Success"}
 *   POST /api/broadcast                       several messages (batch.h); 202
 *   POST /api/broadcast/:topic/events/:event  one; the body is its payload; 202
 *
 * In this order: a JSON body that is none 400; Accept without JSON 406; on the single endpoint a
 * content type other than application/json and application/octet-stream 415; tenant (whose.h) 401;
 * rate of requests 429; token (`Authorization: Bearer`, else `apikey`) 401; a suspended tenant 403;
 * then the handler: 422 for what the request says, 429 for the rate of events. From the tenant on,
 * answers carry `x-rate-rolling`, `x-rate-limit` and `x-rate-limit-remaining`, the last two
 * 4294967295 without a limit. Topics are without "realtime:".
 *
 * Private topics: the tenant's policies decide (private.h). On the single endpoint topic and event
 * must fit the binary frames of serializer V2 (422), since all its messages take that shape.
 * Threads: the socket thread's. Source: protocol reference, sections 9 and 10.3.
 */
#ifndef WC_FANOUT_API_H
#define WC_FANOUT_API_H

#include "fanout/request.h"
#include "fanout/source.h"

enum { WC_API_ROUTES = 3 };

/* Borrows the directory. */
void wc_api_routes(struct wc_directory *, struct wc_http_route out[WC_API_ROUTES]);

#endif

/*
 * WebSocket URLs (RFC 6455, section 3; RFC 3986): scheme, host, port, path, query.
 *
 *   ("ws" | "wss") "://" host [":" port] ["/" path] ["?" query]
 *
 * host is a name, an IPv4 address or an IPv6 address in brackets. User names and fragments are
 * refused, and so is everything that is not printable ASCII: it would end up in a request line.
 * Ownership: the result borrows the text. Threads: pure. Errors: INVALID with err->at; LIMIT.
 * Limits: WC_WSURL_MAX bytes, the request line that Realtime servers accept.
 */
#ifndef WC_FANOUT_WSURL_H
#define WC_FANOUT_WSURL_H

#include "base/buf.h"

#define WC_WSURL_MAX 8000

struct wc_wsurl {
    bool tls;
    uint16_t port;             /* the scheme's (80, 443) when the URL has none */
    struct wc_slice host;      /* without brackets */
    struct wc_slice authority; /* as written: what the Host header says */
    struct wc_slice path;      /* with its first '/'; empty when the URL has none */
    struct wc_slice query;     /* without '?' */
};

WC_MUST_USE
enum wc_status wc_wsurl_parse(const char *url, struct wc_wsurl *out, struct wc_err *err);

#endif

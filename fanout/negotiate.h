/*
 * What every endpoint under /api/ asks of a request first, in this order: a body that says it is
 * JSON and is not 400 (413 when it is too deep or has too many values), an Accept header that rules
 * JSON out 406.
 *
 * Ownership: documents borrow the body, their nodes lie in the arena. Threads: pure.
 * Source: protocol reference, section 10.1.
 */
#ifndef WC_FANOUT_NEGOTIATE_H
#define WC_FANOUT_NEGOTIATE_H

#include "base/json.h"
#include "fanout/request.h"

/* Is it this type in any letter case, whatever its parameters? */
bool wc_negotiate_is_type(struct wc_slice content_type, const char *type);

/* False: the response is the refusal. A body of another type, or none, gives a document without
 * nodes. */
bool wc_negotiate_body(const struct wc_http_request *, struct wc_arena *, struct wc_http_response *,
                       struct wc_json *out);
bool wc_negotiate_accept(const struct wc_http_request *, struct wc_http_response *);

#endif

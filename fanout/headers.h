/*
 * What policies see of a request: its headers as a JSON object, names in lower case, the value of
 * `request.headers`. One of the homes of libwebsockets, which knows most names by heart and cannot
 * list the others: those that policies may want beside are given as `names`, separated by commas.
 *
 * A header whose value is not UTF-8 is left out, and so is what does not fit into 64 KiB.
 * Ownership: the result lies in the arena; p NULL: out of memory. Threads: the socket thread's.
 * Source: protocol reference, section 8.3; design section 6 (what libwebsockets cannot do).
 */
#ifndef WC_FANOUT_HEADERS_H
#define WC_FANOUT_HEADERS_H

#include "base/arena.h"

struct lws;

struct wc_slice wc_headers_named(struct lws *, const char *names, struct wc_arena *);
/* And those that libwebsockets knows. */
struct wc_slice wc_headers_all(struct lws *, const char *names, struct wc_arena *);

#endif

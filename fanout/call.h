/*
 * HTTP requests that are answered later: the handler parks the request, asks somebody else (a
 * bridge, for a permission or for an answer of its own), and the answer finds the call by handle.
 *
 *   handler ─park→ waiting ─permissions, call (msg.h)→ on_message ─done→ answered
 *                    ├─ 30 s: 504; shutdown: 503 ──────────────────────────┘
 *                    └─ the client hangs up: freed
 *
 * A handle names a call of one socket thread; those of channels are another sequence. A message for
 * a call that has ended is skipped.
 * Ownership: `state` is the call's from park on; it is freed after the answer, or without one. What
 * the request borrows is gone when the handler returns: the state copies what it needs.
 * Threads: the socket thread's. Limits: 1,024 calls wait on a thread, then 503.
 */
#ifndef WC_FANOUT_CALL_H
#define WC_FANOUT_CALL_H

#include "fanout/msg.h"
#include "fanout/request.h"

struct wc_call_hooks {
    /* A message for the call; `hub` as in the request. True: the response is filled in (it keeps
     * what the handler had put into it, fields copied) and goes out. False: more is to come. */
    bool (*on_message)(void *state, struct wc_hub *hub, const struct wc_msg *,
                       struct wc_http_response *);
    void (*free)(void *state);
};

/* To be the last that a handler does to its response. True: the request waits, and `out` names it;
 * nothing is answered before the handler has returned. False: it is not parked and the state is
 * freed; the response is the 503 or 500 that says why. */
WC_MUST_USE
bool wc_call_park(const struct wc_http_request *, struct wc_http_response *,
                  const struct wc_call_hooks *, void *state, struct wc_handle *out);

/* For who has parked a request and could not ask after all: the response is a 503 as if it had not
 * been parked, or what the caller makes of it, and the state is freed. Only in the handler that
 * parked it. */
void wc_call_unpark(const struct wc_http_request *, struct wc_http_response *, struct wc_handle);

/* For on_message: the response that a call message brings, its body as JSON. */
void wc_call_answer(const struct wc_msg *, struct wc_http_response *);

#endif

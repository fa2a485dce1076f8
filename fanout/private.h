/*
 * Private messages over HTTP: kept while the policies are asked whether their sender may write to
 * their topics, sent when he may.
 *
 * Those of a batch are grouped by topic; each topic is asked about once, a few at a time, and those
 * that may not be written, or could not be asked about, are skipped without a word: 202. A single
 * message is answered with what became of it: 202, or 403, 422, 429 and 500 with a message.
 *
 * Ownership: a call (call.h) owns copies of its messages, which count as what is on its way
 * (intake.h). Threads: the socket thread's. Limits: as of call.h and intake.h.
 * Source: protocol reference, sections 8.2 and 10.3.
 */
#ifndef WC_FANOUT_PRIVATE_H
#define WC_FANOUT_PRIVATE_H

#include "fanout/broadcast.h"
#include "fanout/request.h"

struct wc_private_sender {
    struct wc_tenant_view *tenant;
    struct wc_claims *claims; /* of his token */
};

struct wc_private_message {
    struct wc_slice topic; /* without "realtime:" */
    struct wc_broadcast broadcast;
};

/* Both answer or park the request; to be the last that the handler does to its response. */
void wc_private_send(const struct wc_http_request *, struct wc_http_response *,
                     const struct wc_private_sender *, const struct wc_private_message *);
void wc_private_send_batch(const struct wc_http_request *, struct wc_http_response *,
                           const struct wc_private_sender *, const struct wc_private_message *,
                           uint32_t count);

#endif

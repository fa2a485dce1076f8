/*
 * The body of POST /api/broadcast: {"messages":[{"topic","event","payload"[,"private"][,"id"]}]}.
 *
 * topic (the channel's name without "realtime:") and event are strings that are not blank, payload
 * is an object, private a boolean, also as "true", "1", "false" or "0", id a string. Unknown keys
 * are ignored. One bad message refuses the whole batch.
 * Ownership: what is read borrows the document and the arena. Threads: pure.
 * Errors: INVALID, and the body of the 422 answer is in *errors: {"errors":{"messages":[...]}} with
 * an object for each message, empty for the good ones; NOMEM.
 * Source: protocol reference, section 10.3.
 */
#ifndef WC_FANOUT_BATCH_H
#define WC_FANOUT_BATCH_H

#include "base/json.h"

struct wc_batch_message {
    struct wc_slice topic, event;
    struct wc_slice payload; /* JSON text of an object */
    struct wc_slice id;      /* p NULL: none */
    bool is_private;
};

struct wc_batch {
    const struct wc_batch_message *message;
    uint32_t count;
};

WC_MUST_USE
enum wc_status wc_batch_read(const struct wc_json *doc, uint32_t max_payload_kb, struct wc_arena *,
                             struct wc_batch *out, struct wc_buf *errors);

/* Nothing but spaces, tabs and line ends. */
bool wc_batch_is_blank(struct wc_slice);

#endif

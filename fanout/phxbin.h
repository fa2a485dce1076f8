/*
 * The binary frames of serializer V2. All lengths are one byte and count bytes of UTF-8; the
 * payload is the rest of the frame.
 *
 *   kind  from    frame
 *   0     client  00 | J R P E     | join_ref ref topic event              | payload
 *   3     client  03 | J R P E M C | join_ref ref topic user_event metadata | payload
 *   1     server  01 | J R P S     | join_ref ref topic status             | payload
 *   2     server  02 | P E         | topic event                           | payload
 *   4     server  04 | P E M C     | topic user_event metadata             | payload
 *
 * C is the encoding of the payload: 0 bytes, 1 JSON text (from clients: anything but 0). Metadata
 * is empty or JSON text; the client's says nothing that is acted upon.
 * Ownership: a decoded message borrows the bytes and the arena; encode returns an owned frame.
 * Threads: pure. Errors: decode PROTO (err->text says what), NOMEM; encode LIMIT (a field of more
 * than 255 bytes does not fit its length), NOMEM. Source: protocol reference, section 2.3.
 */
#ifndef WC_FANOUT_PHXBIN_H
#define WC_FANOUT_PHXBIN_H

#include "fanout/phoenix.h"

enum { WC_PHXBIN_FIELD_MAX = 255 };

/* Kinds 0 and 3. Their refs are strings, an empty one too, and come as JSON text. */
WC_MUST_USE
enum wc_status wc_phxbin_decode(struct wc_slice bytes, struct wc_arena *,
                                struct wc_phx_message *out, struct wc_err *err);

enum wc_phxbin_kind {
    WC_PHXBIN_REPLY = 1,
    WC_PHXBIN_BROADCAST = 2,
    WC_PHXBIN_USER_BROADCAST = 4,
};

struct wc_phxbin {
    enum wc_phxbin_kind kind;
    struct wc_slice join_ref, ref; /* of a reply, as plain text */
    struct wc_slice topic;
    struct wc_slice event;    /* of a reply: the status */
    struct wc_slice metadata; /* of a user broadcast: JSON text, or empty */
    bool is_json;             /* of a user broadcast */
    struct wc_slice payload;
};

WC_MUST_USE
enum wc_status wc_phxbin_encode(const struct wc_phxbin *, struct wc_frame **out);

#endif

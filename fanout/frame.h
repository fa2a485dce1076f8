/*
 * A server-to-client WebSocket frame, header and payload (RFC 6455, section 5.2: unmasked, FIN set
 * but in the first of two), built once and sent to everybody who gets it.
 *
 *   bytes ──┬────────────┬─────────────────┐
 *           │ 2, 4 or 10 │ payload         │  len = both
 *
 * The bytes are written out with the pass-through write of ws.c, which needs no room before the
 * frame and does not touch it, so a frame is immutable once its builder hands it on and may be
 * shared by all threads.
 * Ownership: reference counted; new returns one reference. Threads: any.
 */
#ifndef WC_FANOUT_FRAME_H
#define WC_FANOUT_FRAME_H

#include "base/buf.h"

#include <stdatomic.h>

/* Serializer versions of the Phoenix protocol (protocol reference, section 2). */
enum wc_serializer { WC_PHX_V1, WC_PHX_V2, WC_PHX_COUNT };

/* A message in two frames is a TEXT_BEGIN and a CONTINUATION, with no other message in between. */
enum wc_frame_opcode {
    WC_FRAME_CONTINUATION = 0,
    WC_FRAME_TEXT = 1,
    WC_FRAME_BINARY = 2,
    WC_FRAME_CLOSE = 8,
    WC_FRAME_TEXT_BEGIN = 0x101, /* text without FIN */
};

struct wc_frame {
    _Atomic uint32_t refs;
    uint32_t len;     /* bytes on the wire */
    uint32_t payload; /* offset of the payload in bytes */
    uint8_t bytes[];
};

/* Payload bytes are uninitialised: fill all of wc_frame_payload before anybody else sees the frame.
 * NULL when out of memory or payload_len exceeds UINT32_MAX - 10. */
struct wc_frame *wc_frame_new(enum wc_frame_opcode, size_t payload_len);
struct wc_frame *wc_frame_copy(enum wc_frame_opcode, struct wc_slice payload);

static inline uint8_t *wc_frame_payload(struct wc_frame *f)
{
    return f->bytes + f->payload;
}

struct wc_frame *wc_frame_ref(struct wc_frame *); /* returns its argument; NULL is fine */
void wc_frame_unref(struct wc_frame *);           /* NULL is fine */

#endif

#include "fanout/frame.h"

#include <stdlib.h>

enum { FIN = 0x80, LEN16 = 126, LEN64 = 127, MAX_HEADER = 10 };

/* RFC 6455, section 5.2: FIN and opcode, then the shortest form of the length, most significant
 * byte first; servers do not mask. Returns how many bytes it wrote. */
static uint32_t put_header(uint8_t *at, enum wc_frame_opcode opcode, size_t payload_len)
{
    at[0] = opcode == WC_FRAME_TEXT_BEGIN ? WC_FRAME_TEXT : (uint8_t)(FIN | opcode);
    if (payload_len < LEN16) {
        at[1] = (uint8_t)payload_len;
        return 2;
    }
    unsigned bytes = payload_len <= UINT16_MAX ? 2 : 8;
    at[1] = bytes == 2 ? LEN16 : LEN64;
    for (unsigned i = 0; i < bytes; i++)
        at[2 + i] = (uint8_t)(payload_len >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

struct wc_frame *wc_frame_new(enum wc_frame_opcode opcode, size_t payload_len)
{
    if (payload_len > UINT32_MAX - MAX_HEADER)
        return NULL;
    uint8_t header[MAX_HEADER];
    uint32_t header_len = put_header(header, opcode, payload_len);
    struct wc_frame *f = malloc(sizeof *f + header_len + payload_len);
    if (!f)
        return NULL;
    atomic_init(&f->refs, 1);
    f->len = header_len + (uint32_t)payload_len;
    f->payload = header_len;
    memcpy(f->bytes, header, header_len);
    return f;
}

struct wc_frame *wc_frame_copy(enum wc_frame_opcode opcode, struct wc_slice payload)
{
    struct wc_frame *f = wc_frame_new(opcode, payload.len);
    if (f && payload.len)
        memcpy(wc_frame_payload(f), payload.p, payload.len);
    return f;
}

struct wc_frame *wc_frame_ref(struct wc_frame *f)
{
    if (f)
        (void)atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void wc_frame_unref(struct wc_frame *f)
{
    /* acq_rel: whoever frees sees what every other holder did before it let go. */
    if (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
        free(f);
}

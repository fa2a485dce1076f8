/*
 * What a thread holds of messages and bodies that are not whole yet. Each connection may send the
 * largest there is and never end it, so beyond WC_INTAKE_FREE each, which all may have, they draw
 * from a budget they share: small messages always pass, large ones only while there is room.
 *
 * Ownership: the hub's; the buffers are the connections'. Threads: the hub's. Errors: LIMIT when
 * the budget or the buffer's own limit is spent, NOMEM; the part is not in the buffer then.
 */
#ifndef WC_FANOUT_INTAKE_H
#define WC_FANOUT_INTAKE_H

#include "base/buf.h"

enum {
    WC_INTAKE_FREE = 64 << 10,
    WC_INTAKE_MAX = 64 << 20 /* no less than MAX_FRAME_BYTES' most */
};

struct wc_intake {
    size_t drawn;
};

/* One more part into a buffer that is filled by this function only. */
WC_MUST_USE
enum wc_status wc_intake_add(struct wc_intake *, struct wc_buf *, struct wc_slice part);
/* The buffer's memory, and what it has drawn. */
void wc_intake_release(struct wc_intake *, struct wc_buf *);

#endif

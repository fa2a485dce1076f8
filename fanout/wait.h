/*
 * A join that asked to be answered when its changes stand (`postgres_changes_options.wait`).
 *
 *   join ──▸ waiting ──verdict ok──▸ joined: reply, `system` message, then what was kept
 *               ├─────verdict error, timeout──▸ refused; what was kept is answered as on a topic
 *               └─────connection gone──▸ dropped                         that is not joined
 *
 * While it waits the channel is in no room, and what the client sends to the topic is kept: at most
 * 16 messages, and WC_WAIT_BYTES_MAX over all waiting joins of a connection. Other topics go on.
 * Ownership: the channel's. Threads: the hub's. Source: protocol reference, section 15.
 */
#ifndef WC_FANOUT_WAIT_H
#define WC_FANOUT_WAIT_H

#include "fanout/hub.h"

enum {
    WC_WAIT_MESSAGES_MAX = 16,
    WC_WAIT_BYTES_MAX = 256 << 10,
    WC_WAIT_DEFAULT_MS = 15000, /* both as the reference has them */
    WC_WAIT_MAX_MS = 20000,
};

struct wc_wait {
    struct wc_list in_hub; /* hub->waiting */
    struct wc_channel *channel;
    struct wc_frame *reply; /* what answers the join when all is well */
    uint32_t timeout_ms;
    wc_us deadline;
    uint32_t nkept;
    size_t kept_bytes;
    struct wc_wait_message {
        uint8_t *p;
        size_t len;
        bool is_binary;
    } kept[WC_WAIT_MESSAGES_MAX];
};

/* Takes the reply, on failure too. */
WC_MUST_USE
enum wc_status wc_wait_begin(struct wc_channel *, struct wc_frame *reply, uint32_t timeout_ms);
void wc_wait_free(struct wc_wait *); /* NULL is fine */

/* A message for a waiting channel's topic. LIMIT, NOMEM: it is dropped. */
WC_MUST_USE
enum wc_status wc_wait_keep(struct wc_wait *, struct wc_slice message, bool is_binary);

/* What the change source says about a channel: ends its waiting, or becomes a `system` message. */
void wc_wait_verdict(struct wc_channel *, bool ok, struct wc_slice text);

/* Refuses the joins that have waited long enough, by hub->now. */
void wc_wait_expire(struct wc_hub *);

#endif

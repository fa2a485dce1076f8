/*
 * Everything one socket thread owns above its sockets: sessions, channels, audiences, and the
 * delivery of what comes through the rings. ws.c runs it: it calls in with connections, client
 * messages and ring messages, and writes the queues of the sessions on the dirty list.
 * Threads: one owner. Errors: NULL when out of memory.
 */
#ifndef WC_FANOUT_HUB_H
#define WC_FANOUT_HUB_H

#include "base/arena.h"
#include "base/log.h"
#include "base/thread.h"
#include "fanout/channel.h"
#include "fanout/session.h"

struct wc_hub_options {
    unsigned thread;
    struct wc_change_source source;
    size_t max_queued_bytes;
    uint32_t pace_bytes_per_second;
    wc_us idle_timeout;
};

struct wc_hub {
    struct wc_hub_options opt; /* const */
    struct wc_thread_owner owner;
    wc_us now; /* set by the loop at the start of each turn and callback */

    struct wc_list sessions; /* OPEN, least recently heard of first */
    struct wc_list closing;  /* CLOSING, through by_activity */
    struct wc_list dirty;
    struct wc_list holding;
    wc_us patience, patience_at; /* "Pacing" in session.h; until when it is reckoned */
    struct wc_channels channels;
    struct wc_audiences audiences;

    struct wc_slab session_slab, held_slab;
    struct wc_arena arena; /* of the client message being handled */
    uint64_t next_serial;
    struct wc_log_limit malformed_log, refused_log; /* of messages, of joins */
};

struct wc_hub *wc_hub_new(const struct wc_hub_options *);
void wc_hub_free(struct wc_hub *); /* every session is freed before */

/* A message from the rings; borrowed. */
void wc_hub_deliver(struct wc_hub *, const struct wc_msg *);

/* How long the bridges' rings must be left alone; 0: not at all. */
wc_us wc_hub_hold_time(struct wc_hub *);

/* About once a second: ends channels whose token has expired (`wall_s` in Unix seconds). */
void wc_hub_expire(struct wc_hub *, int64_t wall_s);

/* ---- channels, for route.c, join.c and session.c ---- */

/* Leaves everything, without telling the client. */
void wc_hub_end_channel(struct wc_hub *, struct wc_channel *);

void wc_channel_push_close(struct wc_channel *);
struct wc_frame *wc_channel_close_frame(const struct wc_channel *); /* owned; NULL: no memory */
void wc_channel_push_system(struct wc_channel *, const char *extension, bool ok,
                            struct wc_slice message);

#endif

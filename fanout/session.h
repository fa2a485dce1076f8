/*
 * One WebSocket connection on its socket thread: who it is, its channels, and what waits to be
 * written to it. It knows nothing of sockets; ws.c drives it and writes its queue.
 *
 *   OPEN ──close──▸ CLOSING ──transport gone──▸ CLOSED
 *     └─────────────transport gone──────────────▴
 *
 * In CLOSING the channels have ended, input is ignored, and the queue holds at most the rest of a
 * frame that was partly written and a close frame; `deadline` says when to stop being polite.
 *
 * Pacing. A client that reads, but slower than a backlog streams, must not be closed just because
 * Postgres is faster; one that does not read must not hold up the others. So a session has credit,
 * measured in time. While its queue is above half of max_queued_bytes and it has credit, it *holds
 * back* its tenant: messages of the bridges for that are set aside (share.h), on this thread, and
 * the pressure reaches the tenant's Postgres; other tenants go on. Holding back spends credit as
 * time passes. Credit is earned by draining: each byte the kernel accepts buys
 * 1/pace_bytes_per_second seconds, up to 1 s, which is also what a session starts with and covers a
 * hiccup of a radio link or a busy client. A thread's sessions spend from one patience, too: 1 s
 * that comes back at a tenth of the time that nobody holds back, and with what those above the half
 * drain. Whoever begins to hold back gets half of it at most, so that one who sleeps leaves some to
 * one who reads, and many who sleep delay the others hardly longer than one. Without credit or
 * patience a session holds nobody back, and when its queue then passes max_queued_bytes it is
 * closed as slow_consumer: what waits is dropped and counted. One frame may pass the limit of a
 * session with credit whose queue is not above half, or a row larger than the rest of the queue
 * could never be sent.
 *
 * Accounting. A change or a broadcast handed to a session ends as delivered when the transport has
 * accepted the last of its bytes, and otherwise as withheld: by slow_consumer or no_memory when
 * that ended the session, else by connection_closed. What libwebsockets still held back of a write
 * when the transport went is withheld, although the kernel may have taken part of it.
 *
 * Ownership: the hub's slab; the session owns references to its tenant and claims. Freed after the
 * transport is gone for good, one loop turn or more after CLOSED. Threads: the hub's.
 */
#ifndef WC_FANOUT_SESSION_H
#define WC_FANOUT_SESSION_H

#include "base/clock.h"
#include "base/list.h"
#include "fanout/address.h"
#include "fanout/close_reason.h"
#include "fanout/connect.h"
#include "fanout/outq.h"

struct lws;
struct wc_hub;
struct wc_roster_entry;

enum { WC_SESSION_MAGIC = 0x53455353, WC_CREDIT_MAX_US = 1000000 };

enum wc_session_state { WC_SESSION_OPEN, WC_SESSION_CLOSING, WC_SESSION_CLOSED };

struct wc_session {
    uint32_t magic; /* first: ws.c gets it back through a void pointer */
    enum wc_session_state state;
    enum wc_close_reason reason; /* once not OPEN */
    enum wc_serializer serializer;
    uint64_t serial; /* never used again on this thread */
    struct wc_hub *hub;
    struct wc_tenant_view *tenant;
    struct wc_claims *claims; /* of the key it connected with */

    struct wc_list by_activity; /* hub->sessions, least recently heard of first */
    wc_us heard_at;             /* when the last bytes came from the client */
    wc_us deadline;             /* CLOSING: when the transport is cut */

    struct wc_roster_entry *roster; /* its tenant's */
    struct wc_list in_roster;       /* while OPEN */

    struct wc_list channels;
    uint32_t nchannels;
    bool is_user;            /* counted by max_concurrent_users */
    bool has_joined;         /* a join has succeeded */
    size_t kept_bytes;       /* of messages for channels that wait (wait.h) */
    size_t weight;           /* sum of the channels' */
    uint64_t presence_bytes; /* reserved by its channels */

    struct wc_outq out;
    size_t in_transport;      /* bytes out of the queue that the transport still holds privately */
    struct wc_outq_done done; /* frames that are in there to their last byte */
    size_t counted_bytes;     /* queued, as of the node's gauge */
    struct wc_list dirty;     /* hub->dirty: has something to write and no reason to wait */

    struct wc_list holding; /* hub->holding */
    wc_us credit;
    wc_us credit_at; /* until when it is spent, while holding */

    struct wc_list paused; /* hub->paused */

    wc_us alone_since; /* without a channel; counts once it has tried to join */
    bool has_tried;

    /* ws.c's */
    struct wc_address address; /* of the client */
    bool is_watched;           /* counted by the guard */
    char *headers;             /* owned: of its request, a JSON object (headers.h); NULL: none */
    struct lws *wsi;
    struct wc_buf rx; /* fragments of the message being received */
};

/* Shares nothing: takes the references of the result. NULL when out of memory (and they are
 * dropped). Not known to the hub's lists before open. */
struct wc_session *wc_session_new(struct wc_hub *, struct wc_connect_result *);
void wc_session_open(struct wc_session *);

/* One complete message of the client (route.c). */
void wc_session_receive(struct wc_session *, struct wc_slice message, bool is_binary);
/* What it sends waits for a full ring, or for answers (wait.h): ws.c stops reading it until the
 * publisher has drained and less is kept. */
void wc_session_pause(struct wc_session *);
void wc_session_heard(struct wc_session *); /* anything came from the client */

/* Queues a frame for this session alone; takes the reference. NULL closes it as NO_MEMORY. */
void wc_session_send(struct wc_session *, struct wc_frame *);
/* Queues a shared one, adding a reference, or else accounts for it. */
void wc_session_send_held(struct wc_session *, struct wc_held *);

/* n bytes of the queue were given to the transport. */
void wc_session_written(struct wc_session *, size_t n);
/* It has accepted all of them, n in number, now or later. */
void wc_session_accepted(struct wc_session *, size_t n);
/* The transport may have room again: back on the dirty list if anything waits. */
void wc_session_writeable(struct wc_session *);

void wc_session_close(struct wc_session *, enum wc_close_reason);
/* The same, and each of its channels is told "Server requested disconnect" before. */
void wc_session_disconnect(struct wc_session *, enum wc_close_reason);
/* The transport is gone; `reason` counts if nothing else ended the session before. */
void wc_session_lost(struct wc_session *, enum wc_close_reason reason);
void wc_session_free(struct wc_session *); /* NULL is fine */

/* Of its request, as a JSON object. */
static inline struct wc_slice wc_session_headers(const struct wc_session *s)
{
    return wc_slice_str(s->headers ? s->headers : "{}");
}

/* Spends credit and patience up to hub->now. Returns how long it may go on holding back, 0 when it
 * does not. */
wc_us wc_session_hold_time(struct wc_session *);

#endif

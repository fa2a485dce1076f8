/*
 * What crosses the fanout ring: an immutable, reference counted message from a producer thread (a
 * bridge, or a socket thread) to socket threads.
 *
 *   direct    one channel, named by handle: a frame for it
 *   audience  every channel enlisted on the receiving thread under an audience number: a frame
 *   room      every channel of a room on the receiving thread but the one named by handle (none of
 *             generation 0): a frame
 *   enlist    put one channel into an audience
 *   verdict   one channel: how its request for changes ended; becomes its `system` message
 *   presence  to the home of a room (presence_home.h): a channel tracks, ends that, or asks for the
 *             state; the text is the room's topic, the key and the members of the meta
 *   state     one channel: the presence_state it asked for. V1: the message; V2: its end, from the
 *             payload on, as a continuation frame
 *   permissions  one channel, or an HTTP call: what it asked about a private room (source.h), and
 *             what it wants replayed
 *   call      one HTTP call (call.h): its response. The text is the value of its `location` header,
 *             mostly empty, and the body
 *   disconnect  every connection of a tenant on the receiving thread is told and closed (1012)
 *
 * A handle names a channel for one join, or its subscription: rejoining, leaving and the end of the
 * connection end its generation; a message for an old generation is skipped and counted.
 * An audience is the set of channels that always receive the same frames for changes: equal tenant,
 * topic, bindings, role and claims. Its number is chosen by the bridge and never used again.
 * Since rings are FIFO, what a bridge sends before an `enlist` reaches the channel directly, what
 * comes after it through the audience, and nothing twice.
 * Each change for each channel ends in one of two ways: delivered, or withheld for a reason. A
 * message carries the pairs of change and channel that were published with it. Who delivers it
 * accounts for the pairs it finds a channel for (session.h); with the last reference the others
 * count as stale: their channels were gone.
 * Ownership: reference counted; holds its frames. Threads: any, immutable once published.
 */
#ifndef WC_FANOUT_MSG_H
#define WC_FANOUT_MSG_H

#include "base/clock.h"
#include "fanout/frame.h"

struct wc_share;

struct wc_handle {
    uint16_t thread; /* index of the socket thread */
    uint32_t slot;   /* in that thread's channel table */
    uint32_t generation;
};

enum wc_msg_kind {
    WC_MSG_DIRECT,
    WC_MSG_AUDIENCE,
    WC_MSG_ROOM,
    WC_MSG_ENLIST,
    WC_MSG_VERDICT,
    WC_MSG_PRESENCE,
    WC_MSG_PRESENCE_STATE,
    WC_MSG_PERMISSIONS,
    WC_MSG_CALL,
    WC_MSG_DISCONNECT,
};

enum wc_presence_op { WC_PRESENCE_TRACK, WC_PRESENCE_UNTRACK, WC_PRESENCE_STATE };

struct wc_presence_request {
    enum wc_presence_op op;
    enum wc_serializer serializer; /* state: the channel's */
    bool is_private;
    unsigned home; /* socket thread */
    uint64_t tenant;
    uint32_t sub_len, key_len; /* in text, one after the other; what follows are the members */
};

struct wc_msg {
    _Atomic uint64_t refs; /* low half; high half: pairs not accounted for */
    enum wc_msg_kind kind;
    bool is_change;
    wc_us committed_at;      /* a change: by the database's clock, Unix time; 0: not known */
    struct wc_handle handle; /* direct, enlist, verdict; room: left out */
    uint64_t audience;       /* audience, enlist */
    uint64_t room;           /* room, presence */
    bool is_presence;        /* room: counted as presence and not as a broadcast */
    struct wc_presence_request presence;  /* presence */
    struct wc_msg *next;                  /* presence: in a queue of the thread it was moved to */
    struct wc_frame *frame[WC_PHX_COUNT]; /* those somebody uses, else NULL */
    bool has_id;                          /* room: it is a row of realtime.messages with this id */
    uint8_t id[16];
    uint64_t tenant;          /* disconnect: number of its view */
    struct wc_share *share;   /* of a bridge: the tenant's (share.h), borrowed; NULL: none */
    bool is_call;             /* permissions: the handle is a call's */
    uint32_t question;        /* permissions: its number, as it was asked */
    unsigned permissions;     /* permissions: of what was asked, what is granted (source.h) */
    unsigned error;           /* permissions: enum wc_authorize_error */
    struct wc_replay *replay; /* permissions: owned; NULL: nothing */
    unsigned http_status;     /* call */
    size_t location_len;      /* call: of the text; its rest is the body */
    bool ok;                  /* verdict: status of the system message */
    size_t text_len;          /* verdict: its message */
    char text[];
};

/* Rows of realtime.messages that a channel gets again, oldest first. One allocation, made and freed
 * with malloc and free; slices point into it. */
struct wc_replay {
    uint32_t count;
    struct wc_replayed {
        uint8_t id[16];
        bool is_binary;
        struct wc_slice event, payload; /* JSON text, or bytes */
    } row[];
};

/* Returns owned with one reference and the given text copied in; NULL when out of memory. The
 * caller fills the other fields; frames put into it are taken. */
struct wc_msg *wc_msg_new(enum wc_msg_kind, struct wc_slice text);
void wc_msg_ref(struct wc_msg *, uint32_t n);
size_t wc_msg_size(const struct wc_msg *); /* bytes, frames included; does not change any more */
void wc_msg_unref(struct wc_msg *);        /* NULL is fine */

/* Before it is published: it carries these pairs, and is a change. */
void wc_msg_carry(struct wc_msg *, uint32_t pairs);
/* unref by who has accounted for so many of the pairs. */
void wc_msg_settle(struct wc_msg *, uint32_t pairs);

/* Messages that one thread holds, in order; zeroed is empty. Owns a reference to each, which has no
 * other holder that queues it. */
struct wc_msg_queue {
    struct wc_msg *first, *last;
};

void wc_msg_queue_push(struct wc_msg_queue *, struct wc_msg *taken);
void wc_msg_queue_push_front(struct wc_msg_queue *, struct wc_msg *taken);
struct wc_msg *wc_msg_queue_pop(struct wc_msg_queue *); /* owned; NULL: it is empty */
void wc_msg_queue_clear(struct wc_msg_queue *);

#endif

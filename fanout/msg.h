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
 *
 * A handle names a channel for one join, or a subscription of it: rejoining, leaving and the end of
 * the connection end its generation, and a new token that of the subscription; a message for an old
 * generation is skipped and counted.
 * An audience is the set of channels that always receive the same frames for changes: equal tenant,
 * topic, bindings, role and claims. Its number is chosen by the bridge and never used again.
 * Since rings are FIFO, what a bridge sends before an `enlist` reaches the channel directly, what
 * comes after it through the audience, and nothing twice.
 * Ownership: reference counted; holds its frames. Threads: any, immutable once published.
 */
#ifndef WC_FANOUT_MSG_H
#define WC_FANOUT_MSG_H

#include "fanout/frame.h"

struct wc_handle {
    uint16_t thread; /* index of the socket thread */
    uint32_t slot;   /* in that thread's channel table */
    uint32_t generation;
};

enum wc_msg_kind { WC_MSG_DIRECT, WC_MSG_AUDIENCE, WC_MSG_ROOM, WC_MSG_ENLIST, WC_MSG_VERDICT };

struct wc_msg {
    _Atomic uint32_t refs;
    enum wc_msg_kind kind;
    struct wc_handle handle;              /* direct, enlist, verdict; room: left out */
    uint64_t audience;                    /* audience, enlist */
    uint64_t room;                        /* room */
    bool is_presence;                     /* room: counted as presence and not as a broadcast */
    struct wc_frame *frame[WC_PHX_COUNT]; /* those somebody uses, else NULL */
    bool ok;                              /* verdict: status of the system message */
    size_t text_len;                      /* verdict: its message */
    char text[];
};

/* Returns owned with one reference and the given text copied in; NULL when out of memory. The
 * caller fills the other fields; frames put into it are taken. */
struct wc_msg *wc_msg_new(enum wc_msg_kind, struct wc_slice text);
void wc_msg_ref(struct wc_msg *, uint32_t n);
void wc_msg_unref(struct wc_msg *); /* NULL is fine */

#endif

/*
 * A channel's side of presence: what its client may say (protocol reference, section 5.1) and what
 * it is told. The state of the room is kept by its home (presence_home.h), on one of the socket
 * threads; what happens here is checked, answered, and sent there through the rings.
 *
 * A channel has one presence, under the key of its join or a random UUID. Tracking the payload it
 * tracks already does nothing; equal means the same text. It ends with untrack, with the channel,
 * with the connection; the message that says so is made together with the first track, so it cannot
 * fail for lack of memory.
 *
 * A presence_state of more than 16 KiB reaches V2 clients as a fragmented message: a fragment with
 * their own join_ref, and the rest, which all of them share.
 *
 * Limits: calls per channel and window; the tenant's payload size; and the budget, bytes of all
 * payloads tracked on the node, of which one connection gets at most 1/16.
 * Threads: the hub's; the budget is any thread's. Errors: a session that runs out of memory is
 * closed, as everywhere.
 */
#ifndef WC_FANOUT_PRESENCE_H
#define WC_FANOUT_PRESENCE_H

#include "base/clock.h"
#include "fanout/msg.h"

struct wc_channel;
struct wc_hub;
struct wc_phx_message;

/* Bytes that presences of this node take, and may take. */
struct wc_presence_budget {
    _Atomic uint64_t used;
    uint64_t max; /* const */
};

struct wc_presence_options {
    uint64_t node; /* id of this process among those that share presences; random */
    uint32_t max_calls;
    wc_us window;
    struct wc_presence_budget *budget; /* borrowed */
};

/* What a channel keeps of it. Zeroed: nothing yet. */
struct wc_presence_member {
    struct wc_msg *leave; /* owned; NULL until the first track */
    uint64_t bytes;       /* reserved of the budget */
    uint64_t payload;     /* hash of what it tracks */
    wc_us window_end;
    uint32_t calls;    /* in the window */
    bool awaits_state; /* diffs that come earlier are in it, and not for this channel */
    bool is_tracked;
    bool has_uuid;
    uint8_t uuid[16];
};

bool wc_presence_is_track(const struct wc_channel *, const struct wc_phx_message *);
/* Event `presence` on a joined channel, of which is known whether it may track (permit.h); may end
 * it. */
void wc_presence_receive(struct wc_channel *, const struct wc_phx_message *);
/* The join was answered, or a new token judged: asks for the state if the channel wants presence
 * and may read it. False: it has ended. */
bool wc_presence_joined(struct wc_channel *);
/* The channel ends; it is still in its room. */
void wc_presence_ended(struct wc_channel *);

/* From the rings. */
void wc_presence_deliver_state(struct wc_hub *, const struct wc_msg *);

/* At the end of a loop turn: what the rooms at home have to say, and what could not be said.
 * Returns how long until it must be called again, 0 when nothing waits. */
wc_us wc_presence_turn(struct wc_hub *);

#endif

/*
 * The presences of the rooms whose home is this socket thread: hash(tenant, topic) decides, so each
 * room's state has one writer on the node. Channels of all threads send it requests through the
 * rings (msg.h, kind presence):
 *
 *   track, untrack ──▸ ┌──────┐ ──diff──▸  every thread with a member of the room
 *   state ───────────▸ │ home │ ──state─▸  the channel that asked
 *                      └──────┘
 *
 * Requests are queued and dealt with at the end of the turn, in rooms of more than 200 members
 * after 50 ms: first who asked for the state gets it as members know it now, encoded once for all
 * who asked and cached while it stands; then what was tracked and untracked is applied and goes out
 * as one diff. State and diffs leave through one ring per thread, so a channel has its state before
 * the diffs that add to it, and is not told twice what is in it. A diff that reaches it before its
 * state is withheld from it (hub.c).
 *
 * phx_ref is 4 bytes of the node's id, one of the thread, 7 of a counter. After an update
 * phx_ref_prev names the meta that members know; it stays in later states.
 * Memory: what fails for lack of it stays queued and is tried again; nothing is lost.
 * Ownership: a room with presences, or with requests waiting, holds a reference to its wc_room.
 * Threads: one owner, the home. Source: design section 7; protocol reference, sections 5.2, 5.3.
 */
#ifndef WC_FANOUT_PRESENCE_HOME_H
#define WC_FANOUT_PRESENCE_HOME_H

#include "base/clock.h"
#include "fanout/publish.h"
#include "fanout/room.h"

struct wc_presence_home;

struct wc_presence_home_options {
    unsigned thread;
    uint64_t node;          /* the replica id: random at each start of the process */
    struct wc_rooms *rooms; /* borrowed, as is the publisher */
    struct wc_publisher *publisher;
};

/* Returns owned; NULL when out of memory. */
struct wc_presence_home *wc_presence_home_new(const struct wc_presence_home_options *);
void wc_presence_home_free(struct wc_presence_home *); /* NULL is fine */

/* The home of a room, one of n socket threads. */
unsigned wc_presence_home_of(const struct wc_room *, unsigned n);

/* A presence message from the rings; shares it. */
void wc_presence_home_take(struct wc_presence_home *, struct wc_msg *);

/* At the end of a turn. Returns how long until it must be called again, 0 when nothing waits. */
wc_us wc_presence_home_turn(struct wc_presence_home *, wc_us now);

#endif

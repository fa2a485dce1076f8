/*
 * Rooms: who is interested in a topic, node-wide. A room is one (tenant, public or private, topic
 * without "realtime:"); it exists while a channel is in it or somebody holds it.
 *
 * For each serializer it keeps the set of socket threads with a member that uses it, so a producer
 * encodes and pushes only what somebody gets. A thread changes its own bits only, under the lock of
 * the room's shard, and queues a join's reply after its bit is set. Members keep the pointer, so a
 * broadcast takes no lock; who comes from outside (HTTP, the database) looks the room up.
 * Ownership: reference counted; enter and find return a reference. Threads: any.
 * Errors: NULL when out of memory. Source: design section 6, "Who is interested".
 */
#ifndef WC_FANOUT_ROOM_H
#define WC_FANOUT_ROOM_H

#include "base/map.h"
#include "fanout/frame.h"

struct wc_rooms;

struct wc_room {
    uint64_t number; /* in this process, never used again: messages name rooms by it */
    uint64_t tenant;
    bool is_private;
    struct wc_slice sub;                    /* topic without its prefix */
    _Atomic uint64_t threads[WC_PHX_COUNT]; /* bit per socket thread */
    struct wc_map_node node;                /* the rest is the table's, under the shard's lock */
    uint64_t refs;
    uint8_t key[];
};

struct wc_rooms *wc_rooms_new(void);
void wc_rooms_free(struct wc_rooms *); /* every reference has been given back */

/* A channel of this thread and serializer comes in. */
struct wc_room *wc_room_enter(struct wc_rooms *, uint64_t tenant, bool is_private,
                              struct wc_slice sub, unsigned thread, enum wc_serializer);
/* And goes. is_last: it was this thread's last with this serializer. Gives the reference back. */
void wc_room_leave(struct wc_rooms *, struct wc_room *, unsigned thread, enum wc_serializer,
                   bool is_last);

/* The room if it exists, with a reference to be given back; NULL: nobody is there. */
struct wc_room *wc_room_find(struct wc_rooms *, uint64_t tenant, bool is_private,
                             struct wc_slice sub);
void wc_room_release(struct wc_rooms *, struct wc_room *); /* NULL is fine */

/* How many channels are in it, and holders. Takes the shard's lock. */
uint64_t wc_room_members(struct wc_rooms *, const struct wc_room *);

static inline uint64_t wc_room_threads(const struct wc_room *r, enum wc_serializer v)
{
    /* R1 acquire: pairs with the release in enter. What a thread did before it set its bit is done.
     */
    return atomic_load_explicit(&r->threads[v], memory_order_acquire);
}

#endif

#include "fanout/room.h"

#include "base/assert.h"
#include "base/list.h"

#include <pthread.h>
#include <stdlib.h>

enum { SHARDS = 64, KEY_FIXED = sizeof(uint64_t) + 1 };

struct shard {
    _Alignas(64) pthread_mutex_t lock; /* lock 2 of base/thread.h */
    struct wc_map rooms;
};

struct wc_rooms {
    struct shard shard[SHARDS];
    _Atomic uint64_t next_number;
};

struct wc_rooms *wc_rooms_new(void)
{
    struct wc_rooms *r = aligned_alloc(64, sizeof *r); /* a multiple of 64 by its _Alignas */
    if (!r)
        return NULL;
    memset(r, 0, sizeof *r);
    for (size_t i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_init(&r->shard[i].lock, NULL); /* cannot fail with default attributes */
        wc_map_init(&r->shard[i].rooms);
    }
    atomic_init(&r->next_number, 1);
    return r;
}

void wc_rooms_free(struct wc_rooms *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        WC_ASSERT(r->shard[i].rooms.count == 0);
        wc_map_release(&r->shard[i].rooms);
        (void)pthread_mutex_destroy(&r->shard[i].lock); /* nobody holds it */
    }
    free(r);
}

static struct shard *shard_of(struct wc_rooms *r, struct wc_slice key)
{
    return &r->shard[wc_hash(key) >> 58]; /* the map uses the low bits */
}

/* Tenant, privacy, topic. */
static struct wc_slice write_key(uint8_t *out, uint64_t tenant, bool is_private,
                                 struct wc_slice sub)
{
    memcpy(out, &tenant, sizeof tenant);
    out[sizeof tenant] = is_private;
    if (sub.len)
        memcpy(out + KEY_FIXED, sub.p, sub.len);
    return wc_slice(out, KEY_FIXED + sub.len);
}

static struct wc_room *get_locked(struct shard *s, struct wc_slice key)
{
    struct wc_map_node *n = wc_map_get(&s->rooms, key);
    return n ? WC_CONTAINER(n, struct wc_room, node) : NULL;
}

static struct wc_room *make(struct wc_rooms *r, struct wc_room *fresh, uint64_t tenant,
                            bool is_private)
{
    /* Relaxed: only uniqueness counts. */
    fresh->number = atomic_fetch_add_explicit(&r->next_number, 1, memory_order_relaxed);
    fresh->tenant = tenant;
    fresh->is_private = is_private;
    fresh->sub = wc_slice(fresh->key + KEY_FIXED, fresh->node.key.len - KEY_FIXED);
    for (size_t v = 0; v < WC_PHX_COUNT; v++)
        atomic_init(&fresh->threads[v], 0);
    return fresh;
}

struct wc_room *wc_room_enter(struct wc_rooms *r, uint64_t tenant, bool is_private,
                              struct wc_slice sub, unsigned thread, enum wc_serializer v)
{
    struct wc_room *fresh = calloc(1, sizeof *fresh + KEY_FIXED + sub.len);
    if (!fresh)
        return NULL;
    fresh->node.key = write_key(fresh->key, tenant, is_private, sub);
    struct shard *s = shard_of(r, fresh->node.key);
    (void)pthread_mutex_lock(&s->lock); /* cannot fail: a plain mutex */
    struct wc_room *room = get_locked(s, fresh->node.key);
    if (!room && wc_map_insert(&s->rooms, &fresh->node) == WC_OK) {
        room = make(r, fresh, tenant, is_private);
        fresh = NULL;
    }
    if (room) {
        room->refs++;
        /* R1 release, see wc_room_threads. */
        (void)atomic_fetch_or_explicit(&room->threads[v], UINT64_C(1) << thread,
                                       memory_order_release);
    }
    (void)pthread_mutex_unlock(&s->lock);
    free(fresh);
    return room;
}

static void unref_locked(struct shard *s, struct wc_room *room)
{
    if (--room->refs)
        return;
    wc_map_remove(&s->rooms, &room->node);
    free(room);
}

void wc_room_leave(struct wc_rooms *r, struct wc_room *room, unsigned thread, enum wc_serializer v,
                   bool is_last)
{
    struct shard *s = shard_of(r, room->node.key);
    (void)pthread_mutex_lock(&s->lock); /* cannot fail: a plain mutex */
    if (is_last)                        /* relaxed: a message too many finds nobody */
        (void)atomic_fetch_and_explicit(&room->threads[v], ~(UINT64_C(1) << thread),
                                        memory_order_relaxed);
    unref_locked(s, room);
    (void)pthread_mutex_unlock(&s->lock);
}

struct wc_room *wc_room_find(struct wc_rooms *r, uint64_t tenant, bool is_private,
                             struct wc_slice sub)
{
    uint8_t small[4096 + KEY_FIXED]; /* a channel's topic always fits (phoenix.h) */
    uint8_t *bytes = KEY_FIXED + sub.len <= sizeof small ? small : malloc(KEY_FIXED + sub.len);
    if (!bytes)
        return NULL;
    struct wc_slice key = write_key(bytes, tenant, is_private, sub);
    struct shard *s = shard_of(r, key);
    (void)pthread_mutex_lock(&s->lock); /* cannot fail: a plain mutex */
    struct wc_room *room = get_locked(s, key);
    if (room)
        room->refs++;
    (void)pthread_mutex_unlock(&s->lock);
    if (bytes != small)
        free(bytes);
    return room;
}

void wc_room_release(struct wc_rooms *r, struct wc_room *room)
{
    if (!room)
        return;
    struct shard *s = shard_of(r, room->node.key);
    (void)pthread_mutex_lock(&s->lock); /* cannot fail: a plain mutex */
    unref_locked(s, room);
    (void)pthread_mutex_unlock(&s->lock);
}

uint64_t wc_room_members(struct wc_rooms *r, const struct wc_room *room)
{
    struct shard *s = shard_of(r, room->node.key);
    (void)pthread_mutex_lock(&s->lock); /* cannot fail: a plain mutex */
    uint64_t n = room->refs;
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

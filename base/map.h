/*
 * Intrusive hash table keyed by bytes: the node is a member of the object, the key lives in the
 * object too. The only allocation is the bucket array, doubled when it is full.
 *
 * Keys come from clients, so the hash is SipHash-1-3 (Aumasson and Bernstein) with a key drawn at
 * process start: nobody can choose colliding topics or filter values.
 * Ownership: borrows its nodes. Threads: one owner. Errors: NOMEM on the first insert only; a table
 * that cannot grow goes on with longer chains.
 */
#ifndef WC_BASE_MAP_H
#define WC_BASE_MAP_H

#include "base/buf.h"

struct wc_map_node {
    struct wc_map_node *next;
    uint64_t hash;
    struct wc_slice key; /* borrowed from the object */
};

struct wc_map {
    struct wc_map_node **bucket;
    size_t mask; /* buckets - 1, when bucket is set */
    size_t count;
};

uint64_t wc_hash(struct wc_slice); /* any thread */

void wc_map_init(struct wc_map *);
void wc_map_release(struct wc_map *); /* the nodes stay with their owners */

struct wc_map_node *wc_map_get(const struct wc_map *, struct wc_slice key);
/* `node->key` must be set; equal keys may be inserted side by side (see wc_map_next). */
WC_MUST_USE
enum wc_status wc_map_insert(struct wc_map *, struct wc_map_node *node);
void wc_map_remove(struct wc_map *, struct wc_map_node *node);

/* The next node with the same key, or NULL. */
struct wc_map_node *wc_map_next(const struct wc_map_node *);

/* Iteration: pass NULL first; removing the node just returned is allowed when `next` was taken
 * before. Order is unspecified. */
struct wc_map_node *wc_map_each(const struct wc_map *, const struct wc_map_node *after);

#endif

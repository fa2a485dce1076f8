/*
 * Objects of one size, recycled: a free list over blocks of 64. Memory goes back to the system only
 * at release.
 * Ownership: get returns an object that belongs to the slab's memory; put takes it back.
 * Threads: one owner. Errors: NULL when out of memory.
 */
#ifndef WC_FANOUT_SLAB_H
#define WC_FANOUT_SLAB_H

#include <stddef.h>

struct wc_slab_item;
struct wc_slab_block;

struct wc_slab {
    size_t size;
    struct wc_slab_item *free;
    struct wc_slab_block *blocks;
};

void wc_slab_init(struct wc_slab *, size_t size);
void wc_slab_release(struct wc_slab *);
void *wc_slab_get(struct wc_slab *); /* zeroed */
void wc_slab_put(struct wc_slab *, void *);

#endif

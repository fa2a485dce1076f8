#include "fanout/slab.h"

#include <stdlib.h>
#include <string.h>

enum { PER_BLOCK = 64, ALIGN = 16 };

struct wc_slab_item {
    struct wc_slab_item *next;
};

struct wc_slab_block {
    struct wc_slab_block *next;
    _Alignas(ALIGN) unsigned char items[];
};

void wc_slab_init(struct wc_slab *s, size_t size)
{
    *s = (struct wc_slab){.size = (size + ALIGN - 1) / ALIGN * ALIGN};
}

void wc_slab_release(struct wc_slab *s)
{
    while (s->blocks) {
        struct wc_slab_block *next = s->blocks->next;
        free(s->blocks);
        s->blocks = next;
    }
    s->free = NULL;
}

static void add_block(struct wc_slab *s)
{
    struct wc_slab_block *b = malloc(sizeof *b + PER_BLOCK * s->size);
    if (!b)
        return;
    b->next = s->blocks;
    s->blocks = b;
    for (size_t i = 0; i < PER_BLOCK; i++)
        wc_slab_put(s, b->items + i * s->size);
}

void *wc_slab_get(struct wc_slab *s)
{
    if (!s->free)
        add_block(s);
    struct wc_slab_item *item = s->free;
    if (!item)
        return NULL;
    s->free = item->next;
    return memset(item, 0, s->size);
}

void wc_slab_put(struct wc_slab *s, void *p)
{
    struct wc_slab_item *item = p;
    item->next = s->free;
    s->free = item;
}

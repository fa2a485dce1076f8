#include "base/arena.h"

#include <stdlib.h>

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20, ALIGN = 16 };

struct wc_arena_block {
    struct wc_arena_block *next;
    size_t size, used;
    _Alignas(ALIGN) uint8_t bytes[];
};

void wc_arena_init(struct wc_arena *a, size_t cap)
{
    wc_arena_init_sized(a, cap, FIRST_BLOCK);
}

void wc_arena_init_sized(struct wc_arena *a, size_t cap, size_t first)
{
    *a = (struct wc_arena){.cap = cap, .first_size = first};
}

static void free_from(struct wc_arena_block *b)
{
    while (b) {
        struct wc_arena_block *next = b->next;
        free(b);
        b = next;
    }
}

void wc_arena_release(struct wc_arena *a)
{
    free_from(a->first);
    wc_arena_init_sized(a, a->cap, a->first_size);
}

void wc_arena_reset(struct wc_arena *a)
{
    if (a->first) {
        free_from(a->first->next);
        a->first->next = NULL;
        a->first->used = 0;
    }
    a->cur = a->first;
    a->used = 0;
}

static struct wc_arena_block *grow(struct wc_arena *a, size_t n)
{
    size_t size = a->cur ? a->cur->size * 2 : a->first_size;
    if (size > LARGEST_BLOCK)
        size = LARGEST_BLOCK;
    if (size < n)
        size = n;
    struct wc_arena_block *b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    *b = (struct wc_arena_block){.size = size};
    if (a->cur)
        a->cur->next = b;
    else
        a->first = b;
    a->cur = b;
    return b;
}

void *wc_arena_alloc(struct wc_arena *a, size_t n)
{
    if (n > SIZE_MAX - sizeof(struct wc_arena_block) - ALIGN)
        return NULL;
    size_t rounded = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (rounded > a->cap || a->used > a->cap - rounded)
        return NULL;
    struct wc_arena_block *b = a->cur;
    if (!b || b->size - b->used < rounded)
        b = grow(a, rounded);
    if (!b)
        return NULL;
    void *p = b->bytes + b->used;
    b->used += rounded;
    a->used += rounded;
    return p;
}

void *wc_arena_calloc(struct wc_arena *a, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    void *p = wc_arena_alloc(a, count * size);
    if (p)
        memset(p, 0, count * size);
    return p;
}

char *wc_arena_strdup(struct wc_arena *a, struct wc_slice s)
{
    char *copy = s.len < SIZE_MAX ? wc_arena_alloc(a, s.len + 1) : NULL;
    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.p, s.len);
    copy[s.len] = '\0';
    return copy;
}

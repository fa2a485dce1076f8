/*
 * Arena: many small allocations that die together. Blocks double in size up to 1 MiB; reset keeps
 * the first block. Allocations are aligned to 16 bytes.
 * Ownership: the arena owns all it gave out. Threads: one owner. Errors: NULL when the ceiling is
 * reached or memory is out.
 */
#ifndef WC_BASE_ARENA_H
#define WC_BASE_ARENA_H

#include "base/buf.h"

struct wc_arena_block;

struct wc_arena {
    struct wc_arena_block *first, *cur;
    size_t used;       /* bytes handed out since the last reset, each rounded up to the alignment */
    size_t cap;        /* ceiling for `used` */
    size_t first_size; /* of the first block */
};

void wc_arena_init(struct wc_arena *, size_t cap);
/* For arenas of which there are many: the first block has `first` bytes instead of 4 KiB. */
void wc_arena_init_sized(struct wc_arena *, size_t cap, size_t first);
void wc_arena_release(struct wc_arena *);
void wc_arena_reset(struct wc_arena *);

void *wc_arena_alloc(struct wc_arena *, size_t n);
void *wc_arena_calloc(struct wc_arena *, size_t count, size_t size); /* zeroed; checks overflow */
char *wc_arena_strdup(struct wc_arena *, struct wc_slice);           /* NUL-terminated copy */

#endif

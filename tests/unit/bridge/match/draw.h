/*
 * Random numbers for property tests: a new seed in each run, printed, or the one that SEED in the
 * environment says, so that a failure can be repeated. Threads: one owner.
 */
#ifndef WC_TESTS_DRAW_H
#define WC_TESTS_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wc_draw {
    uint64_t state;
};

struct wc_draw wc_draw_seeded(const char *test); /* prints the seed */
uint32_t wc_draw(struct wc_draw *, uint32_t n);  /* below n */

static inline bool wc_draw_one_in(struct wc_draw *d, uint32_t n)
{
    return wc_draw(d, n) == 0;
}

#endif

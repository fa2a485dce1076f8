#include "tests/unit/bridge/match/draw.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

struct wc_draw wc_draw_seeded(const char *test)
{
    struct wc_draw d = {.state = 1};
    const char *text = getenv("SEED");
    if (text)
        d.state = strtoull(text, NULL, 10);
    else if (getrandom(&d.state, sizeof d.state, 0) != (ssize_t)sizeof d.state)
        d.state = 1;
    (void)printf("%s: SEED=%" PRIu64 "\n", test, d.state); /* only for people */
    (void)fflush(stdout);
    return d;
}

/* SplitMix64 (Steele, Lea and Flood). */
uint32_t wc_draw(struct wc_draw *d, uint32_t n)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (uint32_t)((z >> 32) * n >> 32);
}

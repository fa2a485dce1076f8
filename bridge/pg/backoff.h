/*
 * When to try again: doubling from 100 ms to 10 s, then equal jitter (half fixed, half random), so
 * that many tenants do not come back in step. Threads: one owner.
 */
#ifndef WC_BRIDGE_PG_BACKOFF_H
#define WC_BRIDGE_PG_BACKOFF_H

#include <stdint.h>

struct wc_backoff {
    uint32_t ms; /* 0: no failure yet; set to 0 after a success */
};

/* Milliseconds to wait before the next attempt; never shorter than half of `least`. */
uint32_t wc_backoff_next(struct wc_backoff *, uint32_t least_ms);
/* Any time from none to this long, all alike. */
uint32_t wc_backoff_jitter(uint32_t most_ms);

#endif

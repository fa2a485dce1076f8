/*
 * How busy the machine is, from /proc: what the reference calls osmon.
 * Ownership: the caller's storage; zeroed is the start. Threads: one at a time, the caller's lock.
 * Source: proc(5); protocol reference, section 12.
 */
#ifndef WC_BRIDGE_OPS_HOST_H
#define WC_BRIDGE_OPS_HOST_H

#include <stdbool.h>
#include <stdint.h>

struct wc_host {
    uint64_t busy, total; /* processor time at the last look, in ticks of all processors */
};

/* In hundredths. */
struct wc_host_load {
    int64_t cpu;    /* percent of the time since the last look, the first time since the boot */
    int64_t avg[3]; /* load over 1, 5 and 15 minutes */
    int64_t ram;    /* percent that is not available */
};

/* False: /proc does not say. */
bool wc_host_look(struct wc_host *, struct wc_host_load *out);

#endif

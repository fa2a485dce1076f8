/*
 * What one client address may do, so that it cannot do it at the others' expense: connections open
 * at once, connections opened per second, and attempts that are refused. Who is over is refused at
 * once, before anything of the request is checked; nobody else notices. IPv6 clients count by their
 * /64, which is what one customer gets.
 *
 * Memory is fixed: 32,768 addresses in sets of 8. An address without connections and without recent
 * attempts is forgotten first; when a whole set has connections, a further address is not watched.
 * Rates are leaky buckets with room for a second's (refusals: a minute's) worth.
 * Threads: any; a lock of the address's stripe, held for one look. `now` is monotonic.
 * Source: the reference sleeps before it refuses; design section 6 has this instead.
 */
#ifndef WC_FANOUT_GUARD_H
#define WC_FANOUT_GUARD_H

#include "base/clock.h"
#include "fanout/address.h"

/* 0: no such limit */
struct wc_guard_options {
    uint32_t max_connections;
    uint32_t connects_per_second;
    uint32_t refusals_per_minute;
};

struct wc_guard;

struct wc_guard *wc_guard_new(const struct wc_guard_options *); /* NULL when out of memory */
void wc_guard_free(struct wc_guard *);                          /* NULL is fine */

/* An attempt to connect, counted. NULL: go on; else why it is refused. */
const char *wc_guard_attempt(struct wc_guard *, const struct wc_address *, wc_us now);
/* The attempt was refused for what it brought. */
void wc_guard_refused(struct wc_guard *, const struct wc_address *, wc_us now);
/* It succeeds: false when the address has as many connections as it may. leave ends what enter
 * began. */
WC_MUST_USE
bool wc_guard_enter(struct wc_guard *, const struct wc_address *, wc_us now);
void wc_guard_leave(struct wc_guard *, const struct wc_address *);

#endif

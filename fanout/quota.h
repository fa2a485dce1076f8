/*
 * What a tenant uses and what it may use: counters, averages, limits.
 *
 * Rates. Each producer thread counts into a block of its own (its index is that of the mesh), so
 * counting costs one uncontended store. One ticker sums the blocks: every 5 s for most kinds, every
 * second for HTTP requests, and averages over the last 60 s (over its life while it is younger). At
 * a tick the average sets or clears the kind's `triggered` flag, which is all that hot paths read;
 * so a burst is noticed at the next tick. Changing a limit restarts the averages it belongs to.
 * Users. max_concurrent_users bounds the connections that have joined a channel, exactly: one
 * atomic for all threads, reserved before the join is answered.
 *
 * Ownership: shared by all views of its tenant; outlives the threads that count.
 * Threads: new, free: one, before and after the others; tick: one; count: the block's producer;
 * everything else: any. Everything is relaxed: counts are statistics, and no other memory depends
 * on them. Limits: 64 producers. Source: protocol reference, section 9; design section 7.
 */
#ifndef WC_FANOUT_QUOTA_H
#define WC_FANOUT_QUOTA_H

#include "base/clock.h"
#include "base/tenant_metrics.h"
#include "fanout/source.h"

enum wc_quota_kind {
    WC_QUOTA_JOINS,     /* attempts that passed the limits before this one */
    WC_QUOTA_EVENTS,    /* broadcasts: sent, and delivered; unknown client events */
    WC_QUOTA_DB_EVENTS, /* bindings a change was delivered to */
    WC_QUOTA_PRESENCE,  /* states pushed, tracks accepted, diffs delivered */
    WC_QUOTA_REQUESTS,  /* HTTP requests to the tenant's endpoints */
    WC_QUOTA_KINDS
};

/* Returns owned; NULL when out of memory. producers: of the mesh, 1 to 64. */
struct wc_quota *wc_quota_new(unsigned producers, const struct wc_tenant_limits *);
void wc_quota_free(struct wc_quota *); /* NULL is fine */

void wc_quota_set_limits(struct wc_quota *, const struct wc_tenant_limits *);
struct wc_tenant_limits wc_quota_limits(const struct wc_quota *);
uint32_t wc_quota_max_payload_kb(const struct wc_quota *); /* the same, of this one */

void wc_quota_count(struct wc_quota *, unsigned producer, enum wc_quota_kind, uint64_t n);
/* What else is counted for the tenant, by the same producers. */
struct wc_tenant_metrics *wc_quota_metrics(const struct wc_quota *);
/* Ever counted. */
uint64_t wc_quota_total(const struct wc_quota *, enum wc_quota_kind);

/* Call it a few times a second with the monotonic clock; it ticks when it is time. */
void wc_quota_tick(struct wc_quota *, wc_us now);
/* The average has reached the limit (presence: passed it). Never without a limit. */
bool wc_quota_is_triggered(const struct wc_quota *, enum wc_quota_kind);

/* As of the last tick, whole numbers per second; what the rate headers of HTTP answers say. */
struct wc_quota_rate {
    uint64_t average;
    uint32_t limit; /* 0: none */
    uint32_t remaining;
};
struct wc_quota_rate wc_quota_rate(const struct wc_quota *, enum wc_quota_kind);
/* Would n more within a second, on top of the average, pass the limit? */
bool wc_quota_would_pass(const struct wc_quota *, enum wc_quota_kind, uint64_t n);

/* One more connection that has joined; false: there are as many as allowed. */
WC_MUST_USE
bool wc_quota_user_enter(struct wc_quota *);
void wc_quota_user_leave(struct wc_quota *);
bool wc_quota_is_full(const struct wc_quota *);
uint32_t wc_quota_users(const struct wc_quota *); /* that have entered and not left */

#endif

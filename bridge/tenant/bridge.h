/*
 * A bridge thread: one libuv loop, the tenants that live on it, and the inbox through which socket
 * threads reach them. Implements fanout's change source.
 *
 * The inbox is bounded: a subscribe is refused with AGAIN when INBOX_MAX requests wait; an
 * unsubscribe always gets in, since there is at most one for each accepted subscribe, and so do
 * orders, which a tenant has at most once each.
 * Threads: new, start, end_streams, stop, free: main. The change source and orders: any.
 */
#ifndef WC_BRIDGE_TENANT_BRIDGE_H
#define WC_BRIDGE_TENANT_BRIDGE_H

#include "bridge/tenant/tenant.h"
#include "fanout/mesh.h"
#include "fanout/room.h"

/* `index` is this bridge's producer index in the mesh. Returns owned; NULL when out of memory.
 * Borrows mesh and rooms. */
struct wc_bridge *wc_bridge_new(struct wc_mesh *, struct wc_rooms *, unsigned index);
/* What lives on the bridge's loop besides tenants: `begin` is called there before it turns, `end`
 * when it stops, before the tenants close. */
struct wc_bridge_guest {
    void (*begin)(void *arg);
    void (*end)(void *arg);
    void *arg;
};
void wc_bridge_host(struct wc_bridge *, const struct wc_bridge_guest *); /* one; before start */
/* Visits to the databases of tenants that are not open, for the partitions of realtime.messages. */
struct wc_janitor_options {
    uint32_t first_ms, every_ms; /* from when the tenant is known, from visit to visit */
    uint32_t timeout_ms;         /* of one visit */
    uint32_t visits_max;         /* at once; 0: there are none */
};
void wc_bridge_employ(struct wc_bridge *, const struct wc_janitor_options *); /* before start */
WC_MUST_USE
enum wc_status wc_bridge_start(struct wc_bridge *, struct wc_err *err);
/* All of them at once: takes no more changes, waits until the socket threads have popped what was
 * taken, at most this long (false: not in time), confirms it, and ends the streams. To be called
 * before the clients are sent away: changes that find nobody subscribed would count as handed over,
 * and a permanent slot would not hold them for the next start. */
bool wc_bridges_end_streams(struct wc_bridge *const *, size_t n, uint32_t timeout_ms);
/* Close the tenants and join the threads. */
void wc_bridges_stop(struct wc_bridge *const *, size_t n);
void wc_bridge_free(struct wc_bridge *); /* NULL is fine */

/* What a bridge does with a tenant that lives on it. The first order makes the tenant known there.
 * Those given together are carried out from RETIRE, after which there is nothing left to do, to
 * OPEN. */
enum wc_bridge_order {
    WC_BRIDGE_KNOW = 0,
    WC_BRIDGE_OPEN = 1,       /* its database is wanted */
    WC_BRIDGE_LET_GO = 2,     /* its database is not, for now */
    WC_BRIDGE_DISCONNECT = 4, /* its clients are told and closed */
    WC_BRIDGE_RETIRE = 8,     /* the last three, for good; then it is freed with its last view */
};
/* Never refused, carried out on the bridge's thread; shares the tenant until then. Any thread. */
void wc_bridge_order(struct wc_bridge *, struct wc_tenant *, unsigned orders);

/* Something to do on the bridge's thread: exactly one of the two is called there or, when it does
 * not run any more, by whoever takes the bridge down. */
struct wc_bridge_call {
    void (*run)(void *arg);
    void (*discard)(void *arg);
    void *arg;
};
/* Neither is called unless the answer is OK. AGAIN: too much waits; NOMEM. Any thread. */
WC_MUST_USE
enum wc_status wc_bridge_post(struct wc_bridge *, const struct wc_bridge_call *);

/* For what runs on the bridge's thread: its loop, and the way to the socket threads; what is
 * published goes out at the end of the turn or with a flush. */
struct uv_loop_s *wc_bridge_loop(struct wc_bridge *);
struct wc_publisher *wc_bridge_publisher(struct wc_bridge *);
struct wc_rooms *wc_bridge_rooms(struct wc_bridge *); /* any thread */

/* Routes each request to the bridge of its tenant. */
struct wc_source wc_bridge_source(void);

#endif

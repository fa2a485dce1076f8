/*
 * A bridge thread: one libuv loop, the tenants that live on it, and the inbox through which socket
 * threads reach them. Implements fanout's change source.
 *
 * The inbox is bounded: a subscribe is refused with AGAIN when INBOX_MAX requests wait; an
 * unsubscribe always gets in, since there is at most one for each accepted subscribe.
 * Threads: new, start, end_streams, stop, free: main. The change source: any.
 */
#ifndef WC_BRIDGE_TENANT_BRIDGE_H
#define WC_BRIDGE_TENANT_BRIDGE_H

#include "bridge/tenant/tenant.h"
#include "fanout/mesh.h"
#include "fanout/room.h"

/* `index` is this bridge's producer index in the mesh. Returns owned; NULL when out of memory.
 * Borrows mesh and rooms. */
struct wc_bridge *wc_bridge_new(struct wc_mesh *, struct wc_rooms *, unsigned index);
void wc_bridge_add(struct wc_bridge *, struct wc_tenant *); /* before start; borrows */
WC_MUST_USE
enum wc_status wc_bridge_start(struct wc_bridge *, struct wc_err *err);
/* Takes no more changes, waits until the socket threads have popped what was taken, at most this
 * long (false: not in time), confirms it, and ends the streams. To be called before the clients are
 * sent away: changes that find nobody subscribed would count as handed over, and a permanent slot
 * would not hold them for the next start. */
bool wc_bridge_end_streams(struct wc_bridge *, uint32_t timeout_ms);
void wc_bridge_stop(struct wc_bridge *); /* closes the tenants and joins the thread */
void wc_bridge_free(struct wc_bridge *);

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

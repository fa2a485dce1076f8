/*
 * The one door to the rings. Every message to a socket thread passes through wc_publish, which
 * knows where it came from; each producer thread has one publisher.
 *
 * A ring that is full costs nothing but order-preserving patience: the message waits in the
 * publisher's overflow list for that thread, and the producer finds itself backlogged. What it does
 * then is its own rule: a bridge stops reading from Postgres, a socket thread stops reading from
 * the sending connection. Nobody spins and nothing is dropped.
 * Threads: one owner, the producer.
 */
#ifndef WC_FANOUT_PUBLISH_H
#define WC_FANOUT_PUBLISH_H

#include "fanout/mesh.h"
#include "fanout/msg.h"

enum wc_origin { WC_ORIGIN_CLIENT, WC_ORIGIN_BRIDGE, WC_ORIGIN_HTTP };

struct wc_publisher;

/* `producer` is the mesh's index of the calling thread. Returns owned; NULL when out of memory. */
struct wc_publisher *wc_publisher_new(struct wc_mesh *, unsigned producer);
void wc_publisher_free(struct wc_publisher *); /* drops what still waits */
unsigned wc_publisher_producer(const struct wc_publisher *);

/* Takes the caller's reference, on failure too. `threads` has bit i set for socket thread i.
 * Visible to the others after the next flush. Errors: NOMEM (an overflow entry could not be made;
 * nobody got it). */
WC_MUST_USE
enum wc_status wc_publish(struct wc_publisher *, enum wc_origin, struct wc_msg *, uint64_t threads);

/* The same for a change, from a bridge: on OK, `pairs` of it and a channel count as published, and
 * are accounted for from here on (msg.h). On failure they are the caller's to count. */
WC_MUST_USE
enum wc_status wc_publish_change(struct wc_publisher *, struct wc_msg *, uint64_t threads,
                                 size_t pairs);

/* End of a batch or of a loop turn: moves what waits into the rings, publishes, wakes sleepers. */
void wc_publisher_flush(struct wc_publisher *);

/* True when what waits for room has reached WC_PUBLISHER_OVERFLOW_MAX. Who publishes on behalf of
 * clients takes no more from them then; whoever stops reading while backlogged never gets here. */
enum { WC_PUBLISHER_OVERFLOW_MAX = 64 << 20 }; /* bytes; a dozen of the largest client messages */
bool wc_publisher_is_full(const struct wc_publisher *);

/* True while messages wait for room. The mesh's space callback says when to flush again. */
bool wc_publisher_is_backlogged(const struct wc_publisher *);

/* A mark is a point in this publisher's output; it is reached when every socket thread has popped
 * all that was published before it. count[] has one entry per socket thread, of 64. */
struct wc_publisher_mark {
    uint64_t count[64];
};
void wc_publisher_mark(const struct wc_publisher *, struct wc_publisher_mark *out);
bool wc_publisher_reached(const struct wc_publisher *, const struct wc_publisher_mark *);

#endif

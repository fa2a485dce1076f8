/*
 * All rings of the process and how their threads wake each other.
 *
 * Producers are the bridge threads (indices 0 .. nbridges-1) followed by the socket threads;
 * consumers are the socket threads. Between each pair stands one SPSC ring (ring.h). A producer
 * stores its heads and then looks whether the consumer sleeps; a consumer says it sleeps and then
 * looks at every head. These four accesses (pair W1) are seq_cst, so they have one total order, and
 * whichever thread's load comes last sees the other's store: no message waits for a sleeper.
 *
 * Order. A ring keeps it. Between socket threads, too, effects do not overtake causes: if somebody
 * was shown a message, or the answer to its sender, which is given after the flush, then what he
 * publishes afterwards, through any socket thread, is popped behind it by every consumer of both.
 * Each flush takes a stamp from one counter before it makes anything visible, so an effect's is
 * larger. A consumer reads the counter, then looks into the rings, and pops the oldest stamp first,
 * none that was given out after it had read (pair C1): the causes of what it pops were complete
 * before, so it has seen them. And it pops nothing of a flush that is still under way (pair C2),
 * since no consumer may show what another cannot see yet. Not kept where a producer finds a ring
 * full: that message comes with a later flush.
 * Bridges and socket threads take turns, in short bursts and without an order between them: a
 * broadcast does not wait behind a ring full of changes.
 * Limits: 64 producers, since sets of them are bit masks.
 * Threads: push, flush: the producer. pop, sleep, wake: the consumer. The rest: any.
 */
#ifndef WC_FANOUT_MESH_H
#define WC_FANOUT_MESH_H

#include "fanout/msg.h"

struct wc_mesh;

/* Called on a consumer's thread when a ring that `producer` found full has room again; must only
 * wake the producer's loop (uv_async_send, lws_cancel_service). */
typedef void (*wc_mesh_space_fn)(void *arg);

/* ring_entries is a power of two >= 2, per pair; nbridges + nsockets <= 64. NULL when out of memory
 * or descriptors. */
struct wc_mesh *wc_mesh_new(unsigned nbridges, unsigned nsockets, uint32_t ring_entries);
void wc_mesh_free(struct wc_mesh *); /* drops every message still inside */

unsigned wc_mesh_sockets(const struct wc_mesh *);
uint32_t wc_mesh_ring_entries(const struct wc_mesh *);
unsigned wc_mesh_producer_of_socket(const struct wc_mesh *, unsigned socket_thread);

/* Before the producer's first push. */
void wc_mesh_on_space(struct wc_mesh *, unsigned producer, wc_mesh_space_fn, void *arg);

/* Takes the reference on OK; AGAIN when the ring is full (and the space callback is armed). */
WC_MUST_USE
enum wc_status wc_mesh_push(struct wc_mesh *, unsigned producer, unsigned consumer,
                            struct wc_msg *);
void wc_mesh_flush(struct wc_mesh *, unsigned producer);

/* Next message of all producers but those excluded by `skip` (bit per producer; bridges only), or
 * NULL. Returns owned. */
struct wc_msg *wc_mesh_pop(struct wc_mesh *, unsigned consumer, uint64_t skip);
/* After a batch of pops: gives the slots back to the producers, waking those that wait for room. */
void wc_mesh_popped(struct wc_mesh *, unsigned consumer);
/* Before blocking: true when nothing is there and the consumer may sleep; pop may have returned
 * NULL for a flush that was under way. Producers in `skip` are not looked at: their rings may be
 * full of messages, and it is the caller who must wake itself to take them up again. */
bool wc_mesh_sleep(struct wc_mesh *, unsigned consumer, uint64_t skip);
void wc_mesh_awake(struct wc_mesh *, unsigned consumer); /* after blocking */
/* After blocking, before wc_mesh_awake: true when messages wait and nobody has woken the consumer,
 * which must never be. A producer caught between its two accesses is given a moment. */
bool wc_mesh_missed_wake(struct wc_mesh *, unsigned consumer, uint64_t skip);
/* Becomes readable to wake the consumer, who reads it to reset it. */
int wc_mesh_eventfd(const struct wc_mesh *, unsigned consumer);

/* Messages in the ring of the pair. Any thread; as of a moment ago. */
uint64_t wc_mesh_waiting(const struct wc_mesh *, unsigned producer, unsigned consumer);
/* Messages the consumer has given back so far, of one producer. Any thread. */
uint64_t wc_mesh_consumed(const struct wc_mesh *, unsigned producer, unsigned consumer);

#endif

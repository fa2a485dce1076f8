/*
 * Bounded single-producer single-consumer queue of message references: one pair of threads, one
 * direction. Not a history: what was popped is gone.
 *
 *              tail          head        pushed
 *   ────────────┬─────────────┬─────────────┬──────────
 *    given back │ visible     │ unpublished │ free        slots modulo the capacity
 *
 * push writes a slot that only the producer sees; publish stamps the whole batch and makes it
 * visible with one store. look takes notice of what is visible; front and pop know nothing newer.
 * give_back returns the slots of a batch of pops.
 * Indices run freely over 64 bits and are compared by difference only.
 * Invariant: 0 <= pushed - tail <= capacity; each slot in [popped, pushed) holds one reference.
 * Ownership: push takes the caller's reference on OK and only then; pop returns it.
 * Threads: push, publish, wants_space: the producer. look, front, pop, give_back, is_empty: the
 * consumer. given_back, waiting: any. Both sides are wait-free and do not allocate. Errors: AGAIN
 * when full.
 *
 * Pairs of orderings (named where they are used):
 *   P1  publish stores head, look loads it: the slots' contents and the messages behind them.
 *   P2  give_back stores tail, push loads it: the consumer has finished reading those slots.
 *   W1  head against the consumer's `asleep` flag, see mesh.h. seq_cst.
 *   W2  tail against wants_space, the same argument the other way round. seq_cst.
 */
#ifndef WC_FANOUT_RING_H
#define WC_FANOUT_RING_H

#include "fanout/msg.h"

struct wc_ring_slot {
    struct wc_msg *msg;
    uint64_t stamp; /* of the batch it was published with, see mesh.h */
};

struct wc_ring {
    /* const after init */
    uint32_t mask; /* capacity - 1 */
    struct wc_ring_slot *slot;

    /* producer's; head is read by the consumer */
    _Alignas(64) _Atomic uint64_t head;
    uint64_t pushed;
    uint64_t tail_seen; /* the producer's last look at tail */

    /* consumer's; tail is read by the producer, and by anybody as a count */
    _Alignas(64) _Atomic uint64_t tail;
    uint64_t popped;
    uint64_t head_seen; /* the consumer's last look at head */

    /* set by the producer, taken by the consumer */
    _Alignas(64) _Atomic bool space_wanted;
};

/* capacity is a power of two >= 2; `start` is where the indices begin (0, but for tests). */
WC_MUST_USE
enum wc_status wc_ring_init(struct wc_ring *, uint32_t capacity, uint64_t start);
void wc_ring_release(struct wc_ring *); /* drops what is inside; both threads are done with it */

WC_MUST_USE
enum wc_status wc_ring_push(struct wc_ring *, struct wc_msg *);
void wc_ring_publish(struct wc_ring *, uint64_t stamp);
/* After a push said AGAIN: asks to be told of room. False when there is room already. */
bool wc_ring_wants_space(struct wc_ring *);

void wc_ring_look(struct wc_ring *);
/* The stamp of what pop would return; false when nothing was visible at the last look. */
bool wc_ring_front(const struct wc_ring *, uint64_t *stamp);
struct wc_msg *wc_ring_pop(struct wc_ring *); /* NULL as front is false */
/* True when the producer has asked for room, which is hereby answered. */
WC_MUST_USE
bool wc_ring_give_back(struct wc_ring *);
/* By a fresh load of head, ordered after the consumer's store of `asleep` (W1). */
bool wc_ring_is_empty(const struct wc_ring *);

/* Visible and not given back. */
uint64_t wc_ring_waiting(const struct wc_ring *);
uint64_t wc_ring_given_back(const struct wc_ring *);
bool wc_ring_ok(const struct wc_ring *); /* the invariant; only while neither thread is active */

#endif

#include "fanout/ring.h"

#include "base/assert.h"

#include <stdlib.h>

enum wc_status wc_ring_init(struct wc_ring *r, uint32_t capacity, uint64_t start)
{
    WC_ASSERT(capacity >= 2 && (capacity & (capacity - 1)) == 0);
    struct wc_ring_slot *slot = calloc(capacity, sizeof *slot);
    if (!slot)
        return WC_NOMEM;
    r->mask = capacity - 1;
    r->slot = slot;
    atomic_init(&r->head, start);
    r->pushed = r->tail_seen = start;
    atomic_init(&r->tail, start);
    r->popped = r->head_seen = start;
    atomic_init(&r->space_wanted, false);
    return WC_OK;
}

void wc_ring_release(struct wc_ring *r)
{
    if (!r->slot)
        return;
    for (uint64_t i = r->popped; i != r->pushed; i++)
        wc_msg_unref(r->slot[i & r->mask].msg);
    free(r->slot);
    r->slot = NULL;
}

enum wc_status wc_ring_push(struct wc_ring *r, struct wc_msg *m)
{
    if (r->pushed - r->tail_seen > r->mask) {
        /* P2 acquire: the consumer's reads of the slots below tail happened before. */
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (r->pushed - r->tail_seen > r->mask)
            return WC_AGAIN;
    }
    r->slot[r->pushed & r->mask].msg = m;
    r->pushed++;
    return WC_OK;
}

void wc_ring_publish(struct wc_ring *r, uint64_t stamp)
{
    /* Relaxed: only this thread stores it. */
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    for (; head != r->pushed; head++)
        r->slot[head & r->mask].stamp = stamp;
    /* P1 release: a consumer that loads this head sees the slots below it. W1: seq_cst, because the
     * producer goes on to load `asleep`, and that load must not overtake this store. */
    atomic_store_explicit(&r->head, r->pushed, memory_order_seq_cst);
}

bool wc_ring_wants_space(struct wc_ring *r)
{
    /* W2: either the consumer's exchange in give_back finds this true, or the load below finds its
     * tail. Both seq_cst: neither load may overtake the store before it. */
    atomic_store_explicit(&r->space_wanted, true, memory_order_seq_cst);
    r->tail_seen = atomic_load_explicit(&r->tail, memory_order_seq_cst);
    return r->pushed - r->tail_seen > r->mask;
}

void wc_ring_look(struct wc_ring *r)
{
    /* P1 acquire: the producer's writes of the slots below head happened before. */
    r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
}

bool wc_ring_front(const struct wc_ring *r, uint64_t *stamp)
{
    if (r->popped == r->head_seen)
        return false;
    *stamp = r->slot[r->popped & r->mask].stamp;
    return true;
}

struct wc_msg *wc_ring_pop(struct wc_ring *r)
{
    if (r->popped == r->head_seen)
        return NULL;
    struct wc_msg *m = r->slot[r->popped & r->mask].msg;
    r->popped++;
    return m;
}

bool wc_ring_give_back(struct wc_ring *r)
{
    /* P2 release: our reads of the slots are done when the producer sees this tail. W2: seq_cst,
     * see wc_ring_wants_space. The plain load first keeps the line shared in the common case. */
    atomic_store_explicit(&r->tail, r->popped, memory_order_seq_cst);
    return atomic_load_explicit(&r->space_wanted, memory_order_seq_cst) &&
           atomic_exchange_explicit(&r->space_wanted, false, memory_order_seq_cst);
}

bool wc_ring_is_empty(const struct wc_ring *r)
{
    /* W1: seq_cst, see mesh.h. */
    return r->popped == atomic_load_explicit(&r->head, memory_order_seq_cst);
}

uint64_t wc_ring_waiting(const struct wc_ring *r)
{
    /* The tail first: the head, which is never behind it, is then the newer of the two. Acquire, so
     * that the second load comes after the first; no slot is read. */
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    return atomic_load_explicit(&r->head, memory_order_relaxed) - tail;
}

uint64_t wc_ring_given_back(const struct wc_ring *r)
{
    /* Acquire, so that what the consumer did with those messages is visible to whoever counts. */
    return atomic_load_explicit(&r->tail, memory_order_acquire);
}

bool wc_ring_ok(const struct wc_ring *r)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint64_t capacity = (uint64_t)r->mask + 1;
    return r->slot && r->pushed - tail <= capacity && head - tail <= r->pushed - tail &&
           r->popped - tail <= head - tail && r->pushed - r->tail_seen <= capacity;
}

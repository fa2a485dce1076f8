#include "fanout/mesh.h"

#include "base/assert.h"
#include "fanout/ring.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    PRODUCERS_MAX = 64,  /* bits of a mask */
    FAIR_BURST = 32,     /* messages of bridges, or of socket threads, before the others' turn */
    CLAIM_YIELDS = 1000, /* time for a preempted producer to come to its second access */
};

static const uint64_t no_flush = UINT64_MAX; /* larger than every stamp */

struct producer {
    wc_mesh_space_fn on_space; /* const after wc_mesh_on_space */
    void *arg;
    _Alignas(64) uint64_t unpublished; /* consumers with pushes not yet published; producer's */
    _Atomic uint64_t flushing;         /* stamp of the flush under way, or no_flush */
};

struct consumer {
    _Alignas(64) _Atomic uint32_t asleep;
    int eventfd;
    uint64_t popped; /* the consumer's, as the rest: producers whose slots are not yet given back */
    uint64_t waiting;              /* producers whose turn it is not */
    unsigned burst;                /* messages taken in this turn */
    unsigned current;              /* the producer with the oldest message */
    uint64_t until;                /* the stamps of `current` below this are the oldest */
    uint64_t skip;                 /* those it was chosen without */
    uint64_t limit[PRODUCERS_MAX]; /* stamps below this may be popped, as of the last look */
};

struct wc_mesh {
    _Alignas(64) _Atomic uint64_t stamp; /* the next flush's */
    unsigned nbridges, nsockets, nproducers;
    uint32_t ring_entries;
    struct producer *producer;
    struct consumer *consumer;
    struct wc_ring *ring; /* [producer * nsockets + consumer] */
};

static struct wc_ring *ring_of(const struct wc_mesh *m, unsigned producer, unsigned consumer)
{
    WC_DASSERT(producer < m->nproducers && consumer < m->nsockets);
    return &m->ring[(size_t)producer * m->nsockets + consumer];
}

static void *alloc_lines(size_t count, size_t size)
{
    void *p = aligned_alloc(64, count * size); /* size is a multiple of 64 by its _Alignas */
    if (p)
        memset(p, 0, count * size);
    return p;
}

static enum wc_status open_parts(struct wc_mesh *m, uint32_t ring_entries)
{
    size_t nrings = (size_t)m->nproducers * m->nsockets;
    uint64_t bridges = (UINT64_C(1) << m->nbridges) - 1; /* a socket thread takes the 64th bit */
    m->producer = alloc_lines(m->nproducers, sizeof *m->producer);
    m->consumer = alloc_lines(m->nsockets, sizeof *m->consumer);
    m->ring = alloc_lines(nrings, sizeof *m->ring);
    if (!m->producer || !m->consumer || !m->ring)
        return WC_NOMEM;
    for (unsigned p = 0; p < m->nproducers; p++)
        atomic_init(&m->producer[p].flushing, no_flush);
    for (unsigned c = 0; c < m->nsockets; c++)
        m->consumer[c].eventfd = -1;
    for (size_t i = 0; i < nrings; i++)
        if (wc_ring_init(&m->ring[i], ring_entries, 0) != WC_OK)
            return WC_NOMEM;
    for (unsigned c = 0; c < m->nsockets; c++) {
        m->consumer[c].waiting = bridges;
        m->consumer[c].eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (m->consumer[c].eventfd < 0)
            return WC_IO;
    }
    return WC_OK;
}

struct wc_mesh *wc_mesh_new(unsigned nbridges, unsigned nsockets, uint32_t ring_entries)
{
    WC_ASSERT(nsockets > 0 && nbridges + nsockets <= PRODUCERS_MAX);
    struct wc_mesh *m = alloc_lines(1, sizeof *m);
    if (!m)
        return NULL;
    m->nbridges = nbridges;
    m->nsockets = nsockets;
    m->nproducers = nbridges + nsockets;
    m->ring_entries = ring_entries;
    if (open_parts(m, ring_entries) != WC_OK) {
        wc_mesh_free(m);
        return NULL;
    }
    return m;
}

void wc_mesh_free(struct wc_mesh *m)
{
    if (!m)
        return;
    for (unsigned c = 0; m->consumer && m->ring && c < m->nsockets; c++)
        if (m->consumer[c].eventfd >= 0)
            (void)close(m->consumer[c].eventfd); /* nothing was written that could be lost */
    for (size_t i = 0; m->ring && i < (size_t)m->nproducers * m->nsockets; i++)
        wc_ring_release(&m->ring[i]);
    free(m->ring);
    free(m->consumer);
    free(m->producer);
    free(m);
}

uint32_t wc_mesh_ring_entries(const struct wc_mesh *m)
{
    return m->ring_entries;
}

unsigned wc_mesh_sockets(const struct wc_mesh *m)
{
    return m->nsockets;
}

unsigned wc_mesh_producer_of_socket(const struct wc_mesh *m, unsigned socket_thread)
{
    return m->nbridges + socket_thread;
}

void wc_mesh_on_space(struct wc_mesh *m, unsigned producer, wc_mesh_space_fn fn, void *arg)
{
    m->producer[producer].on_space = fn;
    m->producer[producer].arg = arg;
}

enum wc_status wc_mesh_push(struct wc_mesh *m, unsigned producer, unsigned consumer,
                            struct wc_msg *msg)
{
    struct wc_ring *r = ring_of(m, producer, consumer);
    while (wc_ring_push(r, msg) != WC_OK)
        if (wc_ring_wants_space(r))
            return WC_AGAIN;
    m->producer[producer].unpublished |= UINT64_C(1) << consumer;
    return WC_OK;
}

static void wake(struct consumer *c)
{
    /* Only one producer writes: the exchange claims the wake-up. Relaxed, because it decides who
     * writes and publishes nothing; the heads were published before the load of W1. */
    if (!atomic_exchange_explicit(&c->asleep, 0, memory_order_relaxed))
        return;
    ssize_t n;
    do
        n = write(c->eventfd, &(uint64_t){1}, sizeof(uint64_t));
    while (n < 0 && errno == EINTR);
    WC_ASSERT(n == (ssize_t)sizeof(uint64_t)); /* the counter cannot be near its maximum */
}

static void publish(struct wc_mesh *m, unsigned producer, uint64_t consumers)
{
    _Atomic uint64_t *flushing = &m->producer[producer].flushing;
    /* C1 release and acquire: who reads a larger number sees what was published before this one was
     * taken, and what came to this thread is published under a larger one than what it came from.
     */
    uint64_t stamp = atomic_fetch_add_explicit(&m->stamp, 1, memory_order_acq_rel);
    /* Relaxed: the heads published below carry it. */
    atomic_store_explicit(flushing, stamp, memory_order_relaxed);
    for (uint64_t todo = consumers; todo; todo &= todo - 1)
        wc_ring_publish(ring_of(m, producer, (unsigned)__builtin_ctzll(todo)),
                        stamp); /* W1 store */
    /* C2 release: all heads of this flush. */
    atomic_store_explicit(flushing, no_flush, memory_order_release);
}

void wc_mesh_flush(struct wc_mesh *m, unsigned producer)
{
    uint64_t todo = m->producer[producer].unpublished;
    m->producer[producer].unpublished = 0;
    if (todo)
        publish(m, producer, todo);
    for (; todo; todo &= todo - 1) {
        struct consumer *c = &m->consumer[__builtin_ctzll(todo)];
        /* W1 load: if the consumer's store of `asleep` comes before it in the total order we see it
         * and wake; if it comes after, so do the consumer's loads of the heads. */
        if (atomic_load_explicit(&c->asleep, memory_order_seq_cst))
            wake(c);
    }
}

static void look(struct wc_mesh *m, unsigned consumer, uint64_t skip)
{
    struct consumer *c = &m->consumer[consumer];
    uint64_t taken = atomic_load_explicit(&m->stamp, memory_order_acquire); /* C1 acquire */
    for (unsigned p = 0; p < m->nproducers; p++) {
        if (skip & UINT64_C(1) << p)
            continue;
        wc_ring_look(ring_of(m, p, consumer));
        /* C2 acquire, after the head: of a flush seen in the ring this is the stamp, or the flush
         * is over and visible to everybody. */
        uint64_t flushing = atomic_load_explicit(&m->producer[p].flushing, memory_order_acquire);
        c->limit[p] = flushing < taken ? flushing : taken;
    }
}

/* The producer with the oldest stamp, which is no other's, and how long it stays that. */
static bool choose(struct wc_mesh *m, unsigned consumer, uint64_t skip)
{
    struct consumer *c = &m->consumer[consumer];
    uint64_t oldest = UINT64_MAX, next = UINT64_MAX, stamp;
    for (unsigned p = 0; p < m->nproducers; p++) {
        if (skip & UINT64_C(1) << p || !wc_ring_front(ring_of(m, p, consumer), &stamp) ||
            stamp >= c->limit[p])
            continue;
        if (stamp < oldest) {
            next = oldest;
            oldest = stamp;
            c->current = p;
        } else if (stamp < next) {
            next = stamp;
        }
    }
    if (oldest == UINT64_MAX)
        return false;
    c->until = next < c->limit[c->current] ? next : c->limit[c->current];
    c->skip = skip;
    return true;
}

static bool is_oldest_still(const struct wc_mesh *m, unsigned consumer, uint64_t skip)
{
    const struct consumer *c = &m->consumer[consumer];
    uint64_t stamp;
    return skip == c->skip && wc_ring_front(ring_of(m, c->current, consumer), &stamp) &&
           stamp < c->until;
}

static struct wc_msg *pop_oldest(struct wc_mesh *m, unsigned consumer, uint64_t skip)
{
    struct consumer *c = &m->consumer[consumer];
    if (!is_oldest_still(m, consumer, skip) && !choose(m, consumer, skip)) {
        look(m, consumer, skip);
        if (!choose(m, consumer, skip))
            return NULL;
    }
    c->popped |= UINT64_C(1) << c->current;
    return wc_ring_pop(ring_of(m, c->current, consumer));
}

static void change_turns(struct consumer *c)
{
    c->waiting = ~c->waiting;
    c->burst = 0;
}

struct wc_msg *wc_mesh_pop(struct wc_mesh *m, unsigned consumer, uint64_t skip)
{
    struct consumer *c = &m->consumer[consumer];
    if (c->burst == FAIR_BURST)
        change_turns(c);
    struct wc_msg *msg = pop_oldest(m, consumer, skip | c->waiting);
    if (!msg) {
        change_turns(c);
        msg = pop_oldest(m, consumer, skip | c->waiting);
    }
    c->burst += msg != NULL;
    return msg;
}

void wc_mesh_popped(struct wc_mesh *m, unsigned consumer)
{
    struct consumer *c = &m->consumer[consumer];
    uint64_t todo = c->popped;
    c->popped = 0;
    for (; todo; todo &= todo - 1) {
        unsigned p = (unsigned)__builtin_ctzll(todo);
        if (wc_ring_give_back(ring_of(m, p, consumer)) && m->producer[p].on_space)
            m->producer[p].on_space(m->producer[p].arg);
    }
}

static bool all_empty(const struct wc_mesh *m, unsigned consumer, uint64_t skip)
{
    for (unsigned p = 0; p < m->nproducers; p++)
        if (!(skip & UINT64_C(1) << p) && !wc_ring_is_empty(ring_of(m, p, consumer)))
            return false;
    return true;
}

bool wc_mesh_sleep(struct wc_mesh *m, unsigned consumer, uint64_t skip)
{
    struct consumer *c = &m->consumer[consumer];
    /* W1 store, then the loads of every head in wc_ring_is_empty: see wc_mesh_flush. */
    atomic_store_explicit(&c->asleep, 1, memory_order_seq_cst);
    if (all_empty(m, consumer, skip))
        return true;
    wc_mesh_awake(m, consumer);
    return false;
}

void wc_mesh_awake(struct wc_mesh *m, unsigned consumer)
{
    /* Relaxed: a producer that still sees 1 writes an eventfd too many, nothing else. */
    atomic_store_explicit(&m->consumer[consumer].asleep, 0, memory_order_relaxed);
}

bool wc_mesh_missed_wake(struct wc_mesh *m, unsigned consumer, uint64_t skip)
{
    struct consumer *c = &m->consumer[consumer];
    if (all_empty(m, consumer, skip))
        return false;
    for (int i = 0; i < CLAIM_YIELDS; i++) {
        /* Relaxed: only the value counts, the producer's claim publishes nothing. */
        if (!atomic_load_explicit(&c->asleep, memory_order_relaxed))
            return false;
        (void)sched_yield(); /* cannot fail on Linux */
    }
    return true;
}

int wc_mesh_eventfd(const struct wc_mesh *m, unsigned consumer)
{
    return m->consumer[consumer].eventfd;
}

uint64_t wc_mesh_waiting(const struct wc_mesh *m, unsigned producer, unsigned consumer)
{
    return wc_ring_waiting(ring_of(m, producer, consumer));
}

uint64_t wc_mesh_consumed(const struct wc_mesh *m, unsigned producer, unsigned consumer)
{
    return wc_ring_given_back(ring_of(m, producer, consumer));
}

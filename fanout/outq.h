/*
 * What waits to be written to one connection: a queue of frames.
 *
 * A frame that goes to many connections of a thread is held once: each queue points at the same
 * holder, which counts the queues with a plain integer, so that a fan-out touches the frame's
 * atomic count once per thread and not once per client. The first frame may be partly written
 * (offset). Ownership: a queue shares its holders; a holder owns one reference to its frame.
 * Threads: one owner. Errors: NOMEM. Limits: the caller's, by `bytes`.
 */
#ifndef WC_FANOUT_OUTQ_H
#define WC_FANOUT_OUTQ_H

#include "base/clock.h"
#include "fanout/frame.h"
#include "fanout/slab.h"

/* Where a frame is accounted for: as delivered, or when it is dropped as withheld. */
enum wc_book { WC_BOOK_NONE, WC_BOOK_CHANGE, WC_BOOK_BROADCAST, WC_BOOKS };

struct wc_held {
    struct wc_frame *frame;
    uint32_t refs;
    enum wc_book book;
    wc_us committed_at; /* as in the message (msg.h) */
};

/* Takes the frame's reference, on failure too; returns a holder with one reference. */
struct wc_held *wc_held_new(struct wc_slab *, struct wc_frame *, enum wc_book);
static inline struct wc_held *wc_held_ref(struct wc_held *h)
{
    h->refs++;
    return h;
}
void wc_held_unref(struct wc_slab *, struct wc_held *);

/* Circular: entries first .. first + count - 1, modulo cap (a power of two, or 0). Zeroed is empty.
 */
struct wc_outq {
    struct wc_held **item;
    uint32_t cap, first, count;
    uint32_t offset; /* bytes of the first frame that are written */
    size_t bytes;    /* left to write */
};

/* Adds a reference to the holder. */
WC_MUST_USE
enum wc_status wc_outq_push(struct wc_outq *, struct wc_held *);

static inline struct wc_held *wc_outq_at(const struct wc_outq *q, uint32_t i)
{
    return q->item[(q->first + i) & (q->cap - 1)];
}

struct wc_outq_done {
    uint32_t frames[WC_BOOKS];
    wc_us committed_at; /* the earliest of its changes; 0: none is known */
};

/* n bytes were written from the front. Adds what that completed; returns how many frames. */
uint32_t wc_outq_consume(struct wc_outq *, struct wc_slab *, size_t n, struct wc_outq_done *);

/* Drops everything but the rest of a partly written first frame. Adds what went. */
void wc_outq_drop(struct wc_outq *, struct wc_slab *, struct wc_outq_done *);
/* Drops everything. */
void wc_outq_release(struct wc_outq *, struct wc_slab *, struct wc_outq_done *);
bool wc_outq_ok(const struct wc_outq *);

#endif

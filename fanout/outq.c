#include "fanout/outq.h"

#include "base/assert.h"

#include <stdlib.h>

/* An idle connection keeps no array; a busy one keeps a small array between bursts. */
enum { FIRST_CAP = 8, KEPT_CAP = 64 };

struct wc_held *wc_held_new(struct wc_slab *slab, struct wc_frame *frame, enum wc_book book)
{
    struct wc_held *h = wc_slab_get(slab);
    if (!h) {
        wc_frame_unref(frame);
        return NULL;
    }
    *h = (struct wc_held){.frame = frame, .refs = 1, .book = book};
    return h;
}

void wc_held_unref(struct wc_slab *slab, struct wc_held *h)
{
    if (!h || --h->refs)
        return;
    wc_frame_unref(h->frame);
    wc_slab_put(slab, h);
}

static enum wc_status grow(struct wc_outq *q)
{
    uint32_t cap = q->cap ? q->cap * 2 : FIRST_CAP;
    struct wc_held **item = cap > q->cap ? malloc(cap * sizeof(*item)) : NULL;
    if (!item)
        return WC_NOMEM;
    for (uint32_t i = 0; i < q->count; i++)
        item[i] = wc_outq_at(q, i);
    free(q->item);
    q->item = item;
    q->cap = cap;
    q->first = 0;
    return WC_OK;
}

enum wc_status wc_outq_push(struct wc_outq *q, struct wc_held *h)
{
    if (q->count == q->cap && grow(q) != WC_OK)
        return WC_NOMEM;
    q->item[(q->first + q->count) & (q->cap - 1)] = h;
    q->count++;
    q->bytes += h->frame->len;
    h->refs++;
    return WC_OK;
}

static void drop_array(struct wc_outq *q)
{
    free(q->item);
    q->item = NULL;
    q->cap = q->first = 0;
}

static void add(struct wc_outq_done *done, const struct wc_held *h)
{
    done->frames[h->book]++;
    if (h->committed_at && (!done->committed_at || h->committed_at < done->committed_at))
        done->committed_at = h->committed_at;
}

uint32_t wc_outq_consume(struct wc_outq *q, struct wc_slab *slab, size_t n,
                         struct wc_outq_done *done)
{
    uint32_t frames = 0;
    WC_DASSERT(n <= q->bytes);
    q->bytes -= n;
    n += q->offset;
    while (q->count && n >= q->item[q->first]->frame->len) {
        struct wc_held *h = q->item[q->first];
        n -= h->frame->len;
        q->first = (q->first + 1) & (q->cap - 1);
        q->count--;
        frames++;
        add(done, h);
        wc_held_unref(slab, h);
    }
    q->offset = (uint32_t)n;
    if (!q->count && q->cap > KEPT_CAP)
        drop_array(q);
    return frames;
}

void wc_outq_drop(struct wc_outq *q, struct wc_slab *slab, struct wc_outq_done *done)
{
    uint32_t keep = q->offset ? 1 : 0;
    while (q->count > keep) {
        struct wc_held *h = wc_outq_at(q, q->count - 1);
        add(done, h);
        q->bytes -= h->frame->len;
        q->count--;
        wc_held_unref(slab, h);
    }
}

void wc_outq_release(struct wc_outq *q, struct wc_slab *slab, struct wc_outq_done *done)
{
    q->offset = 0;
    wc_outq_drop(q, slab, done);
    drop_array(q);
    *q = (struct wc_outq){0};
}

bool wc_outq_ok(const struct wc_outq *q)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < q->count; i++)
        bytes += wc_outq_at(q, i)->frame->len;
    bool cap_ok = (q->cap & (q->cap - 1)) == 0 && q->count <= q->cap && !q->item == !q->cap;
    bool offset_ok = q->count ? q->offset < q->item[q->first]->frame->len : q->offset == 0;
    return cap_ok && offset_ok && bytes - q->offset == q->bytes;
}

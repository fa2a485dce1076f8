#include "fanout/msg.h"

#include "base/assert.h"
#include "base/metrics.h"

#include <stdlib.h>

static const uint64_t one_pair = UINT64_C(1) << 32;

struct wc_msg *wc_msg_new(enum wc_msg_kind kind, struct wc_slice text)
{
    struct wc_msg *m = calloc(1, sizeof *m + text.len + 1);
    if (!m)
        return NULL;
    atomic_init(&m->refs, 1);
    m->kind = kind;
    m->text_len = text.len;
    if (text.len)
        memcpy(m->text, text.p, text.len);
    return m;
}

size_t wc_msg_size(const struct wc_msg *m)
{
    size_t n = sizeof *m + m->text_len;
    for (unsigned v = 0; v < WC_PHX_COUNT; v++)
        n += m->frame[v] ? m->frame[v]->len : 0;
    return n;
}

void wc_msg_ref(struct wc_msg *m, uint32_t n)
{
    (void)atomic_fetch_add_explicit(&m->refs, n, memory_order_relaxed);
}

void wc_msg_carry(struct wc_msg *m, uint32_t pairs)
{
    m->is_change = true;
    (void)atomic_fetch_add_explicit(&m->refs, pairs * one_pair, memory_order_relaxed);
}

void wc_msg_unref(struct wc_msg *m)
{
    if (m)
        wc_msg_settle(m, 0);
}

void wc_msg_settle(struct wc_msg *m, uint32_t pairs)
{
    uint64_t mine = pairs * one_pair + 1;
    /* acq_rel: whoever frees sees what every other holder did before it let go. */
    uint64_t before = atomic_fetch_sub_explicit(&m->refs, mine, memory_order_acq_rel);
    WC_DASSERT(before >= mine); /* nobody accounts for pairs that were not published */
    if ((uint32_t)before != 1)
        return;
    wc_metric_add(WC_M_WITHHELD_STALE, (int64_t)((before - mine) / one_pair));
    for (unsigned s = 0; s < WC_PHX_COUNT; s++)
        wc_frame_unref(m->frame[s]);
    free(m->replay);
    free(m);
}

void wc_msg_queue_push(struct wc_msg_queue *q, struct wc_msg *m)
{
    m->next = NULL;
    if (q->first)
        q->last->next = m;
    else
        q->first = m;
    q->last = m;
}

void wc_msg_queue_push_front(struct wc_msg_queue *q, struct wc_msg *m)
{
    m->next = q->first;
    if (!q->first)
        q->last = m;
    q->first = m;
}

struct wc_msg *wc_msg_queue_pop(struct wc_msg_queue *q)
{
    struct wc_msg *m = q->first;
    if (m)
        q->first = m->next;
    return m;
}

void wc_msg_queue_clear(struct wc_msg_queue *q)
{
    for (struct wc_msg *m; (m = wc_msg_queue_pop(q));)
        wc_msg_unref(m);
}

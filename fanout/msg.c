#include "fanout/msg.h"

#include <stdlib.h>

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

void wc_msg_ref(struct wc_msg *m, uint32_t n)
{
    (void)atomic_fetch_add_explicit(&m->refs, n, memory_order_relaxed);
}

void wc_msg_unref(struct wc_msg *m)
{
    /* acq_rel: whoever frees sees what every other holder did before it let go. */
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned s = 0; s < WC_PHX_COUNT; s++)
        wc_frame_unref(m->frame[s]);
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

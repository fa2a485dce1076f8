#include "fanout/wait.h"

#include "fanout/join.h"
#include "fanout/permit.h"

#include <stdlib.h>

enum { MESSAGE_OVERHEAD = 64 }; /* of one that is kept, about; so that their number is bounded */

struct wc_kept_message {
    struct wc_kept_message *next;
    size_t len;
    bool is_binary;
    uint8_t bytes[];
};

static wc_us deadline(const struct wc_channel *c, uint32_t timeout_ms)
{
    return c->session->hub->now + (wc_us)timeout_ms * 1000;
}

static struct wc_kept nothing_kept(void)
{
    return (struct wc_kept){0};
}

struct wc_wait *wc_wait_begin(struct wc_channel *c, enum wc_wait_for what, uint32_t timeout_ms)
{
    struct wc_wait *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->channel = c;
    w->end_held = &w->first_held;
    w->kept.end = &w->kept.first;
    wc_list_init(&w->in_hub);
    wc_wait_turn(w, what, timeout_ms);
    c->wait = w;
    return w;
}

void wc_wait_turn(struct wc_wait *w, enum wc_wait_for what, uint32_t timeout_ms)
{
    w->what = what;
    w->deadline = deadline(w->channel, timeout_ms);
    wc_list_remove(&w->in_hub);
    wc_list_push(&w->channel->session->hub->waiting, &w->in_hub);
}

static void free_kept(struct wc_kept *k)
{
    for (struct wc_kept_message *m = k->first; m;) {
        struct wc_kept_message *next = m->next;
        free(m);
        m = next;
    }
    *k = nothing_kept();
}

void wc_wait_free(struct wc_wait *w)
{
    if (!w)
        return;
    struct wc_kept kept = wc_wait_take(w);
    free_kept(&kept);
    wc_permit_drop_held(w->channel->session->hub, wc_permit_take_held(w));
    w->channel->wait = NULL;
    wc_list_remove(&w->in_hub);
    wc_frame_unref(w->reply);
    wc_msg_unref(w->permitted);
    free(w);
}

/* ---- what is kept ---- */

enum wc_status wc_wait_keep(struct wc_wait *w, struct wc_slice message, bool is_binary)
{
    struct wc_session *s = w->channel->session;
    struct wc_kept *k = &w->kept;
    size_t size = message.len + MESSAGE_OVERHEAD;
    if (wc_wait_is_join(w) &&
        (k->count == WC_WAIT_MESSAGES_MAX || s->kept_bytes + size > WC_WAIT_BYTES_MAX))
        return WC_LIMIT;
    struct wc_kept_message *m = malloc(sizeof *m + message.len);
    if (!m)
        return WC_NOMEM;
    *m = (struct wc_kept_message){.len = message.len, .is_binary = is_binary};
    if (message.len)
        memcpy(m->bytes, message.p, message.len);
    *k->end = m;
    k->end = &m->next;
    k->count++;
    k->bytes += size;
    s->kept_bytes += size;
    if (wc_wait_is_full(s))
        wc_session_pause(s);
    return WC_OK;
}

bool wc_wait_is_full(const struct wc_session *s)
{
    return s->kept_bytes > WC_WAIT_BYTES_MAX;
}

struct wc_kept wc_wait_take(struct wc_wait *w)
{
    if (!w)
        return nothing_kept();
    struct wc_kept kept = w->kept;
    w->channel->session->kept_bytes -= kept.bytes;
    w->kept = nothing_kept();
    w->kept.end = &w->kept.first;
    return kept;
}

void wc_kept_hand_over(struct wc_session *s, struct wc_kept *k)
{
    for (const struct wc_kept_message *m = k->first; m; m = m->next)
        if (s->state == WC_SESSION_OPEN)
            wc_session_receive(s, wc_slice(m->bytes, m->len), m->is_binary);
    free_kept(k);
}

/* ---- no answer ---- */

static void time_out(struct wc_channel *c)
{
    if (c->wait->what == WC_WAIT_CHANGES)
        wc_join_time_out(c);
    else
        wc_permit_time_out(c);
}

/* What comes of one hands over its messages, which may end others, and begin some at the list's
 * end: a node of our own marks how far we are. */
void wc_wait_expire(struct wc_hub *hub)
{
    struct wc_list mark;
    wc_list_init(&mark);
    wc_list_push(hub->waiting.next, &mark);
    while (mark.next != &hub->waiting) {
        struct wc_list *it = mark.next;
        struct wc_wait *w = WC_CONTAINER(it, struct wc_wait, in_hub);
        wc_list_remove(&mark);
        wc_list_push(it->next, &mark);
        if (w->deadline <= hub->now)
            time_out(w->channel);
    }
    wc_list_remove(&mark);
}

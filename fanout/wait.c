#include "fanout/wait.h"

#include "fanout/join.h"

#include <inttypes.h>
#include <stdlib.h>

enum { REASON_CAP = 64 << 10 }; /* verdicts are shorter */

enum wc_status wc_wait_begin(struct wc_channel *c, struct wc_frame *reply, uint32_t timeout_ms)
{
    struct wc_wait *w = reply ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        wc_frame_unref(reply);
        return WC_NOMEM;
    }
    w->channel = c;
    w->reply = reply;
    w->timeout_ms = timeout_ms;
    w->deadline = c->session->hub->now + (wc_us)timeout_ms * 1000;
    wc_list_init(&w->in_hub);
    wc_list_push(&c->session->hub->waiting, &w->in_hub);
    c->wait = w;
    return WC_OK;
}

void wc_wait_free(struct wc_wait *w)
{
    if (!w)
        return;
    w->channel->session->kept_bytes -= w->kept_bytes;
    w->channel->wait = NULL;
    wc_list_remove(&w->in_hub);
    wc_frame_unref(w->reply);
    for (uint32_t i = 0; i < w->nkept; i++)
        free(w->kept[i].p);
    free(w);
}

enum wc_status wc_wait_keep(struct wc_wait *w, struct wc_slice message, bool is_binary)
{
    struct wc_session *s = w->channel->session;
    if (w->nkept == WC_WAIT_MESSAGES_MAX || message.len > WC_WAIT_BYTES_MAX - s->kept_bytes)
        return WC_LIMIT;
    uint8_t *copy = malloc(message.len + 1); /* never of size 0 */
    if (!copy)
        return WC_NOMEM;
    memcpy(copy, message.p, message.len);
    w->kept[w->nkept++] = (struct wc_wait_message){copy, message.len, is_binary};
    w->kept_bytes += message.len;
    s->kept_bytes += message.len;
    return WC_OK;
}

/* What was kept, taken out of the channel: what the messages do may end it, or begin another. */
struct kept {
    uint32_t n;
    struct wc_wait_message message[WC_WAIT_MESSAGES_MAX];
};

static void take_out(struct wc_wait *w, struct kept *out)
{
    out->n = w->nkept;
    memcpy(out->message, w->kept, sizeof out->message);
    w->nkept = 0;
}

static void hand_over(struct wc_session *s, const struct kept *k)
{
    for (uint32_t i = 0; i < k->n; i++) {
        const struct wc_wait_message *m = &k->message[i];
        if (s->state == WC_SESSION_OPEN)
            wc_session_receive(s, wc_slice(m->p, m->len), m->is_binary);
        free(m->p);
    }
}

static void stand(struct wc_channel *c, struct wc_slice text)
{
    struct wc_session *s = c->session;
    struct wc_wait *w = c->wait;
    struct wc_frame *reply = w->reply;
    struct kept kept;
    w->reply = NULL;
    take_out(w, &kept);
    wc_wait_free(w);
    if (wc_join_complete(c, reply))
        wc_channel_push_system(c, "postgres_changes", true, text);
    hand_over(s, &kept);
}

/* The channel is gone before its messages are handed over: they find the topic not joined. */
static void refuse(struct wc_channel *c, struct wc_slice reason)
{
    struct wc_session *s = c->session;
    struct kept kept;
    take_out(c->wait, &kept);
    wc_join_abandon(c, reason);
    hand_over(s, &kept);
}

void wc_wait_verdict(struct wc_channel *c, bool ok, struct wc_slice text)
{
    if (!c->wait) {
        wc_channel_push_system(c, "postgres_changes", ok, text);
        return;
    }
    if (ok) {
        stand(c, text);
        return;
    }
    struct wc_buf reason;
    wc_buf_init(&reason, REASON_CAP);
    wc_buf_str(&reason, "RealtimeDisabledForConfiguration: ");
    wc_buf_slice(&reason, text);
    refuse(c, wc_buf_view(&reason));
    wc_buf_release(&reason);
}

static void time_out(struct wc_channel *c)
{
    struct wc_buf reason;
    wc_buf_init(&reason, 256);
    wc_buf_printf(&reason,
                  "PostgresChangesSubscribeTimeout: Timed out after %" PRIu32
                  "ms waiting for the postgres_changes subscription",
                  c->wait->timeout_ms);
    refuse(c, wc_buf_view(&reason));
    wc_buf_release(&reason);
}

/* Refusing one hands over its messages, which may end others, and begin some at the list's end: a
 * node of our own marks how far we are. */
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

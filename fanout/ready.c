#include "fanout/ready.h"

#include <stdlib.h>

struct wc_unready {
    struct wc_list in_hub; /* hub->unready, in the order of their deadlines */
    struct wc_channel *channel;
    wc_us deadline;
};

static bool is_replicating(const struct wc_session *s)
{
    const struct wc_source *source = &s->hub->opt.source;
    return source->is_replicating(source->self, s->tenant);
}

/* False: the channel has ended, with its session. */
static bool tell(struct wc_channel *c)
{
    struct wc_session *s = c->session;
    wc_channel_push_system(c, "system", true, wc_slice_str("Replication connection established"));
    return s->state == WC_SESSION_OPEN;
}

bool wc_ready_joined(struct wc_channel *c)
{
    struct wc_hub *hub = c->session->hub;
    if (!c->config.wants_ready)
        return true;
    if (is_replicating(c->session))
        return tell(c);
    struct wc_unready *u = calloc(1, sizeof *u);
    if (!u) {
        wc_hub_shut_channel(hub, c, wc_slice_str("Unknown Error on Channel"));
        return false;
    }
    u->channel = c;
    u->deadline = hub->now + (wc_us)WC_READY_TIMEOUT_MS * 1000;
    wc_list_push(&hub->unready, &u->in_hub);
    c->unready = u;
    return true;
}

void wc_ready_ended(struct wc_channel *c)
{
    if (!c->unready)
        return;
    wc_list_remove(&c->unready->in_hub);
    free(c->unready);
    c->unready = NULL;
}

bool wc_ready_is_awaited(const struct wc_hub *hub)
{
    return !wc_list_is_empty(&hub->unready);
}

static void look_at(struct wc_channel *c, bool is_late)
{
    if (is_replicating(c->session)) {
        wc_ready_ended(c);
        (void)tell(c); /* nothing is done with it here */
    } else if (is_late) {
        wc_hub_shut_channel(c->session->hub, c,
                            wc_slice_str("Replication connection was not established in time"));
    }
}

/* What a channel is told may end it and others: a node of our own marks how far we are. */
void wc_ready_look(struct wc_hub *hub)
{
    struct wc_list mark;
    if (!wc_ready_is_awaited(hub) || hub->now < hub->ready_at)
        return;
    hub->ready_at = hub->now + (wc_us)WC_READY_LOOK_MS * 1000;
    wc_list_init(&mark);
    wc_list_push(hub->unready.next, &mark);
    while (mark.next != &hub->unready) {
        struct wc_list *it = mark.next;
        const struct wc_unready *u = WC_CONTAINER(it, struct wc_unready, in_hub);
        wc_list_remove(&mark);
        wc_list_push(it->next, &mark);
        look_at(u->channel, u->deadline <= hub->now);
    }
    wc_list_remove(&mark);
}

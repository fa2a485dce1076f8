#include "fanout/subscription.h"

#include "fanout/join.h"

static void tell_failure(struct wc_channel *c, enum wc_status st)
{
    struct wc_buf text;
    wc_buf_init(&text, 256);
    wc_buf_printf(&text, "Unable to subscribe to changes: %s", wc_status_text(st));
    wc_join_verdict(c, false, wc_buf_view(&text));
    wc_buf_release(&text);
}

static enum wc_status send_request(struct wc_channel *c)
{
    struct wc_hub *hub = c->session->hub;
    struct wc_handle handle;
    if (wc_channel_subscription(&hub->channels, c, &handle) != WC_OK)
        return WC_NOMEM;
    struct wc_subscribe *r = wc_subscribe_copy(c->asked, handle, c->session->tenant, c->claims);
    if (!r)
        return WC_NOMEM;
    enum wc_status st = hub->opt.source.subscribe(hub->opt.source.self, r);
    if (st != WC_OK)
        wc_subscribe_free(r);
    return st;
}

static void unsubscribe(struct wc_channel *c)
{
    struct wc_hub *hub = c->session->hub;
    struct wc_handle handle;
    /* A subscription has its slot already: finding it does not fail. */
    if (c->is_subscribed && wc_channel_subscription(&hub->channels, c, &handle) == WC_OK)
        hub->opt.source.unsubscribe(hub->opt.source.self, c->session->tenant, handle);
    c->is_subscribed = false;
    wc_channel_end_subscription(&hub->channels, c);
    wc_group_leave(&hub->groups[WC_GROUP_AUDIENCE], c);
}

void wc_subscription_ask(struct wc_channel *c)
{
    if (!c->asked)
        return;
    enum wc_status st = send_request(c);
    if (st == WC_OK) {
        c->is_subscribed = true;
        return;
    }
    unsubscribe(c);
    tell_failure(c, st);
}

void wc_subscription_end(struct wc_channel *c)
{
    unsubscribe(c);
    wc_subscribe_free(c->asked);
    c->asked = NULL;
}

/*
 * A channel's request for changes: asked with its join, asked again with each new token, ended with
 * the channel.
 *
 * What was asked is kept in the channel. A new token ends the old subscription's handle before the
 * new one is asked for, so nothing is delivered on the old claims from that moment; the change
 * source answers again, with another verdict.
 * Threads: the hub's. Source: protocol reference, sections 3.5, 3.10.
 */
#ifndef WC_FANOUT_SUBSCRIPTION_H
#define WC_FANOUT_SUBSCRIPTION_H

#include "fanout/hub.h"

/* Takes what is asked (without handle, tenant and claims). A failure is told like a refusal of the
 * change source. */
void wc_subscription_ask(struct wc_channel *, struct wc_subscribe *);
/* The channel's claims have changed. */
void wc_subscription_renew(struct wc_channel *);
/* The channel ends. */
void wc_subscription_end(struct wc_channel *);

#endif

/*
 * A channel's request for changes: asked with its join, asked again with each new token, ended with
 * the channel.
 *
 * What was asked is kept in the channel. With a new token it is asked for again under the same
 * handle: the change source lets the new claims take the place of the old ones when they stand, so
 * that no change is lost in between, and answers with another verdict. When it cannot take the
 * request the subscription ends. Threads: the hub's. Source: protocol reference,
 * sections 3.5, 3.10.
 */
#ifndef WC_FANOUT_SUBSCRIPTION_H
#define WC_FANOUT_SUBSCRIPTION_H

#include "fanout/hub.h"

/* For what the channel asks (channel->asked; nothing is fine), with its claims: for the first time,
 * or since they have changed. A failure is told like a refusal of the change source. */
void wc_subscription_ask(struct wc_channel *);
/* The channel ends. */
void wc_subscription_end(struct wc_channel *);

#endif

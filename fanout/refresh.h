/*
 * Event `access_token` on a joined channel: a new token takes the place of the channel's. It is
 * never replied to. The same token again, null and "sb_..." change nothing; a token that is refused
 * shuts the channel with the text of protocol reference section 3.10; a good one rearms the expiry
 * and asks for the channel's changes again, in a private room when it is known what it may read
 * (permit.h).
 * Threads: the hub's.
 */
#ifndef WC_FANOUT_REFRESH_H
#define WC_FANOUT_REFRESH_H

#include "fanout/hub.h"
#include "fanout/phoenix.h"

/* False: it brings no token, and is like an event nobody knows. */
bool wc_refresh_receive(struct wc_channel *, const struct wc_phx_message *);

#endif

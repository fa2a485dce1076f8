/*
 * Clients that asked for it are told when broadcasts of their tenant's database reach this server
 * (`config.broadcast.replication_ready`): with the answer to their join if they do already, else
 * as soon as they do, looked at every WC_READY_LOOK_MS. A channel that was not told within
 * WC_READY_TIMEOUT_MS is shut.
 *
 * Ownership: the channel's. Threads: the hub's. Source: protocol reference, sections 3.2 and 3.11.
 */
#ifndef WC_FANOUT_READY_H
#define WC_FANOUT_READY_H

#include "fanout/hub.h"

enum { WC_READY_LOOK_MS = 500, WC_READY_TIMEOUT_MS = 60000 };

/* The join was answered. False: the channel has ended. */
WC_MUST_USE
bool wc_ready_joined(struct wc_channel *);
void wc_ready_ended(struct wc_channel *); /* it ends */

bool wc_ready_is_awaited(const struct wc_hub *);
void wc_ready_look(struct wc_hub *); /* often, while it is awaited; looks when it is time */

#endif

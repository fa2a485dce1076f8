/*
 * phx_join: limits, token, configuration, bindings, reply, subscription; in the order and with the
 * texts of the protocol reference, sections 3.2 to 3.5. A failed join is answered at once; one that
 * waits for its subscription is answered by wait.h.
 *
 * Private channels are refused until their policies can be checked: fail closed.
 * Threads: the hub's. Limits: WC_BINDINGS_MAX bindings; 99,999 channels on one connection,
 * with topics and bindings of 8 MiB together.
 */
#ifndef WC_FANOUT_JOIN_H
#define WC_FANOUT_JOIN_H

#include "fanout/phoenix.h"
#include "fanout/session.h"

struct wc_channel;

/* The topic starts with "realtime:" and is not joined on this session (route.c ends an old join
 * first). The arena is the hub's. */
void wc_join(struct wc_session *, const struct wc_phx_message *);

/* The rest of a join that is granted: into the room, the reply (taken). False: the channel is gone,
 * refused or with its session. */
bool wc_join_complete(struct wc_channel *, struct wc_frame *reply);
/* Refuses a join whose channel exists already, and ends the channel. */
void wc_join_abandon(struct wc_channel *, struct wc_slice reason);

#endif

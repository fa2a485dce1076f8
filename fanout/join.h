/*
 * phx_join: token, configuration, bindings, reply, subscription; in the order and with the texts of
 * the protocol reference, sections 3.2 to 3.5. A failed join is answered at once.
 *
 * Private channels are refused until their policies can be checked: fail closed.
 * Threads: the hub's. Limits: WC_BINDINGS_MAX bindings; 99,999 channels on one connection,
 * with topics and bindings of 8 MiB together.
 */
#ifndef WC_FANOUT_JOIN_H
#define WC_FANOUT_JOIN_H

#include "fanout/phoenix.h"
#include "fanout/session.h"

/* The topic starts with "realtime:" and is not joined on this session (route.c ends an old join
 * first). The arena is the hub's. */
void wc_join(struct wc_session *, const struct wc_phx_message *);

#endif

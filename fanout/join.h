/*
 * phx_join: limits, token, configuration, bindings, reply, subscription; in the order and with the
 * texts of the protocol reference, sections 3.2 to 3.5. A failed join is answered at once. One to a
 * private room is answered when its permissions are known (permit.h), one that waits for its
 * subscription when that stands; until then it waits (wait.h).
 *
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

/* For a channel whose join is not answered. Afterwards it may be gone, as with what follows. */
void wc_join_refuse(struct wc_channel *, struct wc_slice reason);
/* It waits for permissions, and has them. */
void wc_join_permitted(struct wc_channel *);
/* Its token has expired meanwhile; the text says so. */
void wc_join_expired(struct wc_channel *, struct wc_slice text);
/* Its changes do not stand in time. */
void wc_join_time_out(struct wc_channel *);

/* What the change source says about a channel's subscription: answers a join that waits for it, and
 * becomes a `system` message. */
void wc_join_verdict(struct wc_channel *, bool ok, struct wc_slice text);

#endif

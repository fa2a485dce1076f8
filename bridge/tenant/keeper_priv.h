/*
 * The tenants of one bridge: opened when somebody wants them, closed when nobody has used them for
 * a while, let go when they are replaced.
 *
 * One timer serves them all: open tenants are looked at ten times a second, the others once, when
 * the janitor (janitor_priv.h) comes by, too. A tenant that was retired is closed at once and its
 * clients are told, again every second until its last reference is gone: a connection may have been
 * accepted with the old view just then. Ownership: holds a reference to each tenant it knows.
 * Threads: the bridge's, but for new (before it starts) and free (after it has ended).
 */
#ifndef WC_BRIDGE_TENANT_KEEPER_PRIV_H
#define WC_BRIDGE_TENANT_KEEPER_PRIV_H

#include "bridge/tenant/bridge.h"
#include "bridge/tenant/seat_priv.h"

struct wc_keeper;

/* Returns owned; NULL when out of memory. */
struct wc_keeper *wc_keeper_new(const struct wc_tenant_home *);
void wc_keeper_employ(struct wc_keeper *, const struct wc_janitor_options *); /* else: no visits */
void wc_keeper_free(struct wc_keeper *); /* after close; NULL is fine */

/* `orders` of enum wc_bridge_order. */
void wc_keeper_obey(struct wc_keeper *, struct wc_tenant *, unsigned orders);

/* Opens it unless it is open: somebody asks it something. False: it was replaced, has no database,
 * is suspended, or memory is short. */
bool wc_keeper_want(struct wc_keeper *, struct wc_tenant *);
bool wc_keeper_is_open(struct wc_tenant *);

/* The rings have room again: each goes on until there is none, another one first each time. */
void wc_keeper_resume(struct wc_keeper *);

/* The end: no more changes are taken, and nothing is opened any more. */
void wc_keeper_drain(struct wc_keeper *);
bool wc_keeper_is_drained(struct wc_keeper *);
void wc_keeper_end_streams(struct wc_keeper *);
void wc_keeper_close(struct wc_keeper *); /* all tenants, and the timer */

#endif

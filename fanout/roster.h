/*
 * Which sessions of a socket thread are which tenant's, and the sending away of all of one tenant's
 * when it has changed: each channel is told "Server requested disconnect", each connection closed
 * with 1012. That takes a while when there are thousands, so it is spread over turns of the loop;
 * connections that came after the message stay.
 *
 * Ownership: borrows the sessions; a tenant's entry lives as long as one of them.
 * Threads: one owner. Errors: NOMEM.
 */
#ifndef WC_FANOUT_ROSTER_H
#define WC_FANOUT_ROSTER_H

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"

struct wc_hub;
struct wc_session;

struct wc_roster {
    struct wc_map map;
    struct wc_list leaving; /* entries with sessions to be sent away */
};

void wc_roster_init(struct wc_roster *);
void wc_roster_release(struct wc_roster *); /* every session is freed before */

/* A session's entry: from its making to its freeing. */
WC_MUST_USE
enum wc_status wc_roster_add(struct wc_roster *, struct wc_session *);
void wc_roster_remove(struct wc_roster *, struct wc_session *); /* not added is fine */
/* It is open; when it is no more it leaves by itself (session.c removes `in_roster`). */
void wc_roster_open(struct wc_session *);

/* All sessions that the tenant with this number has now. */
void wc_roster_disconnect(struct wc_hub *, uint64_t tenant);
/* Sends away until nobody is left or `until` has passed; true: some are. */
bool wc_roster_turn(struct wc_hub *, wc_us until);

#endif

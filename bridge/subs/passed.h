/*
 * The transactions that went by and that no snapshot has seen yet, oldest first. A commit can be in
 * the log, and so in the stream, before other sessions see it (between flush and visibility, or for
 * long behind a synchronous standby). If one of those went by before a member's bindings were in
 * the index, and a snapshot taken after that still does not see it, the member would get it neither
 * from the stream nor from a SELECT: then the snapshot is too early and another one is taken. And
 * while one is invisible that describes a relation anew, the catalog must not be asked about
 * tables.
 *
 * Limits: with more than WC_PASSED the oldest are forgotten. So a snapshot is also taken once a
 * minute, and when half of the places are in use, and only what really hangs stays.
 * Threads: one owner.
 */
#ifndef WC_BRIDGE_SUBS_PASSED_H
#define WC_BRIDGE_SUBS_PASSED_H

#include "bridge/rls/snapshot.h"

enum { WC_PASSED = 4096 };

struct wc_passed {
    struct {
        wc_xid xid;
        uint64_t number; /* from 0, of all that ever went by */
        bool describes;  /* a relation anew */
    } item[WC_PASSED];
    size_t len;
    uint64_t count; /* ever */
};

void wc_passed_forget(struct wc_passed *); /* another server: its numbers mean nothing here */
void wc_passed_add(struct wc_passed *, wc_xid);
/* The transaction added last, if it is this one, describes a relation anew. */
void wc_passed_describes(struct wc_passed *, wc_xid);
/* Is there one that does? */
bool wc_passed_awaits_description(const struct wc_passed *);
/* Forgets what the snapshot sees. Returns how many of all that ever went by it sees without
 * exception. */
uint64_t wc_passed_settle(struct wc_passed *, const struct wc_snapshot *);

#endif

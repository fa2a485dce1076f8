/*
 * Checks of audiences that stand already, because the catalog has news for them; how, recheck.c
 * says. Threads: the bridge thread's.
 */
#ifndef WC_BRIDGE_SUBS_RECHECK_H
#define WC_BRIDGE_SUBS_RECHECK_H

#include "bridge/subs/subs_priv.h"

/* The catalog has news for it, shown by the stream (which then waits) or not. */
void wc_subs_recheck(struct wc_audience *, bool in_stream);
/* The check of an audience that replaces another one is over. */
void wc_subs_replace(struct wc_audience *fresh);
/* Its tables are not there: members are told this text, unless they were, and stay. */
void wc_subs_rest(struct wc_audience *, struct wc_slice text);
void wc_subs_drop_fresh(struct wc_audience *); /* ends such a check */
void wc_subs_let_go(struct wc_audience *);     /* the stream need not wait for it */

/* "Subscribed" again, to members who had it, once a snapshot sees all that went by. */
void wc_subs_announce_again(struct wc_audience *);
void wc_subs_announce_later(struct wc_member *); /* the same for one */
void wc_subs_announce_due(struct wc_subs *);     /* after a snapshot */

/* Interest in the names of its bindings. False: out of memory. */
bool wc_subs_watch_audience(struct wc_audience *);
void wc_subs_unwatch_audience(struct wc_audience *);

/* Folds types of columns into one number. */
static inline uint64_t wc_subs_mix_type(uint64_t types, wc_oid type)
{
    return (types + type) * 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio */
}

/* Tells the watch which tables its bindings stand for. */
void wc_subs_found(const struct wc_audience *);
/* The watch's events; arg is the wc_subs. */
void wc_subs_on_described(void *arg, struct wc_interest *, const struct wc_rel *);
bool wc_subs_on_published(void *arg, struct wc_interest *, bool is_reached);
void wc_subs_on_outdated(void *arg);

#endif

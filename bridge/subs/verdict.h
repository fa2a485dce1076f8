/*
 * Rows judged here: what compiled policies say of a change for an audience.
 * Threads: the bridge thread's. Source: design section 5, point 2.
 */
#ifndef WC_BRIDGE_SUBS_VERDICT_H
#define WC_BRIDGE_SUBS_VERDICT_H

#include "bridge/subs/subs_priv.h"

/* VISIBLE or HIDDEN; NONE: it is not for us to say (the rules are delegated, their values are not
 * known yet or cannot be, or the row lacks a column of the policy). Of the row that wc_change_value
 * sees: the new one, or, for a change that is looked at as a DELETE, the old one. access: fresh,
 * row security applies. */
enum wc_verdict wc_verdict_here(struct wc_subs *, struct wc_audience *, const struct wc_access *,
                                const struct wc_change *);

/* What the audience's claims are to these rules of the relation, COMPILED ones; NULL: out of
 * memory. Kept by the audience until it is asked about other rules of the relation. */
struct wc_given *wc_outlook(struct wc_audience *, wc_oid rel, struct wc_rules *);
void wc_outlooks_release(struct wc_audience *);
/* The other audience's take the place of the first one's. */
void wc_outlooks_adopt(struct wc_audience *, struct wc_audience *from);

/* The fields of the change being looked at, or of it as a DELETE, for predicates. */
struct wc_fields *wc_fields_of(struct wc_subs *, const struct wc_change *);

#endif

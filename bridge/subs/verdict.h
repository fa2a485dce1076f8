/*
 * Rows judged here: what compiled policies say of a change for an audience.
 *
 * Security barrier. Postgres lets no condition of a query that could tell of a row see it before
 * its policies have. Here the order is free: what a filter and a compiled policy are made of
 * compares bytes, raises no error and leaves no trace, so a row that is hidden shows in nothing but
 * time. Comparisons of filters that only Postgres decides (judge.h) are not asked for of rows that
 * compiled policies hide; beside a delegated policy they are asked for together with it. What one
 * of them raises, for a hidden row or another, is told nobody: it does not match.
 *
 * Threads: the bridge thread's. Source: design section 5, point 2; PostgreSQL manual, "Rules and
 * Privileges".
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

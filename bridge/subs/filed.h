/*
 * How bindings stand in the subscription index under row security.
 *
 *   rules                         inserts, updates, removals  deletes
 *   open, delegated, not known    filter                      filter
 *   compiled, values not known    filter                      filter
 *   compiled: SOME                filter AND policy           filter
 *   compiled: EVERYBODY           filter                      filter
 *   compiled: NOBODY              -                           filter
 *
 * Deletes that stand otherwise than the rest have an index of their own: one filter that thousands
 * share must not be in the way of inserts, which the policy leads to one of them.
 *
 * So with `user_id = auth.uid()` a row brings up the bindings of one user, however many there are.
 * The index only leaves out: what it brings up is judged all the same (verdict.h, judge.h).
 * Deletes' keys are for all, or for nobody; but with DELETE_UNDER_RLS=judged deletes stand like the
 * rest.
 *
 * A binding is filed anew when the rules of its roll change, before a change is looked at under
 * them, and when its values become known. Threads: the bridge thread's.
 */
#ifndef WC_BRIDGE_SUBS_FILED_H
#define WC_BRIDGE_SUBS_FILED_H

#include "bridge/subs/subs_priv.h"

/* Into the index and under its roll; false: out of memory, and it is in neither. */
bool wc_filed_enter(struct wc_audience *, struct wc_target *);
void wc_filed_leave(struct wc_audience *, struct wc_target *);

/* All of the roll's bindings, under these rules from now on; NULL: they are not known any more.
 * False: out of memory; some are not in the index, and it has to be done again before a change is
 * looked at. */
bool wc_filed_under(struct wc_subs *, struct wc_roll *, struct wc_rules *);
/* As far as they are pinned: what an answer of the catalog has changed. */
void wc_filed_renew(struct wc_subs *);
/* Values became known. */
void wc_filed_on_known(void *subs, struct wc_given *);

/* Is the binding in the index under more than its filter? Then a row may be left out that Postgres
 * would have to judge. */
static inline bool wc_filed_is_joined(const struct wc_target *t)
{
    return t->joined != NULL;
}

#endif

/*
 * The row as it was before an UPDATE or DELETE: who may see it, and who had it and has it no more.
 *
 * Under row security Postgres cannot be asked about it. Two things are known: what holds for the
 * new row holds for an old one with the same values in the columns that the policies depend on; and
 * what compiled policies (verdict.h) say of a full old row (REPLICA IDENTITY FULL).
 *
 * Removals. A binding with "removals" showed the old row if that passes its filter and its policies
 * let it be seen; it does not show the new one if either is known to fail. Whatever is not known
 * (delegated policies, comparisons that Postgres decides, values that are still being asked for) is
 * no removal.
 *
 * All of it is about the change that was looked at last (look.c), and audiences and bindings that
 * this has touched, with a fresh access entry. Threads: the bridge thread's.
 * Source: design section 5.
 */
#ifndef WC_BRIDGE_SUBS_OLDROW_H
#define WC_BRIDGE_SUBS_OLDROW_H

#include "bridge/subs/subs_priv.h"

/* What compiled policies say of the whole old row; NONE: nothing, or there is none. For audiences
 * that row security applies to. */
enum wc_verdict wc_old_row_verdict(struct wc_audience *, const struct wc_change *);

/* Is no more shown of the old row than the primary key? */
bool wc_old_row_is_cut(struct wc_audience *, const struct wc_change *);

/* Does this UPDATE take the row out of what the binding shows? */
bool wc_old_row_is_removed(const struct wc_binding *, const struct wc_change *);

#endif

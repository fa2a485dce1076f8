/*
 * Which verdicts are held against Postgres (shadow.h): of a change that is in the sample those of
 * the audiences it has touched and, since the index leaves out whom policies hide the row from, of
 * a few others who have asked for the relation, in turn. Threads: the bridge thread's.
 */
#ifndef WC_BRIDGE_SUBS_SAMPLE_H
#define WC_BRIDGE_SUBS_SAMPLE_H

#include "bridge/subs/subs_priv.h"

/* NULL: out of memory. */
struct wc_shadow *wc_subs_new_shadow(struct wc_subs *);
/* Right after a look that needs nothing. */
void wc_subs_sample(struct wc_subs *, const struct wc_change *);

#endif

/*
 * The values of one row at a time, for predicates that are in no index. A key is made when the
 * first predicate wants it, and once for all of them.
 *
 * Threads: one owner. Errors: NOMEM. Limits: it remembers the columns that predicates name, some
 * 4,096 of them at once.
 */
#ifndef WC_BRIDGE_MATCH_FIELDS_H
#define WC_BRIDGE_MATCH_FIELDS_H

#include "bridge/match/predicate.h"

struct wc_fields;

struct wc_fields *wc_fields_new(void);   /* returns owned; NULL when out of memory */
void wc_fields_free(struct wc_fields *); /* NULL is fine */

/* From now on it is about the row of this change that wc_change_value sees. Its rows and relation
 * are borrowed, not the change itself. */
void wc_fields_look_at(struct wc_fields *, const struct wc_change *);

/* Does the row pass? UNDECIDED: `ask` (NULL: nothing is known) does not know, or memory is short.
 */
enum wc_truth wc_fields_decide(struct wc_fields *, const struct wc_predicate *, wc_ask_fn ask,
                               void *arg);

#endif

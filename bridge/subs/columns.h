/*
 * Column sets, each held once for all the bindings that want it, so that a change is rendered once
 * for all of them and sets can be compared by address.
 *
 * Ownership: reference counted by users; names are copied. Threads: one owner, the bridge thread.
 */
#ifndef WC_BRIDGE_SUBS_COLUMNS_H
#define WC_BRIDGE_SUBS_COLUMNS_H

#include "bridge/subs/render.h"

struct wc_column_sets;

struct wc_column_sets *wc_column_sets_new(void);   /* returns owned; NULL when out of memory */
void wc_column_sets_free(struct wc_column_sets *); /* no set is left; NULL is fine */

/* A reference to the set of these columns, in any order, repeated or not; of all for n 0. NULL when
 * out of memory. */
const struct wc_column_set *wc_column_set_get(struct wc_column_sets *, const struct wc_slice *name,
                                              size_t n, bool has_exact_numbers);
void wc_column_set_unref(const struct wc_column_set *); /* NULL is fine */

/* Sets as their messages follow each other: all columns first, then selections by their names
 * (database reference 3.2, point 5). */
int wc_column_set_order(const struct wc_column_set *, const struct wc_column_set *);

#endif

/*
 * Comparisons of a column that Postgres has to decide, each held once for all the bindings that
 * make it, so that it is asked once for a change. A wc_leaf points to one by `asked`.
 *
 * Ownership: reference counted by users; what is inside is copied. `serial` is never used again, so
 * an answer can be remembered by it. Threads: one owner, the bridge thread.
 */
#ifndef WC_BRIDGE_SUBS_COMPARISON_H
#define WC_BRIDGE_SUBS_COMPARISON_H

#include "base/map.h"
#include "bridge/rls/judge.h"

struct wc_comparisons;

struct wc_shared_comparison {
    struct wc_map_node node; /* key: the column and all of `is` */
    struct wc_comparisons *table;
    uint32_t refs;
    uint64_t serial; /* from 1 */
    struct wc_comparison is;
};

struct wc_comparisons *wc_comparisons_new(void);   /* returns owned; NULL when out of memory */
void wc_comparisons_free(struct wc_comparisons *); /* no comparison is left; NULL is fine */

/* A reference to the equal one of a column of that name, made if it is new; NULL when out of
 * memory. */
struct wc_shared_comparison *wc_comparison_get(struct wc_comparisons *, struct wc_slice column,
                                               const struct wc_comparison *);
struct wc_shared_comparison *wc_comparison_ref(struct wc_shared_comparison *);
void wc_comparison_unref(struct wc_shared_comparison *); /* NULL is fine */

#endif

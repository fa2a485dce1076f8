/*
 * From the filter of a binding to the condition that the index evaluates, for one table at a time:
 * each comparison is checked against its column, its value is read by Postgres (cast.h), and then
 * it is either decided here, by keys (match/key.h), or by Postgres, as a shared comparison.
 *
 *   for each filter, in order:  wc_condition_check  ─→ done, or
 *                                                  ─→ wc_cast ─→ wc_condition_take
 *   then                        wc_condition_build
 *
 * A first check that fails refuses; texts and their order are the reference's. What it lets pass
 * but would fail with every change is refused too (no operator for the type, a pattern that ends in
 * an escape), and what it refuses though Postgres can do it is accepted: patterns on varchar,
 * char(n) and domains. Values are not held against the CHECKs of a domain, which are somebody
 * else's code: what violates them matches nothing.
 *
 * Ownership: leaves, predicates and what they point to live in the audience's arena; comparisons
 * are referenced by the audience. Source: database reference 4.2, 4.3.
 */
#ifndef WC_BRIDGE_SUBS_CONDITION_H
#define WC_BRIDGE_SUBS_CONDITION_H

#include "bridge/subs/subs_priv.h"

/* A filter before a column of a table. */
struct wc_comparand {
    const struct wc_spec *spec;
    const struct wc_filter *filter;
    const struct wc_resolved_column *column;
    const struct wc_filter_type *type;
};

enum wc_check_step {
    WC_CHECK_DONE,    /* the leaf is complete */
    WC_CHECK_CAST,    /* its value must be read */
    WC_CHECK_REFUSED, /* and the audience with it, which is gone */
};

/* Begins the leaf. */
WC_MUST_USE
enum wc_check_step wc_condition_check(struct wc_audience *, const struct wc_comparand *,
                                      struct wc_leaf *out);
struct wc_cast_question wc_condition_question(const struct wc_comparand *);
/* The answer, which is not a lost connection: DONE or REFUSED. */
WC_MUST_USE
enum wc_check_step wc_condition_take(struct wc_audience *, const struct wc_comparand *,
                                     const struct wc_pg_result *, struct wc_leaf *);

/* leaf: one for each filter, all complete. NULL when out of memory. */
const struct wc_predicate *wc_condition_build(struct wc_arena *, const struct wc_spec *,
                                              const struct wc_leaf *leaf);

/* Gives back the comparisons of all conditions that were built for the audience. */
void wc_condition_release(struct wc_audience *);

#endif

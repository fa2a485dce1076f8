/*
 * Under what a condition is filed: comparisons of which at least one holds whenever the condition
 * does, each found by value or by interval, so that a change brings up few conditions that do not
 * hold. Unless the filing is exact, the condition may still not hold when one of
 * them does.
 */
#ifndef WC_BRIDGE_MATCH_FILING_PRIV_H
#define WC_BRIDGE_MATCH_FILING_PRIV_H

#include "bridge/match/column_priv.h"
#include "bridge/match/match.h"

struct wc_range_place {
    struct wc_interval interval;
    struct wc_column *column;
    struct wc_match_binding *binding;
};

/* Files the binding's condition, whose columns are in use: NOTFOUND when there are no such
 * comparisons, so that it has to be evaluated for every change. */
WC_MUST_USE
enum wc_status wc_filing_make(struct wc_columns *, struct wc_match_binding *);
void wc_filing_undo(struct wc_match_binding *);

/* Does the condition hold whenever one of these comparisons does? */
bool wc_filing_is_exact(const struct wc_filing *);

#endif

/*
 * Intervals over keys, and the question which of them hold a key.
 *
 * A treap by lower bound that is a priority search tree as well. Each node also holds the interval
 * that ends last of all below it that no node above holds:
 *
 *   held[n] = of those below n that no ancestor of n holds, the one that ends last
 *
 * So where the held interval ends before a key, no interval below that is not held further up can
 * hold the key, and the search goes no deeper: every step down has found something, or is one of
 * the steps towards the key. Asking costs O(log n + intervals found), changing O(log n), expected
 * over the tree's own random numbers.
 *
 * Ownership: intervals are the caller's storage; their keys are borrowed. Threads: one owner.
 */
#ifndef WC_BRIDGE_MATCH_INTERVAL_H
#define WC_BRIDGE_MATCH_INTERVAL_H

#include "base/buf.h"

enum wc_bound_kind { WC_BOUND_NONE, WC_BOUND_CLOSED, WC_BOUND_OPEN }; /* closed: the key is in */

struct wc_bound {
    enum wc_bound_kind kind;
    struct wc_slice key;
};

struct wc_interval {
    /* the tree's own; what a search looks at comes first, for the processor's caches */
    uint64_t begins, ends; /* the first 8 bytes of the bounds, as numbers; unbounded: 0, all ones */
    struct wc_interval *left, *right;
    struct wc_interval *held;   /* by this node */
    struct wc_interval *holder; /* the node that holds this one; NULL: none */
    struct wc_interval *parent;
    uint32_t rank; /* a child's is not above its parent's */
    /* set by the caller, constant while inserted; zero: unbounded on both sides */
    struct wc_bound lower, upper;
};

struct wc_intervals {
    struct wc_interval *root;
    uint64_t inserted; /* ever */
};

/* Above 0 when the first begins, or ends, after the second. */
int wc_lower_compare(const struct wc_bound *, const struct wc_bound *);
int wc_upper_compare(const struct wc_bound *, const struct wc_bound *);

void wc_intervals_init(struct wc_intervals *);
static inline bool wc_intervals_is_empty(const struct wc_intervals *t)
{
    return t->root == NULL;
}

void wc_intervals_insert(struct wc_intervals *, struct wc_interval *);
void wc_intervals_remove(struct wc_intervals *, struct wc_interval *);

/* Calls fn for each interval that holds the key, in no particular order. */
typedef void (*wc_interval_fn)(void *arg, struct wc_interval *);
void wc_intervals_find(const struct wc_intervals *, struct wc_slice key, wc_interval_fn, void *arg);

bool wc_intervals_ok(const struct wc_intervals *); /* invariants, for tests */

#endif

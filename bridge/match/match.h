/*
 * The subscription index: which bindings does a change concern? What a change costs does not grow
 * with the number of bindings that it does not concern:
 *
 *   relation OID ─┬─ (a) unfiltered
 *                 ├─ (b) column → hash from key to bindings: eq, in
 *                 ├─ (c) column → tree of intervals: lt, lte, gt, gte, and pairs of them
 *                 └─ (d) the rest, evaluated one by one
 *   schema name ──── unfiltered bindings for any of its tables; likewise for any schema
 *
 * Bindings that do not want the kind of change are passed over in each of them; in (a) and (d) at
 * no cost.
 *
 * A condition is filed under the most selective comparison that it cannot hold without: a hash
 * before an interval before (d). An OR is filed under each of its branches if all of them can be.
 * Whatever (b) to (d) bring up is evaluated as a whole before it is reported, unless what it is
 * filed under is all of the condition.
 *
 * Ownership: bindings and their predicates are the caller's storage. Threads: one owner; pure
 * otherwise. Errors: NOMEM. Source: design section 4.
 */
#ifndef WC_BRIDGE_MATCH_MATCH_H
#define WC_BRIDGE_MATCH_MATCH_H

#include "base/list.h"
#include "base/map.h"
#include "bridge/match/predicate.h"

/* Kinds of events, each a bit: those of enum wc_op, and one more for the caller's own use. */
enum { WC_MATCH_EVENTS = 4 };

enum wc_match_scope { WC_MATCH_TABLE, WC_MATCH_SCHEMA, WC_MATCH_ALL };

struct wc_filing;

struct wc_match_binding {
    /* set by the caller, constant while inserted; slices are borrowed */
    enum wc_match_scope scope;
    wc_oid rel;                       /* TABLE */
    struct wc_slice schema;           /* SCHEMA */
    uint32_t events;                  /* bits of WC_MATCH_EVENTS kinds */
    const struct wc_predicate *where; /* TABLE only; NULL: any row */
    void *owner;
    /* the index's own */
    uint64_t seen; /* number of the change it was last brought up by */
    struct wc_filing *filing;
    struct wc_list link;
};

struct wc_match;

struct wc_match *wc_match_new(void); /* returns owned; NULL when out of memory */
void wc_match_free(struct wc_match *);

WC_MUST_USE
enum wc_status wc_match_insert(struct wc_match *, struct wc_match_binding *);
void wc_match_remove(struct wc_match *, struct wc_match_binding *);

/* How many bindings of the relation stand under the value that this comparison is with? Of two
 * equalities an AND is filed under the first: better the one with fewer. 0 for other conditions. */
size_t wc_match_crowd(const struct wc_match *, wc_oid rel, const struct wc_predicate *);

/* Could any change of this relation match? */
bool wc_match_wants(const struct wc_match *, const struct wc_rel *);

struct wc_match_caller {
    /* The change concerns the binding; undecided: unless what `ask` did not know says otherwise.
     * The index must not be changed from here. */
    void (*hit)(void *arg, struct wc_match_binding *, bool undecided);
    wc_ask_fn ask; /* NULL: nothing is known */
    void *arg;
    uint32_t event; /* by which bindings are found; 0: the change's own */
};

/* Reports each binding the change concerns once, in no particular order. NOMEM: not all of them;
 * the change may be offered again. */
WC_MUST_USE
enum wc_status wc_match_change(struct wc_match *, const struct wc_change *,
                               const struct wc_match_caller *);

#endif

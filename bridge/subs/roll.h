/*
 * Who has asked for a relation by name or with a filter, by role.
 *
 * A roll remembers under which rules its bindings are filed in the index (filed.h); a change is
 * looked at only when those are the rules of today. Where somebody has named the table it also has
 * its access entry pinned, so that the rules are known before there is a change; tables that only
 * wildcards stand for may be thousands, and are asked about when they change. It also finds the
 * bindings that the index does not bring up: a change whose key a role may not know (errors 400 and
 * 401) is reported to all of the role's bindings, whatever their filters say; and a row that lacks
 * a column of the policy is Postgres's to judge.
 *
 * Ownership: entries are the caller's storage. Threads: one owner. Errors: NOMEM.
 * Source: design section 5, point 2; database reference 3.5.
 */
#ifndef WC_BRIDGE_SUBS_ROLL_H
#define WC_BRIDGE_SUBS_ROLL_H

#include "base/list.h"
#include "base/map.h"
#include "bridge/rls/access.h"

struct relation;

struct wc_rolls {
    struct wc_map relations;
    struct wc_access_cache *cache; /* borrowed */
};

struct wc_roll { /* of one relation and role */
    struct wc_list link;
    struct relation *relation; /* roll.c's own */
    struct wc_slice role;
    struct wc_access *access;    /* pinned; NULL: nobody names the table */
    struct wc_rules *rules;      /* that its entries are filed under; NULL: not known yet */
    const struct wc_access *now; /* for the change being looked at */
    struct wc_list entries;
    size_t nentries,
        ndecided; /* ndecided: under COMPILED rules whose values are known; filed.c's */
};

void wc_rolls_init(struct wc_rolls *, struct wc_access_cache *);
void wc_rolls_release(struct wc_rolls *); /* no entry is left */

/* The roll it is under now; NULL when out of memory. */
struct wc_roll *wc_roll_enter(struct wc_rolls *, wc_oid, struct wc_slice role, bool is_named,
                              struct wc_list *entry);
void wc_roll_leave(struct wc_rolls *, struct wc_roll *, struct wc_list *entry);

/* The rolls of a relation, a list of wc_roll; NULL: it has none. */
const struct wc_list *wc_rolls_of(const struct wc_rolls *, wc_oid);
/* The one of this role; NULL: it has none. */
struct wc_roll *wc_roll_among(const struct wc_list *rolls, struct wc_slice role);

/* Each roll once, in no order; false ends it. */
void wc_rolls_each(const struct wc_rolls *, bool (*fn)(void *arg, struct wc_roll *), void *arg);

#endif

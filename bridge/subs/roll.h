/*
 * Who filters a relation, by role. A change whose key a role may not know (errors 400 and 401) is
 * reported to all of the role's bindings, whatever their filters say, so those that the index does
 * not bring up have to be found as well.
 *
 * Ownership: entries are the caller's storage. Threads: one owner. Errors: NOMEM.
 * Source: database reference 3.5.
 */
#ifndef WC_BRIDGE_SUBS_ROLL_H
#define WC_BRIDGE_SUBS_ROLL_H

#include "base/list.h"
#include "base/map.h"
#include "decoder/lsn.h"

struct wc_rolls {
    struct wc_map relations;
};

struct wc_roll { /* of one relation and role */
    struct wc_list link;
    struct wc_slice role;
    struct wc_list entries;
};

void wc_rolls_init(struct wc_rolls *);
void wc_rolls_release(struct wc_rolls *); /* no entry is left */

WC_MUST_USE
enum wc_status wc_roll_enter(struct wc_rolls *, wc_oid, struct wc_slice role,
                             struct wc_list *entry);
/* An entry that is in no roll is fine. */
void wc_roll_leave(struct wc_rolls *, wc_oid, struct wc_slice role, struct wc_list *entry);

/* The rolls of a relation, a list of wc_roll; NULL: nobody filters it. */
const struct wc_list *wc_rolls_of(const struct wc_rolls *, wc_oid);

#endif

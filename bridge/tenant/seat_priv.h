/*
 * What a tenant's bridge keeps of it: shared by bridge.c (orders), keeper.c (life cycle),
 * janitor.c (visits) and tenant_priv.h, whose struct it is part of.
 *
 *   NEW ─first order→ KNOWN ⇄ OPEN
 *                       └──────┴─→ RETIRED (replaced or removed; for good)
 */
#ifndef WC_BRIDGE_TENANT_SEAT_PRIV_H
#define WC_BRIDGE_TENANT_SEAT_PRIV_H

#include "base/clock.h"
#include "base/list.h"
#include "bridge/migrate/news.h"
#include "bridge/pg/gate.h"
#include "bridge/tenant/tenant.h"

enum wc_seat_state { WC_SEAT_NEW, WC_SEAT_KNOWN, WC_SEAT_OPEN, WC_SEAT_RETIRED };

struct wc_seat {
    struct wc_tenant *tenant;

    /* Any thread's. Pair T1, seq_cst: who uses the tenant says so and then looks whether it is
     * open; who closes it says that it is not and then looks whether it is used. Whichever looks
     * last sees what the other said, so nobody is left with a tenant that was closed under him. */
    _Atomic bool is_used; /* since its keeper looked last */
    _Atomic bool is_open; /* or about to be: no order is needed */

    /* guarded by the inbox lock of its bridge */
    struct wc_list ordered; /* in the inbox, which holds a reference then */
    unsigned orders;        /* of enum wc_bridge_order */

    /* the bridge thread's */
    enum wc_seat_state state;
    struct wc_list link; /* in the keeper's list of its state, which holds a reference */
    wc_us idle_since;
    struct wc_pg_lane lane;     /* all connections to its database go through the bridge's gate */
    wc_us visit_at;             /* while KNOWN: when the janitor is due */
    struct wc_visit *visit;     /* NULL: none is under way */
    struct wc_janitor *visitor; /* of the visit */
    struct wc_migrate_news news;
};

void wc_seat_init(struct wc_seat *, struct wc_tenant *);
struct wc_seat *wc_tenant_seat(struct wc_tenant *);

#endif

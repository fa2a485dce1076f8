/*
 * The janitor of a bridge: keeps the partitions of realtime.messages (bridge/migrate) of tenants
 * that are not open, since they are made for a week, and a tenant may have no client for longer.
 *
 *   known ─(first_ms to twice that)→ visited ─(every_ms, and up to an eighth)→ visited ...
 *
 * An open tenant keeps its own (upkeep.h): whoever is opened or retired during a visit is left at
 * once. There is no timer: the keeper comes by with each known tenant that has a database and is
 * not suspended, once a second. Databases that cannot be reached are told to the log once, and
 * visited again when it is their time. Ownership: the keeper's; the visits are its own.
 * Threads: the bridge's. Source: database reference section 7.5.
 */
#ifndef WC_BRIDGE_TENANT_JANITOR_PRIV_H
#define WC_BRIDGE_TENANT_JANITOR_PRIV_H

#include "bridge/tenant/bridge.h"
#include "bridge/tenant/seat_priv.h"

struct wc_janitor {
    struct wc_janitor_options opt;
    struct uv_loop_s *loop;
    unsigned visits; /* under way */
};

/* The tenant is not open from now on; is_new: nobody has kept its partitions so far. */
void wc_janitor_expect(const struct wc_janitor *, struct wc_seat *, bool is_new, wc_us now);
/* True: a visit has begun; to be fair, the others come first the next time. */
bool wc_janitor_come_by(struct wc_janitor *, struct wc_seat *, wc_us now);
void wc_janitor_leave(struct wc_seat *); /* without a visit: does nothing */

#endif

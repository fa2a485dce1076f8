/*
 * Transactions that changed what the catalog says, as far as no answer is known to have seen them:
 * the log is ahead of what sessions see, so an answer counts only when its snapshot sees them.
 *
 * Of each relation the last one is remembered: who changes a relation holds locks on it until
 * others see the change, so the next one is later for everybody. Changes of anything else:
 * barriers.h.
 *
 * Ownership: embedded. Threads: one owner. Errors: NOMEM.
 */
#ifndef WC_BRIDGE_RLS_CHANGES_H
#define WC_BRIDGE_RLS_CHANGES_H

#include "base/map.h"
#include "bridge/rls/snapshot.h"

struct wc_changes {
    struct wc_map of; /* key: relation */
};

void wc_changes_init(struct wc_changes *);
void wc_changes_release(struct wc_changes *);

WC_MUST_USE
enum wc_status wc_changes_note(struct wc_changes *, wc_oid, wc_xid);
/* True when a change that matters to the relation is not visible to the snapshot. NULL sees none.
 */
bool wc_changes_is_early(const struct wc_changes *, wc_oid, const struct wc_snapshot *);
void wc_changes_saw(struct wc_changes *, const struct wc_snapshot *);
void wc_changes_forget(struct wc_changes *);

#endif

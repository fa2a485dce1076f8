/*
 * Why a subscription may not get changes, for bindings that ask for it with `"explain": true`:
 * after each "Subscribed", and after the message that its tables are not published, the channel
 * gets one `system` message of status "error" for each reason, "no_policy: ...". The codes are
 * stable:
 *
 *   table_not_published  role_missing  role_not_usable  no_primary_key  no_policy
 *   column_not_granted   identity_too_small  key_not_leakproof
 *
 * Clients of the reference know no such messages, so nobody gets them unasked.
 * Threads: the bridge thread's. What the catalog cannot answer is not explained.
 * Source: sql/q_explain.sql.
 */
#ifndef WC_BRIDGE_SUBS_EXPLAIN_H
#define WC_BRIDGE_SUBS_EXPLAIN_H

#include "bridge/subs/subs_priv.h"

void wc_explain(struct wc_member *);

/* Who still waits for an explanation gets none. Close the wc_pg they asked before. */
void wc_explain_forget(struct wc_subs *);

#endif

/*
 * How rules are made: from bytes that say all they depend on, and from nothing else. So equal bytes
 * mean equal rules. The texts of policies follow from the rest and stand beside it: to ask for them
 * waits for locks, so they are asked for when the rest is new.
 *
 *   source   fact ...              the first one is of kind relation
 *   fact     field × WC_RULES_FIELDS
 *   field    'n' | 'v' length (uint32, of this machine) bytes NUL
 *
 *   kind       fields behind it
 *   relation   oid, "open" or "policies", or why neither can be said
 *   others     as sql/q_access.sql tells them
 *
 * Threads: one owner.
 */
#ifndef WC_BRIDGE_RLS_RULES_PRIV_H
#define WC_BRIDGE_RLS_RULES_PRIV_H

#include "bridge/rls/rules.h"

enum { WC_RULES_FIELDS = 8, WC_RULES_POLICY_TEXT = 3 };

struct wc_fact {
    struct wc_slice field[WC_RULES_FIELDS]; /* NUL-terminated too; p NULL: NULL */
    struct wc_slice bytes;
};

/* rules_bytes.c */
void wc_rules_put(struct wc_buf *, const struct wc_slice field[WC_RULES_FIELDS]);
/* The next fact of a source, borrowed from it; *at moves behind it. */
struct wc_fact wc_rules_take(const uint8_t **at);

/* told: the source again, with the texts; without them, the rules are delegated until is_untold is
 * mended. why_not: they are not compiled, for this reason; or NULL. Returns owned, with one
 * reference; NULL when out of memory. */
struct wc_rules *wc_rules_make(struct wc_slice source, struct wc_slice told, uint64_t number,
                               const char *why_not);

#endif

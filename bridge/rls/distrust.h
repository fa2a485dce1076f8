/*
 * Sources of rules (rules_priv.h) whose compiled verdicts were seen to be wrong, and why.
 * Ownership: embedded; copies what it is given. Threads: one owner. Errors: NOMEM; LIMIT: there are
 * WC_DISTRUST_MAX already.
 */
#ifndef WC_BRIDGE_RLS_DISTRUST_H
#define WC_BRIDGE_RLS_DISTRUST_H

#include "base/map.h"

enum { WC_DISTRUST_MAX = 256 };

struct wc_distrust {
    struct wc_map sources;
};

void wc_distrust_init(struct wc_distrust *);
void wc_distrust_release(struct wc_distrust *);

/* OK also when it was there. */
WC_MUST_USE
enum wc_status wc_distrust_add(struct wc_distrust *, struct wc_slice source, const char *why);
const char *wc_distrust_why(const struct wc_distrust *, struct wc_slice source); /* NULL: trusted */

#endif

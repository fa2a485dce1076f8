/*
 * What the policies of a relation come to for a role: are rows judged here, or by Postgres, and
 * why.
 *
 * All that decides it is part of the one answer that access.h reads (sql/q_access.sql): whether row
 * security applies, the policies with their text and tree, the columns, enum labels, functions,
 * collations and whatever could shadow a name in a trusted body. As long as those bytes are the
 * same the rules are the same object; where anything differs, other rules take their place, with a
 * number that no others ever had. So whoever files something under rules compares numbers, and
 * rules are as fresh as the access entry they are found in.
 *
 * Delegated whole are relations below another whose row security applies or in a schema that the
 * role may not use (SELECT is an error there), whatever bridge/policy does not prove, and rules
 * whose verdicts were seen to be wrong (wc_rules_distrust).
 *
 * Ownership: reference counted. Threads: one owner, the bridge thread; immutable but for refs.
 * Errors: NOMEM makes rules that are delegated. Source: design section 5, point 2.
 */
#ifndef WC_BRIDGE_RLS_RULES_H
#define WC_BRIDGE_RLS_RULES_H

#include "base/arena.h"
#include "bridge/policy/policy.h"

enum wc_rules_kind {
    WC_RULES_OPEN,      /* row security does not apply: every row is seen */
    WC_RULES_COMPILED,  /* `policy` decides, once its slots are known (given.h) */
    WC_RULES_DELEGATED, /* Postgres is asked about each row (judge.h); `why` */
};

struct wc_rules {
    uint32_t refs;
    uint64_t number; /* from 1 */
    enum wc_rules_kind kind;
    const struct wc_policy *policy; /* COMPILED */
    /* The plan of a check is made anew for each: one that is kept could hold what a function said
     * for another token's claims. */
    bool replans;
    /* DELEGATED: one line for people: which policy, and which part of it. */
    const char *why;
    /* COMPILED: what the slots ask, and of which functions; rules that ask the same get the same
     * values for a context. */
    struct wc_slice asks;
    struct wc_slice owners; /* whose code answers that, as wc_access.owners, */
    bool runs_code;         /* if anybody's */
    /* its maker's own */
    struct wc_slice source; /* the bytes it was made of */
    bool is_untold;         /* DELEGATED as long as the policies' texts are missing */
    struct wc_arena arena;
};

struct wc_rules *wc_rules_ref(struct wc_rules *);
void wc_rules_unref(struct wc_rules *); /* NULL is fine */

/* Does the row carry all columns that the policy looks at, with the types it was compiled for? The
 * row of an INSERT or UPDATE, or of a change that is looked at as a DELETE the old one (see
 * wc_change_value). False: somebody else has to decide. */
bool wc_rules_can_judge(const struct wc_rules *, const struct wc_change *);

#endif

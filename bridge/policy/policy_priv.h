/* Shared by prove.c (what parts are), condition.c (what they say of a row) and compile.c. */
#ifndef WC_BRIDGE_POLICY_POLICY_PRIV_H
#define WC_BRIDGE_POLICY_POLICY_PRIV_H

#include "bridge/policy/nodetree.h"
#include "bridge/policy/policy.h"
#include "bridge/policy/syntax.h"

#define WC_POLICY_BRANCHES_MAX 64

struct wc_prover {
    const struct wc_policy_facts *facts;
    struct wc_arena *arena;
    struct wc_policy *policy;
    struct wc_err *err;
    enum wc_status status; /* sticky: NOMEM or LIMIT; OK when something was refused */
};

/* Either a column as an operator sees it, or something given. */
struct wc_proven {
    bool is_column;
    wc_oid type; /* of a sub-select's array: 0 */
    const struct wc_policy_column *column;
    const struct wc_syntax *syntax; /* given: where its SQL comes from */
};

/* The branches of an AND, OR or NOT, in order: the text's witness has them joined, the catalog's
 * may have them nested. */
struct wc_branches {
    size_t count;
    const struct wc_node *node[WC_POLICY_BRANCHES_MAX];
};

/* prove.c: false: refused, err says why, or status is set. */
bool wc_prove_value(struct wc_prover *, const struct wc_syntax *, const struct wc_node *,
                    struct wc_proven *);
/* x IN (SELECT y): x, and y as the array of its rows, with their type. The operator is for the
 * caller to prove. */
bool wc_prove_in_select(struct wc_prover *, const struct wc_syntax *, const struct wc_node *,
                        struct wc_proven *x, struct wc_proven *y);
bool wc_node_is_in_select(const struct wc_node *);
bool wc_prove_branches(struct wc_prover *, const struct wc_syntax *, const struct wc_node *,
                       struct wc_branches *);
bool wc_prove_refuse(struct wc_prover *, const char *what, const char *name);
bool wc_node_is_array(const struct wc_node *);                       /* ARRAY[...] */
const struct wc_node *wc_node_arg(const struct wc_node *, size_t i); /* of field args; or NULL */

/* condition.c: NULL: refused, or status is set. */
struct wc_policy_node *wc_prove_condition(struct wc_prover *, const struct wc_syntax *,
                                          const struct wc_node *, bool negate);

#endif

/*
 * Verdicts of compiled policies held against Postgres: a sample of them is also asked of the
 * prepared queries (bridge/rls/judge.h), on a connection of its own, beside the stream. Nothing
 * waits for it. One batch at a time: what comes while it is under way is not sampled, and counted.
 *
 *   GATHERING ─→ ASKING ─→ each contradiction: VERSION ─→ AGAIN ─→ VERSION_AGAIN ─→ RULES
 *       ↑          │                                                                  │
 *       └──────────┴──────────────────────────────────────────────────────────────────┘
 *
 * Postgres tells of the row as it stands and of the rules as they are when it is asked; the verdict
 * was of the log's row, by rules read before. So a contradiction is a suspicion, and becomes a
 * disagreement only when both are known to be the same:
 *
 * - The row. Found VISIBLE: that answer means that the row stands as it was logged in all columns
 *   that policies depend on (judge.h). Found HIDDEN: a login that row security hides nothing from
 *   finds the same version of it, as it was logged, before and after Postgres is asked again, and
 *   that finds HIDDEN again (version.h).
 * - The rules. An answer of the catalog that was asked for after that has the number of the rules
 *   that decided, and the same versions of the relation and its policies (those of functions are
 *   part of the number): nothing was changed, and changed back, in between. But a policy that was
 *   made and dropped again leaves no trace, so all of it has to be found five times in a row.
 *
 * Roles are not among that: one that joins another, and leaves it again between two answers of the
 * catalog, could be taken for a disagreement. What cannot be settled is let go, and counted: with a
 * DB_USER that row security hides rows from, a row found HIDDEN never is.
 *
 * At a disagreement there is one line in the log, and the rules are distrusted. Row values and
 * claims are in neither.
 *
 * Ownership: copies rows, references rules and contexts. Threads: one owner, the bridge thread.
 * Errors: what memory does not allow is not sampled. Limits: WC_SHADOW_ROWS changes in a batch,
 * each for WC_SHADOW_OF_A_ROW contexts, and of WC_SHADOW_ROW_BYTES at most.
 */
#ifndef WC_BRIDGE_SUBS_SHADOW_H
#define WC_BRIDGE_SUBS_SHADOW_H

#include "bridge/rls/judge.h"

enum { WC_SHADOW_ROWS = 64, WC_SHADOW_OF_A_ROW = 8, WC_SHADOW_ROW_BYTES = 1 << 20 };

struct wc_shadow;

struct wc_shadow_hooks {
    /* What the role may see of the relation, as the catalog was asked after `since`; NULL: there is
     * no such answer yet. */
    const struct wc_access *(*access)(void *self, const struct wc_rel *, struct wc_slice role,
                                      wc_us since);
    /* wc_shadow_version follows, once and later; false: that cannot be asked now. */
    bool (*ask_version)(void *self, const struct wc_access *, const struct wc_change *);
    void (*distrust)(void *self, const struct wc_rules *, const char *why);
};

/* permille: of changes. Returns owned; NULL when out of memory. */
struct wc_shadow *wc_shadow_new(struct uv_loop_s *, const struct wc_judge_options *,
                                uint32_t permille, const struct wc_shadow_hooks *, void *self);
/* No version comes after this. NULL is fine. */
void wc_shadow_free(struct wc_shadow *);

/* Is this change one of the sample? NULL: never. */
bool wc_shadow_takes(struct wc_shadow *, const struct wc_change *, wc_xid);
/* Of the change just taken, what access->rules, COMPILED ones, let the context see: VISIBLE or
 * HIDDEN. access: fresh. */
void wc_shadow_add(struct wc_shadow *, const struct wc_access *, struct wc_context *,
                   enum wc_verdict);
/* Asks about what was gathered. */
void wc_shadow_send(struct wc_shadow *);

/* p NULL: the row does not stand as it was logged, or it is not known. */
void wc_shadow_version(struct wc_shadow *, struct wc_slice);
/* To be called now and then, and after answers of the catalog. */
void wc_shadow_go_on(struct wc_shadow *);
/* Whatever was gathered or asked: another server, or none. */
void wc_shadow_forget(struct wc_shadow *);

#endif

/*
 * What compiled rules say of the rows for one context: the claims' values are asked of Postgres,
 * once, and the policy becomes a predicate.
 *
 * The question is a segment like those of row checks (session.h: role and claims set, trust by the
 * owners of the code that runs), but with an empty search_path, on a connection of its own, opened
 * when first needed and closed when nothing was asked for a while. Contexts that wait are asked
 * about in a pipeline. Values are remembered by what was asked (wc_rules.asks) and the context, for
 * as long as any rules that ask it are in use: rules that change otherwise need no new values.
 *
 * What cannot be evaluated (a claim that is no uuid, a function the role may not execute) FAILED:
 * such rows are Postgres's to judge, which says what is wrong. It is asked again when rules or
 * context change, not before. A lost connection is no failure: it is asked again, and only what is
 * alone in a connection that is lost twice more fails (08006). Errors that pass are asked again for
 * some 25 s. Failed as well are values longer than 64 KiB (54000).
 *
 * Ownership: reference counted; references rules and context. Threads: one owner, the bridge
 * thread. Errors: NOMEM. Limits: WC_GIVENS_IN_FLIGHT questions under way.
 * Source: design section 5, point 2.
 */
#ifndef WC_BRIDGE_RLS_GIVEN_H
#define WC_BRIDGE_RLS_GIVEN_H

#include "base/list.h"
#include "bridge/rls/context.h"
#include "bridge/rls/rules.h"
#include "bridge/rls/session.h"

enum { WC_GIVENS_IN_FLIGHT = 64 };

enum wc_given_state {
    WC_GIVEN_WAITING,
    WC_GIVEN_KNOWN,
    WC_GIVEN_FAILED, /* sqlstate */
};

struct wc_given {
    struct wc_map_node node; /* key: rules' and context's numbers */
    uint32_t refs;
    struct wc_rules *rules; /* COMPILED */
    struct wc_context *context;
    enum wc_given_state state;
    /* KNOWN; SOME: the predicate, with keys in the arena */
    enum wc_policy_outcome outcome;
    const struct wc_predicate *where;
    char sqlstate[6];     /* FAILED; empty: a value could not be read; 53200: no room for where */
    struct wc_list users; /* the owner's own: who waits for it, say */
};

struct wc_givens;

/* on_known: from WAITING to KNOWN or FAILED; never inside wc_given_get. options as of the judge;
 * search_path is not used. Returns owned; NULL when out of memory. */
struct wc_givens *wc_givens_new(struct uv_loop_s *, const struct wc_session_options *,
                                void (*on_known)(void *arg, struct wc_given *), void *arg);
/* All references were given back. Not inside on_known, where only references may be taken and given
 * back. Freed one loop turn later; NULL is fine. */
void wc_givens_free(struct wc_givens *);

/* A reference; new ones are asked for, or KNOWN at once where the values are. rules: COMPILED.
 * NULL when out of memory. */
struct wc_given *wc_given_get(struct wc_givens *, struct wc_rules *, struct wc_context *);
struct wc_given *wc_given_ref(struct wc_given *);
void wc_given_unref(struct wc_given *); /* NULL is fine */

#endif

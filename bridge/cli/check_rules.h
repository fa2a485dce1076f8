/*
 * The part of `walcast check` that says, for each published table with row security and each role
 * that tokens may have, who judges its rows: a compiled policy, or Postgres, and why. It is asked
 * of the code that decides it in the server (bridge/rls/access.h):
 *
 *   info  public.notes for authenticated: compiled [rls_compiled]
 *   info  public.teams for authenticated: delegated: policy "team": ... [rls_delegated]: ...
 *   info  public.notes for clerk: row security does not apply [rls_open]
 *
 * Ownership: the caller's pg is borrowed, and closed before this is freed. Threads: main only.
 * Errors: what cannot be asked is a finding. Limits: WC_CHECK_RULES_MAX lines, then how many more.
 */
#ifndef WC_BRIDGE_CLI_CHECK_RULES_H
#define WC_BRIDGE_CLI_CHECK_RULES_H

#include "bridge/cli/finding.h"
#include "bridge/pg/pg.h"

enum { WC_CHECK_RULES_MAX = 200 };

struct wc_check_rules_options {
    struct uv_loop_s *loop;
    struct wc_pg *pg;
    const char *publications; /* array literal; borrowed until the first answer */
    const char *login;        /* of row checks, or empty */
    bool no_compiling;
    wc_cli_finding_fn on_finding;
    void (*on_done)(void *arg, bool ok); /* once, last: false: Postgres could not be asked */
    void *arg;
};

struct wc_check_rules;

/* Returns owned; NULL when it cannot begin. No callback before return. */
struct wc_check_rules *wc_check_rules_begin(const struct wc_check_rules_options *);
void wc_check_rules_free(struct wc_check_rules *); /* freed one loop turn later; NULL is fine */

#endif

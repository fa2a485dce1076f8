/*
 * Does the row of a change stand in its table, as it was logged, and in which version?
 *
 * A version (table, place, transaction that made it) lives once. So if the same one is found before
 * and after something else was asked, that something saw it too.
 *
 * Threads: one owner. Source: PostgreSQL manual, "System Columns".
 */
#ifndef WC_BRIDGE_RLS_VERSION_H
#define WC_BRIDGE_RLS_VERSION_H

#include "bridge/rls/access.h"

/* Asks on a connection whose login row security hides nothing from; else it finds nothing. The
 * answer is one text, or no row: there is none with this key, or it differs from the new row of the
 * INSERT or UPDATE in a column that policies depend on. access: fresh, with a primary key. INVALID:
 * the log lacks one of these columns; NOMEM, CLOSED: as wc_pg_query. */
WC_MUST_USE
enum wc_status wc_version_ask(struct wc_pg *, const struct wc_access *, const struct wc_change *,
                              wc_pg_result_fn, void *arg);

#endif

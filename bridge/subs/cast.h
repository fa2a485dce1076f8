/*
 * Filter values as Postgres prints them: `select $1::type`. Equal values of a type that are asked
 * for at the same time share one query; nothing is kept afterwards, since some values are words
 * for the time ('now', 'today'). Queries are pipelined.
 *
 * Ownership: answers are borrowed during the call. Threads: one owner, the bridge thread.
 * Errors: NOMEM, CLOSED.
 */
#ifndef WC_BRIDGE_SUBS_CAST_H
#define WC_BRIDGE_SUBS_CAST_H

#include "base/list.h"
#include "bridge/pg/pg.h"

/* The answer to who waits with this node, which is unlinked now. Not ok and no sqlstate: the
 * connection was lost, ask again. */
typedef void (*wc_cast_fn)(void *arg, struct wc_list *waiter, const struct wc_pg_result *);

struct wc_caster;

struct wc_caster *wc_caster_new(wc_cast_fn, void *arg); /* returns owned; NULL: out of memory */
/* Close the wc_pg of queries under way before. Whoever waits is left unlinked. */
void wc_caster_free(struct wc_caster *);

/* type: a name as format_type() prints it; value: without NUL. On OK the waiter will be called; it
 * may go away by unlinking itself. */
WC_MUST_USE
enum wc_status wc_cast(struct wc_caster *, struct wc_pg *, struct wc_slice type,
                       struct wc_slice value, struct wc_list *waiter);

size_t wc_caster_in_flight(const struct wc_caster *);

#endif

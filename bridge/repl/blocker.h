/*
 * Whom a slot that is being created waits for. Creation waits until every transaction that was
 * running has ended; on a standby, until the primary logs which are running. The connection that
 * creates it cannot be asked meanwhile, so another one is opened, once creation has taken
 * LOOK_AFTER_MS, and asked again every LOOK_EVERY_MS.
 *
 * Ownership: strings of the options are borrowed for its life. Threads: the loop's. Errors: when
 * the other connection cannot be had nothing is found, and it is tried again.
 */
#ifndef WC_BRIDGE_REPL_BLOCKER_H
#define WC_BRIDGE_REPL_BLOCKER_H

#include "bridge/pg/pg.h"
#include "bridge/repl/repl.h"

struct wc_blocker;

typedef void (*wc_blocker_fn)(void *arg, const struct wc_repl_blocker *);

/* walsender_pid: text, of the connection that creates the slot. `found` is called for every answer
 * that names something. Returns owned; NULL when out of memory. */
struct wc_blocker *wc_blocker_new(struct uv_loop_s *, const struct wc_pg_options *,
                                  const char *walsender_pid, wc_blocker_fn found, void *arg);
void wc_blocker_free(struct wc_blocker *); /* freed one loop turn later; NULL is fine */

#endif

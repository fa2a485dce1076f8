/*
 * What takes the place of a stream that reads a temporary slot, without a gap: a second replication
 * connection with a temporary slot of its own. It is made while the stream goes on; the stream is
 * read until it has passed the point where the new slot begins, and then the connection is taken.
 * (A walsender that has ended one logical stream ends every further one of its session at once, so
 * the connection of the stream cannot be used again.)
 *
 * Ownership: strings of the options are borrowed for its life. Threads: the loop's.
 */
#ifndef WC_BRIDGE_REPL_SUCCESSOR_H
#define WC_BRIDGE_REPL_SUCCESSOR_H

#include "bridge/pg/pg.h"
#include "decoder/lsn.h"

struct wc_successor;

/* The slot is there; called at most once, and not at all when it could not be made. */
typedef void (*wc_successor_fn)(void *arg, wc_lsn consistent_point);

/* pg: as for the stream. slot: its name. Returns owned; NULL when out of memory. */
struct wc_successor *wc_successor_new(struct uv_loop_s *, const struct wc_pg_options *pg,
                                      const char *slot, wc_successor_fn, void *arg);
void wc_successor_free(struct wc_successor *); /* and its slot; NULL is fine */

/* Once the slot is there: the connection, owned, with these events; the rest is freed. NULL: it was
 * lost meanwhile. */
struct wc_pg *wc_successor_take(struct wc_successor *, const struct wc_pg_events *, void *arg);

#endif

/*
 * The publication that a stream takes along when it can: that of realtime.messages. Streams of an
 * application's changes must not depend on it, since Postgres ends a stream whose list of
 * publications has something wrong with it.
 *
 *   INCLUDED ⇄ LEFT_OUT ─→ READY ─→ INCLUDED
 *
 * LEFT_OUT: it is missing, holds nothing of realtime.messages, holds other tables (their row
 * filters, column lists and operations would add to what the application's publications say of the
 * same tables), or a stream with it has failed because of it. While the stream runs without it, it
 * is looked at now and then on a connection of its own. READY: twice in a row, LOOK_AGAIN_MS apart,
 * nothing was wrong and every running transaction was younger than it; so what commits behind
 * `ready_at` can be read with it.
 *
 * Ownership: strings of the options are borrowed for its life. Threads: the loop's. Errors: a look
 * that fails is repeated later.
 */
#ifndef WC_BRIDGE_REPL_OPTIONAL_H
#define WC_BRIDGE_REPL_OPTIONAL_H

#include "bridge/pg/pg.h"
#include "bridge/pg/reason.h"
#include "decoder/lsn.h"

struct wc_optional;

/* `name` NULL or empty: there is none, and it is left out without a reason. `ready` is called when
 * it can be included from this position of the log on. Returns owned; NULL when out of memory. */
struct wc_optional *wc_optional_new(struct uv_loop_s *, const struct wc_pg_options *,
                                    const char *tenant, const char *name,
                                    void (*ready)(void *arg, wc_lsn ready_at), void *arg);
void wc_optional_free(struct wc_optional *); /* freed one loop turn later; NULL is fine */

/* What the catalog says of it, before a stream begins. */
struct wc_optional_found {
    bool exists, has_other_tables, has_messages;
};
const char *wc_optional_name(const struct wc_optional *); /* or NULL: there is none */
/* The name if the stream is to include it; NULL: not. */
const char *wc_optional_decide(struct wc_optional *, const struct wc_optional_found *);

/* The stream runs as decided; it has ended. */
void wc_optional_started(struct wc_optional *);
void wc_optional_ended(struct wc_optional *);
/* A stream that included it failed with this. True: that may be why, and it is left out until it
 * was looked at. */
bool wc_optional_blame(struct wc_optional *, const char *sqlstate, const char *message);
/* Does this text of the server speak of it? */
bool wc_optional_is_named(const struct wc_optional *, const char *message);

struct wc_pg_reason wc_optional_reason(const struct wc_optional *); /* event NULL: none */

#endif

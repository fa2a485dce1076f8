/*
 * PostgreSQL connections on a libuv loop; the only home of libpq.
 *
 * A wc_pg connects without blocking (names are resolved by the loop), then either runs queries or
 * streams. Queries are pipelined: any number may be queued, and answers come back in order, read
 * while others are still being written. A replication connection takes simple queries only, one at
 * a time, until copy mode begins.
 *
 *   segment   [Parse] Bind Execute  [Parse] Bind Execute ...  Sync
 *
 * A segment is an implicit transaction of its own unless the texts say BEGIN: an error in one of
 * its statements undoes it and skips the rest of it, and nothing else. It has one answer. A query
 * is a segment of one statement.
 *
 * Ownership: strings of the options are copied; results are borrowed during the callback.
 * Threads: the loop's. Errors: a failed statement is reported to its callback, the connection goes
 * on; a lost connection fails every waiting query and then calls on_lost, once. Limits: a server
 * whose answer has no end loses its connection, but for copy mode and Unix sockets.
 * Source: PostgreSQL manual, "libpq: Asynchronous Command Processing", "Pipeline Mode".
 */
#ifndef WC_BRIDGE_PG_PG_H
#define WC_BRIDGE_PG_PG_H

#include "base/buf.h"

#include <stdlib.h>

struct uv_loop_s;
struct wc_pg;
struct wc_pg_lane;

struct wc_pg_options {
    const char *host, *dbname, *user, *password;
    uint16_t port;
    const char *sslmode;     /* libpq's; "prefer" when NULL */
    unsigned ip_version;     /* of the addresses of a name: 4 or 6; 0: either */
    const char *sslrootcert; /* file of the authorities to trust; NULL or empty: libpq's */
    const char *application_name;
    const char *options; /* startup options, "-c TimeZone=UTC ..." */
    bool replication;
    uint32_t connect_timeout_ms;
    uint64_t answer_max;     /* bytes of one statement's answer, more or less; 0: ANSWER_MAX */
    struct wc_pg_lane *lane; /* gate.h; NULL: never waits. Outlives the connection */
};

enum { WC_PG_SEGMENT_MAX = 16, WC_PG_ANSWER_MAX = 64 << 20 };

/* A statement with text parameters ($1 ...). */
struct wc_pg_statement {
    const char *name; /* of a prepared statement of the session; NULL: unnamed */
    const char *sql;  /* its text, parsed first, under that name; NULL: it was before */
    bool parse_only;  /* it is not executed */
    int nparams;
    const char *const *params;
};

/* The answer of the last statement, or the first error. */
struct wc_pg_result {
    bool ok;
    char sqlstate[6];    /* when not ok; empty when the connection was lost */
    const char *message; /* primary message, when not ok */
    const char *detail;  /* or "" */
    int nrows, ncols;
    unsigned parsed;   /* how many of the segment's named texts are prepared now, error or not */
    unsigned executed; /* how many of its statements were, hence which one failed */
    const void *raw;   /* pipeline.c's */
};

/* Text of a value, valid during the callback; NULL when SQL NULL. Columns count from 0. */
const char *wc_pg_value(const struct wc_pg_result *, int row, int col);
struct wc_slice wc_pg_slice(const struct wc_pg_result *, int row, int col); /* empty when NULL */

static inline bool wc_pg_is_true(const struct wc_pg_result *r, int row, int col)
{
    return wc_slice_is(wc_pg_slice(r, row, col), "t");
}

static inline uint32_t wc_pg_oid(const struct wc_pg_result *r, int row, int col) /* 0 when NULL */
{
    const char *text = wc_pg_value(r, row, col);
    return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

typedef void (*wc_pg_result_fn)(void *arg, const struct wc_pg_result *);

struct wc_pg_events {
    void (*on_ready)(void *arg);
    /* Once, last. sqlstate is empty when the server did not say one; message is one line. The wc_pg
     * is still the owner's to close. */
    void (*on_lost)(void *arg, const char *sqlstate, const char *message);
    /* A notice or warning of the server; NULL: they are dropped. Called from inside of libpq: note
     * it, and neither close nor query now. */
    void (*on_notice)(void *arg, const char *sqlstate, const char *message);
    /* What came by a LISTEN of this connection; NULL: nobody listens. Behind the answers that were
     * sent before it. */
    void (*on_notify)(void *arg, const char *channel, const char *payload);
    void (*on_copy)(void *arg); /* copy mode: data may be waiting, see wc_pg_copy_next */
};

/* Starts connecting. Returns owned; NULL when out of memory. No callback before return. */
struct wc_pg *wc_pg_open(struct uv_loop_s *, const struct wc_pg_options *,
                         const struct wc_pg_events *, void *arg);
/* Ends the connection without calling on_lost; waiting queries get no answer. Freed one loop turn
 * later. NULL is fine. */
void wc_pg_close(struct wc_pg *);

/* From now on these events are called, for another owner. No query waits for an answer. */
void wc_pg_hand_over(struct wc_pg *, const struct wc_pg_events *, void *arg);

/* Queue a segment, of at most WC_PG_SEGMENT_MAX statements. Parameters and texts are copied. done
 * may be NULL. Errors: NOMEM, CLOSED (not ready or lost). */
WC_MUST_USE
enum wc_status wc_pg_segment(struct wc_pg *, const struct wc_pg_statement *, size_t n,
                             wc_pg_result_fn done, void *arg);

/* Queue a segment of one unnamed statement, likewise. */
WC_MUST_USE
enum wc_status wc_pg_query(struct wc_pg *, const char *sql, int nparams, const char *const *params,
                           wc_pg_result_fn done, void *arg);

/* Simple query protocol, for replication commands; one at a time. */
WC_MUST_USE
enum wc_status wc_pg_simple(struct wc_pg *, const char *sql, wc_pg_result_fn done, void *arg);

/* Copy mode (after a START_REPLICATION given to wc_pg_simple reported ok). */
void wc_pg_copy_reading(struct wc_pg *, bool on); /* off: the socket is not read: back-pressure */
/* OK and the next message (valid until the next call); AGAIN: none complete; CLOSED: the server
 * ended the stream, on_lost follows. */
WC_MUST_USE
enum wc_status wc_pg_copy_next(struct wc_pg *, struct wc_slice *out);
WC_MUST_USE
enum wc_status wc_pg_copy_send(struct wc_pg *, struct wc_slice bytes);

#endif

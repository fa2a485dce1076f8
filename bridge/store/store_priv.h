/* Shared by store.c (connection, life cycle), read.c (what is held in memory), row.c (from a row to
 * a record), write.c (operations) and backfill.c (secrets in the old form). */
#ifndef WC_BRIDGE_STORE_STORE_PRIV_H
#define WC_BRIDGE_STORE_STORE_PRIV_H

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "bridge/pg/backoff.h"
#include "bridge/store/store.h"

#include <uv.h>

enum {
    WC_STORE_FINGERPRINT = 24,
    WC_STORE_BATCH = 100, /* tenants sealed or unsealed in one turn: a few milliseconds */
};

/* A tenant as it was read last. */
struct wc_store_entry {
    struct wc_map_node node;  /* key: id */
    struct wc_record *record; /* NULL: it cannot be used */
    bool is_unusable;         /* and was told as such */
    char fingerprint[WC_STORE_FINGERPRINT];
    uint32_t seen; /* the reading of all in which it was there */
    char id[];
};

enum wc_store_phase {
    WC_STORE_DOWN, /* waiting for another attempt, or connecting */
    WC_STORE_PREPARING,
    WC_STORE_READING, /* all of them for the first time on this connection */
    WC_STORE_SERVING,
};

struct wc_store {
    uv_loop_t *loop;
    struct wc_store_options opt;
    struct wc_store_hooks hooks;
    void *self;
    struct wc_record *seed; /* still to be put; NULL: none */
    unsigned open_handles;

    /* store.c */
    struct wc_pg *pg;
    enum wc_store_phase phase;
    unsigned step;
    struct wc_backoff backoff;
    struct wc_log_limit complaint;
    uv_timer_t retry, silence;
    unsigned unanswered;
    bool told_triggers, is_loaded;

    /* read.c */
    struct wc_map entries, wanted, asked;
    size_t nunusable; /* entries */
    uv_timer_t refresh;
    uint32_t pass;   /* the reading of all under way, or the last one */
    char *after;     /* where its next page begins */
    bool is_asking;  /* for a page, or for tenants */
    bool is_listing; /* not all pages are there */
    bool is_filling; /* they are, but not all tenants */
    bool want_all;   /* all are to be read again */

    /* write.c */
    struct wc_list ops;  /* asked, in order */
    struct wc_list over; /* with an outcome that is to be told on the next turn */
    uv_timer_t soon;

    /* backfill.c */
    struct wc_log_limit unsealed;
};

/* ---- store.c ---- */

/* Asks, and watches over the silence until the answer, which must be given to wc_store_answered
 * first of all. */
WC_MUST_USE
enum wc_status wc_store_ask(struct wc_store *, const struct wc_pg_statement *, size_t n,
                            wc_pg_result_fn, void *arg);
void wc_store_answered(struct wc_store *);
/* A statement that must not fail has: ends the connection, to begin again. Does nothing when the
 * connection was lost, which is told otherwise. */
void wc_store_refused(struct wc_store *, const char *what, const struct wc_pg_result *);
void wc_store_exhausted(struct wc_store *); /* likewise, for want of memory */
void wc_store_read_all_done(struct wc_store *);

/* ---- read.c ---- */

void wc_store_read_init(struct wc_store *);
void wc_store_read_release(struct wc_store *);
void wc_store_read_forget(struct wc_store *); /* what was asked for: the connection is gone */
void wc_store_read_all(struct wc_store *);
void wc_store_read_changed(struct wc_store *, const char *external_id); /* "": any */
struct wc_store_entry *wc_store_entry(const struct wc_store *, const char *external_id);
/* Takes a row of wc_sql_store_tenants into memory and tells the hooks. *before is returned owned:
 * what was in its place, NULL: nothing. NULL: `err` says why. */
struct wc_store_entry *wc_store_take(struct wc_store *, const struct wc_pg_result *, int row,
                                     struct wc_record **before, struct wc_err *err);
/* Returned owned, the hooks told; NULL: it was not there. */
struct wc_record *wc_store_drop(struct wc_store *, const char *external_id);

/* ---- row.c ---- */

const char *wc_store_row_id(const struct wc_pg_result *, int row);
const char *wc_store_row_fingerprint(const struct wc_pg_result *, int row);
const char *wc_store_row_uuid(const struct wc_pg_result *, int row);
/* Returns owned. INVALID: err names the column or setting. */
WC_MUST_USE
enum wc_status wc_store_row(const struct wc_vault *, const struct wc_pg_result *, int row,
                            struct wc_record **out, struct wc_err *err);

/* ---- write.c ---- */

void wc_store_write_init(struct wc_store *);
void wc_store_write_release(struct wc_store *);
void wc_store_write_fail(struct wc_store *); /* all that is asked: the connection is gone */

/* ---- backfill.c ---- */

void wc_store_backfill(struct wc_store *);

#endif

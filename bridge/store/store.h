/*
 * The control store: the tenants in schema `_realtime` of a database of our own, held in memory,
 * kept fresh by LISTEN and by reading all of them again every `refresh_ms`.
 *
 *   new ─→ connecting ─→ migrating (under an advisory lock) ─→ loading ─→ [seed] ─→ loaded: serving
 *             ▲                                                                        │
 *             └──────────────────── back-off; the tenants in memory stay ──────────────┘
 *
 * The schema is the reference's, so that a store of its can be taken over; our bookkeeping is in a
 * schema of our own. A row that cannot be read (a secret of another key, a broken setting) is told
 * in the log and is no tenant; the others are. Every write notifies the other nodes.
 *
 * Ownership: borrows the strings of its options, copies the seed; records in callbacks are
 * borrowed. A callback must not free the store. Threads: the loop's. Errors: of an operation, in
 * its outcome. Source: database reference section 2.
 */
#ifndef WC_BRIDGE_STORE_STORE_H
#define WC_BRIDGE_STORE_STORE_H

#include "auth/vault.h"
#include "bridge/pg/pg.h"
#include "bridge/store/record.h"

struct uv_loop_s;

struct wc_store_options {
    struct wc_pg_options pg;         /* application_name is set by us */
    const char *after_connect_query; /* empty: none */
    const struct wc_vault *vault;    /* borrowed */
    uint32_t refresh_ms;
    const struct wc_record *seed; /* put in place of the tenant of its name at start; NULL: none */
};

/* What the store knows, told as it changes. */
struct wc_store_hooks {
    void (*on_tenant)(void *self, const struct wc_record *); /* new, or not as it was told last */
    void (*on_gone)(void *self, const char *external_id);
    /* Rows that are no tenants because they cannot be read; the log names each. */
    void (*on_unusable)(void *self, size_t count);
    void (*on_loaded)(void *self); /* once: every tenant has been told */
    /* reason and hint: constant strings, NULL when connected. Told again with each attempt. */
    void (*on_state)(void *self, bool is_connected, const char *reason, const char *hint);
};

struct wc_store;

/* Returns owned; NULL when out of memory. No hook before return. */
struct wc_store *wc_store_new(struct uv_loop_s *, const struct wc_store_options *,
                              const struct wc_store_hooks *, void *self);
void wc_store_free(struct wc_store *); /* operations under way get no outcome; NULL is fine */

bool wc_store_is_loaded(const struct wc_store *);
/* Borrowed until the next turn of the loop; NULL: no such tenant. */
const struct wc_record *wc_store_find(const struct wc_store *, const char *external_id);
/* All of them, by external_id. */
void wc_store_each(const struct wc_store *, void (*)(void *arg, const struct wc_record *),
                   void *arg);

enum wc_store_status {
    WC_STORE_OK,
    WC_STORE_NOT_FOUND,
    WC_STORE_CONFLICT,    /* a constraint of the table: `text` says which, for a user */
    WC_STORE_CHANGED,     /* put: by somebody else, since it was told last; what is in memory now is
                             what they wrote, and nothing else was */
    WC_STORE_UNAVAILABLE, /* no connection, or it was lost before the answer */
    WC_STORE_FAILED,
};
struct wc_store_outcome {
    enum wc_store_status status;
    bool is_new;                    /* put: it was not there */
    const struct wc_record *record; /* put: as it is now */
    const struct wc_record *before; /* as it was told last; NULL when it was new, or unusable */
    char text[200];
};
typedef void (*wc_store_done)(void *arg, const struct wc_store_outcome *);

/* `done` is called once, after the call has returned; at once where there is no connection. */

/* Writes the whole record: a new tenant (its id, times and ciphertexts are made here), or in place
 * of the one of that external_id, whose id and inserted_at stay, if that still is what
 * wc_store_find gives; a record to be changed is copied from there in the same turn of the loop.
 * The hooks hear of it before `done` does. Copies the record. `database.settings` is read for keys
 * that are not ours: the members for ours come from the other fields. NOMEM: `done` is not called.
 */
WC_MUST_USE
enum wc_status wc_store_put(struct wc_store *, const struct wc_record *, wc_store_done, void *arg);
/* NOT_FOUND when there was none. */
WC_MUST_USE
enum wc_status wc_store_remove(struct wc_store *, const char *external_id, wc_store_done,
                               void *arg);

#endif

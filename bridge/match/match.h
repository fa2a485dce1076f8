/*
 * The subscription index: which bindings does a change concern? Cost does not grow with the number
 * of `eq` bindings: each filtered column of a relation has a hash from value to bindings.
 *
 *   relation OID → events → (a) unfiltered   (b) column → value → bindings
 *   schema name  → unfiltered bindings for any of its tables; likewise for any schema
 *
 * Values are compared as bytes, which is exact only for texts Postgres itself printed, of types
 * where equal values print alike: the caller canonicalises a filter's value once (with
 * wc_match_canonical for numbers) and asks wc_match_is_exact whether a type may come here at all.
 * On DELETE a filter sees the old row, on INSERT and UPDATE the new one; a column that is missing
 * there, NULL, or an unchanged TOAST value not found in a full old row matches nothing.
 *
 * Ownership: bindings are the caller's storage. Threads: one owner; pure otherwise.
 * Errors: NOMEM. Source: design section 4.
 */
#ifndef WC_BRIDGE_MATCH_MATCH_H
#define WC_BRIDGE_MATCH_MATCH_H

#include "base/list.h"
#include "base/map.h"
#include "decoder/pgoutput.h"

enum wc_match_scope { WC_MATCH_TABLE, WC_MATCH_SCHEMA, WC_MATCH_ALL };

enum wc_match_fold { /* how a row's text becomes the canonical value */
                     WC_FOLD_NONE,
                     WC_FOLD_NUMBER, /* numeric, float: 1.0 = 1.00, -0 = 0 */
                     WC_FOLD_BLANKS, /* char(n): trailing blanks do not count */
};

struct wc_match_binding {
    /* set by the caller, constant while inserted; slices are borrowed */
    enum wc_match_scope scope;
    wc_oid rel;             /* TABLE */
    struct wc_slice schema; /* SCHEMA */
    uint32_t events;        /* WC_OP_ bits */
    bool has_eq;            /* TABLE only */
    struct wc_slice column, value;
    enum wc_match_fold fold;
    void *owner;
    /* the index's own */
    struct wc_list link;
    struct wc_map_node node;
};

struct wc_match;

struct wc_match *wc_match_new(void); /* returns owned; NULL when out of memory */
void wc_match_free(struct wc_match *);

WC_MUST_USE
enum wc_status wc_match_insert(struct wc_match *, struct wc_match_binding *);
void wc_match_remove(struct wc_match *, struct wc_match_binding *);

/* Could any change of this relation match? */
bool wc_match_wants(const struct wc_match *, const struct wc_rel *);

typedef void (*wc_match_fn)(void *arg, struct wc_match_binding *);
/* Calls fn for each binding the change concerns, in no particular order. */
void wc_match_change(struct wc_match *, const struct wc_change *, wc_match_fn fn, void *arg);

/* May `eq` on this base type be decided here? An enum (user-made type) may, other user types not.
 */
bool wc_match_is_exact(wc_oid base_type, bool is_enum, enum wc_match_fold *fold);

/* Canonical text of a value under `fold`, as a slice of `text` or of scratch. */
struct wc_slice wc_match_canonical(enum wc_match_fold, struct wc_slice text,
                                   struct wc_buf *scratch);

#endif

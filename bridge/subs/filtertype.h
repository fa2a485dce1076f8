/*
 * What filters may do with a column's type, as the catalog says. A domain is compared as its base
 * type, and an array of a domain as an array of the base type: `core` is what is left then.
 *
 * Operators are pg_catalog's, but for base types of extensions (citext) that bring their own; only
 * those that a superuser can have made are used, since they run with our login's rights.
 *
 * Types of PostgreSQL itself never change and are asked for once; an answer about others is given
 * again for `freshness`. Everybody who asks meanwhile goes into the next question together.
 *
 * Ownership: types are reference counted and immutable. Threads: one owner, the bridge thread.
 * Errors: NOMEM, CLOSED. Source: sql/q_filter_types.sql.
 */
#ifndef WC_BRIDGE_SUBS_FILTERTYPE_H
#define WC_BRIDGE_SUBS_FILTERTYPE_H

#include "base/clock.h"
#include "base/list.h"
#include "bridge/match/predicate.h"
#include "bridge/pg/pg.h"

/* Texts are NUL-terminated too, names quoted as needed. */
struct wc_filter_type {
    uint32_t refs;
    wc_oid oid, core;
    struct wc_slice name;   /* of the type itself, for people */
    struct wc_slice cast;   /* of the core, as a cast writes it */
    struct wc_slice array;  /* of an array of it, likewise */
    struct wc_slice schema; /* of its operators; empty: pg_catalog */
    wc_oid collation;       /* the core's own; 0: it has none */
    bool is_enum;
    bool holds_domain; /* reading a value would evaluate the checks of domains inside of it */
    uint32_t patterns; /* 1 << WC_FILTER_LIKE, .._ILIKE, .._MATCH, .._IMATCH: it can do */
};

struct wc_filter_type *wc_filter_type_ref(struct wc_filter_type *);
void wc_filter_type_unref(struct wc_filter_type *); /* NULL is fine */

/* Who waits with this node, which is unlinked now, may ask again; or, if sqlstate is not NULL, the
 * question failed (empty: the connection was lost). */
typedef void (*wc_filter_type_fn)(void *arg, struct wc_list *waiter, const char *sqlstate,
                                  const char *message);

struct wc_filter_types;

/* Returns owned; NULL when out of memory. */
struct wc_filter_types *wc_filter_types_new(uint32_t freshness_ms, wc_filter_type_fn, void *arg);
/* Close the wc_pg of a question under way before. Whoever waits is left unlinked. */
void wc_filter_types_free(struct wc_filter_types *);

/* OK: *out is the type, valid until the next call unless referenced; NULL: there is none. AGAIN:
 * the waiter will be called; it may go away by unlinking itself. CLOSED, NOMEM: neither. */
WC_MUST_USE
enum wc_status wc_filter_types_ask(struct wc_filter_types *, struct wc_pg *, wc_oid,
                                   struct wc_list *waiter, struct wc_filter_type **out);

/* Now and then: forgets answers too old to be given. */
void wc_filter_types_sweep(struct wc_filter_types *);

#endif

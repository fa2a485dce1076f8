/*
 * What bindings stand for, as the catalog says: which published tables, and whether the role may
 * read the columns that filters and selections name. Tables and columns are found by their exact
 * names (the reference matches names with LIKE, so that my_tab is myxtab too). Everybody who asks
 * the same gets the same answer: one question at a time is under way on the connection, whoever
 * asks meanwhile goes into the next one together, and an answer is given again for a while.
 *
 * How long: no longer than `freshness`, and at most 100 ms, counted from when it was asked, since
 * besides privileges it holds the number of a table, and a table may be made anew under its name.
 * That is enough: with one binding asked for again and again the catalog is asked ten times a
 * second. A refusal is never given again: what was wrong may have been put right.
 *
 * An error of the database fails a question of one binding; a question of many is split, so that
 * nobody is refused for what another one asked.
 *
 * Ownership: answers are reference counted and immutable. Threads: one owner, the bridge thread.
 * Errors: NOMEM, CLOSED. Limits: 256 bindings in a question, 16 MiB of an answer, 4 MiB of answers
 * kept; names above 63 bytes are nobody's. Source: sql/q_binding.sql, design section 7.
 */
#ifndef WC_BRIDGE_SUBS_RESOLVE_H
#define WC_BRIDGE_SUBS_RESOLVE_H

#include "base/arena.h"
#include "base/list.h"
#include "bridge/pg/pg.h"
#include "decoder/lsn.h"

struct wc_resolve_key {
    struct wc_slice role;
    struct wc_slice schema, table; /* p NULL: any */
    size_t ncolumns;               /* of filters and selections, in any order, repeated or not */
    const struct wc_slice *column;
};

struct wc_resolved_column {
    wc_oid type;                 /* 0: no such column, or the role may not read it */
    wc_oid collation;            /* 0: none */
    struct wc_slice collate;     /* its name, quoted and qualified; NUL-terminated too */
    bool is_deterministic, is_c; /* as wc_key_type has it */
};

struct wc_resolved_table {
    wc_oid rel;
    const struct wc_resolved_column *column; /* in the order of the key */
};

struct wc_resolution {
    uint32_t refs;
    struct wc_arena arena; /* of what is inside */
    bool role_exists, role_usable;
    size_t ntables;                        /* 0: none is published; says nothing of the role then */
    const struct wc_resolved_table *table; /* one stands for all when any table will do */
};

struct wc_resolution *wc_resolution_ref(struct wc_resolution *);
void wc_resolution_unref(struct wc_resolution *); /* NULL is fine */

struct wc_resolve_failure {
    const char *sqlstate; /* empty: the connection was lost, ask again */
    const char *message;
};

/* The answer to who waits with this node, which is unlinked now: one of both is not NULL. They are
 * valid during the call. */
typedef void (*wc_resolve_fn)(void *arg, struct wc_list *waiter, struct wc_resolution *,
                              const struct wc_resolve_failure *);

struct wc_resolver;

/* publications: array literal, borrowed for the life. Returns owned; NULL when out of memory. */
struct wc_resolver *wc_resolver_new(const char *publications, uint32_t freshness_ms, wc_resolve_fn,
                                    void *arg);
/* Close the wc_pg of a question under way before. Whoever waits is left unlinked. */
void wc_resolver_free(struct wc_resolver *);

/* OK: *out is the answer, valid until the next call unless referenced. AGAIN: the waiter will be
 * called; it may go away by unlinking itself. CLOSED, NOMEM: neither. */
WC_MUST_USE
enum wc_status wc_resolver_ask(struct wc_resolver *, struct wc_pg *, const struct wc_resolve_key *,
                               struct wc_list *waiter, struct wc_resolution **out);

/* Now and then: forgets answers too old to be given. */
void wc_resolver_sweep(struct wc_resolver *);
/* There is news: no answer that was asked for before the last one on the connection is given. */
void wc_resolver_forget(struct wc_resolver *);

#endif

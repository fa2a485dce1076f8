/*
 * Filter values as Postgres reads and prints them for a column, and the proof that it can compare
 * them at all: each question makes the comparison once. Equal ones that are asked at the same time
 * share one query; nothing is kept afterwards, since some values are words for the time ('now',
 * 'today'). Queries are pipelined.
 *
 * A regular expression of a few characters can take Postgres seconds to compile, and everything
 * else asked on the connection stands behind it. So one is tried at a time, for 250 ms at most, and
 * at most 16 more wait.
 *
 * Ownership: answers are borrowed during the call. Threads: one owner, the bridge thread.
 * Errors: NOMEM, CLOSED, LIMIT (too many regular expressions wait).
 * Source: sql/q_value.sql, q_values.sql, q_pattern.sql.
 */
#ifndef WC_BRIDGE_SUBS_CAST_H
#define WC_BRIDGE_SUBS_CAST_H

#include "bridge/subs/filtertype.h"

/* What is asked; copied. */
struct wc_cast_question {
    const struct wc_filter_type *type; /* holds no domain; can do the operator if it is a pattern */
    struct wc_slice collate;           /* quoted and qualified; empty: the type's own */
    enum wc_filter_op op;              /* not IS */
    struct wc_slice value;             /* without NUL */
};

/* The answer to who waits with this node, which is unlinked now: IN: a row for each element, with
 * the array in column 1 of the first; others: the value in row 0, column 0. Not ok and no
 * sqlstate: the connection was lost, ask again. */
typedef void (*wc_cast_fn)(void *arg, struct wc_list *waiter, const struct wc_pg_result *);

struct wc_caster;

struct wc_caster *wc_caster_new(wc_cast_fn, void *arg); /* returns owned; NULL: out of memory */
/* Close the wc_pg of queries under way before. Whoever waits is left unlinked. */
void wc_caster_free(struct wc_caster *);

/* On OK the waiter will be called; it may go away by unlinking itself. */
WC_MUST_USE
enum wc_status wc_cast(struct wc_caster *, struct wc_pg *, const struct wc_cast_question *,
                       struct wc_list *waiter);

/* The type of a pattern that is matched with this one: text, unless it brings its own operators. */
struct wc_slice wc_cast_pattern_type(const struct wc_filter_type *);

size_t wc_caster_in_flight(const struct wc_caster *);

#endif

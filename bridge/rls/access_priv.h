/*
 * Shared by access.c (when to ask, and what answers are good for), answer.c (what they say) and
 * map.c (the columns of the stream in them).
 * An answer has rows [row, end) for each pair it was asked about.
 */
#ifndef WC_BRIDGE_RLS_ACCESS_PRIV_H
#define WC_BRIDGE_RLS_ACCESS_PRIV_H

#include "bridge/rls/access.h"
#include "bridge/rls/types.h"

/* The end of the rows that begin at `row`, of the pair at `position` (from 1). */
int wc_answer_end(const struct wc_pg_result *, int row, size_t position);
/* Was the relation made or dropped while these rows were put together? */
bool wc_answer_is_torn(const struct wc_pg_result *, int row, int end);
const char *wc_answer_snapshot(const struct wc_pg_result *); /* NULL: of an empty one */
/* The position of the log from which on the rules hold that the answer says: where the log was
 * then; or 0, if they were not others a moment before, and all they are made of is older than what
 * the stream can still bring. */
wc_lsn wc_answer_since(const struct wc_pg_result *, int row, bool is_first);

/* Fills the entry but for its rules. Out of memory, it may be used for nothing. */
void wc_answer_read(const struct wc_pg_result *, int row, int end, struct wc_access *);
/* What rules are made of (rules_priv.h), for an entry that was just read. */
void wc_answer_source(const struct wc_pg_result *, int row, int end, const struct wc_access *,
                      struct wc_buf *source, struct wc_buf *told);

/* Makes the entry's map for this wc_rel, if it is for another. False: a type is not known yet. */
bool wc_access_map(struct wc_types *, struct wc_access *, const struct wc_rel *);
/* So that types are asked for behind the question that an entry is missing for. */
void wc_access_want_types(struct wc_types *, const struct wc_access *, const struct wc_rel *);

#endif

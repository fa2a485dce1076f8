/*
 * A change as clients see it: the `data` object of a postgres_changes message, for one role and one
 * set of columns.
 *
 *   {"schema":S,"table":T,"commit_timestamp":"2026-08-21T12:00:00.123Z","type":"UPDATE",
 *    "columns":[..],"record":{..},"old_record":{..},"errors":null}
 *
 * record: INSERT, UPDATE; old_record: UPDATE, DELETE: the identity columns (taken from the new row
 * when the old one did not come, because the key did not change), or the full old row. Only columns
 * the role may read, and of these the set's and the primary key. `columns` describes the same ones
 * as the catalog has them now, but not generated ones that the log does not carry (before
 * PostgreSQL 18 it carries none).
 *
 * A value that cannot be told is left out of the records, and its column is named in errors:
 *   "Error 206: Partial Content, unchanged TOAST columns not available: body, notes"
 *       the update did not touch it, so the log has no copy, and neither has the old row
 *   "Error 206: Partial Content, columns that could not be rendered: place"
 *       the text is not one of the type as the catalog has it now: the type was altered since
 * Errors 400 (no primary key) and 401 (primary key not readable) replace everything but names; 413
 * (above max_record_bytes) keeps only non-null values of at most 64 bytes of JSON.
 * Threads: pure. Errors: NOMEM and LIMIT of the buffer.
 * Source: database reference sections 3.3 to 3.6; protocol reference 6.3.
 */
#ifndef WC_BRIDGE_SUBS_RENDER_H
#define WC_BRIDGE_SUBS_RENDER_H

#include "bridge/rls/access.h"

/* What a binding wants of a row. The primary key is part of every set. */
struct wc_column_set {
    size_t nnames;
    const struct wc_slice *name;      /* ascending by bytes, shorter first; distinct */
    bool is_all;                      /* `name` does not count */
    struct wc_shared_columns *shared; /* columns.h's own */
    bool has_exact_numbers;           /* int8 and numeric as strings, see decoder/value.h */
};

extern const struct wc_column_set wc_column_set_all;

/* Who looks, and how much is shown. */
struct wc_view {
    const struct wc_access *access;
    const struct wc_column_set *set;
    bool old_key_only; /* of the old row only the primary key */
};

/* memcmp order of bytes, a prefix is less. */
int wc_column_name_order(struct wc_slice, struct wc_slice);

/* "INSERT", "UPDATE", "DELETE": the `type`. */
const char *wc_render_type(enum wc_op);

/* Is all that the role learns of the change an error 400 or 401? */
bool wc_render_is_refused(const struct wc_change *, const struct wc_access *);

/* commit_time: microseconds since 2000-01-01 UTC. Appends to out. */
WC_MUST_USE
enum wc_status wc_render_change(struct wc_buf *out, const struct wc_change *,
                                const struct wc_view *, int64_t commit_time,
                                size_t max_record_bytes);

#endif

/*
 * One postgres_changes binding as a client wrote it: event, schema, table, filter, select. Parsed
 * without asking the database; every refusal has the text clients of the reference know.
 *
 * Filter grammar: segment [ "," segment ]...   segment = column "=" [ "not." ] operator "." value
 * A comma splits only outside parentheses and quotes; a quote opens only after "." "(" or ",".
 * Ownership: slices live in the arena. Threads: pure.
 * Errors: INVALID with the message written; NOMEM. Limits: 32 segments, 2,000 JSON values.
 * Source: database reference section 4.1, protocol reference sections 6.5 to 6.7.
 */
#ifndef WC_BRIDGE_SUBS_SPEC_H
#define WC_BRIDGE_SUBS_SPEC_H

#include "base/arena.h"
#include "bridge/match/predicate.h"

struct wc_filter {
    struct wc_slice column, value; /* NUL-terminated too */
    enum wc_filter_op op;
    bool negate;
};

struct wc_spec {
    uint32_t events;               /* WC_OP_ bits */
    const char *event;             /* "*", "INSERT", "UPDATE", "DELETE" */
    struct wc_slice schema, table; /* NUL-terminated too; "*" stands for any */
    size_t nfilters;
    const struct wc_filter *filter;
    size_t nselect;
    const struct wc_slice *select; /* NUL-terminated too */
};

/* json: the binding object, valid JSON. */
WC_MUST_USE
enum wc_status wc_spec_parse(struct wc_slice json, struct wc_arena *, struct wc_spec *out,
                             struct wc_buf *message);

/* Another whose slices are in this arena, without what parsing left behind. NOMEM. */
WC_MUST_USE
enum wc_status wc_spec_copy(const struct wc_spec *, struct wc_arena *, struct wc_spec *out);

/* "[event: *, schema: public, table: t, filters: [{"id", "eq", "1", false}], select: nil]" */
void wc_spec_describe(const struct wc_spec *, struct wc_buf *out);

#endif

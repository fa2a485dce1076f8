/*
 * One postgres_changes binding as a client wrote it: event, schema, table, filter, select, numbers.
 * Parsed without asking the database; every refusal has the text clients of the reference know.
 *
 *   filter  = segment [ "," segment ]...          all of them must hold
 *   segment = column "=" [ "not." ] operator "." value
 *           | group                               as PostgREST writes them: our own addition
 *   group   = [ "not." ] ( "and" | "or" ) [ "=" ] "(" member [ "," member ]... ")"
 *   member  = column "." [ "not." ] operator "." value | group
 *
 * A comma splits only outside parentheses and quotes; a quote opens only after "." "(" or ",". A
 * segment is a group only when its opening parenthesis closes at its very end; what is none is read
 * as the reference reads it. In a group, a column that has a dot, comma, quote or parenthesis in
 * its name stands in double quotes, and so does such a value.
 *
 * numbers: "string" asks for bigint and numeric as JSON strings with all their digits; "number" and
 * absence for the usual JSON numbers. Our own addition too.
 *
 * removals: true asks for a DELETE also where an UPDATE takes a row out of what the binding shows
 * (oldrow.h). Of what wants no DELETE that cannot be asked. Our own addition too.
 *
 * Ownership: slices live in the arena. Threads: pure.
 * Errors: INVALID with the message written; NOMEM.
 * Limits: 32 comparisons, 32 groups, 8 of them in one another, 2,000 JSON values.
 * Source: database reference section 4.1, protocol reference sections 6.5 to 6.7; PostgREST manual,
 * "Logical operators".
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

enum wc_condition_kind { WC_CONDITION_FILTER, WC_CONDITION_AND, WC_CONDITION_OR };

/* The tree of a filter, each group before its members. The FILTERs are spec.filter in order. */
struct wc_condition {
    enum wc_condition_kind kind;
    bool negate;       /* AND, OR; a filter has its own */
    uint32_t nmembers; /* AND, OR: at least 1 */
};

struct wc_spec {
    uint32_t events;               /* WC_OP_ bits */
    const char *event;             /* "*", "INSERT", "UPDATE", "DELETE" */
    struct wc_slice schema, table; /* NUL-terminated too; "*" stands for any */
    size_t nfilters;
    const struct wc_filter *filter;
    size_t nconditions;
    const struct wc_condition *condition;
    uint32_t ntop; /* conditions that are in no group */
    size_t nselect;
    const struct wc_slice *select; /* NUL-terminated too */
    bool has_exact_numbers;
    bool explain;  /* see explain.h */
    bool removals; /* then events has DELETE */
};

/* Beside those of enum wc_op, for removals: the old row of an UPDATE. */
enum { WC_SPEC_OLD_ROW = 8 };

/* What has to be looked at for the binding, as bits: for removals UPDATEs too, wanted or not. */
uint32_t wc_spec_looked_at(const struct wc_spec *);

/* json: the binding object, valid JSON. */
WC_MUST_USE
enum wc_status wc_spec_parse(struct wc_slice json, struct wc_arena *, struct wc_spec *out,
                             struct wc_buf *message);

/* Another whose slices are in this arena, without what parsing left behind. NOMEM. */
WC_MUST_USE
enum wc_status wc_spec_copy(const struct wc_spec *, struct wc_arena *, struct wc_spec *out);

/* "[event: *, schema: public, table: t, filters: [{"id", "eq", "1", false}], select: nil]"; a group
 * is {"or", [..], false}. */
void wc_spec_describe(const struct wc_spec *, struct wc_buf *out);

#endif

/*
 * The condition of a binding's filter: a tree of comparisons joined by AND, OR and NOT, with the
 * three truth values of SQL, decided for one change.
 *
 * A comparison is decided here only where that is provably what Postgres would say (key.h);
 * everything else is somebody else's to decide, by the caller's `ask`, which may also not know yet.
 * A column that the change does not carry (a DELETE whose old row does not hold it, an unchanged
 * TOAST value without a full old row) makes every comparison NULL, `is` and `isdistinct` included,
 * so it passes neither plain nor negated.
 *
 * Only whether a change passes is decided, lazily: nothing is asked that the rest decides. So a
 * negation is pushed down to the comparisons (which SQL's three values allow), where NULL, negated
 * or not, does not pass.
 *
 * Ownership: trees and what they point to are the caller's storage, constant once built.
 * Threads: pure. Limits: evaluation recurses as deep as the tree, which its builder bounds.
 * Source: database reference 4.3, 4.4; PostgREST manual, "Logical operators".
 */
#ifndef WC_BRIDGE_MATCH_PREDICATE_H
#define WC_BRIDGE_MATCH_PREDICATE_H

#include "bridge/match/key.h"
#include "decoder/pgoutput.h"

enum wc_filter_op {
#define WC_FILTER_OP(symbol, text, operator) WC_FILTER_##symbol,
#include "bridge/match/filter_op.def"
#undef WC_FILTER_OP
};

const char *wc_filter_op_text(enum wc_filter_op);
const char *wc_filter_op_operator(enum wc_filter_op); /* of Postgres; see filter_op.def */

enum wc_truth {
    WC_FALSE,
    WC_TRUE,
    WC_NULL,
    WC_UNDECIDED, /* `ask` does not know yet, and the rest of the tree does not decide without it */
};

/* What `is` compares with. */
enum wc_is { WC_IS_NULL, WC_IS_TRUE, WC_IS_FALSE, WC_IS_UNKNOWN };

struct wc_leaf {
    struct wc_slice column;
    enum wc_filter_op op;
    bool negate;
    enum wc_is is;         /* IS */
    enum wc_key_kind kind; /* WC_KEY_NONE: `ask` decides (never for IS) */
    /* Keys of the value, or of IN's elements: ascending, distinct, without NULLs. IN without any
     * element is false of NULL too; it has any kind but NONE. */
    size_t nkeys;
    const struct wc_slice *key;
    bool has_null;     /* the value is NULL, or an element of IN is */
    const void *asked; /* kind NONE: what this comparison is to the caller */
};

enum wc_predicate_kind { WC_PREDICATE_LEAF, WC_PREDICATE_AND, WC_PREDICATE_OR };

struct wc_predicate {
    enum wc_predicate_kind kind;
    bool negate;                /* AND, OR; a leaf has its own */
    const struct wc_leaf *leaf; /* LEAF */
    size_t nchildren;           /* AND, OR: at least 1 */
    const struct wc_predicate *child;
};

/* What the comparison, not negated, says of this change's value (which is neither missing nor NULL;
 * wc_change_value finds it); may answer UNDECIDED. */
typedef enum wc_truth (*wc_ask_fn)(void *arg, const struct wc_leaf *);

/* The value a filter on this stream column sees: of the new row on INSERT and UPDATE (from a full
 * old row when it is an unchanged TOAST value), of the old row on DELETE. NULL: the change does not
 * carry it. A value that is SQL NULL has kind WC_COL_NULL. */
const struct wc_col *wc_change_value(const struct wc_change *, int column);

/* An UPDATE or DELETE as one that ends at its old row: what looks at a change by wc_change_value
 * looks at that row. Borrows what the change does. */
struct wc_change wc_change_of_old_row(const struct wc_change *);

/* What a comparison has before it: a column of one change. */
struct wc_field {
    const struct wc_col *col; /* as wc_change_value */
    bool has_key;             /* false: missing, NULL, or not a text that the leaf's kind prints */
    struct wc_slice key;
};

/* Where a predicate finds values and answers. */
struct wc_predicate_view {
    const struct wc_field *(*field)(void *fields, const struct wc_leaf *);
    void *fields;
    wc_ask_fn ask; /* NULL: nothing is known */
    void *arg;
};

/* Does the change pass? TRUE, FALSE (NULL does not pass either) or UNDECIDED. */
enum wc_truth wc_predicate_decide(const struct wc_predicate *, const struct wc_predicate_view *);

#endif

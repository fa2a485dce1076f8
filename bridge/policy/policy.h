/*
 * Policies of row security, compiled: what a role sees of a table as a condition on the row that is
 * decided in process, where that is provably what Postgres would say.
 *
 * Two witnesses are read side by side: the expression's text (deparsed with an empty search_path,
 * so that whatever did not come with the server is qualified) says what a part is, and can be
 * evaluated on its own; the expression as the catalog keeps it says which operator, function, type
 * and collation, by oid. Where they do not agree, or a part is not among the forms below, the
 * policy is not compiled, and the reason says which part. Nothing is guessed.
 *
 *   condition   condition AND|OR condition, NOT condition, (x IS [NOT] TRUE ...)
 *               column = <> < <= > >= given        given op column
 *               column = ANY (given, ...), column <> ALL (given, ...), column IN (SELECT given)
 *               column IS [NOT] NULL, column IS [NOT] DISTINCT FROM given, boolean column
 *               given
 *   column      a column, or one converted without changing what its value compares as, or failing:
 *               integer to a wider one, to numeric or text, varchar to text, uuid to text
 *   given       what depends on the claims alone: constants; current_setting('request...'); proven
 *               functions of the claims; immutable operators, functions and conversions, COALESCE,
 *               NULLIF, tests and (SELECT ...) of those
 *
 * What is given is evaluated by Postgres, once per (role, claims), and comes back as `slots`; with
 * their values a policy becomes a predicate (match/predicate.h), or is true or false for any row.
 * NULL is not TRUE: in the negation normal form that is built here a NULL can be taken for FALSE.
 *
 * Ownership: everything is in the caller's arenas; facts are borrowed during compile.
 * Threads: pure. Errors: INVALID: not compiled, err says why; LIMIT; NOMEM.
 * Source: design section 5, point 2; PostgreSQL manual, "Row Security Policies".
 */
#ifndef WC_BRIDGE_POLICY_POLICY_H
#define WC_BRIDGE_POLICY_POLICY_H

#include "base/arena.h"
#include "bridge/match/predicate.h"

/* One policy of the table that applies to the role. */
struct wc_policy_text {
    const char *text;     /* pg_get_expr(polqual, polrelid); NUL-terminated */
    struct wc_slice tree; /* polqual::text */
    bool is_permissive;
};

enum wc_policy_function {
    WC_FUNCTION_UNPROVEN,
    WC_FUNCTION_IMMUTABLE, /* it came with the server and depends on its arguments alone */
    WC_FUNCTION_OF_CLAIMS, /* what it is built from was read and depends on the claims alone */
};

struct wc_policy_column {
    struct wc_slice name; /* p NULL: there is no column of this number */
    wc_oid type;
    bool is_enum;
};

struct wc_policy_facts {
    const struct wc_policy_column *column; /* by attribute number, from 1 */
    size_t ncolumns;
    enum wc_policy_function (*function)(void *arg, wc_oid);
    void (*collation)(void *arg, wc_oid, bool *is_deterministic, bool *is_c);
    void *arg;
};

enum { WC_POLICY_SLOTS_MAX = 64, WC_POLICY_COLUMNS_MAX = 32 };

/* To be evaluated as `SELECT sql, sql ...` with the role and its claims set. */
struct wc_policy_slot {
    const char *sql; /* names are qualified: for an empty search_path */
    wc_oid type;
    bool is_array;
};

struct wc_policy_node {
    enum { WC_POLICY_AND, WC_POLICY_OR, WC_POLICY_LEAF, WC_POLICY_TRUTH } kind;
    struct wc_policy_node *first, *next; /* AND, OR: children, none is TRUE, or FALSE; siblings */
    bool negate;                         /* LEAF, TRUTH */
    uint32_t nslots;                     /* TRUTH: 1; LEAF: of the right side */
    const uint32_t *slot;
    struct wc_slice column; /* LEAF */
    enum wc_filter_op op;   /* EQ to GTE, IN, IS, ISDISTINCT */
    enum wc_is is;          /* IS */
    enum wc_key_kind key;
};

struct wc_policy {
    const struct wc_policy_node *where;
    uint32_t nslots;
    struct wc_policy_slot slot[WC_POLICY_SLOTS_MAX];
    uint32_t ncolumns; /* that a row must carry, of these types, to be judged here */
    struct wc_policy_column column[WC_POLICY_COLUMNS_MAX];
};

/* All policies that apply to the role. Permissive ones are joined by OR (without any nobody sees a
 * row), restrictive ones by AND. */
WC_MUST_USE
enum wc_status wc_policy_compile(const struct wc_policy_text *, size_t n,
                                 const struct wc_policy_facts *, struct wc_arena *,
                                 struct wc_policy **out, struct wc_err *err);

/* A body calls schema.name(), without arguments: is there one function of that name in the schema,
 * and is that proven itself? */
typedef bool (*wc_policy_called_fn)(void *arg, const char *schema, const char *name);

/* Does the body of an SQL function, `SELECT x`, depend on the claims alone? What it calls is found
 * by name there, each time. So the caller has made sure that nothing outside of pg_catalog can be
 * found instead: no function called current_setting, no operator -> ->> #> #>> with a json or jsonb
 * on its left, no cast between the types of wc_syntax_is_plain_cast. called: NULL: none is proven.
 */
WC_MUST_USE
enum wc_status wc_policy_prove_body(const char *sql, wc_policy_called_fn called, void *arg,
                                    struct wc_arena *, struct wc_err *err);

enum wc_policy_outcome { WC_POLICY_NOBODY, WC_POLICY_SOME, WC_POLICY_EVERYBODY };

/* `value`: of each slot, as the server prints it; p NULL: NULL. SOME: *out holds for the rows that
 * are seen; it lives in the arena and borrows the policy. INVALID: a value is not one its type
 * prints. */
WC_MUST_USE
enum wc_status wc_policy_apply(const struct wc_policy *, const struct wc_slice *value,
                               struct wc_arena *, enum wc_policy_outcome *,
                               const struct wc_predicate **out);

#endif

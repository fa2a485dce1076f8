/*
 * The text of a policy's expression, parsed by libpg_query, as far as it can be proven: a tree of
 * the forms below; whatever else Postgres knows is OTHER. The only home of libpg_query.
 *
 * Ownership: the tree lives in the arena, what it refers to in the parse; free it after the last
 * use. Threads: pure, one thread per parse. Errors: INVALID: not one expression, as this parser
 * reads it; LIMIT: longer than 16 KiB, a statement than 2 KiB, or brackets nested deeper than 100;
 * NOMEM.
 * Source: libpg_query, pg_query.proto; PostgreSQL, src/backend/parser/gram.y.
 */
#ifndef WC_BRIDGE_POLICY_SYNTAX_H
#define WC_BRIDGE_POLICY_SYNTAX_H

#include "base/arena.h"

enum wc_syntax_kind {
    WC_SYNTAX_OTHER,
    WC_SYNTAX_COLUMN,   /* name: unqualified */
    WC_SYNTAX_CONSTANT, /* without its cast; name: of a string */
    WC_SYNTAX_CAST,     /* x::type; name: of the type, without schema */
    WC_SYNTAX_CALL,     /* name: without schema; plain arguments only */
    WC_SYNTAX_OPERATOR, /* name: without schema; one or two sides */
    WC_SYNTAX_ANY,      /* x op ANY (y) */
    WC_SYNTAX_ALL,      /* x op ALL (y) */
    WC_SYNTAX_DISTINCT, /* x IS DISTINCT FROM y */
    WC_SYNTAX_NULLIF,
    WC_SYNTAX_AND, /* nested ones joined into one */
    WC_SYNTAX_OR,  /* likewise */
    WC_SYNTAX_NOT,
    WC_SYNTAX_NULL_TEST,    /* x IS [NOT] NULL; negate: NOT */
    WC_SYNTAX_BOOLEAN_TEST, /* x IS [NOT] TRUE, FALSE, UNKNOWN; test */
    WC_SYNTAX_COALESCE,
    WC_SYNTAX_ARRAY,        /* ARRAY[...] */
    WC_SYNTAX_SELECT,       /* (SELECT x), nothing but its one column */
    WC_SYNTAX_ARRAY_SELECT, /* ARRAY(SELECT x), likewise */
    WC_SYNTAX_IN_SELECT,    /* x IN (SELECT y), likewise; second child: ARRAY(SELECT y) */
};

struct wc_syntax {
    enum wc_syntax_kind kind;
    const char *name; /* "" where there is none */
    bool negate, is_null;
    enum { WC_TEST_TRUE, WC_TEST_FALSE, WC_TEST_UNKNOWN } test;
    size_t nchildren;
    struct wc_syntax *const *child;
    const void *node; /* libpg_query's */
};

struct wc_parse;

/* `sql`: NUL-terminated, an expression or, with is_query, a statement that selects one. *tree lives
 * as long as *parse. */
WC_MUST_USE
enum wc_status wc_syntax_parse(const char *sql, bool is_query, struct wc_arena *,
                               struct wc_parse **parse, const struct wc_syntax **tree);
void wc_syntax_free(struct wc_parse *); /* NULL is fine */

/* A call whose first argument is the name of a setting of the request, which we set. Another may be
 * anything. */
bool wc_syntax_is_of_request(const struct wc_syntax *call);
/* The schema of a call whose name is written schema.name; NULL: it is written otherwise. */
const char *wc_syntax_schema(const struct wc_syntax *call);
/* A cast to bool, an integer, numeric, text, varchar, uuid, json or jsonb: types whose input and
 * output depend on nothing but the value. */
bool wc_syntax_is_plain_cast(const struct wc_syntax *cast);

/* The expression as SQL, in the arena, NUL-terminated. INVALID: parsed again it would not be the
 * same; NOMEM. */
WC_MUST_USE
enum wc_status wc_syntax_sql(const struct wc_syntax *, struct wc_arena *, const char **out);

#endif

/*
 * What Postgres keeps of an expression (type pg_node_tree), read as far as its shape goes: structs
 * with named fields, lists, words. What the fields mean is up to who asks.
 *
 *   {OPEXPR :opno 96 :args ({VAR :varattno 4 ...} {CONST ... :constvalue 4 [ 1 0 0 0 ]}) ...}
 *
 * Names of structs and fields are those of the server's release; a field that is not there reads as
 * absent. Bytes in brackets are skipped.
 * Ownership: nodes are in the arena, words are slices of the text. Threads: pure.
 * Errors: INVALID: not such a text; LIMIT: nested deeper than 100, or more than 20,000 nodes;
 * NOMEM. Source: PostgreSQL, src/backend/nodes/read.c and outfuncs.c.
 */
#ifndef WC_BRIDGE_POLICY_NODETREE_H
#define WC_BRIDGE_POLICY_NODETREE_H

#include "base/arena.h"
#include "decoder/lsn.h"

enum wc_node_kind {
    WC_NODE_NULL,   /* <> */
    WC_NODE_WORD,   /* 96, false, "name" */
    WC_NODE_LIST,   /* items: children */
    WC_NODE_STRUCT, /* fields: children, each with its name */
};

struct wc_node {
    enum wc_node_kind kind;
    struct wc_slice word;         /* WORD; STRUCT: its name, OPEXPR */
    struct wc_slice field;        /* of a struct it is part of: opno; else empty */
    struct wc_node *first, *next; /* children; the next child of the same parent */
};

WC_MUST_USE
enum wc_status wc_nodetree_read(struct wc_slice text, struct wc_arena *, struct wc_node **out);

bool wc_node_is(const struct wc_node *, const char *struct_name); /* false for NULL */
/* The field's value; NULL: absent. */
const struct wc_node *wc_node_field(const struct wc_node *, const char *name);
/* The field is a word of these letters. */
bool wc_node_has(const struct wc_node *, const char *name, const char *word);
/* The field as an unsigned number; 0 when it is none (no oid or attribute number is). */
wc_oid wc_node_oid(const struct wc_node *, const char *name);
size_t wc_node_count(const struct wc_node *list); /* of a list's items; 0 of anything else */
/* The field is absent, `<>` or an empty list. */
bool wc_node_lacks(const struct wc_node *, const char *name);

#endif

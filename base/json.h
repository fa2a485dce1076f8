/*
 * Reading JSON (RFC 8259): checked for everything jsmn lets through (grammar of numbers and
 * literals, commas and colons, escapes, UTF-8 with its overlong forms and surrogates, lone \uD8xx,
 * trailing bytes, depth and node ceilings), then tokenised by jsmn (this is its only home).
 *
 * A document is a flat array of nodes in document order; a node is named by its index, the root is
 * 0, and WC_JSON_NONE stands for "no such node" in every function (whose result is then again NONE,
 * an empty slice or false), so look-ups can be chained without a check in between.
 * Ownership: the document borrows the text, and its nodes live in the arena.
 * Threads: pure. Errors: PROTO with err->at; LIMIT (depth, nodes); NOMEM.
 */
#ifndef WC_BASE_JSON_H
#define WC_BASE_JSON_H

#include "base/arena.h"

enum wc_json_type {
    WC_JSON_NULL,
    WC_JSON_FALSE,
    WC_JSON_TRUE,
    WC_JSON_NUMBER,
    WC_JSON_STRING,
    WC_JSON_ARRAY,
    WC_JSON_OBJECT,
    WC_JSON_ABSENT, /* what wc_json_type says of WC_JSON_NONE */
};

#define WC_JSON_NONE UINT32_MAX

struct wc_json_node;

struct wc_json {
    struct wc_slice text;
    struct wc_json_node *node;
    uint32_t count;
};

struct wc_json_limits {
    uint32_t depth; /* nesting of arrays and objects; at most 512 */
    uint32_t nodes; /* values plus object keys */
};

WC_MUST_USE
enum wc_status wc_json_parse(struct wc_json *out, struct wc_slice text, struct wc_arena *,
                             struct wc_json_limits, struct wc_err *err);

enum wc_json_type wc_json_type(const struct wc_json *, uint32_t node);
struct wc_slice wc_json_raw(const struct wc_json *, uint32_t node); /* the text of the value */

/* Object member by key (compared after unescaping); the last one wins when keys repeat. */
uint32_t wc_json_get(const struct wc_json *, uint32_t object, const char *key);

/* Children in order: elements of an array, or of an object alternately key and value. */
uint32_t wc_json_count(const struct wc_json *, uint32_t node); /* elements, or members */
uint32_t wc_json_first(const struct wc_json *, uint32_t node);
uint32_t wc_json_next(const struct wc_json *, uint32_t node); /* following sibling */

/* The unescaped string, in the arena (or borrowed from the text when it has no escapes); \u0000
 * gives a NUL byte. False when the node is no string or memory is out. */
WC_MUST_USE
bool wc_json_string(const struct wc_json *, uint32_t node, struct wc_arena *, struct wc_slice *out);

/* False when the node is no number, or not an integer that fits (1.0 and 1e3 are integers). */
WC_MUST_USE
bool wc_json_int(const struct wc_json *, uint32_t node, int64_t *out);
/* False when the node is no number, is beyond a double, or has more than 512 characters. */
WC_MUST_USE
bool wc_json_double(const struct wc_json *, uint32_t node, double *out);

/* True for valid UTF-8 as RFC 3629 has it. */
bool wc_utf8_ok(struct wc_slice);

#endif

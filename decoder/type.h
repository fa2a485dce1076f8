/*
 * What a type's text output looks like, as far as JSON cares: a tree of containers over scalars.
 *
 *   ARRAY      of element, parted by delimiter: {1,2,NULL}
 *   VECTOR     of element, parted by blanks: int2vector and oidvector
 *   COMPOSITE  of attributes, live ones in order: (1,"a b",)
 *   HSTORE     "k"=>"v", "k2"=>NULL
 *   others     scalars; LONG_NUMBER is int8 and numeric, NUMBER what a double holds exactly; STRING
 * is whatever has no JSON form of its own: enums, ranges, money, ...
 *
 * A domain has no node: it looks like its base type. An element or attribute type may be NULL: the
 * catalog did not know it; a value that needs it is refused.
 *
 * Ownership: trees are immutable; the built-in ones live for ever, others as long as their maker
 * says. Nodes may be shared. Threads: pure.
 * Source: to_jsonb and array_out, record_out, int2vectorout, hstore_out as observed on PostgreSQL
 * 15.20; OIDs from pg_type.dat, fixed for ever.
 */
#ifndef WC_DECODER_TYPE_H
#define WC_DECODER_TYPE_H

#include "decoder/lsn.h"

enum wc_value_class {
    WC_VALUE_STRING,
    WC_VALUE_BOOL,
    WC_VALUE_NUMBER,
    WC_VALUE_LONG_NUMBER,
    WC_VALUE_TIMESTAMP,
    WC_VALUE_TIMESTAMPTZ,
    WC_VALUE_JSON,
    WC_VALUE_BYTEA, /* the last scalar */
    WC_VALUE_ARRAY,
    WC_VALUE_VECTOR,
    WC_VALUE_COMPOSITE,
    WC_VALUE_HSTORE,
};

struct wc_attr {
    struct wc_slice json_key; /* "name": with quotes and colon */
    const struct wc_type *type;
};

struct wc_type {
    enum wc_value_class value_class;
    char delimiter; /* ARRAY: typdelim of the element, ';' for box */
    uint16_t nattrs;
    const struct wc_type *element; /* ARRAY, VECTOR */
    const struct wc_attr *attr;    /* COMPOSITE */
};

/* The tree of a scalar type of PostgreSQL itself, or of an array of one; NULL: ask the catalog. */
const struct wc_type *wc_type_builtin(wc_oid);

#endif

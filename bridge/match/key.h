/*
 * Keys: values of a type as bytes, made from the text Postgres prints, such that two values are
 * equal for the type's `=` exactly when their keys are equal, and, for the ordered kinds, one is
 * less for the type's `<` exactly when its key is less for memcmp (a prefix is less).
 *
 *   kind        types                                     ordered
 *   TEXT        text, varchar (deterministic collation)   under collation C or POSIX only
 *   BLANKS      char(n) likewise: trailing blanks do not count
 *   ENUM        enums                                     no: their order is in the catalog
 *   BOOL INT UINT NUMERIC FLOAT UUID BYTES DATE TIMESTAMP   yes
 *
 * Threads: pure. Errors: INVALID when a text is not one the type prints; NOMEM by the buffer.
 * Source: design section 4; pg_type.dat for the oids.
 */
#ifndef WC_BRIDGE_MATCH_KEY_H
#define WC_BRIDGE_MATCH_KEY_H

#include "base/buf.h"
#include "decoder/lsn.h"

enum wc_key_kind {
    WC_KEY_NONE, /* not comparable here */
    WC_KEY_TEXT,
    WC_KEY_BLANKS,
    WC_KEY_ENUM,
    WC_KEY_BOOL,
    WC_KEY_INT,  /* int2, int4, int8 */
    WC_KEY_UINT, /* oid */
    WC_KEY_NUMERIC,
    WC_KEY_FLOAT4,
    WC_KEY_FLOAT8,
    WC_KEY_UUID,
    WC_KEY_BYTES,
    WC_KEY_DATE,
    WC_KEY_TIMESTAMP,   /* without time zone */
    WC_KEY_TIMESTAMPTZ, /* printed in UTC */
    WC_KEY_TIME,        /* without time zone */
};

struct wc_key_type {
    wc_oid base_type; /* of a domain: its base */
    bool is_enum;
    bool is_deterministic; /* the column's collation is, or it has none */
    bool is_c;             /* the column's collation compares bytes */
};

/* How values of this type may be compared here; *ordered: for < and > too. */
enum wc_key_kind wc_key_kind_of(const struct wc_key_type *, bool *ordered);

/* Appends the key of a value to out, which is not reset. */
WC_MUST_USE
enum wc_status wc_key_append(enum wc_key_kind, struct wc_slice text, struct wc_buf *out);

#endif

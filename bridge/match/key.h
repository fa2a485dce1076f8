/*
 * Keys: values of a type as bytes, made from the text Postgres prints, such that two values are
 * equal for the type's `=` exactly when their keys are equal, and, for the ordered kinds, one is
 * less for the type's `<` exactly when its key is less for memcmp (a prefix is less).
 *
 *   kind        types                                       ordered     key
 *   TEXT        text, varchar, name (det. collation)        C or POSIX  the text
 *   BLANKS      char(n) likewise                            C or POSIX  without trailing blanks
 *   ENUM        enums                                       no          the label
 *   BOOL        bool                                        yes         the text, f or t
 *   CHAR        "char"                                      yes         1 byte
 *   INT UINT    int2, int4, int8; oid                       yes         8 bytes; 4 bytes
 *   NUMERIC     numeric                                     yes         class, exponent, digits
 *   FLOAT4/8    float4; float8                              yes         4; 8 bytes
 *   UUID        uuid                                        yes         16 bytes
 *   BYTES       bytea, printed in hex                       yes         the hex digits
 *   DATE        date                                        yes         4 bytes
 *   TIMESTAMP   timestamp, timestamptz                      yes         8 bytes
 *   TIME        time                                        yes         8 bytes
 *
 * An enum is not ordered because its order is in the catalog. NaN equals itself and is the
 * greatest, -0 equals 0, as Postgres has it.
 *
 * Sessions: UTC, DateStyle ISO, bytea_output hex, extra_float_digits 1 or more; the process never
 * leaves the C locale. Threads: pure. Errors: INVALID when a text is not one the type prints; NOMEM
 * and LIMIT by the buffer.
 * Source: design section 4; pg_type.dat for the oids; PostgreSQL manual, "Data Types".
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
    WC_KEY_CHAR,
    WC_KEY_INT,
    WC_KEY_UINT,
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

/* Of all kinds but TEXT, BLANKS, ENUM and BYTES, whose keys are as long as the text: a numeric of
 * 131,072 digits before the point and 16,383 after it, two in a byte. */
enum { WC_KEY_MAX = (131072 + 16383) / 2 + 16 };

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

/* The same without a copy where the text holds the key: a slice of text, or of scratch, which is
 * reset. */
WC_MUST_USE
enum wc_status wc_key_view(enum wc_key_kind, struct wc_slice text, struct wc_buf *scratch,
                           struct wc_slice *out);

/* Below, at or above 0 as a is less than, equal to or greater than b. */
int wc_key_compare(struct wc_slice a, struct wc_slice b);

#endif

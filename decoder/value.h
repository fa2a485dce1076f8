/*
 * Renders one column value, given as PostgreSQL text output, to JSON: what to_jsonb of the typed
 * value would say, numbers with their exact digits.
 *
 *   bool                          t, f → true, false
 *   int2 int4 int8 float numeric  the text; NaN and ±Infinity → null
 *   date time timetz interval     string
 *   timestamp                     "2024-02-29 13:14:15.1" → "2024-02-29T13:14:15.1"
 *   timestamptz                   "2024-02-29 13:14:15+00" → "2024-02-29T13:14:15+00:00"
 *                                 infinity stays; " BC" stays at the end
 *   json jsonb                    the text as it is
 *   bytea                         string of hex digits without the leading \x
 *   everything else               string
 *
 * The stream's session is pinned to TimeZone UTC, DateStyle ISO, IntervalStyle postgres,
 * extra_float_digits 1, bytea_output hex; other settings give other texts.
 * The class of a domain is that of its base type, which only the catalog knows: the caller resolves
 * it once per column and asks by class.
 * Threads: pure. Errors: PROTO when a text cannot be of its class (a bool that is neither t nor f,
 * a number JSON cannot hold); a refused value leaves the buffer as it was. The buffer's own errors
 * are in out->status.
 * Source: to_jsonb as observed on PostgreSQL 15.20; tests/data/pgoutput/scenario/values.sql.
 */
#ifndef WC_DECODER_VALUE_H
#define WC_DECODER_VALUE_H

#include "decoder/lsn.h"

enum wc_value_class {
    WC_VALUE_STRING,
    WC_VALUE_BOOL,
    WC_VALUE_NUMBER,
    WC_VALUE_TIMESTAMP,
    WC_VALUE_TIMESTAMPTZ,
    WC_VALUE_JSON,
    WC_VALUE_BYTEA,
};

enum wc_value_class wc_value_class(wc_oid base_type); /* STRING for what is not listed above */

WC_MUST_USE
enum wc_status wc_value_render(struct wc_buf *out, enum wc_value_class, struct wc_slice text);

#endif

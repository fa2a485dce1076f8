/*
 * Renders one column value, given as PostgreSQL text output, to JSON: what to_jsonb of the typed
 * value would say, numbers with their exact digits.
 *
 *   bool                          t, f → true, false
 *   int2 int4 int8 float numeric  the text; NaN and ±Infinity → null, inside of others strings
 *   int8 numeric, exact           the text as a string, for readers whose numbers are doubles
 *   date time timetz interval     string
 *   timestamp                     "2024-02-29 13:14:15.1" → "2024-02-29T13:14:15.1"
 *   timestamptz                   "2024-02-29 13:14:15+00" → "2024-02-29T13:14:15+00:00"
 *                                 infinity stays; " BC" stays at the end
 *   json jsonb                    the text as it is
 *   bytea                         string of hex digits without the leading \x, inside of others
 *                                 with it
 *   array                         array, nested by dimension; bounds ([0:1]=) are not told
 *   composite                     object by attribute name
 *   hstore                        object of strings and nulls
 *   everything else               string
 *
 * The stream's session is pinned to TimeZone UTC, DateStyle ISO, IntervalStyle postgres,
 * extra_float_digits 1, bytea_output hex; other settings give other texts.
 * Threads: pure. Errors: PROTO when a text cannot be of its type (a bool that is neither t nor f,
 * a number JSON cannot hold, a composite with other attributes), NOMEM; a refused value leaves the
 * buffer as it was. The buffer's own errors are in out->status.
 * Limits: values in values down to WC_VALUE_DEPTH, PROTO beyond. At least every second level of a
 * text doubles its quotes or escapes, so a value of 1 GiB, the largest there is, is not as deep.
 * Source: to_jsonb as observed on PostgreSQL 15.20; tests/data/pgoutput/scenario/values.sql.
 */
#ifndef WC_DECODER_VALUE_H
#define WC_DECODER_VALUE_H

#include "decoder/type.h"

enum { WC_VALUE_DEPTH = 64 };

WC_MUST_USE
enum wc_status wc_value_render(struct wc_buf *out, const struct wc_type *, struct wc_slice text);
/* With int8 and numeric exact, on whatever level they are. */
WC_MUST_USE
enum wc_status wc_value_render_exact(struct wc_buf *out, const struct wc_type *,
                                     struct wc_slice text);

#endif

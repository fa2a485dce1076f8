/*
 * Array parameters in text form: {"a","b"}. Start with an empty buffer, add elements, end.
 * Source: PostgreSQL manual, "Array Input and Output Syntax".
 */
#ifndef WC_BRIDGE_PG_ARRAY_H
#define WC_BRIDGE_PG_ARRAY_H

#include "base/buf.h"

void wc_pg_array_add(struct wc_buf *, struct wc_slice element);
void wc_pg_array_end(struct wc_buf *); /* closes it and puts a NUL behind it */

#endif

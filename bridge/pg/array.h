/*
 * Array parameters in text form: {"a",NULL}. Start with an empty buffer, add elements, end.
 * Source: PostgreSQL manual, "Array Input and Output Syntax".
 */
#ifndef WC_BRIDGE_PG_ARRAY_H
#define WC_BRIDGE_PG_ARRAY_H

#include "base/buf.h"

void wc_pg_array_add(struct wc_buf *, struct wc_slice element);
void wc_pg_array_add_null(struct wc_buf *);
void wc_pg_array_end(struct wc_buf *); /* closes it and puts a NUL behind it */

/* The next name of a comma separated list, blanks around it removed; false at its end. Borrows. */
bool wc_pg_next_name(const char **list, struct wc_slice *name);
/* A whole list as an array, ended. */
void wc_pg_array_of_names(struct wc_buf *, const char *list);

#endif

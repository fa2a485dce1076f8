/*
 * Startup options of sessions in which policies are evaluated: texts as on the stream, no
 * compiling, the search_path of the tenant's settings, and every name that policies read
 * (request.*, realtime.topic) set to ''. An unset name reads as NULL and one that was ever set as
 * '', so an answer would depend on whether the session was asked before. Source: design section 5,
 * "History-free sessions".
 */
#ifndef WC_BRIDGE_PG_POLICY_H
#define WC_BRIDGE_PG_POLICY_H

#include "base/buf.h"

/* Appends them, each as "-c name=value ". A failure shows in the buffer. */
void wc_pg_policy_options(struct wc_buf *, const char *search_path);

#endif

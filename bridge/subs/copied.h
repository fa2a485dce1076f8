/*
 * A change that outlives what it was decoded from: the columns of both rows and the bytes of their
 * values, in one piece of the caller's memory. Texts are NUL-terminated.
 *
 * Ownership: references the relation: wc_rel_unref(to->rel) ends it. Threads: pure otherwise.
 */
#ifndef WC_BRIDGE_SUBS_COPIED_H
#define WC_BRIDGE_SUBS_COPIED_H

#include "decoder/pgoutput.h"

size_t wc_copied_bytes(const struct wc_change *); /* the room it takes */
/* room: aligned as a pointer is. */
void wc_copied(struct wc_change *to, const struct wc_change *from, void *room);

#endif

/*
 * Refusals in the words that clients of the reference know, sent to all members of an audience,
 * which is gone afterwards.
 * Source: database reference 4.2, protocol reference 6.7.
 */
#ifndef WC_BRIDGE_SUBS_REFUSE_H
#define WC_BRIDGE_SUBS_REFUSE_H

#include "bridge/subs/subs_priv.h"

/* "... An exception happened so please check your connect parameters: [..]. Exception: ERROR 22P02
 * (invalid_text_representation) <text>". */
void wc_refuse_exception(struct wc_audience *, const struct wc_spec *, const char *sqlstate,
                         const char *format, ...) WC_PRINTF(4, 5);

/* "... Please check Realtime is enabled for the given connect parameters: [..]". The audience
 * rests: it is not gone, and comes back with its tables. */
void wc_refuse_unpublished(struct wc_audience *, const struct wc_spec *);

/* A text of our own, or what became of the attempt to write one. */
void wc_refuse_text(struct wc_audience *, const struct wc_buf *);

void wc_refuse_no_memory(struct wc_audience *);

#endif

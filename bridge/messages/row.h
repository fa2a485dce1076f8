/*
 * A row of realtime.messages as a broadcast. Pure.
 *
 * Columns are found by their names, whatever their order and whatever else there is:
 *
 *   topic     text          room, without "realtime:"
 *   event     text
 *   private   boolean       which of the two rooms of that name
 *   id        uuid          meta.id
 *   payload   jsonb, json   goes out as Postgres prints it; or
 *   binary_payload  bytea   which comes first when it is not NULL
 *   inserted_at  timestamp  when, for the metrics
 *
 * `extension` is not looked at. A payload of another type could forge the message around it, and is
 * as good as none.
 * Ownership: slices borrow the change. Source: database reference, section 8.3.
 */
#ifndef WC_BRIDGE_MESSAGES_ROW_H
#define WC_BRIDGE_MESSAGES_ROW_H

#include "base/clock.h"
#include "decoder/pgoutput.h"

struct wc_row_broadcast {
    struct wc_slice topic, event;
    bool is_private, is_binary;
    struct wc_slice id; /* text of a UUID */
    uint8_t uuid[16];
    struct wc_slice payload; /* JSON; binary: as Postgres prints it, "\x" and hex digits, */
    bool is_unpacked;        /* or the bytes themselves */
    wc_us inserted_at;       /* Unix time; 0: not one that can be read */
};

/* Is it realtime.messages, or a partition of it? */
bool wc_row_is_message(const struct wc_rel *);

/* NULL, or what is missing ("event_missing"; static text). */
const char *wc_row_read(const struct wc_rel *, const struct wc_row *, struct wc_row_broadcast *out);

/* A timestamp as Postgres prints it in ISO form, with or without offset from UTC (without: it is
 * UTC), as Unix time. False: it is none, or infinite, or before the common era. */
bool wc_row_time(struct wc_slice text, wc_us *out);

/* How many bytes the printed bytea has; its bytes. False: it is none. */
size_t wc_row_binary_len(struct wc_slice printed);
bool wc_row_binary(struct wc_slice printed, uint8_t *out);

#endif

/*
 * A WebSocket client as cheap as a client can be: a blocking socket and a frame scanner, so that a
 * benchmark measures the server. Benchmarks only: it trusts its server (no check of the accept key,
 * no fragments).
 * Ownership: a payload is valid until the next call. Threads: one owner. Errors: false, after a
 * line on standard error.
 */
#ifndef WC_BENCHMARKS_LOAD_RAWWS_H
#define WC_BENCHMARKS_LOAD_RAWWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WC_RAWWS_BUFFER ((size_t)1 << 20) /* one read, and the largest frame */

struct wc_rawws {
    int fd;
    uint8_t *buf;
    size_t at, end; /* unread bytes are buf[at, end) */
};

struct wc_rawws_frame {
    const char *text;
    size_t len;
};

/* Connects to the Realtime server on this machine, joins a channel with one binding (all events of
 * public.<table>), and reads until the server says that the subscription stands. Whatever happened,
 * close may be called afterwards. */
bool wc_rawws_subscribe(struct wc_rawws *, uint16_t port, const char *token, const char *table);
void wc_rawws_close(struct wc_rawws *);

/* The next text frame; blocks until one is there, at most 60 s. */
bool wc_rawws_next(struct wc_rawws *, struct wc_rawws_frame *out);

/* The id of an INSERT in a frame whose table has its id first; false for every other frame, and for
 * a negative id, by which rows of others are told. */
bool wc_rawws_inserted_id(const struct wc_rawws_frame *, int64_t *id);

#endif

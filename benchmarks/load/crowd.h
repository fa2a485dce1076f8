/*
 * Thousands of WebSockets on one thread, for benchmarks of one server with many clients. As
 * trusting as rawws.h: no check of the accept key, no fragments. All failures end the program.
 *
 * Frames are handed over as they complete, with the first bytes of their payload; large ones also
 * piece by piece, as they arrive. Pings and pongs are left out, and not answered. Threads: one
 * owner.
 */
#ifndef WC_BENCHMARKS_LOAD_CROWD_H
#define WC_BENCHMARKS_LOAD_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WC_CROWD_KEPT = 512, WC_CROWD_HEADER_MAX = 10 };

struct wc_crowd_member {
    int fd;
    uint8_t head[WC_CROWD_HEADER_MAX]; /* of the frame that is arriving */
    uint8_t nhead;
    bool is_payload; /* the header is complete */
    uint16_t nkept;
    uint64_t len, left; /* of the payload: whole, and what is to come */
    uint8_t kept[WC_CROWD_KEPT];
};

struct wc_crowd_events {
    /* kept: the payload's beginning, len: its whole length */
    void (*on_frame)(void *arg, size_t who, const uint8_t *kept, uint64_t len);
    void (*on_bytes)(void *arg, size_t who, const uint8_t *p, size_t n); /* NULL: not wanted */
};

struct wc_crowd {
    struct wc_crowd_member *member;
    size_t count;
    uint64_t bytes; /* received, frame headers included */
    uint64_t reads; /* that brought them */
    int epoll;
    uint8_t *buf;
};

/* Where a connection asks to become a WebSocket, and how. */
struct wc_crowd_door {
    uint16_t port;
    const char *target;      /* of the request; NULL: bare TCP, frames come without a handshake */
    const char *subprotocol; /* NULL: none */
};

/* Room for so many connections; then members enter, `count` of them from number `first` on by one
 * door, some hundred at once. */
void wc_crowd_prepare(struct wc_crowd *, size_t count);
void wc_crowd_enter(struct wc_crowd *, size_t first, size_t count, const struct wc_crowd_door *);

/* All of them on a Realtime server, one after the other. */
void wc_crowd_open(struct wc_crowd *, size_t count, uint16_t port, const char *token);
/* Each with a token of its own. */
void wc_crowd_open_each(struct wc_crowd *, size_t count, uint16_t port, const char *const tokens[]);
void wc_crowd_close(struct wc_crowd *);

/* A masked text frame, as clients send it. */
void wc_crowd_say(struct wc_crowd *, size_t who, const char *text);
/* Bytes as they are. */
void wc_crowd_write(struct wc_crowd *, size_t who, const void *p, size_t n);
enum wc_crowd_opcode { WC_CROWD_TEXT = 1, WC_CROWD_BINARY = 2 };
/* Appends a masked frame to p, which has room; returns its length. */
size_t wc_crowd_frame(uint8_t *p, enum wc_crowd_opcode, const void *payload, size_t len);

/* Reads what is there, waiting for the first at most so long. False: nothing came. */
bool wc_crowd_listen(struct wc_crowd *, int timeout_ms, const struct wc_crowd_events *, void *arg);

/* Listens until *counter, which the events advance, is `until`; dies after 60 s without a byte. */
void wc_crowd_await(struct wc_crowd *, const uint64_t *counter, uint64_t until,
                    const struct wc_crowd_events *, void *arg);

/* Writes the message by which a member joins. */
typedef void wc_crowd_join_text(size_t who, char *text, size_t cap);

/* Every member joins; dies unless all are answered "ok". Returns the seconds from the first join
 * sent to the last answer. */
double wc_crowd_join(struct wc_crowd *, wc_crowd_join_text *);

/* Channels 0 to channels - 1 join, channel i on connection i % count; dies unless all of them get
 * "Subscribed". Returns the seconds from the first join sent to the last of these. */
typedef void wc_crowd_channel_text(size_t channel, char *text, size_t cap);
double wc_crowd_subscribe(struct wc_crowd *, size_t channels, wc_crowd_channel_text *);
/* A channel's join with one binding to public.<table>; filter "" for all rows. */
void wc_crowd_binding(char *text, size_t cap, size_t channel, const char *table,
                      const char *filter);

#endif

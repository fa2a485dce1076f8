/*
 * The protocols of the servers that fan-out is measured on: how a sender and receivers of one topic
 * come to stand, and what a message with a payload of WC_WIRE_PAYLOAD bytes looks like on the way
 * in and out. All but the bare send loop speak WebSocket, so one receiver (crowd.h) reads them all.
 * Failures end the program. Threads: any; the table is constant.
 */
#ifndef WC_BENCHMARKS_LOAD_WIRE_H
#define WC_BENCHMARKS_LOAD_WIRE_H

#include "benchmarks/load/crowd.h"

enum { WC_WIRE_PAYLOAD = 100, WC_WIRE_MESSAGE_MAX = 256 };

struct wc_wire {
    const char *name;
    const char *subprotocol;       /* NULL: none */
    const char *receiver, *sender; /* request targets, `token` is appended; NULL: bare TCP */
    bool has_token;
    bool is_sender_told; /* the sender gets an answer to each message */

    /* Makes members 0 to receivers - 1 subscribers, and the one behind them fit to send. */
    void (*join)(struct wc_crowd *, size_t receivers);
    /* Writes a message as the sender sends it, returns its length. */
    size_t (*put)(uint8_t *out, const char *payload);

    /* How receivers get it. head NULL: one message is one frame, `after` bytes follow the payload.
     * Else messages come as a stream that frames cut anywhere: head, payload, `after` bytes; and
     * between them there may be `aside`. */
    const char *head, *aside;
    size_t after;
};

/* By name: walcast, sendloop, mqtt, nats or nchan; dies when there is none. */
const struct wc_wire *wc_wire_named(const char *name);

#endif

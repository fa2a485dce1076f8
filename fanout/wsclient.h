/*
 * A small WebSocket client (RFC 6455) on a caller's libuv loop, for `walcast listen`, tests and
 * benchmarks: text and binary messages, answers pings, reassembles fragments, reports how the
 * connection ended. ws:// and wss://.
 * Ownership: the callbacks' slices are valid during the call. Threads: the loop's.
 */
#ifndef WC_FANOUT_WSCLIENT_H
#define WC_FANOUT_WSCLIENT_H

#include "base/buf.h"

struct uv_loop_s;
struct wc_wsclient;

struct wc_wsclient_events {
    void (*on_open)(void *arg);
    void (*on_message)(void *arg, struct wc_slice message, bool is_text);
    /* Once, last: HTTP status of a refused upgrade (else 0), close code (else 0), and a text. */
    void (*on_close)(void *arg, unsigned http_status, unsigned code, const char *why);
};

/* url: ws://host[:port]/path?query. Returns owned; NULL with *err filled when the URL is wrong. */
struct wc_wsclient *wc_wsclient_open(struct uv_loop_s *, const char *url,
                                     const struct wc_wsclient_events *, void *arg,
                                     struct wc_err *err);
WC_MUST_USE enum wc_status wc_wsclient_send(struct wc_wsclient *, struct wc_slice text);
void wc_wsclient_close(struct wc_wsclient *); /* closes with 1000; freed after on_close */

#endif

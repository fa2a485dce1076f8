/*
 * A small WebSocket client (RFC 6455) on a caller's libuv loop, for `walcast listen`, tests and
 * benchmarks: text and binary messages, answers pings, reassembles fragments, reports how the
 * connection ended. ws://, and wss:// with the system's certificate authorities.
 *
 * One libwebsockets context per client: a client is a handful of connections, not thousands. The
 * name look-up is libwebsockets' own and blocks the loop, a refusal does for at most a second;
 * proxies are not used. Ownership: the callbacks' slices are valid during the call. When on_close
 * is called nothing of the client is left on the loop, and it is freed as soon as on_close returns:
 * run the loop until then. Threads: the loop's. Errors: see each function; everything after open
 * reaches on_close. Known: libwebsockets 4.1.6 hands close codes 1012 to 1014 over as 1002. Limits:
 * a message 64 MiB (close 1009 above it), unsent messages 16 MiB, opening 20 s.
 */
#ifndef WC_FANOUT_WSCLIENT_H
#define WC_FANOUT_WSCLIENT_H

#include "base/buf.h"

struct uv_loop_s;
struct wc_wsclient;

struct wc_wsclient_events {
    void (*on_open)(void *arg);
    void (*on_message)(void *arg, struct wc_slice message, bool is_text);
    /* Once, last: HTTP status of a refused upgrade (else 0), close code (else 0), and a text: the
     * peer's reason, the beginning of the refusal's body, or what went wrong. The text is
     * the peer's: any bytes but NUL. */
    void (*on_close)(void *arg, unsigned http_status, unsigned code, const char *why);
};

/* url: ws://host[:port]/path?query (see wsurl.h). Returns owned, by itself: it is freed after
 * on_close. NULL with *err filled (INVALID, LIMIT, NOMEM, IO) and no callback. Borrows nothing but
 * the loop. No callback before return. */
struct wc_wsclient *wc_wsclient_open(struct uv_loop_s *, const char *url,
                                     const struct wc_wsclient_events *, void *arg,
                                     struct wc_err *err);
/* Errors: CLOSED (not open, or closing), LIMIT, NOMEM. */
WC_MUST_USE
enum wc_status wc_wsclient_send(struct wc_wsclient *, struct wc_slice text);
/* Sends what is queued, then closes with 1000; a connection that is not open yet is dropped.
 * on_close follows in every case; a second call does nothing. */
void wc_wsclient_close(struct wc_wsclient *);

#endif

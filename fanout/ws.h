/*
 * WebSocket connections of one socket thread: the libwebsockets context, receiving, and the
 * coalesced writing of the hub's queues. With upgrade.c, http.c and wsclient.c the only home of
 * libwebsockets.
 *
 * Writing. Frames are complete (frame.h) and go out through lws_write(..., LWS_WRITE_HTTP), which
 * on an established WebSocket passes bytes through unframed and untouched. At the end of a loop
 * turn the frames waiting for a connection are gathered into one scratch buffer and written at
 * once; neighbours with the same frames share the gathered bytes; a single frame, or one too large
 * for the buffer, is written straight from its memory. One write per connection and visit, so
 * nobody waits behind another's backlog. What libwebsockets holds back privately of a partial write
 * is at most one buffer, and counts against the session.
 *
 * Ownership: owns context and hub. Threads: the socket thread's, but open and free, which the main
 * thread calls while the thread does not run. Source: RFC 6455; libwebsockets 4.1.6.
 */
#ifndef WC_FANOUT_WS_H
#define WC_FANOUT_WS_H

#include "fanout/http.h"
#include "fanout/hub.h"
#include "fanout/tls.h"
#include "fanout/upgrade.h"

struct uv_loop_s;
struct lws_context;
struct lws_vhost;

struct wc_ws_options {
    struct uv_loop_s *loop;
    struct wc_directory directory;
    struct wc_upgrade_gate gate;
    struct wc_hub_options hub;
    struct wc_tls *tls; /* borrowed; NULL: connections are not encrypted */
    const struct wc_http_route *routes;
    size_t nroutes;
    size_t max_frame_bytes;
    unsigned max_header_bytes;
    const char *baggage_key;       /* borrowed; see wc_request_id */
    _Atomic uint32_t *connections; /* of all threads; relaxed, it only bounds */
};

struct wc_ws {
    struct wc_ws_options opt; /* const */
    struct wc_hub *hub;
    struct wc_upgrade upgrade;
    struct wc_http http;
    struct lws_context *context;
    struct lws_vhost *vhost;
    wc_us reap_at;
    struct wc_log_limit adopt_log;

    uint8_t *gathered;    /* the flush buffer */
    size_t gathered_len;  /* bytes in it */
    struct wc_held **run; /* whose frames they are, within one flush */
    uint32_t run_len;
    uint32_t run_of; /* length of the queue they were taken from */
};

WC_MUST_USE
enum wc_status wc_ws_open(struct wc_ws *, const struct wc_ws_options *);
/* Starts the end of the context: its handles close as the loop runs on. */
void wc_ws_shut(struct wc_ws *);
void wc_ws_free(struct wc_ws *); /* after the loop has run dry; zeroed is fine */

/* Takes the accepted descriptor. With TLS its ClientHello is there, and is answered now. */
void wc_ws_adopt(struct wc_ws *, int fd);

/* Writes the dirty sessions' queues, and the answers of parked requests, until none is left or
 * `until` has passed; true: some are. */
bool wc_ws_flush(struct wc_ws *, wc_us until);

/* Reads the paused sessions again, once the publisher has drained. */
void wc_ws_resume(struct wc_ws *);

/* Closes idle sessions and those without a channel, cuts those that had their time to close. */
void wc_ws_tick(struct wc_ws *);

/* After telling their channels; parked requests are refused. */
void wc_ws_close_all(struct wc_ws *, enum wc_close_reason);
bool wc_ws_has_sessions(const struct wc_ws *);

#endif

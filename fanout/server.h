/*
 * The socket threads. Each owns one libuv loop, one lws_context on it, one SO_REUSEPORT listening
 * socket, its connections, channels and audiences.
 *
 * new binds the port (first without SO_REUSEPORT, so that a busy port is an error and not a silent
 * share) and makes the mesh; start creates the threads; stop closes what is open and joins them.
 * Threads: all functions by the main thread, except mesh and rooms (any).
 */
#ifndef WC_FANOUT_SERVER_H
#define WC_FANOUT_SERVER_H

#include "fanout/guard.h"
#include "fanout/mesh.h"
#include "fanout/request.h"
#include "fanout/room.h"
#include "fanout/source.h"

struct wc_server_options {
    const char *bind_address; /* numeric; "0.0.0.0", "::" ... */
    uint16_t port;
    unsigned threads;  /* socket threads, 1 to 64 */
    unsigned nbridges; /* producers of the mesh before them */
    uint32_t ring_entries;
    uint32_t max_connections;           /* over all threads */
    const char *request_id_baggage_key; /* borrowed; see wc_request_id */
    uint32_t max_header_bytes;      /* of a request, altogether: a token may be in there twice */
    size_t max_frame_bytes;         /* of one client message; 1009 above it */
    size_t max_queued_bytes;        /* per connection, waiting to be sent; slow_consumer above it */
    uint32_t pace_bytes_per_second; /* a client that drains at least this fast may hold back the
                                       stream instead of being closed (session.h, "Pacing") */
    uint32_t idle_timeout_ms;       /* without anything from the client: close 1000 */
    uint32_t no_channel_timeout_ms; /* after a join was tried, without any channel: cut */
    struct wc_guard_options guard;  /* of one client address */
    const char *trusted_proxies;    /* networks, address.h; read */
    const char *allowed_origins;    /* origin.h; copied */
    const char *request_headers;    /* those that policies of private rooms see; copied */
    uint32_t presence_max_calls;    /* presence messages of one channel in one window */
    uint32_t presence_window_ms;
    uint64_t presence_max_bytes; /* of all presences */
    uint32_t send_buffer_bytes;  /* SO_SNDBUF; 0 leaves the system's */
    const char *tls_cert_file;   /* PEM (tls.h), both; empty: connections are not encrypted */
    const char *tls_key_file;
    struct wc_directory directory;
    struct wc_source source;
    const struct wc_http_route *routes;
    size_t nroutes;
};

struct wc_server;

/* Returns owned, NULL with *err filled. Borrows nothing but `routes`, the key and the interfaces'
 * selves. */
struct wc_server *wc_server_new(const struct wc_server_options *, struct wc_err *err);
struct wc_mesh *wc_server_mesh(struct wc_server *);
struct wc_rooms *wc_server_rooms(struct wc_server *);
WC_MUST_USE
enum wc_status wc_server_start(struct wc_server *, struct wc_err *err);
/* The first step of a shutdown: nothing is accepted any more and no join granted, while the
 * connections go on, so that what is under way can still be delivered. */
void wc_server_drain(struct wc_server *);
/* Tells every channel, closes every connection with 1012, waits for them up to the deadline, joins
 * the threads. */
void wc_server_stop(struct wc_server *, uint32_t deadline_ms);
void wc_server_free(struct wc_server *);

/* Reads the certificate again, for connections made from now on. Fails as tls.h says, and then all
 * is as before; OK where there is none. While it runs or before. */
WC_MUST_USE
enum wc_status wc_server_reload_tls(struct wc_server *, struct wc_err *err);

#endif

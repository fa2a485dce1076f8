/*
 * Listening sockets: one per socket thread on the same address with SO_REUSEPORT, so that the
 * kernel spreads connections. (libwebsockets 4.1.6 on Debian has one service thread per context and
 * never sets SO_REUSEPORT itself.) Threads: pure. Errors: INVALID (address), IO (with what to do
 * about it).
 */
#ifndef WC_FANOUT_LISTEN_H
#define WC_FANOUT_LISTEN_H

#include "base/err.h"

#include <stdint.h>

/* Fills fds[0 .. n-1] with non-blocking listening sockets; on failure none is open. The first bind
 * is without SO_REUSEPORT, so that a busy port is an error and not a silent share. */
WC_MUST_USE
enum wc_status wc_listen(const char *address, uint16_t port, int *fds, unsigned n,
                         struct wc_err *err);

#endif

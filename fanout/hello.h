/*
 * Connections to a TLS port until their first message, the ClientHello, is there. Only then does
 * libwebsockets get them, a few in each turn: it answers at once, with a signature that costs a
 * millisecond, and a crowd that comes back would keep everybody else waiting for all of theirs. And
 * one that sends nothing, or half of it, holds no more than a descriptor, for 10 s at most.
 *
 *   accepted ─→ waiting ─first record is complete→ ready ─→ taken
 *                  └── 10 s, no TLS (told so in plain HTTP), too many wait ──→ closed
 *
 * Ownership: of the descriptors, until they are taken. Threads: one owner, the loop's.
 * Limits: 1,024 wait; then the oldest goes, since honest clients speak at once.
 * Source: RFC 8446, sections 4.1.2 and 5.1; the record's header is that of TLS 1.2, too.
 */
#ifndef WC_FANOUT_HELLO_H
#define WC_FANOUT_HELLO_H

#include "base/clock.h"
#include "base/list.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stdint.h>

struct uv_loop_s;

enum { WC_HELLOS_MAX = 1024, WC_HELLO_TIMEOUT_US = 10 * 1000000 };

struct wc_hellos {
    struct uv_loop_s *loop;
    _Atomic uint32_t *connections; /* counts ours, too; relaxed */
    struct wc_list waiting, ready; /* oldest first */
    uint32_t nwaiting;
};

void wc_hellos_init(struct wc_hellos *, struct uv_loop_s *, _Atomic uint32_t *connections);

/* Takes the connected, non-blocking descriptor; closes it when there is no memory. */
void wc_hello_await(struct wc_hellos *, int fd, wc_us now);
/* The next one that is ready, now the caller's; -1: there is none. */
int wc_hello_take(struct wc_hellos *);
void wc_hello_expire(struct wc_hellos *, wc_us now);
/* Closes all; the handles go as the loop runs on. */
void wc_hellos_close(struct wc_hellos *);

#endif

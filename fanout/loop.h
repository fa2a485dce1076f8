/*
 * One socket thread: its libuv loop, and the order of a turn.
 *
 *   timers ─ prepare: awake, pop rings ─ deliver ─ flush ─ may I sleep? ─ poll ─ sockets, eventfd
 *
 * All delivering and writing happens in the prepare step, right before the loop would block, so a
 * turn's work is written together. Popping and flushing take about 1 ms each at most; while dirty
 * sessions are left over, the rings wait: a fan-out's cursor is the dirty list. While a session
 * holds back (session.h, "Pacing") the bridges' rings are skipped.
 * Threads: new, start, stop, join, free: the main thread. Errors: NULL or a status with *err.
 */
#ifndef WC_FANOUT_LOOP_H
#define WC_FANOUT_LOOP_H

#include "fanout/mesh.h"
#include "fanout/ws.h"

struct wc_loop;

struct wc_loop_options {
    struct wc_ws_options ws; /* ws.loop is filled in */
    struct wc_mesh *mesh;
    int listen_fd; /* taken */
    uint32_t max_connections;
    uint32_t send_buffer_bytes;
};

struct wc_loop *wc_loop_new(const struct wc_loop_options *, struct wc_err *err);
WC_MUST_USE
enum wc_status wc_loop_start(struct wc_loop *, struct wc_err *err);
/* From now on nothing is accepted and no join granted; what is open goes on. Only asks. */
void wc_loop_drain(struct wc_loop *);
/* Tells every channel, closes every connection with 1012, waits for them up to the deadline, then
 * ends the thread. Only asks; join waits. */
void wc_loop_stop(struct wc_loop *, uint32_t deadline_ms);
void wc_loop_join(struct wc_loop *);
void wc_loop_free(struct wc_loop *); /* not running; NULL is fine */

#endif

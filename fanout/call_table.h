/*
 * The HTTP calls that wait on a socket thread (call.h), for who runs the thread: hub.c brings them
 * messages, http.c parks them, writes what was answered and notices who has hung up.
 *
 * Ownership: the table's until they end; `place` is http.c's. Threads: one owner.
 */
#ifndef WC_FANOUT_CALL_TABLE_H
#define WC_FANOUT_CALL_TABLE_H

#include "base/clock.h"
#include "base/list.h"
#include "fanout/call.h"

enum { WC_CALLS_MAX = 1024, WC_CALL_TIMEOUT_US = 30 * 1000000 };

struct wc_call {
    struct wc_list link; /* calls->waiting, oldest first, or calls->answered */
    struct wc_calls *calls;
    struct wc_handle handle;
    struct wc_call_hooks hooks;
    void *state; /* while it waits */
    wc_us deadline;
    struct wc_http_response res; /* its fields' values lie behind the struct */
    char *location;              /* owned; such a field's value */
    void *place;                 /* where the answer goes */
};

struct wc_calls {
    unsigned thread;
    struct wc_list waiting, answered;
    uint32_t count; /* of both */
    uint32_t next_slot, next_generation;
    struct wc_call *slot[WC_CALLS_MAX];
};

struct wc_calls *wc_calls_new(unsigned thread); /* owned; NULL when out of memory */
void wc_calls_free(struct wc_calls *);          /* every call has ended; NULL is fine */

/* A permissions or call message. */
void wc_calls_deliver(struct wc_hub *, const struct wc_msg *);
/* Answers those that have waited long enough, by hub->now. */
void wc_calls_expire(struct wc_hub *);
/* Answers all that wait: the server shuts down. */
void wc_calls_refuse(struct wc_calls *);
/* The one whose answer waits longest to be written; NULL: none. */
struct wc_call *wc_calls_answered(const struct wc_calls *);

/* Answered and written, or nobody wants the answer any more. NULL is fine. */
void wc_call_end(struct wc_call *);

#endif

/*
 * A tenant's share of the way from its bridge to the socket threads: how much of it is under way,
 * and, on a thread where a connection of the tenant holds back (session.h), what has been set aside
 * until it does not. So neither its flood nor its slow reader stops the other tenants of a bridge.
 *
 *   bridge ─publish: sent→ ring ─pop→ delivered: done
 *                                └─→ set aside ─(nobody of the tenant holds back)→ delivered: done
 *
 * A bridge takes no more from a tenant's stream while its share is full on any thread; it is woken
 * when something is done there. What may be under way beyond the limits is what one change becomes.
 * Ownership: messages borrow it; who frees it has seen it idle, or the threads have ended. What is
 * set aside owns one reference to each message.
 * Threads: new, free: any. sent, is_full, is_idle: the bridge's. The rest: the socket thread's.
 */
#ifndef WC_FANOUT_SHARE_H
#define WC_FANOUT_SHARE_H

#include "base/list.h"
#include "fanout/msg.h"

struct wc_share_options {
    uint64_t tenant; /* number of its view */
    unsigned sockets;
    uint32_t messages;       /* at most, for each socket thread */
    size_t bytes;            /* likewise */
    void (*wake)(void *arg); /* on a socket thread: there may be room again */
    void *arg;
};

struct wc_share;

struct wc_share *wc_share_new(const struct wc_share_options *); /* owned; NULL when out of memory */
void wc_share_free(struct wc_share *);                          /* NULL is fine */
uint64_t wc_share_tenant(const struct wc_share *);              /* any thread */

void wc_share_sent(struct wc_share *, unsigned socket, const struct wc_msg *);
bool wc_share_is_full(struct wc_share *); /* true: there will be a wake */
bool wc_share_is_idle(struct wc_share *); /* all that was sent is done */

enum { WC_ASIDE_MAX = 64 << 20 };

/* What one socket thread has set aside, of all tenants. */
struct wc_aside {
    unsigned socket;
    void *spare;          /* a place that is there already */
    struct wc_list slots; /* of shares with messages set aside */
    struct wc_list dirty; /* of shares with something done that the bridge has not been told */
    size_t bytes;
};

void wc_aside_init(struct wc_aside *, unsigned socket);
void wc_aside_release(struct wc_aside *); /* drops what is there; on its thread */

bool wc_aside_has(const struct wc_aside *, const struct wc_share *);
/* Is there room for one more? False: more than WC_ASIDE_MAX bytes are there, or memory is short. */
WC_MUST_USE
bool wc_aside_may_put(struct wc_aside *);
void wc_aside_put(struct wc_aside *, struct wc_msg *taken); /* after that */
/* The first of a tenant that `may_go` agrees to, tenants in turn; owned; NULL: there is none. */
struct wc_msg *wc_aside_take(struct wc_aside *, bool (*may_go)(void *arg, uint64_t tenant),
                             void *arg);

/* The least of what `time_of` says for the tenants; UINT64_MAX: nothing is set aside. */
uint64_t wc_aside_least(struct wc_aside *, uint64_t (*time_of)(void *arg, uint64_t tenant),
                        void *arg);

/* Delivered, or dropped. The bridges hear of it with the next flush. */
void wc_aside_done(struct wc_aside *, const struct wc_msg *);
void wc_aside_flush(struct wc_aside *);

#endif

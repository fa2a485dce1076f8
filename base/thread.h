/*
 * Thread affinity, asserted. An object that belongs to one thread holds a wc_thread_owner; its
 * functions begin with WC_ON_THREAD. Lock order, outermost first (a thread holding a later one
 * never takes an earlier one):
 *   1 bridge inbox   2 room table shard   3 tenant directory   4 guard stripe
 *   5 certificate
 * No lock is held across I/O or a callback.
 */
#ifndef WC_BASE_THREAD_H
#define WC_BASE_THREAD_H

#include "base/assert.h"

#include <pthread.h>
#include <stdbool.h>

struct wc_thread_owner {
    pthread_t thread;
    bool taken;
};

static inline void wc_thread_own(struct wc_thread_owner *o)
{
    o->thread = pthread_self();
    o->taken = true;
}

static inline bool wc_thread_is_owner(const struct wc_thread_owner *o)
{
    return o->taken && pthread_equal(o->thread, pthread_self());
}

#define WC_ON_THREAD(owner) WC_DASSERT(wc_thread_is_owner(&(owner)))

#endif

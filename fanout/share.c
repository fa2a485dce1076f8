#include "fanout/share.h"

#include "base/assert.h"

#include <stdlib.h>

struct entry {
    struct entry *next;
    struct wc_msg *msg;
};

/* One for each socket thread, on cache lines of its own. */
struct slot {
    _Alignas(64) _Atomic uint64_t messages, bytes; /* done; written by the socket thread */
    _Atomic uint64_t let_go;                       /* messages, likewise, but as the last it did */
    _Atomic bool is_awaited;                       /* the bridge wants to hear of more */

    /* the socket thread's */
    uint64_t messages_done, bytes_done; /* of which the bridge may not have been told */
    struct wc_list dirty, aside;
    struct entry *first, **end;
    struct wc_share *share;
};

struct sent {
    uint64_t messages, bytes;
};

struct wc_share {
    struct wc_share_options opt;
    struct sent *sent; /* the bridge's, per socket thread */
    struct slot *slot;
};

struct wc_share *wc_share_new(const struct wc_share_options *o)
{
    struct wc_share *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->opt = *o;
    s->sent = calloc(o->sockets, sizeof *s->sent);
    s->slot = aligned_alloc(_Alignof(struct slot), o->sockets * sizeof *s->slot);
    if (!s->sent || !s->slot) {
        wc_share_free(s);
        return NULL;
    }
    memset(s->slot, 0, o->sockets * sizeof *s->slot);
    for (unsigned i = 0; i < o->sockets; i++) {
        struct slot *slot = &s->slot[i];
        wc_list_init(&slot->dirty);
        wc_list_init(&slot->aside);
        slot->end = &slot->first;
        slot->share = s;
    }
    return s;
}

void wc_share_free(struct wc_share *s)
{
    if (!s)
        return;
    free(s->sent);
    free(s->slot);
    free(s);
}

uint64_t wc_share_tenant(const struct wc_share *s)
{
    return s->opt.tenant;
}

/* ---- the bridge ---- */

void wc_share_sent(struct wc_share *s, unsigned socket, const struct wc_msg *m)
{
    s->sent[socket].messages++;
    s->sent[socket].bytes += wc_msg_size(m);
}

/* H1 load: what the socket thread did with the messages came before. */
static bool is_over(const struct wc_share *s, unsigned socket)
{
    const struct slot *slot = &s->slot[socket];
    uint64_t messages = atomic_load_explicit(&slot->messages, memory_order_seq_cst);
    uint64_t bytes = atomic_load_explicit(&slot->bytes, memory_order_seq_cst);
    return s->sent[socket].messages - messages >= s->opt.messages ||
           s->sent[socket].bytes - bytes >= s->opt.bytes;
}

bool wc_share_is_full(struct wc_share *s)
{
    for (unsigned i = 0; i < s->opt.sockets; i++) {
        if (!is_over(s, i))
            continue;
        /* H1: this store, then the loads again; the socket thread stores what is done, then loads
         * this. Whichever comes last in the one order sees the other's. */
        atomic_store_explicit(&s->slot[i].is_awaited, true, memory_order_seq_cst);
        if (is_over(s, i))
            return true;
    }
    return false;
}

bool wc_share_is_idle(struct wc_share *s)
{
    for (unsigned i = 0; i < s->opt.sockets; i++)
        /* H2 acquire: the thread does not touch it any more. */
        if (s->sent[i].messages != atomic_load_explicit(&s->slot[i].let_go, memory_order_acquire))
            return false;
    return true;
}

/* ---- the socket thread ---- */

void wc_aside_init(struct wc_aside *a, unsigned socket)
{
    *a = (struct wc_aside){.socket = socket};
    wc_list_init(&a->slots);
    wc_list_init(&a->dirty);
}

static struct slot *slot_of(const struct wc_aside *a, const struct wc_share *s)
{
    WC_DASSERT(a->socket < s->opt.sockets);
    return &s->slot[a->socket];
}

bool wc_aside_has(const struct wc_aside *a, const struct wc_share *s)
{
    return slot_of(a, s)->first != NULL;
}

bool wc_aside_may_put(struct wc_aside *a)
{
    if (!a->spare)
        a->spare = malloc(sizeof(struct entry));
    return a->spare && a->bytes < WC_ASIDE_MAX;
}

void wc_aside_put(struct wc_aside *a, struct wc_msg *m)
{
    struct slot *slot = slot_of(a, m->share);
    struct entry *e = a->spare;
    a->spare = NULL;
    *e = (struct entry){.msg = m};
    if (!slot->first)
        wc_list_push(&a->slots, &slot->aside);
    *slot->end = e;
    slot->end = &e->next;
    a->bytes += wc_msg_size(m);
}

static struct wc_msg *take_first(struct wc_aside *a, struct slot *slot)
{
    struct entry *e = slot->first;
    struct wc_msg *m = e->msg;
    slot->first = e->next;
    free(e);
    wc_list_remove(&slot->aside);
    if (slot->first)
        wc_list_push(&a->slots, &slot->aside); /* behind the other tenants */
    else
        slot->end = &slot->first;
    a->bytes -= wc_msg_size(m);
    return m;
}

struct wc_msg *wc_aside_take(struct wc_aside *a, bool (*may_go)(void *arg, uint64_t tenant),
                             void *arg)
{
    WC_LIST_EACH (it, &a->slots) {
        struct slot *slot = WC_CONTAINER(it, struct slot, aside);
        if (may_go(arg, slot->share->opt.tenant))
            return take_first(a, slot);
    }
    return NULL;
}

uint64_t wc_aside_least(struct wc_aside *a, uint64_t (*time_of)(void *arg, uint64_t tenant),
                        void *arg)
{
    uint64_t least = UINT64_MAX;
    WC_LIST_EACH (it, &a->slots) {
        uint64_t t = time_of(arg, WC_CONTAINER(it, struct slot, aside)->share->opt.tenant);
        least = t < least ? t : least;
    }
    return least;
}

void wc_aside_release(struct wc_aside *a)
{
    while (!wc_list_is_empty(&a->slots)) {
        struct wc_msg *m = take_first(a, WC_CONTAINER(a->slots.next, struct slot, aside));
        wc_aside_done(a, m);
        wc_msg_unref(m);
    }
    wc_aside_flush(a);
    free(a->spare);
    a->spare = NULL;
}

void wc_aside_done(struct wc_aside *a, const struct wc_msg *m)
{
    struct slot *slot = slot_of(a, m->share);
    slot->messages_done++;
    slot->bytes_done += wc_msg_size(m);
    if (wc_list_is_empty(&slot->dirty))
        wc_list_push(&a->dirty, &slot->dirty);
}

static void tell(struct slot *slot)
{
    struct wc_share *s = slot->share;
    /* H1 stores, then the load: see wc_share_is_full. */
    atomic_store_explicit(&slot->bytes, slot->bytes_done, memory_order_seq_cst);
    atomic_store_explicit(&slot->messages, slot->messages_done, memory_order_seq_cst);
    if (atomic_load_explicit(&slot->is_awaited, memory_order_seq_cst)) {
        atomic_store_explicit(&slot->is_awaited, false, memory_order_relaxed); /* only a hint */
        s->opt.wake(s->opt.arg);
    }
    /* H2 release, the last access: who sees it may free the share. */
    atomic_store_explicit(&slot->let_go, slot->messages_done, memory_order_release);
}

void wc_aside_flush(struct wc_aside *a)
{
    while (!wc_list_is_empty(&a->dirty)) {
        struct slot *slot = WC_CONTAINER(a->dirty.next, struct slot, dirty);
        wc_list_remove(&slot->dirty);
        tell(slot);
    }
}

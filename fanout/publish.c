#include "fanout/publish.h"

#include "base/assert.h"
#include "base/metrics.h"
#include "fanout/share.h"

#include <stdlib.h>

struct overflow {
    struct overflow *next;
    struct wc_msg *msg;
};

struct overflow_list {
    struct overflow *first, **end;
};

struct wc_publisher {
    struct wc_mesh *mesh;
    unsigned producer;
    unsigned nsockets;
    uint64_t backlog;       /* consumers with a non-empty overflow list */
    size_t waiting;         /* bytes of the messages in them, once per list */
    struct overflow *spare; /* entries not in use */
    size_t nspare;
    struct overflow_list *overflow; /* per consumer */
    uint64_t *published;            /* per consumer, messages so far, overflow included */
};

static const enum wc_metric metric_of_origin[] = {
    [WC_ORIGIN_CLIENT] = WC_M_PUBLISHED_CLIENT,
    [WC_ORIGIN_BRIDGE] = WC_M_PUBLISHED_BRIDGE,
    [WC_ORIGIN_HTTP] = WC_M_PUBLISHED_HTTP,
};

struct wc_publisher *wc_publisher_new(struct wc_mesh *mesh, unsigned producer)
{
    struct wc_publisher *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->mesh = mesh;
    p->producer = producer;
    p->nsockets = wc_mesh_sockets(mesh);
    p->overflow = calloc(p->nsockets, sizeof *p->overflow);
    p->published = calloc(p->nsockets, sizeof *p->published);
    if (!p->overflow || !p->published) {
        wc_publisher_free(p);
        return NULL;
    }
    for (unsigned c = 0; c < p->nsockets; c++)
        p->overflow[c].end = &p->overflow[c].first;
    return p;
}

static void free_entries(struct overflow *e)
{
    while (e) {
        struct overflow *next = e->next;
        wc_msg_unref(e->msg);
        free(e);
        e = next;
    }
}

unsigned wc_publisher_producer(const struct wc_publisher *p)
{
    return p->producer;
}

void wc_publisher_free(struct wc_publisher *p)
{
    if (!p)
        return;
    for (unsigned c = 0; p->overflow && c < p->nsockets; c++)
        free_entries(p->overflow[c].first);
    free_entries(p->spare);
    free(p->overflow);
    free(p->published);
    free(p);
}

/* So that a message to n threads cannot fail half-way. */
static enum wc_status ensure_spare(struct wc_publisher *p, unsigned n)
{
    for (; p->nspare < n; p->nspare++) {
        struct overflow *e = malloc(sizeof *e);
        if (!e)
            return WC_NOMEM;
        *e = (struct overflow){.next = p->spare};
        p->spare = e;
    }
    return WC_OK;
}

static size_t size_of(const struct wc_msg *m)
{
    return wc_msg_size(m) + sizeof(struct overflow);
}

static void append(struct wc_publisher *p, unsigned consumer, struct wc_msg *msg)
{
    struct overflow *e = p->spare;
    p->spare = e->next;
    p->nspare--;
    *e = (struct overflow){.msg = msg};
    *p->overflow[consumer].end = e;
    p->overflow[consumer].end = &e->next;
    if (!(p->backlog & UINT64_C(1) << consumer))
        wc_metric_add(WC_M_RING_FULL, 1);
    p->backlog |= UINT64_C(1) << consumer;
    p->waiting += size_of(msg);
}

/* Takes the reference. */
static void distribute(struct wc_publisher *p, enum wc_origin origin, struct wc_msg *msg,
                       uint64_t threads)
{
    wc_metric_add(metric_of_origin[origin], 1);
    if (threads == 0) {
        wc_msg_unref(msg);
        return;
    }
    wc_msg_ref(msg, (uint32_t)__builtin_popcountll(threads) - 1);
    for (; threads; threads &= threads - 1) {
        unsigned c = (unsigned)__builtin_ctzll(threads);
        WC_ASSERT(c < p->nsockets);
        p->published[c]++;
        if (msg->share)
            wc_share_sent(msg->share, c, msg);
        /* Behind what already waits, or the order would be lost. */
        if (p->overflow[c].first || wc_mesh_push(p->mesh, p->producer, c, msg) != WC_OK)
            append(p, c, msg);
    }
}

enum wc_status wc_publish(struct wc_publisher *p, enum wc_origin origin, struct wc_msg *msg,
                          uint64_t threads)
{
    if (ensure_spare(p, (unsigned)__builtin_popcountll(threads)) != WC_OK) {
        wc_msg_unref(msg);
        return WC_NOMEM;
    }
    distribute(p, origin, msg, threads);
    return WC_OK;
}

enum wc_status wc_publish_change(struct wc_publisher *p, struct wc_msg *msg, uint64_t threads,
                                 size_t pairs)
{
    WC_ASSERT(pairs <= UINT32_MAX); /* channels are numbered with 32 bits */
    if (ensure_spare(p, (unsigned)__builtin_popcountll(threads)) != WC_OK) {
        wc_msg_unref(msg);
        return WC_NOMEM;
    }
    wc_msg_carry(msg, (uint32_t)pairs);
    wc_metric_add(WC_M_CHANGES_OUT, (int64_t)pairs);
    distribute(p, WC_ORIGIN_BRIDGE, msg, threads);
    return WC_OK;
}

static void drain(struct wc_publisher *p, unsigned consumer)
{
    struct overflow_list *list = &p->overflow[consumer];
    while (list->first) {
        struct overflow *e = list->first;
        size_t size = size_of(e->msg); /* once pushed it is the consumer's to free */
        if (wc_mesh_push(p->mesh, p->producer, consumer, e->msg) != WC_OK)
            return;
        p->waiting -= size;
        list->first = e->next;
        *e = (struct overflow){.next = p->spare};
        p->spare = e;
        p->nspare++;
    }
    list->end = &list->first;
    p->backlog &= ~(UINT64_C(1) << consumer);
}

void wc_publisher_flush(struct wc_publisher *p)
{
    for (uint64_t todo = p->backlog; todo; todo &= todo - 1)
        drain(p, (unsigned)__builtin_ctzll(todo));
    wc_mesh_flush(p->mesh, p->producer);
}

bool wc_publisher_is_full(const struct wc_publisher *p)
{
    return p->waiting >= WC_PUBLISHER_OVERFLOW_MAX;
}

bool wc_publisher_is_backlogged(const struct wc_publisher *p)
{
    return p->backlog != 0;
}

void wc_publisher_mark(const struct wc_publisher *p, struct wc_publisher_mark *out)
{
    for (unsigned c = 0; c < p->nsockets; c++)
        out->count[c] = p->published[c];
}

bool wc_publisher_reached(const struct wc_publisher *p, const struct wc_publisher_mark *mark)
{
    for (unsigned c = 0; c < p->nsockets; c++)
        if (wc_mesh_consumed(p->mesh, p->producer, c) < mark->count[c])
            return false;
    return true;
}

#include "bridge/tenant/keeper_priv.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

enum {
    INBOX_MAX = 65536,
    DRAIN_POLL_MS = 5, /* the socket threads pop within a turn */
};

enum kind { SUBSCRIBE, UNSUBSCRIBE, AUTHORIZE, CALL };

struct request {
    struct wc_list link;
    enum kind kind;
    struct wc_tenant *tenant;
    struct wc_subscribe *subscribe;
    struct wc_handle handle;
    struct wc_authorize *authorize;
    struct wc_bridge_call call;
};

struct wc_bridge {
    struct wc_mesh *mesh;
    struct wc_rooms *rooms;
    unsigned index;
    pthread_t thread;
    bool running;
    struct wc_bridge_guest guest; /* const after start; begin NULL: none */

    /* the bridge thread's */
    uv_loop_t loop;
    struct wc_publisher *publisher;
    struct wc_keeper *keeper;

    uv_timer_t drain; /* active: waiting for the socket threads to pop the last changes */
    wc_us drain_until;
    bool is_drained; /* read by main after streams_ended */

    uv_async_t wake;        /* any thread */
    uv_sem_t streams_ended; /* posted by the bridge thread, awaited by main */

    pthread_mutex_t lock; /* guards the rest; lock 1 of base/thread.h */
    struct wc_list inbox;
    struct wc_list ordered; /* seats of tenants with orders */
    size_t waiting;
    bool stop, end_streams;
    bool closed; /* what comes now is discarded when it is freed */
    uint32_t drain_ms;
};

/* ---- the change source: socket threads ---- */

static void wake_locked(struct wc_bridge *b)
{
    if (!b->closed)
        (void)uv_async_send(&b->wake); /* fails only on a closed handle */
}

static enum wc_status post(struct wc_bridge *b, const struct request *r)
{
    struct request *copy = malloc(sizeof *copy);
    if (!copy)
        return WC_NOMEM;
    *copy = *r;
    if (r->kind == UNSUBSCRIBE) /* the other requests bring a reference along */
        (void)wc_tenant_view_ref(wc_tenant_view(r->tenant));
    (void)pthread_mutex_lock(&b->lock); /* cannot fail: a plain mutex */
    bool full = r->kind != UNSUBSCRIBE && b->waiting >= INBOX_MAX;
    if (!full) {
        wc_list_push(&b->inbox, &copy->link);
        b->waiting++;
        wake_locked(b);
    }
    (void)pthread_mutex_unlock(&b->lock);
    if (full)
        free(copy);
    return full ? WC_AGAIN : WC_OK;
}

void wc_bridge_order(struct wc_bridge *b, struct wc_tenant *t, unsigned orders)
{
    struct wc_seat *s = wc_tenant_seat(t);
    (void)pthread_mutex_lock(&b->lock); /* cannot fail: a plain mutex */
    s->orders |= orders;
    if (wc_list_is_empty(&s->ordered)) {
        (void)wc_tenant_view_ref(wc_tenant_view(t));
        wc_list_push(&b->ordered, &s->ordered);
    }
    wake_locked(b);
    (void)pthread_mutex_unlock(&b->lock);
}

/* Whoever asks for something uses the tenant; see pair T1. */
static void note_use(struct wc_tenant *t)
{
    atomic_store_explicit(&wc_tenant_seat(t)->is_used, true, memory_order_seq_cst); /* T1 */
}

static enum wc_status source_subscribe(void *self, struct wc_subscribe *req)
{
    (void)self;
    struct wc_tenant *t = req->tenant->owner;
    note_use(t);
    return post(wc_tenant_bridge(t),
                &(struct request){.kind = SUBSCRIBE, .tenant = t, .subscribe = req});
}

static void source_unsubscribe(void *self, struct wc_tenant_view *view, struct wc_handle handle)
{
    (void)self;
    struct wc_tenant *t = view->owner;
    const struct request r = {.kind = UNSUBSCRIBE, .tenant = t, .handle = handle};
    if (post(wc_tenant_bridge(t), &r) != WC_OK) /* the member stays; its messages find nobody */
        WC_LOG(WC_LOG_ERROR, "bridge", "no_memory", "tenant=%s what=unsubscribe",
               wc_tenant_name(t));
}

static enum wc_status source_authorize(void *self, struct wc_authorize *a)
{
    (void)self;
    struct wc_tenant *t = a->tenant->owner;
    note_use(t);
    return post(wc_tenant_bridge(t),
                &(struct request){.kind = AUTHORIZE, .tenant = t, .authorize = a});
}

static void source_touch(void *self, struct wc_tenant_view *view)
{
    (void)self;
    struct wc_tenant *t = view->owner;
    note_use(t);
    if (!atomic_load_explicit(&wc_tenant_seat(t)->is_open, memory_order_seq_cst)) /* T1 */
        wc_bridge_order(wc_tenant_bridge(t), t, WC_BRIDGE_OPEN);
}

static bool source_is_replicating(void *self, struct wc_tenant_view *view)
{
    (void)self;
    return wc_tenant_is_replicating(view->owner);
}

enum wc_status wc_bridge_post(struct wc_bridge *b, const struct wc_bridge_call *call)
{
    return post(b, &(struct request){.kind = CALL, .call = *call});
}

struct uv_loop_s *wc_bridge_loop(struct wc_bridge *b)
{
    return &b->loop;
}

struct wc_publisher *wc_bridge_publisher(struct wc_bridge *b)
{
    return b->publisher;
}

struct wc_rooms *wc_bridge_rooms(struct wc_bridge *b)
{
    return b->rooms;
}

struct wc_source wc_bridge_source(void)
{
    return (struct wc_source){.subscribe = source_subscribe,
                              .unsubscribe = source_unsubscribe,
                              .authorize = source_authorize,
                              .touch = source_touch,
                              .is_replicating = source_is_replicating};
}

/* ---- the bridge thread ---- */

/* A channel of a tenant that cannot be asked; one of a tenant that was replaced is being closed. */
static void refuse(struct wc_bridge *b, struct wc_subscribe *req)
{
    struct wc_tenant *t = req->tenant->owner;
    struct wc_msg *m = wc_msg_new(
        WC_MSG_VERDICT,
        wc_slice_str("Unable to subscribe to changes: the tenant's database cannot be used"));
    if (m)
        m->handle = req->handle;
    if (!m || wc_publish(b->publisher, WC_ORIGIN_BRIDGE, m, UINT64_C(1) << req->handle.thread))
        WC_LOG(WC_LOG_ERROR, "bridge", "no_memory", "tenant=%s what=verdict", wc_tenant_name(t));
    wc_subscribe_free(req);
}

static void handle(struct wc_bridge *b, struct request *r)
{
    switch (r->kind) {
    case SUBSCRIBE:
        if (wc_keeper_want(b->keeper, r->tenant))
            wc_subs_add(wc_tenant_subs(r->tenant), r->subscribe);
        else
            refuse(b, r->subscribe);
        break;
    case UNSUBSCRIBE:
        if (wc_keeper_is_open(r->tenant))
            wc_subs_drop(wc_tenant_subs(r->tenant), r->handle);
        wc_tenant_view_unref(wc_tenant_view(r->tenant));
        break;
    case AUTHORIZE:
        (void)wc_keeper_want(b->keeper, r->tenant); /* the answer of a closed one says so */
        wc_tenant_authorize(r->tenant, b->publisher, r->authorize);
        break;
    case CALL: r->call.run(r->call.arg); break;
    }
    free(r);
}

static void discard(struct wc_bridge *b, struct request *r)
{
    (void)b;
    switch (r->kind) {
    case SUBSCRIBE: wc_subscribe_free(r->subscribe); break;
    case UNSUBSCRIBE: wc_tenant_view_unref(wc_tenant_view(r->tenant)); break;
    case AUTHORIZE: wc_authorize_free(r->authorize); break;
    case CALL: r->call.discard(r->call.arg); break;
    }
    free(r);
}

static void for_all(struct wc_bridge *b, struct wc_list *requests,
                    void (*fn)(struct wc_bridge *, struct request *))
{
    while (!wc_list_is_empty(requests)) {
        struct request *r = WC_CONTAINER(requests->next, struct request, link);
        wc_list_remove(&r->link);
        fn(b, r);
    }
}

/* The next tenant with orders, whose reference is the caller's now; NULL: none. */
static struct wc_tenant *next_ordered(struct wc_bridge *b, unsigned *orders)
{
    struct wc_tenant *t = NULL;
    (void)pthread_mutex_lock(&b->lock); /* cannot fail: a plain mutex */
    if (!wc_list_is_empty(&b->ordered)) {
        struct wc_seat *s = WC_CONTAINER(b->ordered.next, struct wc_seat, ordered);
        wc_list_remove(&s->ordered);
        t = s->tenant;
        *orders = s->orders;
        s->orders = 0;
    }
    (void)pthread_mutex_unlock(&b->lock);
    return t;
}

static void obey(struct wc_bridge *b)
{
    struct wc_tenant *t;
    unsigned orders;
    while ((t = next_ordered(b, &orders))) {
        wc_keeper_obey(b->keeper, t, orders);
        wc_tenant_view_unref(wc_tenant_view(t));
    }
}

static void discard_orders(struct wc_bridge *b)
{
    struct wc_tenant *t;
    unsigned orders;
    while ((t = next_ordered(b, &orders)))
        wc_tenant_view_unref(wc_tenant_view(t));
}

static void shut_down(struct wc_bridge *b)
{
    (void)pthread_mutex_lock(&b->lock); /* cannot fail: a plain mutex */
    b->closed = true;
    (void)pthread_mutex_unlock(&b->lock);
    if (b->guest.end)
        b->guest.end(b->guest.arg);
    wc_keeper_close(b->keeper);
    wc_publisher_flush(b->publisher);
    uv_close((uv_handle_t *)&b->wake, NULL);
    uv_close((uv_handle_t *)&b->drain, NULL);
}

static void on_drain(uv_timer_t *timer)
{
    struct wc_bridge *b = timer->data;
    wc_publisher_flush(b->publisher);
    b->is_drained = wc_keeper_is_drained(b->keeper);
    if (!b->is_drained && wc_clock_mono() < b->drain_until)
        return;
    (void)uv_timer_stop(timer); /* cannot fail on an open handle */
    wc_keeper_end_streams(b->keeper);
    uv_sem_post(&b->streams_ended);
}

static void drain(struct wc_bridge *b, uint32_t timeout_ms)
{
    wc_keeper_drain(b->keeper);
    b->drain_until = wc_clock_mono() + (wc_us)timeout_ms * 1000;
    (void)uv_timer_start(&b->drain, on_drain, 0, DRAIN_POLL_MS); /* valid handle and callback */
}

/* Orders or requests are waiting, a full ring has room again, or it is time to stop. */
static void on_wake(uv_async_t *async)
{
    struct wc_bridge *b = async->data;
    struct wc_list now;
    wc_list_init(&now);
    (void)pthread_mutex_lock(&b->lock); /* cannot fail: a plain mutex */
    wc_list_move_all(&b->inbox, &now);
    b->waiting = 0;
    bool stop = b->stop, end_streams = b->end_streams;
    b->end_streams = false;
    uint32_t drain_ms = b->drain_ms;
    (void)pthread_mutex_unlock(&b->lock);
    if (end_streams)
        drain(b, drain_ms);
    if (stop) {
        for_all(b, &now, discard);
        shut_down(b);
        return;
    }
    obey(b);
    for_all(b, &now, handle);
    wc_publisher_flush(b->publisher);
    wc_keeper_resume(b->keeper);
}

static void on_space(void *arg)
{
    struct wc_bridge *b = arg;
    (void)uv_async_send(&b->wake); /* fails only on a closed handle, which stop excludes */
}

static void *run(void *arg)
{
    struct wc_bridge *b = arg;
    if (wc_metrics_attach() != WC_OK)
        WC_LOG(WC_LOG_WARN, "bridge", "no_memory", "what=metrics");
    if (b->guest.begin)
        b->guest.begin(b->guest.arg);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT); /* until every handle is closed */
    return NULL;
}

/* ---- life cycle: main thread ---- */

struct wc_bridge *wc_bridge_new(struct wc_mesh *mesh, struct wc_rooms *rooms, unsigned index)
{
    struct wc_bridge *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->mesh = mesh;
    b->rooms = rooms;
    b->index = index;
    wc_list_init(&b->inbox);
    wc_list_init(&b->ordered);
    (void)pthread_mutex_init(&b->lock, NULL); /* cannot fail with default attributes */
    b->publisher = wc_publisher_new(mesh, index);
    if (!b->publisher || uv_sem_init(&b->streams_ended, 0) != 0) {
        wc_publisher_free(b->publisher);
        free(b);
        return NULL;
    }
    if (uv_loop_init(&b->loop) != 0) {
        uv_sem_destroy(&b->streams_ended);
        wc_publisher_free(b->publisher);
        free(b);
        return NULL;
    }
    (void)uv_async_init(&b->loop, &b->wake, on_wake); /* fails only without descriptors, as above */
    (void)uv_timer_init(&b->loop, &b->drain);         /* cannot fail */
    b->wake.data = b->drain.data = b;
    b->keeper = wc_keeper_new(&(struct wc_tenant_home){.loop = &b->loop,
                                                       .publisher = b->publisher,
                                                       .sockets = wc_mesh_sockets(mesh),
                                                       .ring_entries = wc_mesh_ring_entries(mesh),
                                                       .wake = on_space,
                                                       .arg = b});
    if (!b->keeper) {
        wc_bridge_free(b);
        return NULL;
    }
    wc_mesh_on_space(mesh, index, on_space, b);
    return b;
}

void wc_bridge_host(struct wc_bridge *b, const struct wc_bridge_guest *guest)
{
    WC_ASSERT(!b->running && !b->guest.begin);
    b->guest = *guest;
}

void wc_bridge_employ(struct wc_bridge *b, const struct wc_janitor_options *janitor)
{
    WC_ASSERT(!b->running);
    wc_keeper_employ(b->keeper, janitor);
}

enum wc_status wc_bridge_start(struct wc_bridge *b, struct wc_err *err)
{
    int rc = pthread_create(&b->thread, NULL, run, b);
    if (rc != 0)
        return wc_err_set(err, WC_IO, "could not start a bridge thread: %s", strerror(rc));
    b->running = true;
    return WC_OK;
}

/* Sets one of the flags that the lock guards and wakes the thread. */
static void tell(struct wc_bridge *b, bool *flag)
{
    (void)pthread_mutex_lock(&b->lock); /* cannot fail: a plain mutex */
    *flag = true;
    wake_locked(b);
    (void)pthread_mutex_unlock(&b->lock);
}

bool wc_bridges_end_streams(struct wc_bridge *const *bridges, size_t n, uint32_t timeout_ms)
{
    bool all = true;
    for (size_t i = 0; i < n; i++) {
        struct wc_bridge *b = bridges[i];
        (void)pthread_mutex_lock(&b->lock); /* cannot fail: a plain mutex */
        b->drain_ms = timeout_ms;
        (void)pthread_mutex_unlock(&b->lock);
        if (b->running)
            tell(b, &b->end_streams);
    }
    for (size_t i = 0; i < n; i++) {
        if (!bridges[i]->running)
            continue;
        uv_sem_wait(&bridges[i]->streams_ended);
        all &= bridges[i]->is_drained;
    }
    return all;
}

void wc_bridges_stop(struct wc_bridge *const *bridges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bridges[i]->running)
            tell(bridges[i], &bridges[i]->stop);
    for (size_t i = 0; i < n; i++) {
        if (!bridges[i]->running)
            continue;
        (void)pthread_join(bridges[i]->thread,
                           NULL); /* cannot fail for a joinable thread of ours */
        bridges[i]->running = false;
    }
}

void wc_bridge_free(struct wc_bridge *b)
{
    if (!b)
        return;
    WC_ASSERT(!b->running);
    for_all(b, &b->inbox, discard);
    discard_orders(b);
    if (!uv_is_closing((uv_handle_t *)&b->wake)) {
        if (b->keeper)
            wc_keeper_close(b->keeper);
        uv_close((uv_handle_t *)&b->wake, NULL);
        uv_close((uv_handle_t *)&b->drain, NULL);
    }
    (void)uv_run(&b->loop, UV_RUN_DEFAULT); /* close callbacks of a loop that never ran */
    (void)uv_loop_close(&b->loop);          /* nothing is left open */
    wc_keeper_free(b->keeper);
    wc_publisher_free(b->publisher);
    (void)pthread_mutex_destroy(&b->lock); /* nobody holds it */
    uv_sem_destroy(&b->streams_ended);
    free(b);
}

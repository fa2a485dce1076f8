#include "bridge/tenant/bridge.h"

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

    /* the bridge thread's */
    uv_loop_t loop;
    struct wc_publisher *publisher;
    struct wc_tenant **tenant;
    size_t ntenants;

    uv_timer_t drain; /* active: waiting for the socket threads to pop the last changes */
    wc_us drain_until;
    bool is_drained; /* read by main after streams_ended */

    uv_async_t wake;        /* any thread */
    uv_sem_t streams_ended; /* posted by the bridge thread, awaited by main */

    pthread_mutex_t lock; /* guards the rest; lock 1 of base/thread.h */
    struct wc_list inbox;
    size_t waiting;
    bool stop, end_streams;
    uint32_t drain_ms;
};

/* ---- the change source: socket threads ---- */

static enum wc_status post(struct wc_bridge *b, const struct request *r)
{
    struct request *copy = malloc(sizeof *copy);
    if (!copy)
        return WC_NOMEM;
    *copy = *r;
    (void)pthread_mutex_lock(&b->lock); /* cannot fail: a plain mutex */
    bool full = r->kind != UNSUBSCRIBE && b->waiting >= INBOX_MAX;
    if (!full) {
        wc_list_push(&b->inbox, &copy->link);
        b->waiting++;
    }
    (void)pthread_mutex_unlock(&b->lock);
    if (full) {
        free(copy);
        return WC_AGAIN;
    }
    (void)uv_async_send(&b->wake); /* fails only on a closed handle, which stop excludes */
    return WC_OK;
}

static enum wc_status source_subscribe(void *self, struct wc_subscribe *req)
{
    (void)self;
    struct wc_tenant *t = req->tenant->owner;
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
    return post(wc_tenant_bridge(t),
                &(struct request){.kind = AUTHORIZE, .tenant = t, .authorize = a});
}

static void source_touch(void *self, struct wc_tenant_view *view)
{
    (void)self;
    (void)view; /* the one tenant is always open */
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

static void handle(struct request *r)
{
    switch (r->kind) {
    case SUBSCRIBE: wc_subs_add(wc_tenant_subs(r->tenant), r->subscribe); break;
    case UNSUBSCRIBE: wc_subs_drop(wc_tenant_subs(r->tenant), r->handle); break;
    case AUTHORIZE: wc_tenant_authorize(r->tenant, r->authorize); break;
    case CALL: r->call.run(r->call.arg); break;
    }
    free(r);
}

static void discard(struct request *r)
{
    switch (r->kind) {
    case SUBSCRIBE: wc_subscribe_free(r->subscribe); break;
    case UNSUBSCRIBE: break;
    case AUTHORIZE: wc_authorize_free(r->authorize); break;
    case CALL: r->call.discard(r->call.arg); break;
    }
    free(r);
}

static void for_all(struct wc_list *requests, void (*fn)(struct request *))
{
    while (!wc_list_is_empty(requests)) {
        struct request *r = WC_CONTAINER(requests->next, struct request, link);
        wc_list_remove(&r->link);
        fn(r);
    }
}

static void shut_down(struct wc_bridge *b)
{
    for (size_t i = 0; i < b->ntenants; i++)
        wc_tenant_close(b->tenant[i]);
    wc_publisher_flush(b->publisher);
    uv_close((uv_handle_t *)&b->wake, NULL);
    uv_close((uv_handle_t *)&b->drain, NULL);
}

static bool is_drained(struct wc_bridge *b)
{
    for (size_t i = 0; i < b->ntenants; i++)
        if (!wc_tenant_is_drained(b->tenant[i]))
            return false;
    return true;
}

static void on_drain(uv_timer_t *timer)
{
    struct wc_bridge *b = timer->data;
    wc_publisher_flush(b->publisher);
    b->is_drained = is_drained(b);
    if (!b->is_drained && wc_clock_mono() < b->drain_until)
        return;
    (void)uv_timer_stop(timer); /* cannot fail on an open handle */
    for (size_t i = 0; i < b->ntenants; i++)
        wc_tenant_end_stream(b->tenant[i]);
    uv_sem_post(&b->streams_ended);
}

static void drain(struct wc_bridge *b, uint32_t timeout_ms)
{
    for (size_t i = 0; i < b->ntenants; i++)
        wc_tenant_drain(b->tenant[i]);
    b->drain_until = wc_clock_mono() + (wc_us)timeout_ms * 1000;
    (void)uv_timer_start(&b->drain, on_drain, 0, DRAIN_POLL_MS); /* valid handle and callback */
}

/* Requests are waiting, a full ring has room again, or it is time to stop. */
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
        for_all(&now, discard);
        shut_down(b);
        return;
    }
    for_all(&now, handle);
    wc_publisher_flush(b->publisher);
    for (size_t i = 0; i < b->ntenants && !wc_publisher_is_backlogged(b->publisher); i++)
        wc_tenant_resume(b->tenant[i]);
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
    for (size_t i = 0; i < b->ntenants; i++) {
        enum wc_status st = wc_tenant_open(b->tenant[i], &b->loop, b->publisher);
        WC_ASSERT(st == WC_OK); /* at start-up running out of memory is fatal */
    }
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
    wc_mesh_on_space(mesh, index, on_space, b);
    return b;
}

void wc_bridge_add(struct wc_bridge *b, struct wc_tenant *t)
{
    WC_ASSERT(!b->running);
    struct wc_tenant **more = realloc(b->tenant, (b->ntenants + 1) * sizeof *more);
    WC_ASSERT(more); /* at start-up running out of memory is fatal */
    b->tenant = more;
    b->tenant[b->ntenants++] = t;
    wc_tenant_set_bridge(t, b);
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
    (void)pthread_mutex_unlock(&b->lock);
    (void)uv_async_send(&b->wake); /* fails only on a closed handle: not while it runs */
}

bool wc_bridge_end_streams(struct wc_bridge *b, uint32_t timeout_ms)
{
    if (!b->running)
        return true;
    (void)pthread_mutex_lock(&b->lock); /* cannot fail: a plain mutex */
    b->drain_ms = timeout_ms;
    (void)pthread_mutex_unlock(&b->lock);
    tell(b, &b->end_streams);
    uv_sem_wait(&b->streams_ended);
    return b->is_drained;
}

void wc_bridge_stop(struct wc_bridge *b)
{
    if (!b->running)
        return;
    tell(b, &b->stop);
    (void)pthread_join(b->thread, NULL); /* cannot fail for a joinable thread of ours */
    b->running = false;
}

void wc_bridge_free(struct wc_bridge *b)
{
    if (!b)
        return;
    WC_ASSERT(!b->running);
    for_all(&b->inbox, discard);
    if (!uv_is_closing((uv_handle_t *)&b->wake)) {
        uv_close((uv_handle_t *)&b->wake, NULL);
        uv_close((uv_handle_t *)&b->drain, NULL);
    }
    (void)uv_run(&b->loop, UV_RUN_DEFAULT); /* close callbacks of a loop that never ran */
    (void)uv_loop_close(&b->loop);          /* nothing is left open */
    wc_publisher_free(b->publisher);
    free(b->tenant);
    (void)pthread_mutex_destroy(&b->lock); /* nobody holds it */
    uv_sem_destroy(&b->streams_ended);
    free(b);
}

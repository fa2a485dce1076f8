#include "fanout/loop.h"

#include "base/assert.h"
#include "fanout/hello.h"
#include "fanout/ready.h"
#include "fanout/wait.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    TURN_US = 1000,           /* of popping, and of flushing */
    CLOCK_EVERY = 16,         /* messages between looks at the clock */
    ACCEPTS_PER_TURN = 64,    /* a burst of connections must not delay the open ones */
    TICK_MS = 1000,           /* also the backstop of the wake-up protocol */
    CLOSING_TICK_MS = 50,     /* while connections are being closed, or channels wait */
    UNSENT_LOWAT = 128 << 10, /* the kernel reports room below this: two flush buffers */
    LOG_EVERY_US = 10 * 1000000,
};

struct wc_loop {
    struct wc_loop_options opt; /* const after new */
    unsigned thread_index;
    uint64_t bridges; /* producers that pacing leaves alone, as a mask */
    pthread_t thread;
    bool is_started;
    bool is_open;

    uv_loop_t uv;
    uv_poll_t accept, wake;
    uv_prepare_t prepare;
    uv_idle_t busy; /* active: the loop does not block */
    uv_timer_t tick, hold, presence;
    uv_async_t stop, space; /* space: a ring that was full has room again */
    struct wc_ws ws;
    struct wc_hellos hellos; /* with TLS */
    uint64_t skip;           /* producers that are not popped now */
    bool is_behind;          /* the last turn's time was up before everything was written */
    bool is_accepting;
    bool is_fast; /* the tick is armed for CLOSING_TICK_MS */
    bool is_stopping;
    wc_us stop_at;
    struct wc_log_limit refused_log;

    _Atomic bool shall_stop;           /* pair S1, as the next: else the signal means drain */
    _Atomic uint32_t stop_deadline_ms; /* with uv_async_send, which orders them */
};

static void on_handle_closed(uv_handle_t *h)
{
    (void)h; /* all handles live in struct wc_loop */
}

/* ---- accepting ---- */

static void set_options(const struct wc_loop *l, int fd)
{
    const int yes = 1, lowat = UNSENT_LOWAT, size = (int)l->opt.send_buffer_bytes;
    /* Performance only: a socket without them works. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
    if (size > 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static void log_refused(struct wc_loop *l, const char *why)
{
    unsigned long more = 0;
    if (wc_log_limit(&l->refused_log, LOG_EVERY_US, &more))
        WC_LOG(WC_LOG_WARN, "ws", "connection_refused", "why=\"%s\" suppressed=%lu", why, more);
}

static bool has_room(const struct wc_loop *l)
{
    /* Relaxed: two threads may pass the limit by a connection each. */
    return atomic_load_explicit(l->opt.ws.connections, memory_order_relaxed) <
           l->opt.max_connections;
}

/* False: nothing more to accept now. */
static bool accept_one(struct wc_loop *l)
{
    int fd = accept4(l->opt.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && has_room(l)) {
        set_options(l, fd);
        if (l->opt.ws.tls)
            wc_hello_await(&l->hellos, fd, wc_clock_mono());
        else
            wc_ws_adopt(&l->ws, fd);
        return true;
    }
    if (fd >= 0) {
        log_refused(l, "max_connections reached");
        (void)close(fd); /* it never carried anything */
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return false;
    if (errno == EINTR || errno == ECONNABORTED)
        return true;
    /* Out of descriptors or memory: the listener stays readable, so look away until the tick. */
    log_refused(l, strerror(errno));
    l->is_accepting = false;
    (void)uv_poll_stop(&l->accept); /* cannot fail on an open handle */
    return false;
}

static void on_accept(uv_poll_t *h, int status, int events)
{
    struct wc_loop *l = h->data;
    (void)events; /* only readable was asked for */
    for (int i = 0; status == 0 && i < ACCEPTS_PER_TURN && accept_one(l); i++)
        ;
}

static void accept_again(struct wc_loop *l)
{
    if (l->is_accepting || l->ws.hub->is_restarting)
        return;
    l->is_accepting = uv_poll_start(&l->accept, UV_READABLE, on_accept) == 0;
}

/* True: some handshakes must wait for the next turn. */
static bool begin_handshakes(struct wc_loop *l)
{
    wc_us until = wc_clock_mono() + TURN_US;
    for (int fd; (fd = wc_hello_take(&l->hellos)) >= 0;) {
        wc_ws_adopt(&l->ws, fd);
        if (wc_clock_mono() >= until)
            return true;
    }
    return false;
}

/* ---- a turn ---- */

static bool may_go(void *hub, uint64_t tenant)
{
    return wc_hub_hold_time_of(hub, tenant) == 0;
}

static uint64_t time_to_go(void *hub, uint64_t tenant)
{
    return (uint64_t)wc_hub_hold_time_of(hub, tenant); /* never negative */
}

/* The next message to be delivered: of what was set aside, then of the rings. A bridge's is set
 * aside while connections of its tenant hold back, or others of the tenant's wait there. */
static struct wc_msg *next_message(struct wc_loop *l)
{
    struct wc_hub *hub = l->ws.hub;
    struct wc_msg *m = wc_aside_take(&hub->aside, may_go, hub);
    while (!m) {
        l->skip = wc_aside_may_put(&hub->aside) ? 0 : l->bridges;
        m = wc_mesh_pop(l->opt.mesh, l->thread_index, l->skip);
        if (!m || !m->share)
            break;
        if (!wc_aside_has(&hub->aside, m->share) && may_go(hub, wc_share_tenant(m->share)))
            break;
        wc_aside_put(&hub->aside, m);
        m = NULL;
    }
    return m;
}

static void deliver(struct wc_hub *hub, struct wc_msg *m)
{
    uint32_t pairs = wc_hub_deliver(hub, m);
    if (m->share)
        wc_aside_done(&hub->aside, m);
    wc_msg_settle(m, pairs);
}

static void pop(struct wc_loop *l)
{
    struct wc_hub *hub = l->ws.hub;
    wc_us until = hub->now + TURN_US;
    struct wc_msg *m = NULL;
    for (unsigned n = 1; (m = next_message(l)); n++) {
        deliver(hub, m);
        if (n % CLOCK_EVERY != 0)
            continue;
        hub->now = wc_clock_mono();
        if (hub->now >= until)
            break;
    }
    wc_mesh_popped(l->opt.mesh, l->thread_index);
    wc_aside_flush(&hub->aside);
}

static void on_due(uv_timer_t *h)
{
    (void)h; /* it only ends the sleep: the next prepare judges anew */
}

static void on_busy(uv_idle_t *h)
{
    (void)h;
}

/* Is somebody waiting for an answer that may be late? */
static bool is_awaited(const struct wc_hub *hub)
{
    return !wc_list_is_empty(&hub->waiting) || wc_ready_is_awaited(hub);
}

static void arm_tick(struct wc_loop *l);

static void on_prepare(uv_prepare_t *h)
{
    struct wc_loop *l = h->data;
    struct wc_hub *hub = l->ws.hub;
    wc_mesh_awake(l->opt.mesh, l->thread_index);
    hub->now = wc_clock_mono();
    wc_publisher_flush(hub->publisher); /* what this turn's input has published */
    /* Answers to this turn's input are no reason to wait: who never stops asking would keep
     * everybody else's messages in the rings. */
    if (!l->is_behind)
        pop(l);
    bool has_hellos = begin_handshakes(l);
    bool are_leaving = wc_roster_turn(hub, hub->now + TURN_US);
    wc_us presence = wc_presence_turn(hub);
    wc_publisher_flush(hub->publisher); /* and what delivering has */
    wc_ws_resume(&l->ws);
    l->is_behind = wc_ws_flush(&l->ws, hub->now + TURN_US);
    /* Flushing may have ended the holding back. */
    uint64_t aside = wc_aside_least(&hub->aside, time_to_go, hub);
    l->skip = wc_aside_may_put(&hub->aside) ? 0 : l->bridges;
    /* None of these calls fails: the handles are open and the callbacks set. */
    if (aside != UINT64_MAX)
        (void)uv_timer_start(&l->hold, on_due, aside / 1000 + 1, 0);
    if (!l->is_fast && is_awaited(hub))
        arm_tick(l);
    if (presence > 0)
        (void)uv_timer_start(&l->presence, on_due, (uint64_t)presence / 1000 + 1, 0);
    if (l->is_behind || has_hellos || are_leaving || aside == 0 ||
        !wc_mesh_sleep(l->opt.mesh, l->thread_index, l->skip))
        (void)uv_idle_start(&l->busy, on_busy);
    else
        (void)uv_idle_stop(&l->busy);
}

static void on_wake(uv_poll_t *h, int status, int events)
{
    struct wc_loop *l = h->data;
    uint64_t count;
    (void)status; /* an eventfd has no errors */
    (void)events;
    if (read(wc_mesh_eventfd(l->opt.mesh, l->thread_index), &count, sizeof count) < 0)
        WC_ASSERT(errno == EAGAIN || errno == EINTR);
}

/* ---- timers ---- */

static void finish(struct wc_loop *l);

static void on_tick(uv_timer_t *h);

static void arm_tick(struct wc_loop *l)
{
    const struct wc_hub *hub = l->ws.hub;
    l->is_fast = l->is_stopping || !wc_list_is_empty(&hub->closing) || is_awaited(hub);
    /* Does not fail: the handle is open and the callback set. */
    (void)uv_timer_start(&l->tick, on_tick, l->is_fast ? CLOSING_TICK_MS : TICK_MS, 0);
}

/* Runs before the prepare step, so the thread still counts as asleep here. */
static void on_tick(uv_timer_t *h)
{
    struct wc_loop *l = h->data;
    if (wc_mesh_missed_wake(l->opt.mesh, l->thread_index, l->skip))
        wc_metric_add(WC_M_WAKE_BACKSTOP, 1);
    wc_ws_tick(&l->ws);
    wc_hub_expire(l->ws.hub, wc_clock_wall() / 1000000);
    wc_wait_expire(l->ws.hub);
    wc_ready_look(l->ws.hub);
    wc_calls_expire(l->ws.hub);
    wc_hello_expire(&l->hellos, l->ws.hub->now);
    accept_again(l);
    if (l->is_stopping && (!wc_ws_has_sessions(&l->ws) || l->ws.hub->now >= l->stop_at)) {
        finish(l);
        return;
    }
    arm_tick(l);
}

/* ---- the end ---- */

static void close_handle(uv_handle_t *h)
{
    /* One that was never initialised is zero. */
    if (h->type != UV_UNKNOWN_HANDLE && !uv_is_closing(h))
        uv_close(h, on_handle_closed);
}

static void finish(struct wc_loop *l)
{
    wc_hellos_close(&l->hellos);
    if (l->ws.context)
        wc_ws_shut(&l->ws);
    close_handle((uv_handle_t *)&l->accept);
    close_handle((uv_handle_t *)&l->wake);
    close_handle((uv_handle_t *)&l->prepare);
    close_handle((uv_handle_t *)&l->busy);
    close_handle((uv_handle_t *)&l->tick);
    close_handle((uv_handle_t *)&l->hold);
    close_handle((uv_handle_t *)&l->presence);
    close_handle((uv_handle_t *)&l->stop);
    close_handle((uv_handle_t *)&l->space);
}

static void on_stop(uv_async_t *h)
{
    struct wc_loop *l = h->data;
    l->ws.hub->is_restarting = true;
    (void)uv_poll_stop(&l->accept); /* cannot fail on an open handle */
    /* S1 acquire */
    if (l->is_stopping || !atomic_load_explicit(&l->shall_stop, memory_order_acquire))
        return;
    l->is_stopping = true;
    wc_ws_close_all(&l->ws, WC_CLOSE_SHUTDOWN);
    /* S1 acquire: what wc_loop_stop stored before it sent the signal. */
    uint32_t ms = atomic_load_explicit(&l->stop_deadline_ms, memory_order_acquire);
    l->stop_at = l->ws.hub->now + (wc_us)ms * 1000;
    (void)uv_timer_start(&l->tick, on_tick, 0, 0);
}

static void on_space(uv_async_t *h)
{
    (void)h; /* it only ends the sleep: the next prepare flushes */
}

/* On a consumer's thread. */
static void tell_space(void *arg)
{
    struct wc_loop *l = arg;
    (void)uv_async_send(&l->space); /* fails only while its handle closes: nobody waits then */
}

static void *run(void *arg)
{
    struct wc_loop *l = arg;
    if (wc_metrics_attach() != WC_OK)
        WC_LOG(WC_LOG_WARN, "ws", "metrics_shared", "thread=%u", l->thread_index);
    wc_thread_own(&l->ws.hub->owner);
    int left = uv_run(&l->uv, UV_RUN_DEFAULT);
    WC_ASSERT(left == 0); /* every handle was closed */
    wc_aside_release(&l->ws.hub->aside);
    return NULL;
}

/* ---- life ---- */

static int open_handles(struct wc_loop *l)
{
    int st = uv_poll_init(&l->uv, &l->accept, l->opt.listen_fd);
    if (st == 0)
        st = uv_poll_init(&l->uv, &l->wake, wc_mesh_eventfd(l->opt.mesh, l->thread_index));
    if (st == 0)
        st = uv_prepare_init(&l->uv, &l->prepare);
    if (st == 0)
        st = uv_idle_init(&l->uv, &l->busy);
    if (st == 0)
        st = uv_timer_init(&l->uv, &l->tick);
    if (st == 0)
        st = uv_timer_init(&l->uv, &l->hold);
    if (st == 0)
        st = uv_timer_init(&l->uv, &l->presence);
    if (st == 0)
        st = uv_async_init(&l->uv, &l->stop, on_stop);
    if (st == 0)
        st = uv_async_init(&l->uv, &l->space, on_space);
    if (st == 0)
        wc_mesh_on_space(l->opt.mesh, wc_mesh_producer_of_socket(l->opt.mesh, l->thread_index),
                         tell_space, l);
    l->accept.data = l->wake.data = l->prepare.data = l->busy.data = l->tick.data = l->hold.data =
        l->presence.data = l->stop.data = l->space.data = l;
    if (st == 0)
        st = uv_poll_start(&l->wake, UV_READABLE, on_wake);
    if (st == 0)
        st = uv_prepare_start(&l->prepare, on_prepare);
    if (st == 0)
        st = uv_timer_start(&l->tick, on_tick, TICK_MS, 0);
    accept_again(l);
    return st;
}

static enum wc_status open_parts(struct wc_loop *l, struct wc_err *err)
{
    int st = uv_loop_init(&l->uv);
    if (st != 0)
        return wc_err_set(err, WC_IO, "cannot make an event loop: %s", uv_strerror(st));
    l->is_open = true;
    wc_hellos_init(&l->hellos, &l->uv, l->opt.ws.connections);
    l->opt.ws.loop = &l->uv;
    if (wc_ws_open(&l->ws, &l->opt.ws) != WC_OK)
        return wc_err_set(err, WC_NOMEM, "cannot make a libwebsockets context");
    st = open_handles(l);
    if (st != 0)
        return wc_err_set(err, WC_IO, "cannot watch the sockets: %s", uv_strerror(st));
    return WC_OK;
}

struct wc_loop *wc_loop_new(const struct wc_loop_options *opt, struct wc_err *err)
{
    struct wc_loop *l = calloc(1, sizeof *l);
    if (!l) {
        (void)close(opt->listen_fd); /* nothing was received on it */
        (void)wc_err_set(err, WC_NOMEM, "out of memory");
        return NULL;
    }
    l->opt = *opt;
    l->thread_index = opt->ws.hub.thread;
    l->bridges = (UINT64_C(1) << wc_mesh_producer_of_socket(opt->mesh, 0)) - 1;
    if (open_parts(l, err) == WC_OK)
        return l;
    wc_loop_free(l);
    return NULL;
}

enum wc_status wc_loop_start(struct wc_loop *l, struct wc_err *err)
{
    /* Signals are the main thread's. */
    sigset_t all, before;
    (void)sigfillset(&all);
    int e = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (e == 0) {
        e = pthread_create(&l->thread, NULL, run, l);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* the mask was valid before */
    }
    l->is_started = e == 0;
    return e == 0 ? WC_OK : wc_err_set(err, WC_IO, "cannot start a thread: %s", strerror(e));
}

void wc_loop_drain(struct wc_loop *l)
{
    if (l->is_started)
        (void)uv_async_send(&l->stop); /* fails only while its handle closes: then it ends anyway */
}

void wc_loop_stop(struct wc_loop *l, uint32_t deadline_ms)
{
    if (!l->is_started)
        return;
    /* S1 release, with the signal after it. */
    atomic_store_explicit(&l->stop_deadline_ms, deadline_ms, memory_order_release);
    atomic_store_explicit(&l->shall_stop, true, memory_order_release);
    (void)uv_async_send(&l->stop); /* fails only while its handle closes: then it stops anyway */
}

static void release(struct wc_loop *l)
{
    wc_ws_free(&l->ws);
    int e = uv_loop_close(&l->uv);
    WC_ASSERT(e == 0); /* no handle is left */
    l->is_open = false;
}

void wc_loop_join(struct wc_loop *l)
{
    if (!l->is_started)
        return;
    int e = pthread_join(l->thread, NULL);
    WC_ASSERT(e == 0);
    l->is_started = false;
    release(l);
}

/* One that never ran closes its handles here. */
static void run_dry(struct wc_loop *l)
{
    if (l->ws.hub)
        wc_thread_own(&l->ws.hub->owner);
    finish(l);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT); /* what is left over, release asserts */
    release(l);
}

void wc_loop_free(struct wc_loop *l)
{
    if (!l)
        return;
    WC_ASSERT(!l->is_started);
    if (l->is_open)
        run_dry(l);
    (void)close(l->opt.listen_fd); /* nothing was received on it */
    free(l);
}

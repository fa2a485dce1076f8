#include "bridge/tenant/keeper_priv.h"

#include "base/assert.h"
#include "base/log.h"
#include "bridge/tenant/janitor_priv.h"

#include <stdlib.h>
#include <uv.h>

enum {
    TICK_MS = 100,
    TICKS_OF_THE_OTHERS = 10, /* ticks until tenants that are not open are looked at */
};

struct wc_keeper {
    struct wc_tenant_home home;
    struct wc_pg_gate gate;
    struct wc_janitor janitor;
    uv_timer_t tick;
    unsigned ticks;
    bool is_ending;
    struct wc_list known, open, retired; /* seats, by state */
};

/* ---- seats ---- */

void wc_seat_init(struct wc_seat *s, struct wc_tenant *t)
{
    s->tenant = t;
    atomic_init(&s->is_used, false);
    atomic_init(&s->is_open, false);
    wc_list_init(&s->ordered);
    wc_list_init(&s->link);
}

static struct wc_seat *seat_at(struct wc_list *link)
{
    return WC_CONTAINER(link, struct wc_seat, link);
}

static void set_state(struct wc_keeper *k, struct wc_seat *s, enum wc_seat_state state)
{
    bool is_new = s->state == WC_SEAT_NEW;
    WC_ASSERT(s->state != WC_SEAT_RETIRED);
    if (is_new) {
        (void)wc_tenant_view_ref(wc_tenant_view(s->tenant)); /* the list's */
        s->lane.gate = &k->gate;
    }
    wc_janitor_leave(s);
    if (state == WC_SEAT_KNOWN)
        wc_janitor_expect(&k->janitor, s, is_new, wc_clock_mono());
    s->state = state;
    wc_list_remove(&s->link);
    if (state == WC_SEAT_OPEN)
        wc_list_push(&k->open, &s->link);
    else
        wc_list_push(state == WC_SEAT_KNOWN ? &k->known : &k->retired, &s->link);
}

static bool may_be_opened(const struct wc_keeper *k, struct wc_tenant *t)
{
    return !k->is_ending && wc_tenant_has_database(t) && !wc_tenant_view(t)->is_suspended;
}

static void open_tenant(struct wc_keeper *k, struct wc_seat *s)
{
    if (s->state != WC_SEAT_KNOWN || !may_be_opened(k, s->tenant))
        return;
    if (wc_tenant_open(s->tenant, &k->home) != WC_OK) {
        WC_LOG(WC_LOG_ERROR, "tenant", "no_memory", "tenant=%s what=open",
               wc_tenant_name(s->tenant));
        return;
    }
    s->idle_since = wc_clock_mono();
    set_state(k, s, WC_SEAT_OPEN);
    atomic_store_explicit(&s->is_open, true, memory_order_seq_cst); /* T1 */
    WC_LOG(WC_LOG_INFO, "tenant", "opened", "tenant=%s", wc_tenant_name(s->tenant));
}

static void close_tenant(struct wc_keeper *k, struct wc_seat *s, const char *why)
{
    if (s->state != WC_SEAT_OPEN)
        return;
    atomic_store_explicit(&s->is_open, false, memory_order_seq_cst); /* T1 */
    wc_tenant_end_stream(s->tenant);
    wc_tenant_close(s->tenant);
    set_state(k, s, WC_SEAT_KNOWN);
    WC_LOG(WC_LOG_INFO, "tenant", "closed", "tenant=%s why=%s", wc_tenant_name(s->tenant), why);
}

/* All its connections end. Channels that are subscribed want the database at once again. */
static void let_go(struct wc_keeper *k, struct wc_seat *s)
{
    struct wc_tenant *t = s->tenant;
    if (s->state != WC_SEAT_OPEN)
        return;
    struct wc_subs_requests all = wc_subs_requests(wc_tenant_subs(t), wc_tenant_view(t));
    if (!all.is_complete) /* their channels stay, without changes, until they join again */
        WC_LOG(WC_LOG_ERROR, "tenant", "no_memory", "tenant=%s what=subscriptions",
               wc_tenant_name(t));
    close_tenant(k, s, "told");
    if (all.count)
        open_tenant(k, s);
    for (size_t i = 0; i < all.count; i++) {
        if (s->state == WC_SEAT_OPEN)
            wc_subs_add(wc_tenant_subs(t), all.request[i]);
        else
            wc_subscribe_free(all.request[i]);
    }
    free(all.request);
}

/* ---- its clients ---- */

static void disconnect(struct wc_keeper *k, struct wc_tenant *t)
{
    struct wc_msg *m = wc_msg_new(WC_MSG_DISCONNECT, wc_slice(NULL, 0));
    uint64_t all = k->home.sockets == 64 ? UINT64_MAX : (UINT64_C(1) << k->home.sockets) - 1;
    if (m) {
        m->tenant = wc_tenant_view(t)->id;
        if (wc_publish(k->home.publisher, WC_ORIGIN_BRIDGE, m, all) == WC_OK)
            return;
    }
    WC_LOG(WC_LOG_ERROR, "tenant", "no_memory", "tenant=%s what=disconnect", wc_tenant_name(t));
}

static void retire(struct wc_keeper *k, struct wc_seat *s)
{
    if (s->state == WC_SEAT_RETIRED)
        return;
    close_tenant(k, s, "replaced");
    disconnect(k, s->tenant);
    set_state(k, s, WC_SEAT_RETIRED);
}

static bool is_last_reference(struct wc_tenant *t)
{
    /* Nobody finds it any more, so that the count only falls. Acquire: what the others did with it
     * happened before it is freed. */
    return atomic_load_explicit(&wc_tenant_view(t)->refs, memory_order_acquire) == 1;
}

static void look_at_retired(struct wc_keeper *k)
{
    WC_LIST_EACH_SAFE (it, &k->retired) {
        struct wc_seat *s = seat_at(it);
        if (!is_last_reference(s->tenant)) {
            disconnect(k, s->tenant);
            continue;
        }
        if (!wc_tenant_is_quiet(s->tenant))
            continue;
        wc_list_remove(&s->link);
        wc_tenant_view_unref(wc_tenant_view(s->tenant));
    }
}

/* ---- idleness ---- */

static bool is_used(struct wc_seat *s)
{
    bool was_used = atomic_exchange_explicit(&s->is_used, false, memory_order_seq_cst); /* T1 */
    return was_used || wc_quota_users(wc_tenant_view(s->tenant)->quota) > 0;
}

static void look_at_open(struct wc_keeper *k, struct wc_seat *s, wc_us now)
{
    const struct wc_tenant_options *o = wc_tenant_options(s->tenant);
    wc_tenant_tick(s->tenant);
    if (is_used(s))
        s->idle_since = now;
    if (o->always_open || now - s->idle_since < (wc_us)o->idle_close_ms * 1000)
        return;
    close_tenant(k, s, "idle");
    if (is_used(s)) /* by somebody who still saw it open */
        open_tenant(k, s);
}

static void look_at_known(struct wc_keeper *k, wc_us now)
{
    WC_LIST_EACH_SAFE (it, &k->known) {
        struct wc_seat *s = seat_at(it);
        wc_quota_tick(wc_tenant_view(s->tenant)->quota, now);
        if (!may_be_opened(k, s->tenant) || !wc_janitor_come_by(&k->janitor, s, now))
            continue;
        wc_list_remove(it);
        wc_list_push(&k->known, it);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct wc_keeper *k = timer->data;
    wc_us now = wc_clock_mono();
    bool is_turn_of_others = ++k->ticks % TICKS_OF_THE_OTHERS == 0;
    WC_LIST_EACH_SAFE (it, &k->open) {
        wc_quota_tick(wc_tenant_view(seat_at(it)->tenant)->quota, now);
        look_at_open(k, seat_at(it), now);
    }
    if (is_turn_of_others) {
        look_at_known(k, now);
        look_at_retired(k);
    }
    wc_publisher_flush(k->home.publisher);
}

/* ---- what it is told ---- */

void wc_keeper_obey(struct wc_keeper *k, struct wc_tenant *t, unsigned orders)
{
    struct wc_seat *s = wc_tenant_seat(t);
    if (s->state == WC_SEAT_RETIRED)
        return;
    if (s->state == WC_SEAT_NEW)
        set_state(k, s, WC_SEAT_KNOWN);
    if (orders & WC_BRIDGE_RETIRE) {
        retire(k, s);
        return;
    }
    if (orders & WC_BRIDGE_DISCONNECT)
        disconnect(k, t);
    if (orders & WC_BRIDGE_DISCONNECT && orders & WC_BRIDGE_LET_GO)
        close_tenant(k, s, "told"); /* its channels end, too */
    else if (orders & WC_BRIDGE_LET_GO)
        let_go(k, s);
    if (orders & WC_BRIDGE_OPEN || wc_tenant_options(t)->always_open)
        open_tenant(k, s);
}

bool wc_keeper_want(struct wc_keeper *k, struct wc_tenant *t)
{
    struct wc_seat *s = wc_tenant_seat(t);
    if (s->state == WC_SEAT_NEW)
        set_state(k, s, WC_SEAT_KNOWN);
    s->idle_since = wc_clock_mono();
    open_tenant(k, s);
    return s->state == WC_SEAT_OPEN;
}

bool wc_tenant_is_open(struct wc_tenant *t)
{
    /* Relaxed: for who only tells. */
    return atomic_load_explicit(&wc_tenant_seat(t)->is_open, memory_order_relaxed);
}

bool wc_keeper_is_open(struct wc_tenant *t)
{
    return wc_tenant_seat(t)->state == WC_SEAT_OPEN;
}

void wc_keeper_resume(struct wc_keeper *k)
{
    struct wc_list waiting;
    wc_list_init(&waiting);
    wc_list_move_all(&k->open, &waiting);
    while (!wc_list_is_empty(&waiting) && !wc_publisher_is_backlogged(k->home.publisher)) {
        struct wc_list *first = waiting.next;
        wc_list_remove(first);
        wc_list_push(&k->open, first);
        wc_tenant_resume(seat_at(first)->tenant);
    }
    wc_list_move_all(&k->open, &waiting); /* who had no turn comes first the next time */
    wc_list_move_all(&waiting, &k->open);
}

/* ---- the end ---- */

void wc_keeper_drain(struct wc_keeper *k)
{
    k->is_ending = true;
    WC_LIST_EACH (it, &k->open) {
        wc_tenant_drain(seat_at(it)->tenant);
    }
}

bool wc_keeper_is_drained(struct wc_keeper *k)
{
    bool all = true;
    WC_LIST_EACH (it, &k->open) {
        all &= wc_tenant_is_drained(seat_at(it)->tenant);
    }
    return all;
}

void wc_keeper_end_streams(struct wc_keeper *k)
{
    WC_LIST_EACH (it, &k->open) {
        wc_tenant_end_stream(seat_at(it)->tenant);
    }
}

static void forget_all(struct wc_list *seats)
{
    WC_LIST_EACH_SAFE (it, seats) {
        wc_list_remove(it);
        wc_janitor_leave(seat_at(it));
        wc_tenant_view_unref(wc_tenant_view(seat_at(it)->tenant));
    }
}

void wc_keeper_close(struct wc_keeper *k)
{
    k->is_ending = true;
    WC_LIST_EACH_SAFE (it, &k->open) {
        wc_tenant_close(seat_at(it)->tenant);
    }
    forget_all(&k->open);
    forget_all(&k->known);
    forget_all(&k->retired);
    uv_close((uv_handle_t *)&k->tick, NULL);
}

struct wc_keeper *wc_keeper_new(const struct wc_tenant_home *home)
{
    struct wc_keeper *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->home = *home;
    k->janitor.loop = home->loop;
    wc_pg_gate_init(&k->gate);
    wc_list_init(&k->known);
    wc_list_init(&k->open);
    wc_list_init(&k->retired);
    (void)uv_timer_init(home->loop, &k->tick); /* cannot fail */
    k->tick.data = k;
    (void)uv_timer_start(&k->tick, on_tick, TICK_MS, TICK_MS); /* valid handle and callback */
    return k;
}

void wc_keeper_employ(struct wc_keeper *k, const struct wc_janitor_options *janitor)
{
    k->janitor.opt = *janitor;
}

void wc_keeper_free(struct wc_keeper *k)
{
    if (!k)
        return;
    WC_ASSERT(uv_is_closing((uv_handle_t *)&k->tick));
    free(k);
}

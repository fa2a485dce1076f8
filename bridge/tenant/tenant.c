#include "bridge/tenant/options_priv.h"
#include "bridge/tenant/seat_priv.h"

#include "base/assert.h"
#include "base/log.h"
#include "bridge/authz/authz.h"
#include "bridge/messages/messages.h"
#include "bridge/migrate/upkeep.h"
#include "bridge/tenant/bridge.h"
#include "decoder/copyboth.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum {
    SHARE_BYTES = 16 << 20,  /* under way to one socket thread; a few of the largest changes */
    MAX_RELATIONS = 65536,   /* relations one stream may describe; about 200 MiB at 100 columns */
    AUDIENCE_BITS = 40,      /* audience numbers of one tenant */
    UPKEEP_MS = 4 * 3600000, /* partitions are made for a week */
};

struct wc_tenant {
    struct wc_tenant_view view;
    struct wc_tenant_options opt; /* strings owned */
    struct wc_keyset *keys;
    struct wc_bridge *bridge;
    struct wc_seat seat;

    /* the bridge thread's, between open and close */
    uv_loop_t *loop;
    struct wc_publisher *publisher;
    struct wc_subs *subs;
    struct wc_repl *repl;
    struct wc_authz *authz;
    struct wc_pg_lane lane;
    struct wc_share *share; /* from the first time it is opened on */
    struct wc_messages *messages;
    struct wc_upkeep *upkeep;
    uv_timer_t *grace;
    uint64_t next_audience; /* when it is opened again */
    bool stalled;           /* an event was refused because the rings are full */
    wc_lsn progress;
    struct wc_publisher_mark mark; /* permanent slot: reached means mark_lsn may be confirmed */
    wc_lsn mark_lsn;
    bool marked;
    bool is_draining;
    struct wc_publisher_mark last; /* all that it will ever publish of the stream */

    _Atomic bool is_replicating; /* written by the bridge thread, read by any; says nothing else */
    pthread_mutex_t lock;        /* guards status */
    struct wc_repl_status status;
};

/* ---- confirmation ---- */

static bool is_permanent(const struct wc_tenant *t)
{
    return t->opt.slot_name[0] != '\0';
}

static void confirm_popped(struct wc_tenant *t)
{
    if (t->marked && wc_publisher_reached(t->publisher, &t->mark)) {
        wc_repl_confirm(t->repl, t->mark_lsn);
        t->marked = false;
    }
    if (!t->marked && t->progress > t->mark_lsn) {
        wc_publisher_mark(t->publisher, &t->mark);
        t->mark_lsn = t->progress;
        t->marked = true;
    }
}

static void confirm(struct wc_tenant *t)
{
    if (is_permanent(t))
        confirm_popped(t);
    else if (!wc_publisher_is_backlogged(t->publisher))
        wc_repl_confirm(t->repl, t->progress);
}

/* ---- the stream's events ---- */

static bool on_wants(void *self, const struct wc_rel *rel)
{
    struct wc_tenant *t = self;
    return wc_messages_are_in(rel) || wc_subs_wants(t->subs, rel);
}

/* realtime.messages is in the stream for the broadcasts; who has subscribed to every table gets its
 * changes only if an application's publication holds it. */
static bool is_for_subscribers(const struct wc_tenant *t, const struct wc_rel *rel)
{
    return !wc_messages_are_in(rel) || wc_subs_publishes(t->subs, rel->oid);
}

/* There is no room, in the rings or in its share of them; it is woken when there is. */
static bool is_stuck(struct wc_tenant *t)
{
    return wc_publisher_is_backlogged(t->publisher) || wc_share_is_full(t->share);
}

static bool is_backlogged(struct wc_tenant *t)
{
    bool is = is_stuck(t);
    t->stalled |= is;
    return is;
}

static enum wc_status on_change(struct wc_tenant *t, const struct wc_change *change,
                                const struct wc_change_key *key)
{
    if (is_backlogged(t))
        return WC_AGAIN;
    if (wc_messages_are_in(change->rel))
        wc_messages_change(t->messages, change, key->commit_lsn, key->ordinal);
    if (!is_for_subscribers(t, change->rel))
        return WC_OK;
    return wc_subs_change(t->subs, change, key->ordinal);
}

static enum wc_status on_message(struct wc_tenant *t, const struct wc_event *ev,
                                 const struct wc_change_key *key)
{
    if (is_backlogged(t))
        return WC_AGAIN;
    return wc_messages_logical(t->messages, ev, key->commit_lsn, key->ordinal);
}

static enum wc_status on_event(void *self, const struct wc_event *ev,
                               const struct wc_change_key *key)
{
    struct wc_tenant *t = self;
    if (t->is_draining)
        return WC_AGAIN;
    switch (ev->kind) {
    case WC_EVENT_BEGIN:
        wc_subs_begin(t->subs, ev->begin.final_lsn, ev->begin.xid, ev->begin.commit_time);
        wc_messages_begin(t->messages, ev->begin.xid, ev->begin.commit_time + WC_PG_EPOCH_US);
        return WC_OK;
    case WC_EVENT_RELATION:
        return is_for_subscribers(t, ev->relation) ? wc_subs_relation(t->subs, ev->relation)
                                                   : WC_OK;
    case WC_EVENT_CHANGE: return on_change(t, &ev->change, key);
    case WC_EVENT_MESSAGE: return on_message(t, ev, key);
    case WC_EVENT_COMMIT:
    case WC_EVENT_ORIGIN:
    case WC_EVENT_TYPE:
    case WC_EVENT_TRUNCATE: return WC_OK;
    }
    return WC_OK;
}

static void on_progress(void *self, wc_lsn position)
{
    struct wc_tenant *t = self;
    wc_subs_progress(t->subs, position);
    t->progress = wc_subs_delivered(t->subs);
}

static void on_batch_end(void *self)
{
    struct wc_tenant *t = self;
    wc_subs_batch_end(t->subs);
    wc_publisher_flush(t->publisher);
    confirm(t);
}

static void set_status(struct wc_tenant *t, const struct wc_repl_status *status)
{
    (void)pthread_mutex_lock(&t->lock); /* cannot fail: a plain mutex */
    t->status = *status;
    (void)pthread_mutex_unlock(&t->lock);
}

static void publish_status(struct wc_tenant *t)
{
    struct wc_repl_status status;
    wc_repl_status(t->repl, &status);
    atomic_store_explicit(&t->is_replicating, status.has_messages, memory_order_relaxed);
    set_status(t, &status);
}

static void on_state(void *self, enum wc_repl_state state, bool new_epoch)
{
    struct wc_tenant *t = self;
    enum wc_subs_stream stream = WC_SUBS_STREAM_DOWN;
    if (state == WC_REPL_STREAMING)
        stream = WC_SUBS_STREAM_UP;
    else if (state == WC_REPL_WAITING)
        stream = WC_SUBS_STREAM_WAITING;
    if (stream != WC_SUBS_STREAM_UP) {
        t->marked = t->stalled = false;
        t->progress = t->mark_lsn = 0;
    }
    if (stream == WC_SUBS_STREAM_UP && new_epoch)
        wc_messages_begin_epoch(t->messages);
    wc_subs_stream(t->subs, stream, new_epoch);
    publish_status(t);
}

/* ---- subscriptions' hooks ---- */

static void on_resume(void *self)
{
    struct wc_tenant *t = self;
    wc_repl_resume(t->repl);
}

static void on_moved(void *self)
{
    struct wc_tenant *t = self;
    if (wc_repl_state(t->repl) != WC_REPL_STREAMING)
        return;
    t->progress = wc_subs_delivered(t->subs);
    confirm(t);
}

static void on_failed(void *self, enum wc_status st)
{
    struct wc_tenant *t = self;
    wc_repl_break(t->repl, "", wc_status_text(st));
}

static void on_taken_back(void *self, wc_lsn commit_lsn, uint64_t ordinal, wc_lsn passed)
{
    struct wc_tenant *t = self;
    const struct wc_change_key from = {commit_lsn, ordinal};
    wc_repl_take_back(t->repl, &from, passed);
}

static void on_give_up(void *self)
{
    struct wc_tenant *t = self;
    wc_repl_break(t->repl, "57P03", "the server is shutting down and cannot be asked who may read");
}

static void on_server_at(void *self, wc_lsn position)
{
    struct wc_tenant *t = self;
    wc_repl_server_at(t->repl, position);
}

static void on_grace_over(uv_timer_t *timer)
{
    struct wc_tenant *t = timer->data;
    wc_repl_go(t->repl);
}

static void on_standing(void *self)
{
    struct wc_tenant *t = self;
    if (wc_repl_state(t->repl) != WC_REPL_WAITING || uv_is_active((uv_handle_t *)t->grace))
        return;
    WC_LOG(WC_LOG_INFO, "tenant", "resuming", "tenant=%s in_ms=%u", t->opt.external_id,
           t->opt.resume_grace_ms);
    (void)uv_timer_start(t->grace, on_grace_over, t->opt.resume_grace_ms, 0); /* valid handle */
}

void wc_tenant_drain(struct wc_tenant *t)
{
    if (t->is_draining)
        return;
    t->is_draining = true;
    wc_subs_drain(t->subs);
    wc_publisher_flush(t->publisher);
    wc_publisher_mark(t->publisher, &t->last);
}

bool wc_tenant_is_quiet(struct wc_tenant *t)
{
    return !t->share || wc_share_is_idle(t->share);
}

bool wc_tenant_is_drained(struct wc_tenant *t)
{
    if (!wc_publisher_reached(t->publisher, &t->last) || !wc_tenant_is_quiet(t))
        return false;
    if (t->repl && wc_repl_state(t->repl) == WC_REPL_STREAMING)
        wc_repl_confirm(t->repl, t->progress);
    return true;
}

void wc_tenant_resume(struct wc_tenant *t)
{
    if (t->is_draining || is_stuck(t))
        return;
    wc_subs_go_on(t->subs);
    if (!t->stalled)
        return;
    t->stalled = false;
    wc_repl_resume(t->repl);
}

/* ---- life cycle ---- */

/* The checks go to the same database. */
static void complete_judge(struct wc_tenant_options *o)
{
    struct wc_pg_options pg = o->pg;
    pg.user = o->judge.pg.user;
    pg.password = o->judge.pg.password;
    o->judge.pg = pg;
    o->judge.tenant = o->external_id;
}

/* The last reference is gone: nobody has it open. */
static void free_view(struct wc_tenant_view *v)
{
    struct wc_tenant *t = v->owner;
    WC_ASSERT(!t->repl && !t->subs);
    wc_keyset_free(t->keys);
    wc_quota_free(t->view.quota);
    wc_share_free(t->share);
    wc_tenant_options_release(&t->opt);
    (void)pthread_mutex_destroy(&t->lock); /* nobody holds it */
    free(t);
}

struct wc_tenant *wc_tenant_new(const struct wc_tenant_options *options, uint64_t number)
{
    struct wc_tenant *t = calloc(1, sizeof *t);
    if (!t) {
        wc_keyset_free(options->keys);
        return NULL;
    }
    bool copied = wc_tenant_options_copy(&t->opt, options);
    complete_judge(&t->opt);
    t->keys = options->keys;
    struct wc_quota *quota = wc_quota_new(options->producers, &options->limits);
    if (!copied || !quota) {
        wc_tenant_options_release(&t->opt);
        wc_keyset_free(t->keys);
        wc_quota_free(quota);
        free(t);
        return NULL;
    }
    t->view = (struct wc_tenant_view){.refs = 1,
                                      .id = number,
                                      .external_id = t->opt.external_id,
                                      .keys = t->keys,
                                      .quota = quota,
                                      .is_suspended = options->is_suspended,
                                      .private_only = options->private_only,
                                      .free = free_view,
                                      .owner = t};
    t->next_audience = number << AUDIENCE_BITS;
    wc_seat_init(&t->seat, t);
    (void)pthread_mutex_init(&t->lock, NULL); /* cannot fail with default attributes */
    return t;
}

void wc_tenant_set_limits(struct wc_tenant *t, const struct wc_tenant_limits *limits)
{
    wc_quota_set_limits(t->view.quota, limits);
}

struct wc_tenant_view *wc_tenant_view(struct wc_tenant *t)
{
    return &t->view;
}

const char *wc_tenant_name(const struct wc_tenant *t)
{
    return t->opt.external_id;
}

const struct wc_tenant_options *wc_tenant_options(const struct wc_tenant *t)
{
    return &t->opt;
}

struct wc_seat *wc_tenant_seat(struct wc_tenant *t)
{
    return &t->seat;
}

bool wc_tenant_has_database(const struct wc_tenant *t)
{
    return t->opt.pg.host[0] != '\0';
}

void wc_tenant_authorize(struct wc_tenant *t, struct wc_publisher *publisher,
                         struct wc_authorize *a)
{
    if (t->authz) {
        wc_authz_ask(t->authz, a);
        return;
    }
    struct wc_msg *m = wc_msg_new(WC_MSG_PERMISSIONS, wc_slice(NULL, 0));
    if (m) {
        m->handle = a->handle;
        m->is_call = a->is_call;
        m->question = a->question;
        m->error = WC_AUTHORIZE_UNAVAILABLE;
    }
    if (!m || wc_publish(publisher, WC_ORIGIN_BRIDGE, m, UINT64_C(1) << a->handle.thread) != WC_OK)
        WC_LOG(WC_LOG_ERROR, "tenant", "no_memory", "tenant=%s what=answer", t->opt.external_id);
    wc_authorize_free(a);
}

struct wc_subs *wc_tenant_subs(struct wc_tenant *t)
{
    return t->subs;
}

void wc_tenant_set_bridge(struct wc_tenant *t, struct wc_bridge *b)
{
    t->bridge = b;
}

struct wc_bridge *wc_tenant_bridge(const struct wc_tenant *t)
{
    return t->bridge;
}

bool wc_tenant_is_replicating(const struct wc_tenant *t)
{
    return atomic_load_explicit(&t->is_replicating, memory_order_relaxed);
}

void wc_tenant_status(struct wc_tenant *t, struct wc_repl_status *out)
{
    (void)pthread_mutex_lock(&t->lock); /* cannot fail: a plain mutex */
    *out = t->status;
    (void)pthread_mutex_unlock(&t->lock);
}

static void tell_why_it_waits(struct wc_tenant *t)
{
    char text[400];
    if (t->status.blocked_by.kind == WC_REPL_NOT_BLOCKED)
        return;
    (void)snprintf(text, sizeof text, "Not subscribed to PostgreSQL yet: %s; %s", t->status.error,
                   t->status.hint ? t->status.hint : "wait");
    wc_subs_stream_waits(t->subs, wc_slice_str(text));
}

void wc_tenant_tick(struct wc_tenant *t)
{
    if (wc_repl_state(t->repl) == WC_REPL_STREAMING)
        confirm(t);
    publish_status(t);
    tell_why_it_waits(t);
}

static uv_timer_t *make_timer(struct wc_tenant *t)
{
    uv_timer_t *timer = malloc(sizeof *timer);
    if (!timer)
        return NULL;
    (void)uv_timer_init(t->loop, timer); /* cannot fail */
    timer->data = t;
    return timer;
}

static void on_timer_closed(uv_handle_t *h)
{
    free(h);
}

static bool open_stream(struct wc_tenant *t)
{
    static const struct wc_repl_handler handler = {.wants = on_wants,
                                                   .on_event = on_event,
                                                   .on_progress = on_progress,
                                                   .on_batch_end = on_batch_end,
                                                   .on_state = on_state};
    const struct wc_repl_options o = {.pg = t->opt.pg,
                                      .tenant = t->opt.external_id,
                                      .slot_name = t->opt.slot_name,
                                      .publications = t->opt.publications,
                                      .messages_publication = t->opt.messages_publication,
                                      .status_interval_ms = t->opt.status_interval_ms,
                                      .max_rels = MAX_RELATIONS};
    t->repl = wc_repl_new(t->loop, &o, &handler, t);
    return t->repl != NULL;
}

static bool open_subs(struct wc_tenant *t)
{
    static const struct wc_subs_hooks hooks = {.resume = on_resume,
                                               .moved = on_moved,
                                               .failed = on_failed,
                                               .taken_back = on_taken_back,
                                               .standing = on_standing,
                                               .give_up = on_give_up,
                                               .server_at = on_server_at};
    const struct wc_subs_options o = {.pg = t->opt.pg,
                                      .tenant = t->opt.external_id,
                                      .publications = t->opt.publications,
                                      .first_audience = t->next_audience,
                                      .quota = t->view.quota,
                                      .share = t->share,
                                      .freshness_ms = t->opt.freshness_ms,
                                      .max_bindings = t->opt.max_bindings,
                                      .max_record_bytes = t->opt.max_record_bytes,
                                      .judge = t->opt.judge,
                                      .withhold_deletes = t->opt.withhold_deletes};
    t->subs = wc_subs_new(t->loop, &o, t->publisher, &hooks, t);
    return t->subs != NULL;
}

/* The same search_path as where other policies are asked. */
static bool open_authz(struct wc_tenant *t)
{
    const struct wc_authz_options o = {.pg = t->opt.pg,
                                       .tenant = t->opt.external_id,
                                       .search_path = t->opt.judge.search_path,
                                       .pool = t->opt.pool,
                                       .times = wc_authz_times};
    t->authz = wc_authz_new(t->loop, &o, t->publisher);
    return t->authz != NULL;
}

static bool open_messages(struct wc_tenant *t)
{
    const struct wc_messages_options o = {.tenant = t->opt.external_id,
                                          .loop = t->loop,
                                          .pg = t->opt.pg,
                                          .has_permanent_slot = is_permanent(t),
                                          .resume = on_resume,
                                          .arg = t,
                                          .tenant_number = t->view.id,
                                          .quota = t->view.quota,
                                          .share = t->share,
                                          .rooms = wc_bridge_rooms(t->bridge),
                                          .publisher = t->publisher};
    t->messages = wc_messages_new(&o);
    return t->messages != NULL;
}

static bool open_upkeep(struct wc_tenant *t)
{
    const struct wc_upkeep_options o = {.pg = t->opt.pg,
                                        .tenant = t->opt.external_id,
                                        .makes_objects = t->opt.auto_migrate,
                                        .every_ms = UPKEEP_MS};
    t->upkeep = wc_upkeep_new(t->loop, &o);
    return t->upkeep != NULL;
}

/* It is kept when the tenant closes: messages may be under way. */
static bool open_share(struct wc_tenant *t, const struct wc_tenant_home *home)
{
    const struct wc_share_options o = {.tenant = t->view.id,
                                       .sockets = home->sockets,
                                       .messages = home->ring_entries / 2,
                                       .bytes = SHARE_BYTES,
                                       .wake = home->wake,
                                       .arg = home->arg};
    if (!t->share)
        t->share = wc_share_new(&o);
    return t->share != NULL;
}

enum wc_status wc_tenant_open(struct wc_tenant *t, const struct wc_tenant_home *home)
{
    t->lane.gate = home->gate;
    t->opt.pg.lane = t->opt.judge.pg.lane = &t->lane;
    t->loop = home->loop;
    t->publisher = home->publisher;
    t->stalled = t->marked = t->is_draining = false;
    t->progress = t->mark_lsn = 0;
    t->grace = make_timer(t);
    if (!t->grace || !open_share(t, home) || !open_subs(t) || !open_authz(t) || !open_messages(t) ||
        !open_upkeep(t) || !open_stream(t)) {
        wc_tenant_close(t);
        return WC_NOMEM;
    }
    publish_status(t);
    return WC_OK;
}

void wc_tenant_end_stream(struct wc_tenant *t)
{
    if (!t->repl)
        return;
    if (wc_repl_state(t->repl) == WC_REPL_STREAMING)
        confirm(t);
    wc_repl_stop(t->repl);
}

void wc_tenant_close(struct wc_tenant *t)
{
    wc_repl_free(t->repl);
    t->repl = NULL;
    if (t->subs)
        t->next_audience = wc_subs_next_audience(t->subs);
    wc_subs_free(t->subs);
    t->subs = NULL;
    wc_authz_free(t->authz);
    t->authz = NULL;
    wc_upkeep_free(t->upkeep);
    t->upkeep = NULL;
    wc_messages_free(t->messages);
    t->messages = NULL;
    atomic_store_explicit(&t->is_replicating, false, memory_order_relaxed);
    if (t->grace)
        uv_close((uv_handle_t *)t->grace, on_timer_closed);
    t->grace = NULL;
    set_status(t, &(struct wc_repl_status){.state = WC_REPL_DOWN});
}

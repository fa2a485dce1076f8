#include "bridge/tenant/tenant_priv.h"

#include "base/assert.h"
#include "base/log.h"
#include "bridge/tenant/bridge.h"
#include "bridge/tenant/options_priv.h"

#include <stdlib.h>

enum {
    SHARE_BYTES = 16 << 20,  /* under way to one socket thread; a few of the largest changes */
    AUDIENCE_BITS = 40,      /* audience numbers of one tenant */
    UPKEEP_MS = 4 * 3600000, /* partitions are made for a week */
};

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
    t->opt.pg.lane = t->opt.judge.pg.lane = &t->seat.lane;
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

void wc_tenant_set_status(struct wc_tenant *t, const struct wc_repl_status *status)
{
    (void)pthread_mutex_lock(&t->lock); /* cannot fail: a plain mutex */
    t->status = *status;
    (void)pthread_mutex_unlock(&t->lock);
}

void wc_tenant_publish_status(struct wc_tenant *t)
{
    struct wc_repl_status status;
    wc_repl_status(t->repl, &status);
    atomic_store_explicit(&t->is_replicating, status.has_messages, memory_order_relaxed);
    wc_tenant_set_status(t, &status);
}

void wc_tenant_status(struct wc_tenant *t, struct wc_repl_status *out)
{
    (void)pthread_mutex_lock(&t->lock); /* cannot fail: a plain mutex */
    *out = t->status;
    (void)pthread_mutex_unlock(&t->lock);
}

void wc_tenant_set_report(struct wc_tenant *t, struct wc_report *report)
{
    (void)pthread_mutex_lock(&t->lock); /* cannot fail: a plain mutex */
    struct wc_report *before = t->report;
    t->report = report;
    (void)pthread_mutex_unlock(&t->lock);
    wc_report_free(before);
}

void wc_tenant_report(struct wc_tenant *t, void (*fn)(void *arg, const struct wc_report *),
                      void *arg)
{
    (void)pthread_mutex_lock(&t->lock); /* cannot fail: a plain mutex */
    if (t->report)
        fn(arg, t->report);
    (void)pthread_mutex_unlock(&t->lock);
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
                                          .has_permanent_slot = wc_tenant_is_permanent(t),
                                          .resume = wc_tenant_stream_resume,
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
    t->loop = home->loop;
    t->publisher = home->publisher;
    if (!open_share(t, home) || !wc_tenant_open_subs(t) || !open_authz(t) || !open_messages(t) ||
        !open_upkeep(t) || !wc_tenant_open_stream(t)) {
        wc_tenant_close(t);
        return WC_NOMEM;
    }
    wc_tenant_publish_status(t);
    return WC_OK;
}

void wc_tenant_close(struct wc_tenant *t)
{
    wc_tenant_close_stream(t);
    wc_tenant_set_report(t, NULL);
    wc_authz_free(t->authz);
    t->authz = NULL;
    wc_upkeep_free(t->upkeep);
    t->upkeep = NULL;
    wc_messages_free(t->messages);
    t->messages = NULL;
    atomic_store_explicit(&t->is_replicating, false, memory_order_relaxed);
    wc_tenant_set_status(t, &(struct wc_repl_status){.state = WC_REPL_DOWN});
}

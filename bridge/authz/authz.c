/* What waits for an answer, and for how long. */
#include "bridge/authz/authz_priv.h"

#include "base/assert.h"
#include "base/metrics.h"
#include "bridge/pg/policy.h"
#include "fanout/quota.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    QUEUE_MAX = 4096,
    LATE_MS = 30000,                                         /* protocol reference 8.2 */
    LOOKS = 20,                                              /* at what waits, within queue_ms */
    UNSEEN_CAP = WC_AUTHZ_STREAMED * WC_AUTHZ_XID_SIZE + 16, /* and the NULs of four texts */
    OPTIONS_CAP = 16 << 10,
    HELD_TICK_MS = 5,
    HELD_MIN_US = 3000, /* between two looks for what is not visible yet */
    HELD_MAX_US = 200000,
};

/* Two statements at most count in a question, so answer_ms leaves a slow one its error. */
const struct wc_authz_times wc_authz_times = {.statement_ms = 5000,
                                              .replay_ms = 5000,
                                              .queue_ms = 5000,
                                              .answer_ms = 15000,
                                              .idle_ms = 60000,
                                              .retry_ms = 5000};

/* ---- answers ---- */

static const enum wc_metric metric_of[] = {
    [WC_AUTHORIZE_OK] = WC_M_AUTHORIZED,
    [WC_AUTHORIZE_POLICY] = WC_M_AUTHORIZE_POLICY,
    [WC_AUTHORIZE_CANCELED] = WC_M_AUTHORIZE_CANCELED,
    [WC_AUTHORIZE_NO_PARTITION] = WC_M_AUTHORIZE_NO_PARTITION,
    [WC_AUTHORIZE_POOL] = WC_M_AUTHORIZE_POOL,
    [WC_AUTHORIZE_UNAVAILABLE] = WC_M_AUTHORIZE_UNAVAILABLE,
    [WC_AUTHORIZE_CONNECTIONS] = WC_M_AUTHORIZE_CONNECTIONS,
    [WC_AUTHORIZE_CONNECT_RATE] = WC_M_AUTHORIZE_CONNECT_RATE,
    [WC_AUTHORIZE_REPLAY] = WC_M_AUTHORIZE_REPLAY,
};

static void publish(struct wc_authz *az, const struct wc_authorize *a, unsigned permissions,
                    enum wc_authorize_error error, struct wc_replay *replay)
{
    struct wc_msg *m = wc_msg_new(WC_MSG_PERMISSIONS, wc_slice(NULL, 0));
    if (m) {
        m->handle = a->handle;
        m->question = a->question;
        m->is_call = a->is_call;
        m->permissions = permissions;
        m->error = error;
        m->replay = replay;
    } else {
        free(replay);
    }
    if (!m ||
        wc_publish(az->publisher, WC_ORIGIN_BRIDGE, m, UINT64_C(1) << a->handle.thread) != WC_OK)
        WC_LOG(WC_LOG_ERROR, "authz", "no_memory", "tenant=%s what=answer", az->opt.tenant);
    wc_publisher_flush(az->publisher);
}

/* How long it took to judge, and then to read what is replayed. */
static void count_time(const struct wc_authz_question *q)
{
    enum { READ = WC_MAY_READ_BROADCAST | WC_MAY_READ_PRESENCE };
    const struct wc_authorize *a = q->asked;
    struct wc_tenant_metrics *t = wc_quota_metrics(a->tenant->quota);
    unsigned producer = wc_publisher_producer(q->authz->publisher);
    wc_us now = wc_clock_mono(), judged = q->replay_since ? q->replay_since : now;
    if (a->ask & READ)
        wc_tenant_metric_observe(t, producer, WC_TH_READ_CHECK, (uint64_t)(judged - q->since));
    if (a->ask & ~(unsigned)READ)
        wc_tenant_metric_observe(t, producer, WC_TH_WRITE_CHECK, (uint64_t)(judged - q->since));
    if (q->replay_since)
        wc_tenant_metric_observe(t, producer, WC_TH_REPLAY, (uint64_t)(now - q->replay_since));
}

void wc_authz_answer(struct wc_authz_question *q, unsigned permissions,
                     enum wc_authorize_error error, struct wc_replay *replay)
{
    struct wc_authz *az = q->authz;
    if (!q->asked) {
        free(replay);
        return;
    }
    wc_metric_add(metric_of[error], 1);
    wc_metric_add(WC_M_AUTHORIZE_US, wc_clock_mono() - q->since);
    if (error == WC_AUTHORIZE_OK)
        count_time(q);
    publish(az, q->asked, permissions, error, replay);
    wc_authorize_free(q->asked);
    q->asked = NULL;
    wc_list_remove(&q->all);
    if (q->conn)
        return;
    wc_list_remove(&q->link);
    az->nqueue--;
    free(q);
}

static void leave_connection(struct wc_authz_question *q)
{
    wc_list_remove(&q->link);
    q->conn->nsent--;
    q->conn->since = wc_clock_mono();
    q->conn = NULL;
    q->authz->late = 0;
}

void wc_authz_done(struct wc_authz_question *q)
{
    struct wc_authz *az = q->authz;
    leave_connection(q);
    free(q);
    wc_authz_pump(az);
}

/* In front of all that wait: its turn has come before. */
static void on_held(uv_timer_t *timer)
{
    struct wc_authz *az = timer->data;
    wc_us now = wc_clock_mono();
    WC_LIST_EACH_SAFE (it, &az->held) {
        struct wc_authz_question *q = WC_CONTAINER(it, struct wc_authz_question, link);
        if (q->again_at > now)
            continue;
        wc_list_remove(&q->link);
        wc_list_push(az->queue.next, &q->link);
    }
    if (wc_list_is_empty(&az->held))
        (void)uv_timer_stop(timer); /* cannot fail */
    wc_authz_pump(az);
}

void wc_authz_hold(struct wc_authz_question *q)
{
    struct wc_authz *az = q->authz;
    wc_us now = wc_clock_mono(), pause = (now - q->replay_since) / 2;
    pause = pause < HELD_MIN_US ? HELD_MIN_US : pause;
    q->again_at = now + (pause < HELD_MAX_US ? pause : HELD_MAX_US);
    leave_connection(q);
    if (wc_list_is_empty(&az->held))
        (void)uv_timer_start(&az->again, on_held, HELD_TICK_MS, HELD_TICK_MS); /* valid */
    wc_list_push(&az->held, &q->link);
    az->nqueue++;
    wc_authz_pump(az);
}

void wc_authz_refuse(struct wc_authz *az, enum wc_authorize_error error)
{
    while (!wc_list_is_empty(&az->queue))
        wc_authz_answer(WC_CONTAINER(az->queue.next, struct wc_authz_question, link), 0, error,
                        NULL);
}

void wc_authz_pump(struct wc_authz *az)
{
    struct wc_authz_conn *c;
    while (!wc_list_is_empty(&az->queue) && (c = wc_authz_get(az))) {
        struct wc_authz_question *q = WC_CONTAINER(az->queue.next, struct wc_authz_question, link);
        wc_list_remove(&q->link);
        az->nqueue--;
        wc_list_push(&c->sent, &q->link);
        if (c->nsent++ == 0)
            c->since = wc_clock_mono();
        q->conn = c;
        if (!wc_authz_send(q)) /* mostly because the session has just ended */
            wc_authz_drop(c);
    }
    if (wc_authz_is_barred(az))
        wc_authz_refuse(az, WC_AUTHORIZE_CONNECT_RATE);
}

/* ---- waiting too long ---- */

static bool is_stuck(const struct wc_authz *az, wc_us now)
{
    return az->late >= az->opt.pool && now - az->late_since < (wc_us)LATE_MS * 1000;
}

static void give_up_waiting(struct wc_authz_question *q, wc_us now)
{
    struct wc_authz *az = q->authz;
    if (now - az->late_since >= (wc_us)LATE_MS * 1000)
        az->late = 0;
    if (az->late++ == 0)
        az->late_since = now;
    unsigned long repeated = 0;
    if (wc_log_limit(&az->late_told, 60 * 1000000, &repeated))
        WC_LOG(WC_LOG_WARN, "authz", "pool_exhausted",
               "tenant=%s pool=%u repeated=%lu hint=\"policies of realtime.messages are slow, or "
               "there are more private joins than DB_POOL connections can ask about\"",
               az->opt.tenant, az->opt.pool, repeated);
    wc_authz_answer(q, 0, WC_AUTHORIZE_POOL, NULL);
}

static bool is_busy_with(const struct wc_authz_question *q)
{
    return q->conn && q->conn->sent.next == &q->link;
}

/* The connection that is busy with it hangs. */
static void give_up(struct wc_authz_question *q)
{
    struct wc_authz_conn *hangs = is_busy_with(q) ? q->conn : NULL;
    wc_authz_answer(q, 0, WC_AUTHORIZE_UNAVAILABLE, NULL);
    if (hangs)
        wc_authz_drop(hangs);
}

/* Its turn came long ago; what it must see is still not visible, or others are in the way. */
static bool is_replay_late(const struct wc_authz_question *q, wc_us now)
{
    const struct wc_authz_times *t = &q->authz->opt.times;
    return q->replay_since && !is_busy_with(q) &&
           (now - q->replay_since >= (wc_us)t->replay_ms * 1000 ||
            now - q->since >= (wc_us)t->answer_ms * 1000);
}

static void give_up_replay(struct wc_authz_question *q)
{
    struct wc_authz *az = q->authz;
    unsigned long repeated = 0;
    if (wc_log_limit(&az->replay_told, 60 * 1000000, &repeated))
        WC_LOG(WC_LOG_WARN, "authz", "no_replay",
               "tenant=%s sqlstate=- repeated=%lu hint=\"commits to realtime.messages hang behind "
               "their synchronous standby, or other questions are slow\"",
               az->opt.tenant, repeated);
    wc_authz_answer(q, q->granted, WC_AUTHORIZE_REPLAY, NULL);
}

static void on_idle(uv_timer_t *timer)
{
    wc_authz_close_all(timer->data);
}

static void on_look(uv_timer_t *timer)
{
    struct wc_authz *az = timer->data;
    const struct wc_authz_times *t = &az->opt.times;
    wc_us now = wc_clock_mono();
    bool is_up = wc_authz_is_up(az);
    WC_LIST_EACH_SAFE (it, &az->all) {
        struct wc_authz_question *q = WC_CONTAINER(it, struct wc_authz_question, all);
        wc_us age = now - q->since;
        if (is_replay_late(q, now))
            give_up_replay(q);
        else if (age >= (wc_us)t->answer_ms * 1000)
            give_up(q);
        else if (age >= (wc_us)t->queue_ms * 1000 && is_up && !is_busy_with(q) && !q->replay_since)
            give_up_waiting(q, now);
    }
    wc_authz_pump(az);
    if (wc_list_is_empty(&az->all))
        (void)uv_timer_start(timer, on_idle, t->idle_ms, 0); /* valid handle and callback */
}

/* ---- questions come ---- */

static bool has_nul(struct wc_slice s)
{
    return s.len > 0 && memchr(s.p, '\0', s.len);
}

/* What Postgres cannot be asked: it has no NUL in texts, and `none` is the login. */
static bool is_askable(const struct wc_authorize *a)
{
    struct wc_slice role = a->claims->role;
    return role.len > 0 && !wc_slice_is(role, "none") && !has_nul(a->topic) && !has_nul(a->headers);
}

/* Four texts, each with a NUL behind it. */
static bool write_texts(const struct wc_authz *az, struct wc_buf *out, const struct wc_authorize *a)
{
    wc_buf_slice(out, a->topic);
    wc_buf_byte(out, '\0');
    wc_buf_slice(out, a->headers.len ? a->headers : wc_slice_str("{}"));
    wc_buf_byte(out, '\0');
    bool has_sub = wc_authz_sub(a->claims->json, out);
    wc_buf_byte(out, '\0');
    if (a->wants_replay)
        wc_authz_write_unseen(az, out);
    wc_buf_byte(out, '\0');
    return has_sub;
}

static struct wc_authz_question *make_question(struct wc_authz *az, struct wc_authorize *a)
{
    struct wc_buf texts;
    wc_buf_init(&texts, a->topic.len + a->headers.len + a->claims->json.len + UNSEEN_CAP);
    bool can_ask = write_texts(az, &texts, a) && is_askable(a);
    struct wc_authz_question *q = texts.status == WC_OK ? malloc(sizeof *q + texts.len) : NULL;
    if (q) {
        *q = (struct wc_authz_question){.authz = az,
                                        .asked = a,
                                        .wanted = a->ask,
                                        .since = wc_clock_mono(),
                                        .streamed = az->streamed};
        q->topic = memcpy(q + 1, texts.p, texts.len);
        q->headers = q->topic + strlen(q->topic) + 1;
        q->sub = q->headers + strlen(q->headers) + 1;
        q->unseen = q->sub + strlen(q->sub) + 1;
        q->error = can_ask ? WC_AUTHORIZE_OK : WC_AUTHORIZE_POLICY;
        wc_list_push(&az->all, &q->all);
        wc_list_push(&az->queue, &q->link);
        az->nqueue++;
    }
    wc_buf_release(&texts);
    return q;
}

void wc_authz_ask(struct wc_authz *az, struct wc_authorize *a)
{
    wc_metric_add(WC_M_AUTHORIZE_ASKED, 1);
    struct wc_authz_question *q = make_question(az, a);
    if (!q) {
        publish(az, a, 0, WC_AUTHORIZE_UNAVAILABLE, NULL);
        wc_authorize_free(a);
        return;
    }
    if (q->error != WC_AUTHORIZE_OK || !a->ask) {
        wc_authz_answer(q, 0, q->error, NULL);
        return;
    }
    if (az->nqueue > QUEUE_MAX || is_stuck(az, q->since)) {
        wc_authz_answer(q, 0, WC_AUTHORIZE_POOL, NULL);
        return;
    }
    if (az->all.next == &q->all) { /* the only one */
        uint64_t every_ms = az->opt.times.queue_ms / LOOKS + 1;
        (void)uv_timer_start(&az->timer, on_look, every_ms, every_ms); /* as above */
    }
    wc_authz_pump(az);
}

/* ---- life cycle ---- */

static char *startup_options(const struct wc_authz_options *o)
{
    struct wc_buf b;
    wc_buf_init(&b, OPTIONS_CAP);
    wc_pg_policy_options(&b, o->search_path);
    /* A plan that is kept could hold what a function that says it is immutable said for another
     * token's claims. */
    wc_buf_printf(&b, "-c plan_cache_mode=force_custom_plan -c statement_timeout=%u",
                  o->times.statement_ms);
    char *text = b.status == WC_OK ? wc_slice_dup(wc_buf_view(&b)) : NULL;
    wc_buf_release(&b);
    return text;
}

struct wc_authz *wc_authz_new(uv_loop_t *loop, const struct wc_authz_options *options,
                              struct wc_publisher *publisher)
{
    WC_ASSERT(options->pool > 0 && options->pool <= WC_AUTHZ_POOL_MAX);
    struct wc_authz *az = calloc(1, sizeof *az + options->pool * sizeof az->conn[0]);
    if (!az)
        return NULL;
    az->opt = *options;
    az->startup = startup_options(options);
    if (!az->startup) {
        free(az);
        return NULL;
    }
    az->opt.pg.replication = false;
    az->opt.pg.application_name = "walcast_authorization";
    az->opt.pg.options = az->startup;
    az->loop = loop;
    az->publisher = publisher;
    wc_list_init(&az->all);
    wc_list_init(&az->queue);
    wc_list_init(&az->held);
    for (uint32_t i = 0; i < options->pool; i++) {
        az->conn[i].authz = az;
        wc_list_init(&az->conn[i].sent);
    }
    (void)uv_timer_init(loop, &az->timer); /* neither can fail */
    (void)uv_timer_init(loop, &az->again);
    az->timer.data = az->again.data = az;
    return az;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

static void on_first_closed(uv_handle_t *h)
{
    struct wc_authz *az = h->data;
    uv_close((uv_handle_t *)&az->timer, on_closed);
}

void wc_authz_free(struct wc_authz *az)
{
    if (!az)
        return;
    wc_authz_close_all(az);
    wc_list_move_all(&az->held, &az->queue);
    wc_authz_refuse(az, WC_AUTHORIZE_UNAVAILABLE); /* all of them: none is on its way now */
    free(az->startup);
    (void)uv_timer_stop(&az->timer); /* cannot fail */
    uv_close((uv_handle_t *)&az->again, on_first_closed);
}

/* Connections: opened when there is something to ask, never to be there. */
#include "bridge/authz/authz_priv.h"

#include "base/metrics.h"
#include "bridge/pg/reason.h"

#include <stdlib.h>

static const char too_many_connections[] = "53300";

static bool is_any_open(const struct wc_authz *az)
{
    for (uint32_t i = 0; i < az->opt.pool; i++)
        if (az->conn[i].pg)
            return true;
    return false;
}

bool wc_authz_is_up(const struct wc_authz *az)
{
    for (uint32_t i = 0; i < az->opt.pool; i++)
        if (az->conn[i].session)
            return true;
    return false;
}

/* ---- losing ---- */

/* Back to where the questions wait, in front, to be asked as if they had not been. */
static void ask_again(struct wc_authz_question *q)
{
    struct wc_authz *az = q->authz;
    q->conn = NULL;
    q->granted = 0;
    q->error = WC_AUTHORIZE_OK;
    q->is_doubtful = false;
    q->replay_since = 0;
    wc_list_push(az->queue.next, &q->link); /* before the first, at the end of an empty list */
    az->nqueue++;
}

void wc_authz_drop(struct wc_authz_conn *c)
{
    wc_pg_close(c->pg);
    c->pg = NULL;
    wc_authz_session_free(c->session);
    c->session = NULL;
    c->nsent = 0;
    c->authz->late = 0; /* what was late for it gets another */
    if (!wc_list_is_empty(&c->sent)) {
        struct wc_authz_question *busy = WC_CONTAINER(c->sent.next, struct wc_authz_question, link);
        if (++busy->losses == 2)
            wc_authz_answer(busy, 0, WC_AUTHORIZE_UNAVAILABLE, NULL);
    }
    while (!wc_list_is_empty(&c->sent)) { /* the last one first, so that they keep their order */
        struct wc_authz_question *q = WC_CONTAINER(c->sent.prev, struct wc_authz_question, link);
        wc_list_remove(&q->link);
        if (q->asked)
            ask_again(q);
        else
            free(q);
    }
}

void wc_authz_close_all(struct wc_authz *az)
{
    for (uint32_t i = 0; i < az->opt.pool; i++)
        wc_authz_drop(&az->conn[i]);
}

static void tell(struct wc_authz *az, const char *sqlstate, const char *message)
{
    struct wc_pg_reason why = wc_pg_reason(sqlstate, message);
    unsigned long repeated = 0;
    if (wc_log_limit(&az->lost_told, 60 * 1000000, &repeated))
        WC_LOG(WC_LOG_WARN, "authz", why.event,
               "tenant=%s user=%s sqlstate=%s error=\"%s\" hint=\"%s\" repeated=%lu",
               az->opt.tenant, az->opt.pg.user, sqlstate[0] ? sqlstate : "-", message, why.hint,
               repeated);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    struct wc_authz_conn *c = arg;
    struct wc_authz *az = c->authz;
    bool was_up = c->session != NULL;
    tell(az, sqlstate, message);
    wc_authz_drop(c);
    if (!was_up) {
        az->failed[az->nfailed++ % WC_AUTHZ_FAILURES] = wc_clock_mono();
        if (!is_any_open(az))
            wc_authz_refuse(az, strcmp(sqlstate, too_many_connections) == 0
                                    ? WC_AUTHORIZE_CONNECTIONS
                                    : WC_AUTHORIZE_UNAVAILABLE);
    }
    wc_authz_pump(az);
}

/* ---- opening ---- */

static void on_ready(void *arg)
{
    struct wc_authz_conn *c = arg;
    c->session = wc_authz_session_new();
    if (!c->session) { /* what waits has its deadline */
        wc_authz_drop(c);
        return;
    }
    wc_metric_add(WC_M_AUTHORIZE_CONNECTS, 1);
    wc_authz_pump(c->authz);
}

static bool may_try(const struct wc_authz *az)
{
    wc_us oldest = az->failed[az->nfailed % WC_AUTHZ_FAILURES];
    return az->nfailed < WC_AUTHZ_FAILURES ||
           wc_clock_mono() - oldest >= (wc_us)az->opt.times.retry_ms * 1000;
}

bool wc_authz_is_barred(const struct wc_authz *az)
{
    return !is_any_open(az) && !may_try(az);
}

static void open_another(struct wc_authz *az)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    uint32_t i = 0;
    while (i < az->opt.pool && az->conn[i].pg)
        i++;
    if (i < az->opt.pool && may_try(az)) /* NULL: out of memory; what waits has its deadline */
        az->conn[i].pg = wc_pg_open(az->loop, &az->opt.pg, &events, &az->conn[i]);
}

/* It was the first of a connection that ended, and is asked alone now: what ended that may have
 * been another one, sent behind it, when its answers were still on their way. */
static bool is_first_suspect(const struct wc_list *questions)
{
    return !wc_list_is_empty(questions) &&
           WC_CONTAINER(questions->next, struct wc_authz_question, link)->losses > 0;
}

static bool has_room(const struct wc_authz_conn *c, wc_us now)
{
    if (!c->session || c->nsent == 0)
        return c->session != NULL;
    return c->nsent < WC_AUTHZ_DEPTH && now - c->since < (wc_us)WC_AUTHZ_SLOW_MS * 1000 &&
           !is_first_suspect(&c->sent) && !is_first_suspect(&c->authz->queue);
}

struct wc_authz_conn *wc_authz_get(struct wc_authz *az)
{
    struct wc_authz_conn *best = NULL;
    wc_us now = wc_clock_mono();
    for (uint32_t i = 0; i < az->opt.pool; i++) {
        struct wc_authz_conn *c = &az->conn[i];
        if (has_room(c, now) && (!best || c->nsent < best->nsent))
            best = c;
    }
    if (!best || best->nsent > 0)
        open_another(az);
    return best;
}

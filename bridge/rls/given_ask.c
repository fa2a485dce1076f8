/*
 * Asking for values. Lanes take turns; in a turn one session is asked, at most WC_GIVENS_IN_FLIGHT
 * questions without an answer. A turn ends when nothing waits in its lane, or when it has had its
 * share; the next one begins when all of its questions are answered, since a session that is chosen
 * for others may be one that is in use.
 *
 * Nothing here calls itself: whoever wants something asked wakes the timer.
 */
#include "bridge/rls/given_priv.h"

#include <stdlib.h>

enum {
    TURN_MAX = 1024, /* some 100 ms; between turns a session's age is looked at, too */
    RETRY_MS = 100,  /* doubled with each try: WC_GIVEN_TRIES_MAX of them take 25 s */
    NO_SESSION_MS = 1000,
    LOSSES_MAX = 3,
    /* What one session costs the server is some MiB; users come and go more often than this. */
    IDLE_MS = 60000,
    /* Of all slots of a context, as texts: 1,600 uuids. Keys take up to 20 times as much here. Who
     * has claims beyond that has his rows judged by Postgres. */
    VALUES_MAX = 64 << 10,
    COMPLAIN_US = 60 * 1000000,
};

static const char too_large[] = "54000"; /* program_limit_exceeded */
static const char lost[] = "08006";      /* connection_failure */

static void on_timer(uv_timer_t *);

/* No later than that. */
static void wake(struct wc_givens *g, uint64_t delay_ms)
{
    if (uv_is_active((uv_handle_t *)&g->timer) && uv_timer_get_due_in(&g->timer) <= delay_ms)
        return;
    (void)uv_timer_start(&g->timer, on_timer, delay_ms, 0); /* valid handle and callback */
}

/* ---- questions ---- */

enum wc_status wc_given_ask(struct wc_given_values *v)
{
    struct wc_givens *g = v->asking->givens;
    struct wc_given_question *q = calloc(1, sizeof *q);
    if (!q)
        return WC_NOMEM;
    q->values = v;
    wc_list_init(&q->givens);
    q->asked.role = (const char *)v->context->role.p;
    q->asked.claims = (const char *)v->context->claims.p;
    q->asked.sql = v->asking->sql;
    wc_list_push(&v->asking->lane->waiting, &q->link);
    v->question = q;
    g->nquestions++;
    wake(g, 0);
    return WC_OK;
}

void wc_given_drop(struct wc_given_question *q)
{
    struct wc_givens *g = q->values->asking->givens;
    wc_list_remove(&q->link);
    q->values->question = NULL;
    g->nquestions--;
    free(q);
}

static void fail(struct wc_given_question *q, const char *sqlstate)
{
    struct wc_givens *g = q->values->asking->givens;
    unsigned long repeated = 0;
    if (wc_log_limit(&g->complaint, COMPLAIN_US, &repeated))
        WC_LOG(WC_LOG_WARN, "rls", "claims_failed",
               "tenant=%s role=\"%.*s\" sqlstate=%s repeated=%lu hint=\"%s\"", g->tenant,
               WC_SLICE_ARG(q->values->context->role), sqlstate[0] ? sqlstate : "-", repeated,
               "what policies make of these claims cannot be evaluated, so Postgres is asked about "
               "each row");
    wc_given_settle(q, NULL, sqlstate);
}

/* Errors that pass by themselves: resources, cancelled, locks, serialization. */
static bool is_passing(const char *sqlstate)
{
    static const char *const passing[] = {"53", "57014", "55P03", "40001", "40P01"};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (strncmp(sqlstate, passing[i], strlen(passing[i])) == 0)
            return true;
    return false;
}

static void try_again(struct wc_given_question *q, const char *sqlstate)
{
    struct wc_givens *g = q->values->asking->givens;
    if (q->tries == WC_GIVEN_TRIES_MAX) {
        fail(q, sqlstate);
        return;
    }
    q->not_before = wc_clock_mono() + ((wc_us)RETRY_MS * 1000 << q->tries);
    wc_list_push(&g->later[q->tries++], &q->link);
}

/* ---- answers ---- */

static size_t length_of(const struct wc_pg_result *res)
{
    size_t bytes = 0;
    for (int i = 0; i < res->ncols; i++)
        bytes += wc_pg_slice(res, 0, i).len;
    return bytes;
}

/* One block, also of no values. */
static struct wc_slice *copy_values(const struct wc_pg_result *res)
{
    size_t n = (size_t)res->ncols;
    struct wc_slice *value = malloc(n * sizeof *value + length_of(res) + n);
    if (!value)
        return NULL;
    uint8_t *to = (uint8_t *)(value + n);
    for (size_t i = 0; i < n; i++) {
        struct wc_slice from = wc_pg_slice(res, 0, (int)i);
        value[i] = from;
        if (!from.p)
            continue;
        memcpy(to, from.p, from.len);
        value[i].p = to;
        to += from.len;
    }
    return value;
}

static void take(struct wc_given_question *q, const struct wc_pg_result *res)
{
    if (res->nrows != 1 || (uint32_t)res->ncols != q->values->asking->nslots) {
        fail(q, "");
    } else if (length_of(res) > VALUES_MAX) {
        fail(q, too_large);
    } else {
        struct wc_slice *value = copy_values(res);
        if (value)
            wc_given_settle(q, value, NULL);
        else
            fail(q, "");
    }
}

static void on_error(struct wc_given_question *q, const struct wc_pg_result *res)
{
    struct wc_session *s = q->values->asking->givens->turn.session;
    const char *sqlstate = wc_session_failed(s, &q->asked, res);
    if (!sqlstate || is_passing(sqlstate))
        try_again(q, sqlstate ? sqlstate : res->sqlstate);
    else
        fail(q, sqlstate);
}

/* The server ends the session: what follows gets no answer. */
static bool is_end(const char *sqlstate)
{
    return strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "08", 2) == 0;
}

/* The connection was lost under it and all others under way. A question that has seen that goes
 * alone from then on, so that in the end the one that does it is known; else none would be. */
static void on_lost(struct wc_given_question *q)
{
    struct wc_givens *g = q->values->asking->givens;
    g->turn.is_ending = true;
    if (++q->losses == LOSSES_MAX)
        fail(q, lost);
    else
        wc_list_push(&q->values->asking->lane->waiting, &q->link);
}

static void feed(struct wc_givens *);
static void end_turn_when_over(struct wc_givens *);

static void on_answer(void *arg, const struct wc_pg_result *res)
{
    struct wc_given_question *q = arg;
    struct wc_given_values *v = q->values;
    struct wc_givens *g = v->asking->givens;
    wc_list_remove(&q->link);
    g->nflying--;
    if (!res->ok && (!res->sqlstate[0] || is_end(res->sqlstate)))
        on_lost(q);
    else if (res->ok)
        take(q, res);
    else
        on_error(q, res);
    wc_given_values_unref(v);
    feed(g);
    end_turn_when_over(g);
}

/* ---- turns ---- */

static bool has_room(const struct wc_givens *g, const struct wc_given_question *q)
{
    if (g->nflying == 0)
        return true;
    const struct wc_given_question *other =
        WC_CONTAINER(g->flying.next, struct wc_given_question, link);
    return g->nflying < WC_GIVENS_IN_FLIGHT && q->losses == 0 && other->losses == 0;
}

/* False: not in this turn any more. */
static bool ask(struct wc_givens *g, struct wc_given_question *q)
{
    if (wc_session_ask(g->turn.session, &q->asked, on_answer, q) != WC_OK)
        return false; /* no memory, or the connection's end has not been told yet */
    wc_list_remove(&q->link);
    wc_list_push(&g->flying, &q->link);
    q->values->refs++;
    g->nflying++;
    g->turn.asked++;
    return true;
}

static void feed(struct wc_givens *g)
{
    struct wc_given_turn *t = &g->turn;
    while (t->lane && !t->is_ending && !wc_list_is_empty(&t->lane->waiting)) {
        struct wc_given_question *q =
            WC_CONTAINER(t->lane->waiting.next, struct wc_given_question, link);
        if (!has_room(g, q))
            return;
        t->is_ending = !ask(g, q) || t->asked == TURN_MAX;
    }
}

/* The next lane's, if there is one, begins soon. */
static void end_turn_when_over(struct wc_givens *g)
{
    if (g->nflying > 0)
        return;
    const struct wc_given_turn over = g->turn;
    g->turn = (struct wc_given_turn){0};
    if (over.lane) { /* else it went with its last question */
        wc_list_remove(&over.lane->link);
        wc_list_push(&g->lanes, &over.lane->link);
    }
    wake(g, over.lane && over.asked == 0 ? RETRY_MS : 0);
}

static struct wc_given_lane *next_lane(struct wc_givens *g)
{
    WC_LIST_EACH (it, &g->lanes) {
        struct wc_given_lane *lane = WC_CONTAINER(it, struct wc_given_lane, link);
        if (!wc_list_is_empty(&lane->waiting))
            return lane;
    }
    return NULL;
}

static void begin_turn(struct wc_givens *g)
{
    struct wc_given_lane *lane = next_lane(g);
    if (!lane)
        return;
    struct wc_session *session = wc_sessions_get(g->sessions, &lane->trust);
    if (!session) {
        wake(g, NO_SESSION_MS); /* on_change is sooner, but for want of memory */
        return;
    }
    g->turn = (struct wc_given_turn){.lane = lane, .session = session};
    feed(g);
    end_turn_when_over(g);
}

static void revive(struct wc_givens *g)
{
    wc_us now = wc_clock_mono();
    for (size_t i = 0; i < WC_GIVEN_TRIES_MAX; i++)
        while (!wc_list_is_empty(&g->later[i])) {
            struct wc_given_question *q =
                WC_CONTAINER(g->later[i].next, struct wc_given_question, link);
            if (q->not_before > now) {
                wake(g, (uint64_t)(q->not_before - now) / 1000 + 1);
                break;
            }
            wc_list_remove(&q->link);
            wc_list_push(&q->values->asking->lane->waiting, &q->link);
        }
}

static void on_idle(uv_timer_t *timer)
{
    struct wc_givens *g = timer->data;
    wc_sessions_drop(g->sessions);
}

static void on_timer(uv_timer_t *timer)
{
    struct wc_givens *g = timer->data;
    revive(g);
    if (g->turn.lane)
        feed(g);
    else
        begin_turn(g);
    if (g->nquestions)
        (void)uv_timer_stop(&g->idle); /* stopping an idle timer is no error */
    else
        (void)uv_timer_start(&g->idle, on_idle, IDLE_MS, 0); /* valid handle and callback */
}

/* ---- life cycle ---- */

static void on_change(void *arg)
{
    wake(arg, 0);
}

bool wc_given_ask_init(struct wc_givens *g, uv_loop_t *loop,
                       const struct wc_session_options *options)
{
    struct wc_session_options o = *options;
    o.search_path = "";
    /* who waits for a lock is to be told apart from who is slow */
    if (o.lock_timeout_ms >= o.statement_timeout_ms)
        o.lock_timeout_ms = o.statement_timeout_ms / 2 + 1;
    g->sessions = wc_sessions_new(loop, &o, on_change, g);
    if (!g->sessions)
        return false;
    wc_list_init(&g->lanes);
    wc_list_init(&g->flying);
    for (size_t i = 0; i < WC_GIVEN_TRIES_MAX; i++)
        wc_list_init(&g->later[i]);
    uv_timer_t *const timers[] = {&g->timer, &g->idle};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        (void)uv_timer_init(loop, timers[i]); /* cannot fail */
        timers[i]->data = g;
        g->open_handles++;
    }
    return true;
}

static void on_closed(uv_handle_t *h)
{
    struct wc_givens *g = h->data;
    if (--g->open_handles == 0)
        free(g);
}

void wc_given_ask_stop(struct wc_givens *g)
{
    wc_sessions_free(g->sessions);
    while (!wc_list_is_empty(&g->flying)) {
        struct wc_given_question *q = WC_CONTAINER(g->flying.next, struct wc_given_question, link);
        wc_list_remove(&q->link);
        g->nflying--;
        wc_given_values_unref(q->values);
    }
    uv_close((uv_handle_t *)&g->timer, on_closed);
    uv_close((uv_handle_t *)&g->idle, on_closed);
}

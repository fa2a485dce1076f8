/*
 * Asking and answering. Lanes take turns; a turn is
 *
 *   snapshot │ question question question ... (at most IN_FLIGHT_MAX without an answer,
 * and BYTES_IN_FLIGHT_MAX)
 *
 * all in one pipeline. When the snapshot does not see every transaction of the batch, or the
 * connection is lost, the turn is void: what was asked is asked again. After a snapshot that came
 * too early the next one goes alone, so that a commit that hangs costs a question every few
 * milliseconds and no more.
 *
 * Nothing here calls itself: callbacks take note, and the timer begins the next turn.
 */
#include "bridge/rls/judge_priv.h"

#include "base/metrics.h"
#include "bridge/rls/snapshot.h"

enum {
    IN_FLIGHT_MAX = 64, /* keeps the server busy; few to wait for when the group is suspended */
    BYTES_IN_FLIGHT_MAX =
        4 << 20, /* of parameters, which libpq copies; one larger question goes alone */
    EARLY_MS = 5,
    RETRY_MS = 50,
    TRIES_MAX = 4,
    SLOW_MAX = 4,     /* comparisons that a batch waits for in vain */
    CREDIT_US = 5000, /* an answer that comes extends the deadline: a large batch is no slow one */
};

/* ---- lanes ---- */

struct wc_lane *wc_run_lane(struct wc_judge *j, struct wc_slice owners, bool runs_code)
{
    WC_LIST_EACH (it, &j->lanes) {
        struct wc_lane *lane = WC_CONTAINER(it, struct wc_lane, link);
        if (wc_slice_eq(lane->trust.owners, owners)) {
            lane->trust.runs_code |= runs_code;
            return lane;
        }
    }
    struct wc_lane *lane = wc_arena_calloc(&j->arena, 1, sizeof *lane);
    char *copy = wc_arena_strdup(&j->arena, owners);
    if (!lane || !copy)
        return NULL;
    lane->trust = (struct wc_session_trust){wc_slice(copy, owners.len), runs_code};
    wc_list_init(&lane->waiting);
    wc_list_push(&j->lanes, &lane->link);
    return lane;
}

void wc_run_enqueue(struct wc_question *q)
{
    if (q->trouble)
        q->trouble->is_probing = false;
    wc_list_remove(&q->link);
    wc_list_push(&q->lane->waiting, &q->link);
}

static struct wc_lane *next_lane(struct wc_judge *j)
{
    WC_LIST_EACH (it, &j->lanes) {
        struct wc_lane *lane = WC_CONTAINER(it, struct wc_lane, link);
        if (!wc_list_is_empty(&lane->waiting))
            return lane;
    }
    return NULL;
}

static void on_timer(uv_timer_t *);
static void on_deadline(uv_timer_t *);

static void wake(struct wc_judge *j, uint64_t delay_ms)
{
    (void)uv_timer_start(&j->timer, on_timer, delay_ms, 0); /* valid handle and callback */
}

/* ---- failures ---- */

static void fail(struct wc_question *q, enum wc_verdict verdict, const char *sqlstate)
{
    wc_list_remove(&q->link);
    q->on_failure(q, verdict, sqlstate);
}

/* Errors that pass by themselves: connection, resources, server stopping, locks, serialization. */
static bool is_passing(const char *sqlstate)
{
    static const char *const passing[] = {"08", "53", "57P", "55P03", "40001", "40P01"};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (strncmp(sqlstate, passing[i], strlen(passing[i])) == 0)
            return true;
    return false;
}

static void try_again(struct wc_question *q)
{
    wc_metric_add(WC_M_CHECK_RETRIES, 1);
    q->not_before = wc_clock_mono() + (wc_us)RETRY_MS * 1000;
    wc_run_enqueue(q);
}

/* Those behind it in the pipeline would each take as long, and cannot be called back. */
static void abandon_turn(struct wc_judge *j)
{
    while (!wc_list_is_empty(&j->flying))
        wc_run_enqueue(WC_CONTAINER(j->flying.next, struct wc_question, link));
    j->in_flight = 0;
    j->bytes_in_flight = 0;
    j->turn = (struct wc_turn){0};
    wc_sessions_drop(j->sessions);
    wake(j, 0);
}

static void on_timeout(struct wc_question *q)
{
    bool was_suspended = q->trouble->is_suspended;
    wc_trouble_timeout(q->trouble, wc_clock_mono());
    if (q->trouble->is_suspended && !was_suspended && q->judge->in_flight)
        abandon_turn(q->judge);
}

/* Those of the batch that may be as slow are not waited for, nor those in the pipeline. */
static void on_slow(struct wc_judge *j)
{
    if (++j->slow == SLOW_MAX && j->in_flight)
        abandon_turn(j);
}

static void on_error(struct wc_question *q, const struct wc_pg_result *res)
{
    static const char canceled[] = "57014", was_missing[] = "26000";
    const char *sqlstate = wc_session_failed(q->judge->turn.session, &q->asked, res);
    if ((!sqlstate || is_passing(sqlstate)) && ++q->tries < TRIES_MAX) {
        try_again(q);
        return;
    }
    if (!sqlstate)
        sqlstate = was_missing;
    if (q->trouble && strcmp(sqlstate, canceled) == 0)
        on_timeout(q);
    else if (q->trouble)
        wc_trouble_bad(q->trouble, sqlstate);
    else if (strcmp(sqlstate, canceled) == 0)
        on_slow(q->judge);
    fail(q, WC_VERDICT_FAILED, sqlstate);
}

/* The connection is gone. What was under way first may be the reason: it has a bound. */
static void on_lost(struct wc_question *q)
{
    struct wc_turn *t = &q->judge->turn;
    bool is_first = !t->is_lost;
    t->is_lost = t->is_void = true;
    if (is_first && ++q->tries >= TRIES_MAX) {
        if (q->trouble)
            wc_trouble_bad(q->trouble, "");
        fail(q, WC_VERDICT_FAILED, "");
        return;
    }
    wc_run_enqueue(q);
}

/* ---- a turn ---- */

static void feed(struct wc_judge *);

/* Nothing is under way any more: the timer goes on, at once or when something may be asked again.
 */
static void end_turn_when_over(struct wc_judge *j)
{
    struct wc_turn *t = &j->turn;
    if (j->in_flight > 0 || !t->lane)
        return;
    uint64_t delay_ms = 0;
    if (j->is_early)
        delay_ms = EARLY_MS;
    else if (!wc_list_is_empty(&t->lane->waiting))
        delay_ms = RETRY_MS;
    t->lane = NULL;
    wake(j, delay_ms);
}

static void on_question(void *arg, const struct wc_pg_result *res)
{
    struct wc_question *q = arg;
    struct wc_judge *j = q->judge;
    j->in_flight--;
    j->bytes_in_flight -= q->bytes;
    wc_list_remove(&q->link);
    if (!res->ok && !res->sqlstate[0]) {
        on_lost(q);
    } else if (j->turn.is_void || !j->turn.is_seen) {
        wc_run_enqueue(q);
    } else if (res->ok) {
        if (q->trouble)
            wc_trouble_good(q->trouble);
        j->deadline += CREDIT_US;
        q->on_answer(q, res);
    } else {
        on_error(q, res);
    }
    feed(j);
    end_turn_when_over(j);
}

/* False: no more can be asked in this turn. */
static bool ask(struct wc_judge *j, struct wc_question *q)
{
    if (wc_session_ask(j->turn.session, &q->asked, on_question, q) != WC_OK) {
        j->turn.is_void = true; /* no memory, or the connection's end has not been told yet */
        return false;
    }
    if (q->trouble)
        wc_trouble_asked(q->trouble);
    wc_list_remove(&q->link);
    wc_list_push(&j->flying, &q->link);
    j->in_flight++;
    j->bytes_in_flight += q->bytes;
    return true;
}

/* Contexts are sent equal rows each for itself: large ones one after the other. */
static bool has_room(const struct wc_judge *j, const struct wc_question *q)
{
    bool fits = !j->bytes_in_flight || j->bytes_in_flight + q->bytes <= BYTES_IN_FLIGHT_MAX;
    return fits && j->in_flight < IN_FLIGHT_MAX;
}

static void feed(struct wc_judge *j)
{
    struct wc_turn *t = &j->turn;
    if (!t->lane || t->is_void || (j->is_early && !t->is_seen))
        return;
    wc_us now = wc_clock_mono();
    WC_LIST_EACH_SAFE (it, &t->lane->waiting) {
        struct wc_question *q = WC_CONTAINER(it, struct wc_question, link);
        if (!has_room(j, q))
            return;
        if (now < q->not_before)
            continue;
        enum wc_may may = q->trouble ? wc_trouble_may_ask(q->trouble, now) : WC_MAY_ASK;
        if (q->may_be_slow && j->slow >= SLOW_MAX)
            may = WC_MAY_NOT;
        if (may == WC_MAY_NOT)
            fail(q, WC_VERDICT_SUSPENDED, "");
        else if (may == WC_MAY_ASK && !ask(j, q))
            return;
    }
}

static bool sees_all(const struct wc_judge *j, const char *text)
{
    struct wc_snapshot *s = text ? wc_snapshot_parse(text) : NULL;
    bool all = s != NULL;
    for (unsigned i = 0; i < j->nchanges && all; i++)
        all = wc_snapshot_sees(s, j->change[i].xid);
    wc_snapshot_unref(s);
    return all;
}

static void note_seen(struct wc_judge *j)
{
    j->turn.is_seen = true;
    j->is_early = false;
    if (j->was_seen)
        return;
    j->was_seen = true;
    j->deadline = wc_clock_mono() + (wc_us)j->opt.batch_timeout_ms * 1000;
}

static void on_visible(void *arg, const struct wc_pg_result *res)
{
    struct wc_judge *j = arg;
    j->in_flight--;
    if (res->ok && res->nrows == 1 && sees_all(j, wc_pg_value(res, 0, 0))) {
        note_seen(j);
        feed(j);
    } else {
        j->turn.is_void = true;
        j->is_early = res->ok;
        wc_metric_add(WC_M_CHECK_EARLY, res->ok);
    }
    end_turn_when_over(j);
}

static void begin_turn(struct wc_judge *j, struct wc_lane *lane)
{
    j->turn = (struct wc_turn){.session = wc_sessions_get(j->sessions, &lane->trust)};
    if (!j->turn.session)
        return; /* wc_run_on_change follows */
    if (wc_session_ask_visible(j->turn.session, on_visible, j) != WC_OK) {
        wake(j, RETRY_MS);
        return;
    }
    j->turn.lane = lane;
    j->in_flight++;
    feed(j);
}

void wc_run_on_change(void *judge)
{
    struct wc_judge *j = judge;
    if (j->is_busy && !j->turn.lane)
        wake(j, 0);
}

/* ---- a run ---- */

static void on_timer(uv_timer_t *timer)
{
    struct wc_judge *j = timer->data;
    if (!j->is_busy || j->turn.lane)
        return;
    struct wc_lane *lane = next_lane(j);
    if (lane)
        begin_turn(j, lane);
    else
        wc_judge_finish(j, true);
}

static void arm_deadline(struct wc_judge *j, wc_us in)
{
    (void)uv_timer_start(&j->deadline_timer, on_deadline, (uint64_t)in / 1000 + 1, 0);
}

void wc_run_start(struct wc_judge *j)
{
    j->was_seen = false;
    j->slow = 0;
    j->turn = (struct wc_turn){0};
    wc_us budget = (wc_us)j->opt.batch_timeout_ms * 1000;
    j->deadline = wc_clock_mono() + budget;
    arm_deadline(j, budget);
    wake(j, 0);
}

void wc_run_stop(struct wc_judge *j)
{
    (void)uv_timer_stop(&j->timer); /* stopping idle timers is no error */
    (void)uv_timer_stop(&j->deadline_timer);
    if (j->in_flight)
        wc_sessions_drop(j->sessions);
    while (!wc_list_is_empty(&j->flying))
        wc_run_enqueue(WC_CONTAINER(j->flying.next, struct wc_question, link));
    j->in_flight = 0;
    j->bytes_in_flight = 0;
    j->turn = (struct wc_turn){0};
}

static void fail_all(struct wc_judge *j)
{
    static const char canceled[] = "57014";
    if (!wc_list_is_empty(&j->flying)) { /* the oldest is the one that takes so long */
        struct wc_question *q = WC_CONTAINER(j->flying.next, struct wc_question, link);
        if (q->trouble)
            wc_trouble_timeout(q->trouble, wc_clock_mono());
    }
    wc_run_stop(j);
    for (struct wc_lane *lane; (lane = next_lane(j)); wc_metric_add(WC_M_CHECK_TIMEOUTS, 1))
        fail(WC_CONTAINER(lane->waiting.next, struct wc_question, link), WC_VERDICT_SUSPENDED,
             canceled);
}

static void on_deadline(uv_timer_t *timer)
{
    struct wc_judge *j = timer->data;
    wc_us left = j->deadline - wc_clock_mono();
    if (!j->is_busy)
        return;
    if (left > 0) {
        arm_deadline(j, left);
        return;
    }
    bool is_slow = j->was_seen && j->turn.lane; /* else the database is away, or a commit hangs */
    if (is_slow)
        fail_all(j);
    wc_judge_finish(j, is_slow);
}

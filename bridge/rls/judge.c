#include "bridge/rls/judge_priv.h"

#include "base/assert.h"

#include <stdlib.h>

enum {
    BATCH_CAP = INT32_MAX, /* parameters: a value of the log is below 1 GiB */
};

static void init_batch(struct wc_judge *j)
{
    j->nchanges = 0;
    wc_list_init(&j->lanes);
    wc_list_init(&j->rows);
    wc_list_init(&j->kind_list);
    wc_list_init(&j->compared);
    wc_list_init(&j->flying);
    wc_map_init(&j->sights);
    wc_map_init(&j->row_questions);
    wc_map_init(&j->rowsets);
    wc_map_init(&j->kinds);
}

static void clear_batch(struct wc_judge *j)
{
    wc_rows_release(j);
    wc_compare_release(j);
    wc_arena_reset(&j->arena);
    init_batch(j);
}

struct wc_judge *wc_judge_new(uv_loop_t *loop, const struct wc_judge_options *options,
                              const struct wc_judge_events *events, void *arg)
{
    struct wc_judge *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    const struct wc_session_options session = {
        .pg = options->pg,
        .tenant = options->tenant,
        .search_path = options->search_path,
        .statement_timeout_ms = options->statement_timeout_ms,
        /* who waits for a lock is to be told apart from who is slow */
        .lock_timeout_ms = options->lock_timeout_ms < options->statement_timeout_ms
                               ? options->lock_timeout_ms
                               : options->statement_timeout_ms / 2 + 1,
    };
    j->sessions = wc_sessions_new(loop, &session, wc_run_on_change, j);
    if (!j->sessions) {
        free(j);
        return NULL;
    }
    j->opt = *options;
    j->events = *events;
    j->arg = arg;
    wc_map_init(&j->troubles);
    wc_arena_init(&j->arena, BATCH_CAP);
    init_batch(j);
    uv_timer_t *const timers[] = {&j->timer, &j->deadline_timer};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        (void)uv_timer_init(loop, timers[i]); /* cannot fail */
        timers[i]->data = j;
        j->open_handles++;
    }
    return j;
}

static void on_closed(uv_handle_t *h)
{
    struct wc_judge *j = h->data;
    if (--j->open_handles == 0)
        free(j);
}

void wc_judge_free(struct wc_judge *j)
{
    if (!j)
        return;
    wc_judge_forget(j);
    wc_trouble_release(j);
    wc_arena_release(&j->arena);
    wc_sessions_free(j->sessions);
    uv_close((uv_handle_t *)&j->timer, on_closed);
    uv_close((uv_handle_t *)&j->deadline_timer, on_closed);
}

bool wc_judge_is_busy(const struct wc_judge *j)
{
    return j->is_busy;
}

unsigned wc_judge_add(struct wc_judge *j, const struct wc_change *change, wc_xid xid)
{
    WC_ASSERT(!j->is_busy && j->nchanges < WC_JUDGE_MAX);
    j->change[j->nchanges].change = change;
    j->change[j->nchanges].xid = xid;
    return j->nchanges++;
}

enum wc_status wc_judge_want(struct wc_judge *j, unsigned change, const struct wc_access *access,
                             struct wc_context *context)
{
    WC_ASSERT(!j->is_busy && change < j->nchanges);
    return wc_rows_want(j, change, access, context);
}

enum wc_status wc_judge_compare(struct wc_judge *j, unsigned change, struct wc_comparison *c,
                                struct wc_slice value)
{
    WC_ASSERT(!j->is_busy && change < j->nchanges);
    return wc_compare_want(j, change, c, value);
}

void wc_judge_send(struct wc_judge *j)
{
    WC_ASSERT(!j->is_busy);
    j->is_busy = true;
    j->is_short = wc_rows_prepare(j) != WC_OK || wc_compare_prepare(j) != WC_OK;
    if (j->is_short)
        WC_LOG(WC_LOG_ERROR, "rls", "no_memory", "tenant=%s what=checks", j->opt.tenant);
    wc_run_start(j);
}

void wc_judge_forget(struct wc_judge *j)
{
    wc_run_stop(j);
    j->is_busy = false;
    clear_batch(j);
}

void wc_judge_finish(struct wc_judge *j, bool ok)
{
    wc_run_stop(j);
    ok = ok && !j->is_short;
    j->is_busy = false;
    wc_rows_report(j);
    wc_compare_report(j);
    if (ok) {
        clear_batch(j);
        wc_trouble_settle(j);
    }
    j->events.answered(j->arg, ok);
}

#include "bridge/repl/blocker.h"

#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum {
    LOOK_AFTER_MS = 2000,
    LOOK_EVERY_MS = 5000,
};

static const char session_options[] =
    "-c search_path=pg_catalog -c statement_timeout=4000 -c default_transaction_read_only=on";

struct wc_blocker {
    uv_loop_t *loop;
    struct wc_pg_options opt;
    char walsender_pid[12];
    wc_blocker_fn found;
    void *arg;
    struct wc_pg *pg;
    uv_timer_t timer;
    bool up, is_asking;
};

static int64_t number(const struct wc_pg_result *res, int col)
{
    const char *v = wc_pg_value(res, 0, col);
    return v ? strtoll(v, NULL, 10) : 0;
}

static void on_answer(void *arg, const struct wc_pg_result *res)
{
    struct wc_blocker *b = arg;
    b->is_asking = false;
    if (!res->ok || res->nrows != 1)
        return;
    struct wc_repl_blocker found = {
        .pid = (uint32_t)number(res, 2), .xid = (wc_xid)number(res, 1), .age_s = number(res, 3)};
    if (found.xid)
        found.kind = WC_REPL_BLOCKED_BY_TRANSACTION;
    else if (wc_slice_is(wc_pg_slice(res, 0, 0), "t"))
        found.kind = WC_REPL_BLOCKED_BY_PRIMARY;
    if (found.kind != WC_REPL_NOT_BLOCKED)
        b->found(b->arg, &found);
}

static void ask(struct wc_blocker *b)
{
    const char *const params[] = {b->walsender_pid};
    if (!b->is_asking && wc_pg_query(b->pg, wc_sql_blocker, 1, params, on_answer, b) == WC_OK)
        b->is_asking = true;
}

static void on_ready(void *arg)
{
    struct wc_blocker *b = arg;
    b->up = true;
    ask(b);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    struct wc_blocker *b = arg;
    (void)sqlstate; /* the stream's own connection says what is wrong with the server */
    (void)message;
    wc_pg_close(b->pg);
    b->pg = NULL;
    b->up = b->is_asking = false;
}

static void on_timer(uv_timer_t *t)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    struct wc_blocker *b = t->data;
    if (b->up)
        ask(b);
    else if (!b->pg) /* no memory: again at the next turn of the timer */
        b->pg = wc_pg_open(b->loop, &b->opt, &events, b);
}

struct wc_blocker *wc_blocker_new(uv_loop_t *loop, const struct wc_pg_options *options,
                                  const char *walsender_pid, wc_blocker_fn found, void *arg)
{
    struct wc_blocker *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->loop = loop;
    b->opt = *options;
    b->opt.replication = false;
    b->opt.application_name = "walcast_slot";
    b->opt.options = session_options;
    b->found = found;
    b->arg = arg;
    (void)snprintf(b->walsender_pid, sizeof b->walsender_pid, "%s", walsender_pid); /* an int */
    (void)uv_timer_init(loop, &b->timer); /* cannot fail */
    b->timer.data = b;
    (void)uv_timer_start(&b->timer, on_timer, LOOK_AFTER_MS, LOOK_EVERY_MS); /* valid handle */
    return b;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void wc_blocker_free(struct wc_blocker *b)
{
    if (!b)
        return;
    wc_pg_close(b->pg);
    b->pg = NULL;
    uv_close((uv_handle_t *)&b->timer, on_closed);
}

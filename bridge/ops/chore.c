#include "bridge/ops/chore.h"

#include "bridge/migrate/migrate.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { LONGEST_MS = 20000, AGAIN_MS = 100, TEXT_SIZE = 512, SLOT_SIZE = 64 };

struct wc_chore {
    wc_chore_done done;
    void *arg;
    struct wc_pg *pg;
    struct wc_migrate *migrate; /* NULL: none runs */
    uint32_t steps;
    uv_timer_t deadline, again;
    unsigned open_timers;
    char slot[SLOT_SIZE]; /* empty: prepare */
};

static void on_timer_closed(uv_handle_t *handle)
{
    struct wc_chore *c = handle->data;
    if (--c->open_timers == 0)
        free(c);
}

void wc_chore_cancel(struct wc_chore *c)
{
    if (!c)
        return;
    if (c->migrate)
        wc_migrate_cancel(c->migrate);
    c->migrate = NULL;
    wc_pg_close(c->pg);
    c->pg = NULL;
    uv_close((uv_handle_t *)&c->deadline, on_timer_closed);
    uv_close((uv_handle_t *)&c->again, on_timer_closed);
}

static void end(struct wc_chore *c, bool ok, const char *text, const char *hint)
{
    char kept[TEXT_SIZE];
    (void)snprintf(kept, sizeof kept, "%s", text); /* of a connection that goes now; may be cut */
    const struct wc_chore_outcome o = {
        .ok = ok, .steps = c->steps, .text = kept, .hint = hint ? hint : ""};
    wc_chore_done done = c->done;
    void *arg = c->arg;
    wc_chore_cancel(c);
    done(arg, &o);
}

static void on_deadline(uv_timer_t *timer)
{
    end(timer->data, false, "the tenant's database has not answered in time",
        "see whether its server can be reached from here and has connections left");
}

/* ---- preparing ---- */

static void on_step(void *arg, const char *step)
{
    struct wc_chore *c = arg;
    (void)step;
    c->steps++;
}

static void on_migrated(void *arg, const struct wc_migrate_outcome *o)
{
    struct wc_chore *c = arg;
    char text[TEXT_SIZE];
    c->migrate = NULL;
    if (o->ok) {
        end(c, true, "", NULL);
        return;
    }
    (void)snprintf(text, sizeof text, "step %s of preparing the database failed: %s", o->step,
                   o->message); /* may be cut */
    end(c, false, text, o->remedy);
}

static void prepare(struct wc_chore *c)
{
    static const struct wc_migrate_options options = {.with_roles = false};
    static const struct wc_migrate_hooks hooks = {.on_step = on_step, .on_done = on_migrated};
    c->migrate = wc_migrate_run(c->pg, &options, &hooks, c);
    if (!c->migrate)
        end(c, false, "out of memory", NULL);
}

/* ---- dropping a slot ---- */

static void look_for_slot(struct wc_chore *c);

static void on_again(uv_timer_t *timer)
{
    look_for_slot(timer->data);
}

static void try_again(struct wc_chore *c)
{
    (void)uv_timer_start(&c->again, on_again, AGAIN_MS, 0); /* valid handle and callback */
}

static void on_dropped(void *arg, const struct wc_pg_result *res)
{
    static const char object_in_use[] = "55006", undefined_object[] = "42704";
    struct wc_chore *c = arg;
    if (!res->ok && strcmp(res->sqlstate, object_in_use) == 0)
        try_again(c);
    else if (res->ok || strcmp(res->sqlstate, undefined_object) == 0)
        end(c, true, "", NULL);
    else
        end(c, false, res->message, NULL);
}

static void ask(struct wc_chore *c, const char *sql, wc_pg_result_fn fn)
{
    const char *const params[] = {c->slot};
    if (wc_pg_query(c->pg, sql, 1, params, fn, c) != WC_OK)
        end(c, false, "out of memory", NULL);
}

/* One that is active has its reader on the way out. */
static void on_slot(void *arg, const struct wc_pg_result *res)
{
    struct wc_chore *c = arg;
    if (!res->ok)
        end(c, false, res->message, NULL);
    else if (res->nrows == 0)
        end(c, true, "", NULL);
    else if (wc_pg_is_true(res, 0, 0))
        try_again(c);
    else
        ask(c, wc_sql_drop_slot, on_dropped);
}

static void look_for_slot(struct wc_chore *c)
{
    ask(c, wc_sql_our_slot, on_slot);
}

/* ---- the connection ---- */

static void on_ready(void *arg)
{
    struct wc_chore *c = arg;
    if (c->slot[0])
        look_for_slot(c);
    else
        prepare(c);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    (void)sqlstate; /* the message says it */
    end(arg, false, message, "see whether the tenant's db_ settings are right");
}

static struct wc_chore *start(struct uv_loop_s *loop, const struct wc_pg_options *pg,
                              const char *slot, wc_chore_done done, void *arg)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    struct wc_pg_options options = *pg;
    struct wc_chore *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct wc_chore){.done = done, .arg = arg, .open_timers = 2};
    (void)snprintf(c->slot, sizeof c->slot, "%s", slot); /* a name, which Postgres cuts too */
    options.application_name = "walcast_admin";
    c->pg = wc_pg_open(loop, &options, &events, c);
    if (!c->pg) {
        free(c);
        return NULL;
    }
    (void)uv_timer_init(loop, &c->deadline); /* these four cannot fail */
    (void)uv_timer_init(loop, &c->again);
    c->deadline.data = c->again.data = c;
    (void)uv_timer_start(&c->deadline, on_deadline, LONGEST_MS, 0);
    return c;
}

struct wc_chore *wc_chore_prepare(struct uv_loop_s *loop, const struct wc_pg_options *pg,
                                  wc_chore_done done, void *arg)
{
    return start(loop, pg, "", done, arg);
}

struct wc_chore *wc_chore_drop_slot(struct uv_loop_s *loop, const struct wc_pg_options *pg,
                                    const char *slot, wc_chore_done done, void *arg)
{
    return start(loop, pg, slot, done, arg);
}

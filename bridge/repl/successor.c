#include "bridge/repl/successor.h"

#include "bridge/repl/slot.h"

#include <stdio.h>
#include <stdlib.h>

enum { COMMAND_CAP = 1024 };

struct wc_successor {
    struct wc_pg *pg; /* NULL: lost */
    char slot[WC_SLOT_NAME_CAP];
    wc_successor_fn made;
    void *arg;
};

static void lose(struct wc_successor *s)
{
    wc_pg_close(s->pg);
    s->pg = NULL;
}

static void on_created(void *arg, const struct wc_pg_result *res)
{
    struct wc_successor *s = arg;
    wc_lsn begins_at;
    if (res->ok && res->nrows == 1 && wc_lsn_parse(wc_pg_slice(res, 0, 1), &begins_at) == WC_OK)
        s->made(s->arg, begins_at);
    else
        lose(s);
}

static void on_ready(void *arg)
{
    struct wc_successor *s = arg;
    struct wc_buf sql;
    wc_buf_init(&sql, COMMAND_CAP);
    wc_slot_create_command(&sql, s->slot, true);
    if (sql.status != WC_OK || wc_pg_simple(s->pg, (const char *)sql.p, on_created, s) != WC_OK)
        lose(s);
    wc_buf_release(&sql);
}

/* The stream's own connection says what is wrong with the server. */
static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    (void)sqlstate;
    (void)message;
    lose(arg);
}

struct wc_successor *wc_successor_new(struct uv_loop_s *loop, const struct wc_pg_options *pg,
                                      const char *slot, wc_successor_fn made, void *arg)
{
    static const struct wc_pg_events events = {.on_ready = on_ready, .on_lost = on_lost};
    struct wc_successor *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    (void)snprintf(s->slot, sizeof s->slot, "%s", slot); /* fits: a slot's name */
    s->made = made;
    s->arg = arg;
    s->pg = wc_pg_open(loop, pg, &events, s);
    if (s->pg)
        return s;
    free(s);
    return NULL;
}

void wc_successor_free(struct wc_successor *s)
{
    if (!s)
        return;
    wc_pg_close(s->pg);
    free(s);
}

struct wc_pg *wc_successor_take(struct wc_successor *s, const struct wc_pg_events *events,
                                void *arg)
{
    struct wc_pg *pg = s->pg;
    if (pg)
        wc_pg_hand_over(pg, events, arg);
    free(s);
    return pg;
}

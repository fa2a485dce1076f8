#include "bridge/rls/barriers.h"

#include "sql/sql.h"

#include <stdlib.h>

enum wc_status wc_barriers_add(struct wc_barriers *b, wc_xid xid, wc_lsn commit_lsn)
{
    if (b->count && b->open[b->count - 1].xid == xid)
        return WC_OK;
    if (b->count == WC_BARRIERS)
        return WC_LIMIT;
    b->open[b->count++] =
        (struct wc_barrier){.number = ++b->last, .xid = xid, .commit_lsn = commit_lsn};
    return WC_OK;
}

uint64_t wc_barriers_settled(const struct wc_barriers *b)
{
    return b->count ? b->open[0].number - 1 : b->last;
}

static bool is_ending(const char *ids, wc_xid xid)
{
    char *end;
    for (; ids && *ids; ids = *end == ',' ? end + 1 : NULL)
        if (strtoul(ids, &end, 10) == xid)
            return true;
    return false;
}

static bool is_over(const struct wc_barrier *b, const struct wc_settled *s)
{
    if (!wc_snapshot_sees(s->snapshot, b->xid) || is_ending(s->ending, b->xid))
        return false;
    return s->replayed == 0 || s->replayed > b->commit_lsn;
}

void wc_barriers_settle(struct wc_barriers *b, const struct wc_settled *s)
{
    size_t left = 0;
    for (size_t i = 0; i < b->count; i++)
        if (!is_over(&b->open[i], s))
            b->open[left++] = b->open[i];
    b->count = left;
}

static void on_settled(void *arg, const struct wc_pg_result *res)
{
    struct wc_barriers *b = arg;
    b->is_asking = false;
    struct wc_snapshot *s = res->ok ? wc_snapshot_parse(wc_pg_value(res, 0, 0)) : NULL;
    struct wc_settled settled = {.snapshot = s, .ending = s ? wc_pg_value(res, 0, 1) : NULL};
    bool is_replaying = s && wc_pg_value(res, 0, 2);
    bool ok =
        s && (!is_replaying || wc_lsn_parse(wc_pg_slice(res, 0, 2), &settled.replayed) == WC_OK);
    if (ok)
        wc_barriers_settle(b, &settled);
    wc_snapshot_unref(s);
}

enum wc_status wc_barriers_ask(struct wc_barriers *b, struct wc_pg *pg)
{
    if (!b->count)
        return WC_OK;
    enum wc_status st = wc_pg_query(pg, wc_sql_settled, 0, NULL, on_settled, b);
    b->is_asking = st == WC_OK;
    return st;
}

void wc_barriers_forget(struct wc_barriers *b)
{
    b->count = 0;
}

#include "tests/unit/bridge/subs/fake_pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cells {
    int ncols;
    const char *const *cell;
};

void fake_pg_release(struct wc_pg *pg)
{
    for (size_t i = 0; i < pg->count; i++) {
        free(pg->query[i].sql);
        for (size_t k = 0; k < FAKE_PG_PARAMS; k++)
            free(pg->query[i].param[k]);
    }
    memset(pg, 0, sizeof *pg);
}

enum wc_status wc_pg_query(struct wc_pg *pg, const char *sql, int nparams,
                           const char *const *params, wc_pg_result_fn done, void *arg)
{
    if (pg->refuses != WC_OK)
        return pg->refuses;
    if (pg->count == FAKE_PG_QUERIES || nparams > FAKE_PG_PARAMS)
        abort();
    struct fake_pg_query *q = &pg->query[pg->count++];
    *q = (struct fake_pg_query){.nstatements = 1, .sql = strdup(sql), .done = done, .arg = arg};
    for (int i = 0; i < nparams; i++)
        q->param[i] = params[i] ? strdup(params[i]) : NULL;
    return WC_OK;
}

enum wc_status wc_pg_segment(struct wc_pg *pg, const struct wc_pg_statement *s, size_t n,
                             wc_pg_result_fn done, void *arg)
{
    enum wc_status st = wc_pg_query(pg, s[n - 1].sql, s[n - 1].nparams, s[n - 1].params, done, arg);
    if (st == WC_OK)
        pg->query[pg->count - 1].nstatements = n;
    return st;
}

const char *wc_pg_value(const struct wc_pg_result *r, int row, int col)
{
    const struct cells *c = r->raw;
    return c->cell[row * c->ncols + col];
}

struct wc_slice wc_pg_slice(const struct wc_pg_result *r, int row, int col)
{
    const char *v = wc_pg_value(r, row, col);
    return v ? wc_slice_str(v) : wc_slice(NULL, 0);
}

static void answer(struct wc_pg *pg, const struct wc_pg_result *res)
{
    if (pg->answered == pg->count)
        abort();
    const struct fake_pg_query *q = &pg->query[pg->answered++];
    q->done(q->arg, res);
}

void fake_pg_answer(struct wc_pg *pg, int nrows, int ncols, const char *const *cell)
{
    const struct cells c = {ncols, cell};
    answer(pg,
           &(struct wc_pg_result){
               .ok = true, .message = "", .detail = "", .nrows = nrows, .ncols = ncols, .raw = &c});
}

void fake_pg_fail(struct wc_pg *pg, const char *sqlstate)
{
    struct wc_pg_result res = {.message = "it failed", .detail = ""};
    (void)snprintf(res.sqlstate, sizeof res.sqlstate, "%s", sqlstate);
    answer(pg, &res);
}

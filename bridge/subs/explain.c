#include "bridge/subs/explain.h"

#include "base/log.h"
#include "bridge/pg/array.h"
#include "bridge/subs/recheck.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARRAY_CAP = 1 << 20, TEXT_MAX = 4096, PARAMS = 7, ARRAYS = 5, MOST_ASKED = 256 };

enum { SCHEMA, TABLE, DELETES, FILTER_OF, FILTER_COLUMN }; /* $3 to $7 */

/* By handle: the member may be gone when the answer comes. */
struct question {
    struct wc_list link; /* subs->explaining */
    struct wc_subs *subs;
    struct wc_handle handle;
};

static bool is_asked(const struct wc_audience *a)
{
    for (uint32_t i = 0; i < a->nbindings; i++)
        if (a->binding[i].spec.explain)
            return true;
    return false;
}

static void on_reasons(void *arg, const struct wc_pg_result *res)
{
    struct question *q = arg;
    struct wc_subs *s = q->subs;
    struct wc_member *m = wc_subs_find_member(s, q->handle);
    s->nexplaining--;
    wc_list_remove(&q->link);
    free(q);
    if (!res->ok)
        WC_LOG(WC_LOG_WARN, "subs", "not_explained", "tenant=%s sqlstate=%s error=\"%s\"",
               s->opt.tenant, res->sqlstate, res->message);
    for (int i = 0; res->ok && m && i < res->nrows; i++) {
        char text[TEXT_MAX];
        (void)snprintf(text, sizeof text, "%s: %s", wc_pg_value(res, i, 0), wc_pg_value(res, i, 1));
        wc_subs_tell_or_log(m, false, wc_slice_str(text));
    }
    wc_publisher_flush(s->publisher);
}

static void add_name(struct wc_buf *array, struct wc_slice name)
{
    struct wc_slice n = wc_subs_name_or_any(name);
    if (n.p)
        wc_pg_array_add(array, n);
    else
        wc_pg_array_add_null(array);
}

static void add_binding(struct wc_buf array[ARRAYS], const struct wc_spec *spec, uint32_t number)
{
    char text[12];
    int len = snprintf(text, sizeof text, "%u", number);
    add_name(&array[SCHEMA], spec->schema);
    add_name(&array[TABLE], spec->table);
    wc_pg_array_add(&array[DELETES], wc_slice_str(spec->events & WC_OP_DELETE ? "t" : "f"));
    for (size_t i = 0; i < spec->nfilters; i++) {
        wc_pg_array_add(&array[FILTER_OF], wc_slice(text, (size_t)len));
        wc_pg_array_add(&array[FILTER_COLUMN], spec->filter[i].column);
    }
}

static bool ask(struct question *q, const struct wc_audience *a, struct wc_pg *pg)
{
    struct wc_buf array[ARRAYS];
    char role[WC_ROLE_MAX + 1];
    const char *params[PARAMS] = {q->subs->publications, role};
    uint32_t number = 0;
    bool ok = true;
    (void)snprintf(role, sizeof role, "%.*s", WC_SLICE_ARG(a->claims->role));
    for (size_t i = 0; i < ARRAYS; i++)
        wc_buf_init(&array[i], ARRAY_CAP);
    for (uint32_t i = 0; i < a->nbindings; i++)
        if (a->binding[i].spec.explain)
            add_binding(array, &a->binding[i].spec, ++number);
    for (size_t i = 0; i < ARRAYS; i++) {
        wc_pg_array_end(&array[i]);
        ok = ok && array[i].status == WC_OK;
        params[PARAMS - ARRAYS + i] = (const char *)array[i].p;
    }
    ok = ok && wc_pg_query(pg, wc_sql_explain, PARAMS, params, on_reasons, q) == WC_OK;
    for (size_t i = 0; i < ARRAYS; i++)
        wc_buf_release(&array[i]);
    return ok;
}

void wc_explain(struct wc_member *m)
{
    struct wc_subs *s = m->audience->subs;
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    if (!is_asked(m->audience) || !pg || s->nexplaining == MOST_ASKED)
        return;
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return;
    q->subs = s;
    q->handle = m->handle;
    wc_list_init(&q->link);
    if (!ask(q, m->audience, pg)) {
        free(q);
        return;
    }
    s->nexplaining++;
    wc_list_push(&s->explaining, &q->link);
}

void wc_explain_forget(struct wc_subs *s)
{
    while (!wc_list_is_empty(&s->explaining)) {
        struct question *q = WC_CONTAINER(s->explaining.next, struct question, link);
        wc_list_remove(&q->link);
        free(q);
    }
}

#include "bridge/rls/version.h"

#include "bridge/rls/judge_priv.h"

enum { SQL_CAP = 4 << 20, VALUES_CAP = INT32_MAX }; /* as for other rows, see rows.c */

/* The values end with a NUL each, one behind the other; at: where each begins, or NULL. */
struct values {
    struct wc_buf bytes;
    size_t *at;
    bool *is_null;
    size_t n;
};

/* False: the log has none. */
static bool add_value(struct values *v, const struct wc_change *ch, struct wc_slice column)
{
    const struct wc_col *value = wc_rows_value(ch, column);
    if (!value)
        return false;
    v->at[v->n] = v->bytes.len;
    v->is_null[v->n++] = value->kind != WC_COL_TEXT;
    wc_buf_slice(&v->bytes, value->val);
    wc_buf_byte(&v->bytes, '\0');
    return true;
}

static bool add_values(struct values *v, const struct wc_access *a, const struct wc_change *ch)
{
    bool ok = true;
    for (uint16_t i = 0; i < a->nkeys && ok; i++)
        ok = add_value(v, ch, a->col[a->key[i].col].name);
    for (uint16_t i = 0; i < a->ncols && ok; i++)
        if (a->col[i].in_policy)
            ok = add_value(v, ch, a->col[i].name);
    return ok;
}

static enum wc_status ask(struct wc_pg *pg, const struct wc_access *a, const struct values *v,
                          wc_pg_result_fn done, void *arg)
{
    struct wc_buf sql;
    const char **param = calloc(v->n + 1, sizeof *param);
    wc_buf_init(&sql, SQL_CAP);
    wc_rows_version_sql(&sql, a);
    enum wc_status st = param ? sql.status : WC_NOMEM;
    for (size_t i = 0; st == WC_OK && i < v->n; i++)
        param[i] = v->is_null[i] ? NULL : (const char *)v->bytes.p + v->at[i];
    if (st == WC_OK)
        st = wc_pg_query(pg, (const char *)sql.p, (int)v->n, param, done, arg);
    wc_buf_release(&sql);
    free(param);
    return st;
}

enum wc_status wc_version_ask(struct wc_pg *pg, const struct wc_access *a,
                              const struct wc_change *ch, wc_pg_result_fn done, void *arg)
{
    size_t most = (size_t)a->nkeys + a->ncols;
    struct values v = {.at = calloc(most + 1, sizeof *v.at),
                       .is_null = calloc(most + 1, sizeof *v.is_null)};
    wc_buf_init(&v.bytes, VALUES_CAP);
    enum wc_status st = v.at && v.is_null ? WC_OK : WC_NOMEM;
    if (st == WC_OK && !(a->has_pk && add_values(&v, a, ch)))
        st = WC_INVALID;
    if (st == WC_OK)
        st = v.bytes.status;
    if (st == WC_OK)
        st = ask(pg, a, &v, done, arg);
    wc_buf_release(&v.bytes);
    free(v.at);
    free(v.is_null);
    return st;
}

/*
 * The statements of row checks: which rows of the batch does a context see, and are they in the
 * table as they are in the log?
 *
 *   select w.n, same
 *   from (select u.n, u.k1::type as k1, u.c1
 *         from rows from (unnest($1), unnest($2)) with ordinality as u (k1, c1, n) offset 0) w
 *   join only relation t on t.key operator(=) w.k1
 *   join above a1 on a1.tableoid = t.tableoid and a1.ctid = t.ctid and a1.key operator(=) w.k1
 *   where to_regclass('relation') = oid
 *
 * Casts stand in a subquery that is not flattened: they are not leakproof, and row security would
 * keep a condition with them from the index. Names are qualified, operators too. A relation above
 * is looked through by the very row version, so that its policies judge this row and no other.
 *
 * Values are compared as text, byte by byte, as both sessions print them; concat() uses the type's
 * output function like the stream, where a cast to text may be somebody's own or do something else
 * (bool, char(n)).
 */
#include "bridge/rls/judge_priv.h"

#include <stdio.h>

bool wc_rows_compares(const struct wc_access_col *c, enum wc_sameness sameness)
{
    switch (sameness) {
    case WC_SAME_POLICY: return c->in_policy;
    case WC_SAME_WHOLE: return c->readable;
    case WC_SAME_NEVER:
    case WC_SAMENESS_COUNT: break;
    }
    return false;
}

static void add_quoted(struct wc_buf *b, struct wc_slice name)
{
    wc_buf_byte(b, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] == '"')
            wc_buf_byte(b, '"');
        wc_buf_byte(b, (char)name.p[i]);
    }
    wc_buf_byte(b, '"');
}

static void add_literal(struct wc_buf *b, struct wc_slice text)
{
    wc_buf_str(b, "E'");
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '\'' || text.p[i] == '\\')
            wc_buf_byte(b, (char)text.p[i]);
        wc_buf_byte(b, (char)text.p[i]);
    }
    wc_buf_byte(b, '\'');
}

static unsigned count_compared(const struct wc_access *a, enum wc_sameness sameness)
{
    unsigned n = 0;
    for (uint16_t i = 0; i < a->ncols; i++)
        n += wc_rows_compares(&a->col[i], sameness);
    return n;
}

/* Of one column: the same in w and t? */
static void add_comparison(struct wc_buf *b, struct wc_slice name, unsigned c,
                           enum wc_sameness sameness)
{
    wc_buf_str(b, " and ");
    if (sameness == WC_SAME_WHOLE)
        wc_buf_printf(b, "(pg_catalog.substr(w.known, %u, 1) operator(pg_catalog.=) '0' or ", c);
    wc_buf_printf(b, "case when w.c%u is null then pg_catalog.num_nulls(t.", c);
    add_quoted(b, name);
    wc_buf_str(b, ") operator(pg_catalog.=) 1 else pg_catalog.num_nulls(t.");
    add_quoted(b, name);
    wc_buf_str(b, ") operator(pg_catalog.=) 0 and pg_catalog.concat(t.");
    add_quoted(b, name);
    wc_buf_printf(b, ") collate pg_catalog.\"C\" operator(pg_catalog.=) w.c%u end%s", c,
                  sameness == WC_SAME_WHOLE ? ")" : "");
}

static void add_comparisons(struct wc_buf *b, const struct wc_access *a, enum wc_sameness sameness)
{
    unsigned c = 0;
    wc_buf_str(b, "true");
    for (uint16_t i = 0; i < a->ncols; i++)
        if (wc_rows_compares(&a->col[i], sameness))
            add_comparison(b, a->col[i].name, ++c, sameness);
}

/* The rows asked for, as w (n, k1 ..., c1 ..., known). */
static void add_rows(struct wc_buf *b, const struct wc_access *a, enum wc_sameness sameness)
{
    unsigned ncols = count_compared(a, sameness), nparams = a->nkeys + ncols;
    wc_buf_str(b, "(select u.n");
    for (unsigned i = 1; i <= a->nkeys; i++)
        wc_buf_printf(b, ", u.k%u::%.*s as k%u", i, WC_SLICE_ARG(a->key[i - 1].type), i);
    for (unsigned i = 1; i <= ncols; i++)
        wc_buf_printf(b, ", u.c%u", i);
    if (sameness == WC_SAME_WHOLE) {
        wc_buf_str(b, ", u.known");
        nparams++;
    }
    wc_buf_str(b, " from rows from (");
    for (unsigned i = 1; i <= nparams; i++)
        wc_buf_printf(b, "%spg_catalog.unnest($%u::pg_catalog.text[])", i > 1 ? ", " : "", i);
    wc_buf_str(b, ") with ordinality as u (");
    for (unsigned i = 1; i <= a->nkeys; i++)
        wc_buf_printf(b, "k%u, ", i);
    for (unsigned i = 1; i <= ncols; i++)
        wc_buf_printf(b, "c%u, ", i);
    wc_buf_str(b, sameness == WC_SAME_WHOLE ? "known, n) offset 0) w" : "n) offset 0) w");
}

static void add_key_condition(struct wc_buf *b, const struct wc_access *a, const char *alias)
{
    for (unsigned i = 1; i <= a->nkeys; i++) {
        const struct wc_access_key *k = &a->key[i - 1];
        wc_buf_printf(b, "%s%s.", i > 1 ? " and " : "", alias);
        add_quoted(b, a->col[k->col].name);
        wc_buf_printf(b, " %.*s w.k%u", WC_SLICE_ARG(k->op), i);
    }
}

static void add_name_condition(struct wc_buf *b, const struct wc_access *a)
{
    wc_buf_str(b, "pg_catalog.to_regclass(");
    add_literal(b, a->name);
    wc_buf_printf(b, ")::pg_catalog.oid operator(pg_catalog.=) %u::pg_catalog.oid", a->rel);
}

void wc_rows_sql(struct wc_buf *b, const struct wc_access *a, enum wc_sameness sameness)
{
    wc_buf_str(b, "select w.n, ");
    add_comparisons(b, a, sameness);
    wc_buf_str(b, " from ");
    add_rows(b, a, sameness);
    wc_buf_printf(b, " join %s%.*s t on ", a->is_partitioned ? "" : "only ", WC_SLICE_ARG(a->name));
    add_key_condition(b, a, "t");
    for (unsigned i = 1; i <= a->nabove; i++) {
        const struct wc_access_above *above = &a->above[i - 1];
        wc_buf_printf(b,
                      " join %.*s a%u on a%u.tableoid operator(pg_catalog.=) t.tableoid"
                      " and a%u.ctid operator(pg_catalog.=) t.ctid",
                      WC_SLICE_ARG(above->name), i, i, i);
        char alias[12];
        (void)snprintf(alias, sizeof alias, "a%u", i); /* fits: nabove is 16 bits */
        if (above->has_key) {
            wc_buf_str(b, " and ");
            add_key_condition(b, a, alias);
        }
    }
    wc_buf_str(b, " where ");
    add_name_condition(b, a);
    wc_buf_byte(b, '\0');
}

/* $1 ...: the values of the key, then those of the columns that policies depend on. */
void wc_rows_version_sql(struct wc_buf *b, const struct wc_access *a)
{
    wc_buf_printf(b, "select pg_catalog.concat_ws(' ', t.tableoid, t.ctid, t.xmin) from %s%.*s t",
                  a->is_partitioned ? "" : "only ", WC_SLICE_ARG(a->name));
    wc_buf_printf(b, " where not pg_catalog.row_security_active(%u::pg_catalog.oid) and ", a->rel);
    add_name_condition(b, a);
    unsigned n = 0;
    for (uint16_t i = 0; i < a->nkeys; i++) {
        const struct wc_access_key *k = &a->key[i];
        wc_buf_str(b, " and t.");
        add_quoted(b, a->col[k->col].name);
        wc_buf_printf(b, " %.*s $%u::pg_catalog.text::%.*s", WC_SLICE_ARG(k->op), ++n,
                      WC_SLICE_ARG(k->type));
    }
    for (uint16_t i = 0; i < a->ncols; i++) {
        if (!a->col[i].in_policy)
            continue;
        wc_buf_str(b, " and case when t.");
        add_quoted(b, a->col[i].name);
        wc_buf_printf(b, " is null then $%u::pg_catalog.text is null else pg_catalog.concat(t.",
                      ++n);
        add_quoted(b, a->col[i].name);
        wc_buf_printf(
            b, ") collate pg_catalog.\"C\" operator(pg_catalog.=) $%u::pg_catalog.text end", n);
    }
    wc_buf_byte(b, '\0');
}

void wc_rows_gone_sql(struct wc_buf *b, const struct wc_access *a)
{
    wc_buf_str(b, "select w.n from ");
    add_rows(b, a, WC_SAME_NEVER);
    wc_buf_printf(b, " left join %s%.*s t on ", a->is_partitioned ? "" : "only ",
                  WC_SLICE_ARG(a->name));
    add_key_condition(b, a, "t");
    wc_buf_str(b, " where t.");
    add_quoted(b, a->col[a->key[0].col].name);
    wc_buf_printf(b, " is null and not pg_catalog.row_security_active(%u::pg_catalog.oid) and ",
                  a->rel);
    add_name_condition(b, a);
    wc_buf_byte(b, '\0');
}

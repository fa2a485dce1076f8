/* bridge/rls/rows_sql.c, rows.c and compare.c: the statements that are put together, and the log's
 * values. */
#include "bridge/rls/judge_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct wc_access_col columns[] = {
    {.name = {(const uint8_t *)"id", 2}, .in_pk = true, .readable = true},
    {.name = {(const uint8_t *)"o\"w", 3}, .readable = true, .in_policy = true},
    {.name = {(const uint8_t *)"hidden", 6}},
};
static const struct wc_access_key key[] = {{.col = 0,
                                            .type = {(const uint8_t *)"pg_catalog.int4", 15},
                                            .op = {(const uint8_t *)"operator(pg_catalog.=)", 22}}};

static struct wc_access access_of_table(void)
{
    return (struct wc_access){.rel = 4711,
                              .name = wc_slice_str("public.t"),
                              .ncols = 3,
                              .col = columns,
                              .nkeys = 1,
                              .key = key};
}

static void assert_sql(const struct wc_access *a, enum wc_sameness sameness, const char *expected)
{
    struct wc_buf b;
    wc_buf_init(&b, 1 << 16);
    wc_rows_sql(&b, a, sameness);
    assert_int_equal(b.status, WC_OK);
    assert_string_equal((const char *)b.p, expected);
    wc_buf_release(&b);
}

static void only_what_policies_look_at_is_compared(void **state)
{
    (void)state;
    struct wc_access a = access_of_table();
    assert_sql(&a, WC_SAME_POLICY,
               "select w.n, true and case when w.c1 is null"
               " then pg_catalog.num_nulls(t.\"o\"\"w\") operator(pg_catalog.=) 1"
               " else pg_catalog.num_nulls(t.\"o\"\"w\") operator(pg_catalog.=) 0"
               " and pg_catalog.concat(t.\"o\"\"w\") collate pg_catalog.\"C\""
               " operator(pg_catalog.=) w.c1 end"
               " from (select u.n, u.k1::pg_catalog.int4 as k1, u.c1"
               " from rows from (pg_catalog.unnest($1::pg_catalog.text[]),"
               " pg_catalog.unnest($2::pg_catalog.text[]))"
               " with ordinality as u (k1, c1, n) offset 0) w"
               " join only public.t t on t.\"id\" operator(pg_catalog.=) w.k1"
               " where pg_catalog.to_regclass(E'public.t')::pg_catalog.oid"
               " operator(pg_catalog.=) 4711::pg_catalog.oid");
}

static void in_doubt_all_that_is_readable_and_known_is_compared(void **state)
{
    (void)state;
    struct wc_access a = access_of_table();
    struct wc_buf b;
    wc_buf_init(&b, 1 << 16);
    wc_rows_sql(&b, &a, WC_SAME_WHOLE);
    const char *sql = (const char *)b.p;
    assert_non_null(strstr(sql, "substr(w.known, 2, 1)"));
    assert_null(strstr(sql, "substr(w.known, 3, 1)"));
    assert_null(strstr(sql, "hidden")); /* asking for it would fail for want of a privilege */
    assert_non_null(strstr(sql, "as u (k1, c1, c2, known, n)"));
    wc_buf_release(&b);
}

static void a_relation_above_is_looked_through_by_the_very_row(void **state)
{
    (void)state;
    static const struct wc_access_above above[] = {
        {.name = {(const uint8_t *)"public.p", 8}, .has_key = true},
        {.name = {(const uint8_t *)"public.q", 8}},
    };
    struct wc_access a = access_of_table();
    a.is_partitioned = true;
    a.above = above;
    a.nabove = 2;
    struct wc_buf b;
    wc_buf_init(&b, 1 << 16);
    wc_rows_sql(&b, &a, WC_SAME_POLICY);
    assert_non_null(strstr((const char *)b.p,
                           " join public.t t on t.\"id\" operator(pg_catalog.=) w.k1"
                           " join public.p a1 on a1.tableoid operator(pg_catalog.=) t.tableoid"
                           " and a1.ctid operator(pg_catalog.=) t.ctid"
                           " and a1.\"id\" operator(pg_catalog.=) w.k1"
                           " join public.q a2 on a2.tableoid operator(pg_catalog.=) t.tableoid"
                           " and a2.ctid operator(pg_catalog.=) t.ctid"));
    wc_buf_release(&b);
}

static void gone_rows_are_told_only_to_whom_row_security_spares(void **state)
{
    (void)state;
    struct wc_access a = access_of_table();
    struct wc_buf b;
    wc_buf_init(&b, 1 << 16);
    wc_rows_gone_sql(&b, &a);
    assert_string_equal((const char *)b.p,
                        "select w.n from (select u.n, u.k1::pg_catalog.int4 as k1"
                        " from rows from (pg_catalog.unnest($1::pg_catalog.text[]))"
                        " with ordinality as u (k1, n) offset 0) w"
                        " left join only public.t t on t.\"id\" operator(pg_catalog.=) w.k1"
                        " where t.\"id\" is null"
                        " and not pg_catalog.row_security_active(4711::pg_catalog.oid)"
                        " and pg_catalog.to_regclass(E'public.t')::pg_catalog.oid"
                        " operator(pg_catalog.=) 4711::pg_catalog.oid");
    wc_buf_release(&b);
}

/* ---- the log's values ---- */

static const struct wc_rel_col rel_columns[] = {
    {.name = {(const uint8_t *)"id", 2}, .in_identity = true},
    {.name = {(const uint8_t *)"body", 4}},
};
static const struct wc_rel relation = {.ncols = 2, .col = rel_columns};
static const struct wc_col text = {WC_COL_TEXT, {(const uint8_t *)"x", 1}};
static const struct wc_col toast = {.kind = WC_COL_TOAST_UNCHANGED};

static const struct wc_col *value(const struct wc_col new_row[2], enum wc_old_kind kind,
                                  const struct wc_col old_row[2], const char *column)
{
    static struct wc_change ch;
    ch = (struct wc_change){.op = WC_OP_UPDATE,
                            .rel = &relation,
                            .old_kind = kind,
                            .old = {2, old_row},
                            .new = {2, new_row}};
    return wc_rows_value(&ch, wc_slice_str(column));
}

static void values_are_found_by_name_and_in_the_old_row_where_it_has_them(void **state)
{
    (void)state;
    const struct wc_col plain[] = {text, text}, unchanged[] = {toast, toast},
                        null_old[] = {text, {.kind = WC_COL_NULL}};
    assert_ptr_equal(value(plain, WC_OLD_NONE, NULL, "body"), &plain[1]);
    assert_null(value(plain, WC_OLD_NONE, NULL, "dropped"));
    assert_null(value(unchanged, WC_OLD_NONE, NULL, "body"));
    assert_ptr_equal(value(unchanged, WC_OLD_FULL, plain, "body"), &plain[1]);
    assert_ptr_equal(value(unchanged, WC_OLD_KEY, null_old, "id"), &null_old[0]);
    assert_null(value(unchanged, WC_OLD_KEY, null_old, "body")); /* NULL there says nothing */
}

/* ---- comparisons ---- */

static void assert_comparison(struct wc_comparison c, const char *expected)
{
    static const char rest[] = " from rows from (pg_catalog.unnest($1::pg_catalog.text[]),"
                               " pg_catalog.unnest($2::pg_catalog.text[])) with ordinality as u"
                               " (v, p, n)";
    struct wc_buf b;
    wc_buf_init(&b, 4096);
    wc_compare_sql(&b, &c);
    size_t len = strlen(expected);
    assert_memory_equal(b.p, expected, len);
    assert_string_equal((const char *)b.p + len, rest);
    wc_buf_release(&b);
}

static void a_comparison_names_its_operator_types_and_collation(void **state)
{
    (void)state;
    const struct wc_slice text_type = wc_slice_str("text"), foreign = wc_slice_str("ext.citext");
    assert_comparison((struct wc_comparison){.type = text_type,
                                             .value_type = text_type,
                                             .collation = wc_slice_str("pg_catalog.\"C\""),
                                             .op = WC_FILTER_ILIKE},
                      "select u.n, (u.v::text collate pg_catalog.\"C\""
                      " operator(pg_catalog.~~*) (u.p::text))");
    assert_comparison((struct wc_comparison){.type = wc_slice_str("inet"),
                                             .value_type = wc_slice_str("inet[]"),
                                             .op = WC_FILTER_IN},
                      "select u.n, (u.v::inet operator(pg_catalog.=) any (u.p::inet[]))");
    assert_comparison((struct wc_comparison){.type = foreign,
                                             .value_type = foreign,
                                             .schema = wc_slice_str("ext"),
                                             .op = WC_FILTER_ISDISTINCT},
                      "select u.n, not (u.v::ext.citext operator(ext.=) (u.p::ext.citext))");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_policies_look_at_is_compared),
        cmocka_unit_test(in_doubt_all_that_is_readable_and_known_is_compared),
        cmocka_unit_test(a_relation_above_is_looked_through_by_the_very_row),
        cmocka_unit_test(gone_rows_are_told_only_to_whom_row_security_spares),
        cmocka_unit_test(values_are_found_by_name_and_in_the_old_row_where_it_has_them),
        cmocka_unit_test(a_comparison_names_its_operator_types_and_collation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

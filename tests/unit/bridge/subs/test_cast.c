#include "bridge/subs/cast.h"

#include "tests/unit/bridge/subs/fake_pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct waiter {
    struct wc_list link;
    unsigned answers;
    char said[32]; /* the value, or the sqlstate */
};

struct world {
    struct wc_pg pg;
    struct wc_caster *caster;
};

static void on_answer(void *arg, struct wc_list *link, const struct wc_pg_result *res)
{
    (void)arg;
    struct waiter *w = WC_CONTAINER(link, struct waiter, link);
    assert_true(wc_list_is_empty(link));
    w->answers++;
    (void)snprintf(w->said, sizeof w->said, "%s", res->ok ? wc_pg_value(res, 0, 0) : res->sqlstate);
}

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->caster = wc_caster_new(on_answer, w);
    *state = w;
    return w->caster ? 0 : -1;
}

static int end(void **state)
{
    struct world *w = *state;
    wc_caster_free(w->caster);
    fake_pg_release(&w->pg);
    free(w);
    return 0;
}

/* Before the waiters of a test are gone: nobody is left waiting for an answer. */
static void abandon(struct world *w)
{
    wc_caster_free(w->caster);
    w->caster = NULL;
}

static enum wc_status ask(struct world *w, const struct wc_cast_question *q, struct waiter *who)
{
    wc_list_init(&who->link);
    return wc_cast(w->caster, &w->pg, q, &who->link);
}

static enum wc_status cast(struct world *w, const char *type, const char *value, struct waiter *who)
{
    const struct wc_filter_type t = {.cast = wc_slice_str(type)};
    const struct wc_cast_question q = {
        .type = &t, .op = WC_FILTER_EQ, .value = wc_slice_str(value)};
    return ask(w, &q, who);
}

static void answer(struct world *w, const char *value)
{
    fake_pg_answer(&w->pg, 1, 1, &value);
}

static void equal_values_of_a_type_share_a_query(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0}, other_type = {0}, other_value = {0};
    assert_int_equal(cast(w, "integer", "07", &a), WC_OK);
    assert_int_equal(cast(w, "bigint", "07", &other_type), WC_OK);
    assert_int_equal(cast(w, "integer", "07", &b), WC_OK);
    assert_int_equal(cast(w, "integer", "7", &other_value), WC_OK);
    assert_int_equal(w->pg.count, 3);
    assert_int_equal(wc_caster_in_flight(w->caster), 3);
    assert_string_equal(w->pg.query[0].sql, "select v, v  = v from (select $1::integer) as q (v)");
    assert_string_equal(w->pg.query[0].param[0], "07");
    assert_string_equal(w->pg.query[1].sql, "select v, v  = v from (select $1::bigint) as q (v)");
    answer(w, "7");
    assert_string_equal(a.said, "7");
    assert_string_equal(b.said, "7");
    assert_int_equal(other_type.answers + other_value.answers, 0);
    answer(w, "seven");
    answer(w, "7");
    assert_string_equal(other_type.said, "seven");
    assert_int_equal(wc_caster_in_flight(w->caster), 0);
    abandon(w);
}

static void type_and_value_are_not_mixed_up(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0}, empty = {0};
    assert_int_equal(cast(w, "text", "ab", &a), WC_OK);
    assert_int_equal(cast(w, "texta", "b", &b), WC_OK);
    assert_int_equal(cast(w, "text", "", &empty), WC_OK);
    assert_int_equal(w->pg.count, 3);
    assert_string_equal(w->pg.query[2].param[0], "");
    abandon(w);
}

static void each_operator_is_tried_as_it_will_be_used(void **state)
{
    struct world *w = *state;
    static const struct wc_filter_type text = {.core = 25}, bytea = {.core = 17};
    static const struct {
        const struct wc_filter_type *like;
        const char *cast, *schema, *collate;
        enum wc_filter_op op;
        const char *sql;
    } table[] = {
        {&text, "text", "", "", WC_FILTER_ISDISTINCT,
         "select v, v  = v from (select $1::text) as q (v)"},
        {&text, "text", "", "public.\"c c\"", WC_FILTER_LTE,
         "select v, v collate public.\"c c\" <= v from (select $1::text) as q (v)"},
        {&text, "x.citext", "x", "", WC_FILTER_NEQ,
         "select v, v  operator(x.<>) v from (select $1::x.citext) as q (v)"},
        {&text, "bpchar", "", "", WC_FILTER_LIKE,
         "select p, ''::bpchar  ~~ p from (select $1::text) as q (p)"},
        {&bytea, "bytea", "", "", WC_FILTER_LIKE,
         "select p, ''::bytea  ~~ p from (select $1::bytea) as q (p)"},
        {&text, "x.citext", "x", "", WC_FILTER_IMATCH,
         "select p, ''::x.citext  operator(x.~*) p from (select $1::x.citext) as q (p)"},
        {&text, "text", "", "", WC_FILTER_IN,
         "select v, case when nr = 1 then $1::a[] end,\n       v  = any ($1::a[]), null::text  = "
         "any "
         "($1::a[])\nfrom (select v, row_number() over () as nr from (select unnest($1::a[]) as v) "
         "as u) as "
         "q\norder by nr limit 101"},
    };
    enum { N = sizeof table / sizeof table[0] };
    struct waiter who[N] = {0};
    for (size_t i = 0; i < N; i++) {
        struct wc_filter_type t = *table[i].like;
        t.cast = wc_slice_str(table[i].cast);
        t.array = wc_slice_str("a[]");
        t.schema = wc_slice_str(table[i].schema);
        const struct wc_cast_question q = {.type = &t,
                                           .collate = wc_slice_str(table[i].collate),
                                           .op = table[i].op,
                                           .value = wc_slice_str("1")};
        assert_int_equal(ask(w, &q, &who[i]), WC_OK);
        assert_string_equal(w->pg.query[i].sql, table[i].sql);
    }
    abandon(w);
}

static void nothing_is_kept_after_the_answer(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0};
    assert_int_equal(cast(w, "date", "today", &a), WC_OK);
    answer(w, "2026-08-21");
    assert_int_equal(cast(w, "date", "today", &b), WC_OK);
    assert_int_equal(w->pg.count, 2);
    assert_int_equal(b.answers, 0);
    abandon(w);
}

static enum wc_status match(struct world *w, const char *pattern, struct waiter *who)
{
    const struct wc_filter_type t = {.core = 25, .cast = wc_slice_str("text")};
    const struct wc_cast_question q = {
        .type = &t, .op = WC_FILTER_IMATCH, .value = wc_slice_str(pattern)};
    return ask(w, &q, who);
}

static void one_regular_expression_is_tried_at_a_time(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0}, again = {0}, plain = {0}, c = {0};
    assert_int_equal(match(w, "a", &a), WC_OK);
    assert_int_equal(match(w, "b", &b), WC_OK);
    assert_int_equal(match(w, "c", &c), WC_OK);
    assert_int_equal(match(w, "b", &again), WC_OK);
    assert_int_equal(cast(w, "integer", "1", &plain), WC_OK);
    assert_int_equal(w->pg.count, 2); /* others do not wait for them */
    assert_int_equal(w->pg.query[0].nstatements, 2);
    assert_int_equal(w->pg.query[1].nstatements, 1);
    answer(w, "a");
    assert_string_equal(a.said, "a");
    assert_string_equal(w->pg.query[2].param[0], "b");
    answer(w, "1");
    assert_string_equal(plain.said, "1");
    fake_pg_fail(&w->pg, "2201B");
    assert_string_equal(b.said, "2201B");
    assert_string_equal(again.said, "2201B");
    assert_string_equal(w->pg.query[3].param[0], "c");
    answer(w, "c");
    assert_int_equal(wc_caster_in_flight(w->caster), 0);
    assert_int_equal(match(w, "d", &a), WC_OK);
    assert_int_equal(w->pg.count, 5);
    abandon(w);
}

static void regular_expressions_in_line_are_limited_and_lost_together(void **state)
{
    struct world *w = *state;
    static struct waiter who[18];
    memset(who, 0, sizeof who);
    for (int i = 0; i < 18; i++) {
        char pattern[8];
        (void)snprintf(pattern, sizeof pattern, "%d", i);
        assert_int_equal(match(w, pattern, &who[i]), i < 17 ? WC_OK : WC_LIMIT);
    }
    assert_true(wc_list_is_empty(&who[17].link));
    assert_int_equal(wc_caster_in_flight(w->caster), 17);
    fake_pg_fail(&w->pg, "");
    for (int i = 0; i < 17; i++) {
        assert_int_equal(who[i].answers, 1);
        assert_string_equal(who[i].said, "");
    }
    assert_int_equal(wc_caster_in_flight(w->caster), 0);
    assert_int_equal(match(w, "0", &who[0]), WC_OK); /* one flies, one waits when all is freed */
    assert_int_equal(match(w, "1", &who[1]), WC_OK);
    w->pg.refuses = WC_CLOSED;
    answer(w, "0");
    assert_string_equal(who[0].said, "0");
    assert_int_equal(who[1].answers, 2);
    assert_string_equal(who[1].said, "");
    abandon(w);
}

static void an_error_is_told_to_all(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0};
    assert_int_equal(cast(w, "integer", "x", &a), WC_OK);
    assert_int_equal(cast(w, "integer", "x", &b), WC_OK);
    fake_pg_fail(&w->pg, "22P02");
    assert_string_equal(a.said, "22P02");
    assert_string_equal(b.said, "22P02");
    abandon(w);
}

static void who_went_away_is_not_called(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0};
    assert_int_equal(cast(w, "integer", "1", &a), WC_OK);
    assert_int_equal(cast(w, "integer", "1", &b), WC_OK);
    wc_list_remove(&a.link);
    answer(w, "1");
    assert_int_equal(a.answers, 0);
    assert_int_equal(b.answers, 1);
    abandon(w);
}

static void what_cannot_be_sent_leaves_nothing_behind(void **state)
{
    struct world *w = *state;
    struct waiter a = {0};
    w->pg.refuses = WC_CLOSED;
    assert_int_equal(cast(w, "integer", "1", &a), WC_CLOSED);
    assert_true(wc_list_is_empty(&a.link));
    assert_int_equal(wc_caster_in_flight(w->caster), 0);
    w->pg.refuses = WC_OK;
    assert_int_equal(cast(w, "integer", "1", &a), WC_OK); /* freed while it waits */
    abandon(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_values_of_a_type_share_a_query, begin, end),
        cmocka_unit_test_setup_teardown(type_and_value_are_not_mixed_up, begin, end),
        cmocka_unit_test_setup_teardown(each_operator_is_tried_as_it_will_be_used, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_kept_after_the_answer, begin, end),
        cmocka_unit_test_setup_teardown(one_regular_expression_is_tried_at_a_time, begin, end),
        cmocka_unit_test_setup_teardown(regular_expressions_in_line_are_limited_and_lost_together,
                                        begin, end),
        cmocka_unit_test_setup_teardown(an_error_is_told_to_all, begin, end),
        cmocka_unit_test_setup_teardown(who_went_away_is_not_called, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_sent_leaves_nothing_behind, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "bridge/subs/filtertype.h"

#include "base/clock.h"
#include "tests/unit/bridge/subs/fake_pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NCOLS = 10, FRESHNESS_MS = 1000, FRESHNESS_US = 1000000, BUILTIN = 25, USERS = 16400 };

static wc_us now;

wc_us wc_clock_mono(void)
{
    return now;
}

#define TEXT "25", "text", "25", "text", "text[]", "f", "100", "", "~ ~* ~~ ~~*", "f"
#define MOOD "16400", "mood", "16400", "x.mood", "x.mood[]", "t", "0", "", "", "f"

struct waiter {
    struct wc_list link;
    unsigned answers;
    char said[16]; /* the sqlstate; "ask" when the answer is there */
};

struct world {
    struct wc_pg pg;
    struct wc_filter_types *types;
};

static void on_answer(void *arg, struct wc_list *link, const char *sqlstate, const char *message)
{
    struct waiter *w = WC_CONTAINER(link, struct waiter, link);
    (void)arg;
    assert_true(wc_list_is_empty(link));
    assert_int_equal(sqlstate == NULL, message == NULL);
    w->answers++;
    (void)snprintf(w->said, sizeof w->said, "%s", sqlstate ? sqlstate : "ask");
}

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->types = wc_filter_types_new(FRESHNESS_MS, on_answer, w);
    *state = w;
    return w->types ? 0 : -1;
}

static int end(void **state)
{
    struct world *w = *state;
    wc_filter_types_free(w->types);
    fake_pg_release(&w->pg);
    free(w);
    return 0;
}

static void abandon(struct world *w)
{
    wc_filter_types_free(w->types);
    w->types = NULL;
}

static enum wc_status ask(struct world *w, wc_oid oid, struct waiter *who,
                          struct wc_filter_type **out)
{
    wc_list_init(&who->link);
    return wc_filter_types_ask(w->types, &w->pg, oid, &who->link, out);
}

static void answer(struct world *w, int nrows, const char *const *cell)
{
    fake_pg_answer(&w->pg, nrows, NCOLS, cell);
}

static void a_type_is_asked_for_once_by_all(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0}, c = {0};
    struct wc_filter_type *t = NULL;
    assert_int_equal(ask(w, BUILTIN, &a, &t), WC_AGAIN);
    assert_int_equal(ask(w, BUILTIN, &b, &t), WC_AGAIN);
    assert_int_equal(ask(w, USERS, &c, &t), WC_AGAIN); /* in the next question */
    assert_int_equal(w->pg.count, 1);
    assert_string_equal(w->pg.query[0].param[0], "{\"25\"}");
    answer(w, 1, (const char *[]){TEXT});
    assert_string_equal(a.said, "ask");
    assert_string_equal(b.said, "ask");
    assert_int_equal(c.answers, 0);
    assert_string_equal(w->pg.query[1].param[0], "{\"16400\"}");
    answer(w, 1, (const char *[]){MOOD});
    assert_string_equal(c.said, "ask");
    assert_int_equal(ask(w, BUILTIN, &a, &t), WC_OK);
    assert_int_equal(t->core, 25);
    assert_int_equal(t->collation, 100);
    assert_false(t->is_enum);
    assert_int_equal(t->patterns, 1u << WC_FILTER_LIKE | 1u << WC_FILTER_ILIKE |
                                      1u << WC_FILTER_MATCH | 1u << WC_FILTER_IMATCH);
    assert_int_equal(ask(w, USERS, &a, &t), WC_OK);
    assert_true(t->is_enum);
    assert_string_equal((const char *)t->name.p, "mood");
    assert_string_equal((const char *)t->cast.p, "x.mood");
    assert_string_equal((const char *)t->array.p, "x.mood[]");
    assert_int_equal(t->patterns, 0);
    assert_int_equal(w->pg.count, 2);
    abandon(w);
}

static void what_users_made_is_asked_for_again_when_it_may_have_changed(void **state)
{
    struct world *w = *state;
    struct waiter a = {0};
    struct wc_filter_type *t = NULL;
    assert_int_equal(ask(w, BUILTIN, &a, &t), WC_AGAIN);
    answer(w, 1, (const char *[]){TEXT});
    assert_int_equal(ask(w, USERS, &a, &t), WC_AGAIN);
    answer(w, 1, (const char *[]){MOOD});
    now += FRESHNESS_US - 1;
    wc_filter_types_sweep(w->types);
    assert_int_equal(ask(w, USERS, &a, &t), WC_OK);
    (void)wc_filter_type_ref(t);
    now++;
    wc_filter_types_sweep(w->types);
    assert_string_equal((const char *)t->cast.p, "x.mood"); /* in use */
    wc_filter_type_unref(t);
    assert_int_equal(ask(w, BUILTIN, &a, &t), WC_OK);
    assert_int_equal(ask(w, USERS, &a, &t), WC_AGAIN);
    now += FRESHNESS_US * 2; /* slow, but who waited for it gets it */
    answer(w, 1, (const char *[]){MOOD});
    assert_int_equal(ask(w, USERS, &a, &t), WC_OK);
    abandon(w);
}

static void a_type_that_is_gone_is_none(void **state)
{
    struct world *w = *state;
    struct waiter a = {0};
    struct wc_filter_type *t = NULL;
    assert_int_equal(ask(w, USERS, &a, &t), WC_AGAIN);
    answer(w, 0, NULL);
    assert_string_equal(a.said, "ask");
    assert_int_equal(ask(w, USERS, &a, &t), WC_OK);
    assert_null(t);
    abandon(w);
}

static void a_failed_question_is_told_and_asked_again(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0};
    struct wc_filter_type *t = NULL;
    assert_int_equal(ask(w, USERS, &a, &t), WC_AGAIN);
    fake_pg_fail(&w->pg, "57014");
    assert_string_equal(a.said, "57014");
    assert_int_equal(ask(w, USERS, &a, &t), WC_AGAIN);
    assert_int_equal(ask(w, BUILTIN, &b, &t), WC_AGAIN);
    fake_pg_fail(&w->pg, ""); /* lost: those of the next question too */
    assert_string_equal(a.said, "");
    assert_int_equal(b.answers, 1);
    assert_string_equal(b.said, "");
    w->pg.refuses = WC_CLOSED;
    assert_int_equal(ask(w, USERS, &a, &t), WC_CLOSED);
    assert_true(wc_list_is_empty(&a.link));
    w->pg.refuses = WC_OK;
    assert_int_equal(ask(w, USERS, &a, &t), WC_AGAIN);
    abandon(w);
}

static void who_went_away_is_not_called(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0};
    struct wc_filter_type *t = NULL;
    assert_int_equal(ask(w, USERS, &a, &t), WC_AGAIN);
    assert_int_equal(ask(w, USERS, &b, &t), WC_AGAIN);
    wc_list_remove(&a.link);
    answer(w, 1, (const char *[]){MOOD});
    assert_int_equal(a.answers, 0);
    assert_int_equal(b.answers, 1);
    abandon(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_type_is_asked_for_once_by_all, begin, end),
        cmocka_unit_test_setup_teardown(what_users_made_is_asked_for_again_when_it_may_have_changed,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_type_that_is_gone_is_none, begin, end),
        cmocka_unit_test_setup_teardown(a_failed_question_is_told_and_asked_again, begin, end),
        cmocka_unit_test_setup_teardown(who_went_away_is_not_called, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

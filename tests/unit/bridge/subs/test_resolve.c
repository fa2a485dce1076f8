#include "bridge/subs/resolve.h"

#include "base/clock.h"
#include "tests/unit/bridge/subs/fake_pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NCOLS = 10, FRESHNESS_MS = 1000, KEPT_US = 100000 };

static wc_us now;

wc_us wc_clock_mono(void)
{
    return now;
}

/* What q_binding.sql says of a table and its column of type integer, or text. */
#define ROW(number, oid)  number, oid, "t", "t", "t", "23", "0", NULL, "t", "f"
#define TEXT(number, oid) number, oid, "t", "t", "t", "25", "950", "pg_catalog.\"C\"", "t", "t"
/* of a table without naming a column */
#define BARE(number, oid) number, oid, "t", "t", "f", NULL, NULL, NULL, "t", "f"

struct waiter {
    struct wc_list link;
    unsigned answers;
    char said[16]; /* the sqlstate; empty after an answer */
    wc_oid rel;    /* the first one's, 0 without a table */
    size_t ntables;
};

struct world {
    struct wc_pg pg;
    struct wc_resolver *resolver;
    struct waiter *asks; /* once, in the middle of an answer */
    const char *asks_table;
};

static enum wc_status ask(struct world *w, const char *table, struct waiter *who);

static void on_answer(void *arg, struct wc_list *link, struct wc_resolution *r,
                      const struct wc_resolve_failure *failure)
{
    struct world *w = arg;
    struct waiter *who = WC_CONTAINER(link, struct waiter, link);
    assert_true(wc_list_is_empty(link));
    assert_true(!r != !failure);
    who->answers++;
    (void)snprintf(who->said, sizeof who->said, "%s", failure ? failure->sqlstate : "");
    who->ntables = r ? r->ntables : 0;
    who->rel = who->ntables ? r->table[0].rel : 0;
    struct waiter *other = w->asks;
    w->asks = NULL;
    if (other)
        assert_int_equal(ask(w, w->asks_table, other), WC_AGAIN);
}

static int begin_with(void **state, uint32_t freshness_ms)
{
    struct world *w = calloc(1, sizeof *w);
    w->resolver = wc_resolver_new("{\"p\"}", freshness_ms, on_answer, w);
    *state = w;
    return w->resolver ? 0 : -1;
}

static int begin(void **state)
{
    return begin_with(state, FRESHNESS_MS);
}

static int begin_never_fresh(void **state)
{
    return begin_with(state, 0);
}

static int end(void **state)
{
    struct world *w = *state;
    wc_resolver_free(w->resolver);
    fake_pg_release(&w->pg);
    free(w);
    return 0;
}

/* Before the waiters of a test are gone: nobody is left waiting for an answer. */
static void abandon(struct world *w)
{
    wc_resolver_free(w->resolver);
    w->resolver = NULL;
}

static enum wc_status ask_key(struct world *w, const struct wc_resolve_key *key, struct waiter *who)
{
    struct wc_resolution *r = NULL;
    wc_list_init(&who->link);
    enum wc_status st = wc_resolver_ask(w->resolver, &w->pg, key, &who->link, &r);
    assert_int_equal(st == WC_OK, r != NULL);
    if (r)
        who->rel = r->table[0].rel;
    return st;
}

/* Binding "id=eq." on public.<table> as anon. */
static enum wc_status ask(struct world *w, const char *table, struct waiter *who)
{
    const struct wc_slice id = wc_slice_str("id");
    const struct wc_resolve_key key = {wc_slice_str("anon"), wc_slice_str("public"),
                                       wc_slice_str(table), 1, &id};
    return ask_key(w, &key, who);
}

static void answer(struct world *w, int nrows, const char *const *cell)
{
    fake_pg_answer(&w->pg, nrows, NCOLS, cell);
}

static void equal_bindings_share_a_question_and_its_answer(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0}, later = {0};
    assert_int_equal(ask(w, "t", &a), WC_AGAIN);
    assert_int_equal(ask(w, "t", &b), WC_AGAIN);
    assert_int_equal(w->pg.count, 1);
    assert_string_equal(w->pg.query[0].param[0], "{\"p\"}");
    assert_string_equal(w->pg.query[0].param[1], "{\"public\"}");
    assert_string_equal(w->pg.query[0].param[2], "{\"t\"}");
    assert_string_equal(w->pg.query[0].param[3], "{\"anon\"}");
    assert_string_equal(w->pg.query[0].param[4], "{\"{\\\"id\\\"}\"}");
    answer(w, 1, (const char *[]){ROW("1", "16400")});
    assert_int_equal(a.rel, 16400);
    assert_int_equal(b.rel, 16400);
    assert_int_equal(ask(w, "t", &later), WC_OK);
    assert_int_equal(later.rel, 16400);
    assert_int_equal(w->pg.count, 1);
    abandon(w);
}

static void who_asks_meanwhile_goes_into_the_next_question(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0}, c = {0}, d = {0};
    w->asks = &d;
    w->asks_table = "d";
    assert_int_equal(ask(w, "a", &a), WC_AGAIN);
    assert_int_equal(ask(w, "b", &b), WC_AGAIN);
    assert_int_equal(ask(w, "c", &c), WC_AGAIN);
    assert_int_equal(w->pg.count, 1);
    answer(w, 1, (const char *[]){ROW("1", "1")});
    assert_int_equal(w->pg.count, 2);
    assert_string_equal(w->pg.query[1].param[2], "{\"b\",\"c\",\"d\"}");
    answer(w, 3, (const char *[]){ROW("1", "2"), ROW("3", "4"), ROW("3", "5")});
    assert_int_equal(a.rel, 1);
    assert_int_equal(b.rel, 2);
    assert_int_equal(c.answers, 1);
    assert_int_equal(c.ntables, 0); /* no row: not published */
    assert_int_equal(d.ntables, 2);
    assert_int_equal(d.rel, 4);
    abandon(w);
}

static void an_answer_is_given_for_100_ms_after_the_question(void **state)
{
    struct world *w = *state;
    struct waiter who = {0};
    assert_int_equal(ask(w, "t", &who), WC_AGAIN);
    now += KEPT_US / 2;
    answer(w, 1, (const char *[]){ROW("1", "1")});
    now += KEPT_US / 2 - 1;
    wc_resolver_sweep(w->resolver);
    assert_int_equal(ask(w, "t", &who), WC_OK);
    now++;
    assert_int_equal(ask(w, "t", &who), WC_AGAIN);
    now += KEPT_US;
    answer(w, 1, (const char *[]){ROW("1", "2")}); /* slow, but who waited for it gets it */
    assert_int_equal(who.rel, 2);
    assert_int_equal(ask(w, "t", &who), WC_AGAIN);
    abandon(w);
}

static void a_refusal_is_not_given_again(void **state)
{
    struct world *w = *state;
    static const char *const row[][NCOLS] = {
        {"1", "1", "f", "f", "f", "23", "0", NULL, "t", "f"},  /* no role */
        {"1", "1", "t", "f", "t", "23", "0", NULL, "t", "f"},  /* not ours to use */
        {"1", "1", "t", "t", "f", "23", "0", NULL, "t", "f"},  /* not readable */
        {"1", "1", "t", "t", "f", NULL, NULL, NULL, "t", "f"}, /* no such column */
    };
    struct waiter who = {0};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        assert_int_equal(ask(w, "t", &who), WC_AGAIN);
        answer(w, 1, row[i]);
        assert_int_equal(who.answers, i + 1);
    }
    assert_int_equal(ask(w, "t", &who), WC_AGAIN);
    answer(w, 0, NULL); /* not published */
    assert_int_equal(ask(w, "t", &who), WC_AGAIN);
    abandon(w);
}

static void without_freshness_every_question_is_asked(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0};
    assert_int_equal(ask(w, "t", &a), WC_AGAIN);
    answer(w, 1, (const char *[]){ROW("1", "1")});
    assert_int_equal(ask(w, "t", &b), WC_AGAIN);
    wc_resolver_sweep(w->resolver); /* keeps what is under way */
    answer(w, 1, (const char *[]){ROW("1", "2")});
    assert_int_equal(b.rel, 2);
    wc_resolver_sweep(w->resolver);
    abandon(w);
}

static void an_error_of_many_is_split_until_it_is_one_binding_s_own(void **state)
{
    struct world *w = *state;
    static const char *const table[] = {"x", "good", "bad", "fine"};
    struct waiter who[4] = {0};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ask(w, table[i], &who[i]), WC_AGAIN);
    answer(w, 1, (const char *[]){ROW("1", "1")});
    assert_string_equal(w->pg.query[1].param[2], "{\"good\",\"bad\",\"fine\"}");
    fake_pg_fail(&w->pg, "22P05");
    assert_string_equal(w->pg.query[2].param[2], "{\"good\"}");
    answer(w, 1, (const char *[]){ROW("1", "2")});
    assert_string_equal(w->pg.query[3].param[2], "{\"bad\",\"fine\"}");
    fake_pg_fail(&w->pg, "22P05");
    assert_string_equal(w->pg.query[4].param[2], "{\"bad\"}");
    fake_pg_fail(&w->pg, "22P05");
    assert_string_equal(w->pg.query[5].param[2], "{\"fine\"}");
    answer(w, 1, (const char *[]){ROW("1", "3")});
    assert_int_equal(who[1].rel, 2);
    assert_string_equal(who[2].said, "22P05");
    assert_int_equal(who[3].rel, 3);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(who[i].answers, 1);
    abandon(w);
}

static void a_lost_connection_is_told_to_everybody(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0};
    assert_int_equal(ask(w, "a", &a), WC_AGAIN);
    assert_int_equal(ask(w, "b", &b), WC_AGAIN);
    (void)snprintf(a.said, sizeof a.said, "nothing");
    fake_pg_fail(&w->pg, "");
    assert_int_equal(a.answers, 1);
    assert_int_equal(b.answers, 1);
    assert_int_equal(a.ntables, 0);
    assert_string_equal(a.said, "");
    w->pg.refuses = WC_CLOSED;
    assert_int_equal(ask(w, "a", &a), WC_CLOSED);
    assert_true(wc_list_is_empty(&a.link));
    w->pg.refuses = WC_OK;
    assert_int_equal(ask(w, "a", &a), WC_AGAIN);
    assert_string_equal(w->pg.query[1].param[2], "{\"a\"}");
    abandon(w);
}

static void a_connection_lost_between_two_questions_is_told_too(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0};
    assert_int_equal(ask(w, "a", &a), WC_AGAIN);
    assert_int_equal(ask(w, "b", &b), WC_AGAIN);
    w->pg.refuses = WC_CLOSED;
    answer(w, 1, (const char *[]){ROW("1", "1")});
    assert_int_equal(a.rel, 1);
    assert_int_equal(b.answers, 1);
    assert_int_equal(b.ntables, 0);
    abandon(w);
}

static void who_went_away_is_not_called(void **state)
{
    struct world *w = *state;
    struct waiter a = {0}, b = {0};
    assert_int_equal(ask(w, "t", &a), WC_AGAIN);
    assert_int_equal(ask(w, "t", &b), WC_AGAIN);
    wc_list_remove(&a.link);
    answer(w, 1, (const char *[]){ROW("1", "1")});
    assert_int_equal(a.answers, 0);
    assert_int_equal(b.answers, 1);
    abandon(w);
}

static void wildcards_are_null_and_names_that_cannot_be_are_empty(void **state)
{
    struct world *w = *state;
    char name[65] = {0};
    memset(name, 'n', 64);
    const struct wc_slice none = wc_slice(NULL, 0), role = wc_slice_str("anon");
    struct waiter who[3] = {0};
    const struct wc_slice long_name = wc_slice_str(name);
    const struct wc_resolve_key key[] = {
        {role, wc_slice_str("s"), none, 0, NULL},
        {role, none, wc_slice_str("NULL"), 1, &long_name},
        {role, wc_slice_str(""), wc_slice_str(name), 0, NULL},
    };
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ask_key(w, &key[i], &who[i]), WC_AGAIN);
    assert_string_equal(w->pg.query[0].param[1], "{\"s\"}");
    assert_string_equal(w->pg.query[0].param[2], "{NULL}"); /* alone: it may have many rows */
    assert_string_equal(w->pg.query[0].param[4], "{NULL}");
    answer(w, 2, (const char *[]){BARE("1", "1"), BARE("1", "2")});
    assert_int_equal(who[0].ntables, 1); /* one stands for all */
    assert_string_equal(w->pg.query[1].param[1], "{NULL,\"\"}");
    assert_string_equal(w->pg.query[1].param[2], "{\"NULL\",\"\"}");
    assert_string_equal(w->pg.query[1].param[4], "{\"{\\\"\\\"}\",NULL}");
    assert_int_equal(ask_key(w, &key[0], &who[0]), WC_OK);
    abandon(w);
}

static void each_table_has_each_column_that_was_named(void **state)
{
    struct world *w = *state;
    struct waiter who = {0};
    const struct wc_slice names[] = {wc_slice_str("a"), wc_slice_str("q\"{,\\"), wc_slice_str("a")};
    const struct wc_resolve_key key = {wc_slice_str("anon"), wc_slice_str("public"),
                                       wc_slice(NULL, 0), 3, names};
    struct wc_resolution *r = NULL;
    assert_int_equal(ask_key(w, &key, &who), WC_AGAIN);
    assert_string_equal(w->pg.query[0].param[4],
                        "{\"{\\\"a\\\",\\\"q\\\\\\\"{,\\\\\\\\\\\",\\\"a\\\"}\"}");
    answer(w, 6,
           (const char *[]){ROW("1", "7"), TEXT("1", "7"), ROW("1", "7"), //
                            TEXT("1", "8"), ROW("1", "8"), TEXT("1", "8")});
    assert_int_equal(wc_resolver_ask(w->resolver, &w->pg, &key, &who.link, &r), WC_OK);
    assert_int_equal(r->ntables, 2);
    assert_int_equal(r->table[0].rel, 7);
    assert_int_equal(r->table[1].rel, 8);
    static const wc_oid types[2][3] = {{23, 25, 23}, {25, 23, 25}};
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < 3; i++) {
            const struct wc_resolved_column *c = &r->table[t].column[i];
            bool is_text = c->type == 25;
            assert_int_equal(c->type, types[t][i]);
            assert_int_equal(c->collation, is_text ? 950 : 0);
            assert_true(wc_slice_is(c->collate, is_text ? "pg_catalog.\"C\"" : ""));
            assert_int_equal(c->is_c, is_text);
            assert_true(c->is_deterministic);
        }
    }
    abandon(w);
}

static void an_answer_in_use_outlives_the_resolver(void **state)
{
    struct world *w = *state;
    struct waiter who = {0};
    struct wc_resolution *r = NULL;
    const struct wc_slice id = wc_slice_str("id");
    const struct wc_resolve_key key = {wc_slice_str("anon"), wc_slice_str("public"),
                                       wc_slice_str("t"), 1, &id};
    assert_int_equal(ask(w, "t", &who), WC_AGAIN);
    answer(w, 1, (const char *[]){TEXT("1", "7")});
    assert_int_equal(wc_resolver_ask(w->resolver, &w->pg, &key, &who.link, &r), WC_OK);
    (void)wc_resolution_ref(r);
    abandon(w);
    assert_true(wc_slice_is(r->table[0].column[0].collate, "pg_catalog.\"C\""));
    wc_resolution_unref(r);
}

static void many_names_are_asked_for_alone(void **state)
{
    struct world *w = *state;
    enum { N = 2000 };
    struct waiter who[3] = {0};
    struct wc_slice *names = calloc(N, sizeof *names);
    assert_non_null(names);
    for (size_t i = 0; i < N; i++)
        names[i] = wc_slice_str("a_column_whose_name_is_as_long_as_a_name_can_be_in_postgres_63b");
    const struct wc_resolve_key key = {wc_slice_str("anon"), wc_slice_str("public"),
                                       wc_slice_str("wide"), N, names};
    assert_int_equal(ask(w, "a", &who[0]), WC_AGAIN);
    assert_int_equal(ask(w, "b", &who[1]), WC_AGAIN);
    assert_int_equal(ask_key(w, &key, &who[2]), WC_AGAIN);
    answer(w, 1, (const char *[]){ROW("1", "1")});
    assert_string_equal(w->pg.query[1].param[2], "{\"b\"}");
    answer(w, 1, (const char *[]){ROW("1", "1")});
    assert_string_equal(w->pg.query[2].param[2], "{\"wide\"}");
    abandon(w);
    free(names);
}

static void a_question_has_at_most_256_bindings(void **state)
{
    struct world *w = *state;
    enum { N = 300 };
    static struct waiter who[N];
    memset(who, 0, sizeof who);
    for (int i = 0; i < N; i++) {
        char table[8];
        (void)snprintf(table, sizeof table, "t%d", i);
        assert_int_equal(ask(w, table, &who[i]), WC_AGAIN);
    }
    answer(w, 0, NULL);
    assert_non_null(strstr(w->pg.query[1].param[2], "\"t256\"}"));
    answer(w, 0, NULL);
    assert_non_null(strstr(w->pg.query[2].param[2], "\"t299\"}"));
    abandon(w);
}

static void what_is_kept_has_a_ceiling(void **state)
{
    struct world *w = *state;
    struct waiter who = {0};
    for (int round = 0; round < 500; round++) { /* 15,000 answers of some 600 bytes */
        for (int i = 0; i < 30; i++) {
            char table[16];
            (void)snprintf(table, sizeof table, "t%d-%d", round, i);
            assert_int_equal(ask(w, table, &who), WC_AGAIN);
            answer(w, 1, (const char *[]){ROW("1", "7")});
        }
        fake_pg_release(&w->pg);
    }
    assert_int_equal(ask(w, "t499-29", &who), WC_OK);
    assert_int_equal(ask(w, "t0-0", &who), WC_AGAIN); /* forgotten, though not too old */
    abandon(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_bindings_share_a_question_and_its_answer, begin, end),
        cmocka_unit_test_setup_teardown(who_asks_meanwhile_goes_into_the_next_question, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_is_given_for_100_ms_after_the_question, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_refusal_is_not_given_again, begin, end),
        cmocka_unit_test_setup_teardown(without_freshness_every_question_is_asked,
                                        begin_never_fresh, end),
        cmocka_unit_test_setup_teardown(an_error_of_many_is_split_until_it_is_one_binding_s_own,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_lost_connection_is_told_to_everybody, begin, end),
        cmocka_unit_test_setup_teardown(a_connection_lost_between_two_questions_is_told_too, begin,
                                        end),
        cmocka_unit_test_setup_teardown(who_went_away_is_not_called, begin, end),
        cmocka_unit_test_setup_teardown(wildcards_are_null_and_names_that_cannot_be_are_empty,
                                        begin, end),
        cmocka_unit_test_setup_teardown(each_table_has_each_column_that_was_named, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_in_use_outlives_the_resolver, begin, end),
        cmocka_unit_test_setup_teardown(many_names_are_asked_for_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_question_has_at_most_256_bindings, begin, end),
        cmocka_unit_test_setup_teardown(what_is_kept_has_a_ceiling, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

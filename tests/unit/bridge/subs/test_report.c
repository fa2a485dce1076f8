#include "bridge/subs/report.h"

#include "base/metrics.h"
#include "bridge/subs/subs_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { REL = 16400, NROLLS = WC_REPORT_PAIRS_MAX + 6 };

static struct wc_rules compiled = {.refs = 1, .number = 1, .kind = WC_RULES_COMPILED};
static struct wc_rules delegated = {
    .refs = 1, .number = 2, .kind = WC_RULES_DELEGATED, .why = "a function that is not proven"};
static struct wc_rules open_to_all = {.refs = 1, .number = 3, .kind = WC_RULES_OPEN};

static struct wc_subs subs;
static struct wc_roll *roll[NROLLS];
static struct wc_list entry[NROLLS];

static void on_answer(void *arg, bool early)
{
    (void)arg;
    (void)early;
}

static int begin(void **state)
{
    (void)state;
    static const struct wc_access_options options = {.freshness_ms = 1000};
    subs = (struct wc_subs){.opt.tenant = "t"};
    subs.access = wc_access_cache_new(&options, on_answer, NULL);
    assert_non_null(subs.access);
    wc_rolls_init(&subs.rolls, subs.access);
    for (unsigned i = 0; i < NROLLS; i++) {
        wc_list_init(&entry[i]);
        roll[i] = wc_roll_enter(&subs.rolls, REL + i, wc_slice_str("anon"), true, &entry[i]);
        assert_non_null(roll[i]);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NROLLS; i++)
        wc_roll_leave(&subs.rolls, roll[i], &entry[i]);
    wc_rolls_release(&subs.rolls);
    wc_access_cache_free(subs.access);
    assert_int_equal(compiled.refs + delegated.refs + open_to_all.refs, 3);
    return 0;
}

static void set_rules(unsigned from, unsigned to, struct wc_rules *rules)
{
    for (unsigned i = from; i < to; i++)
        roll[i]->rules = wc_rules_ref(rules);
}

static void what_is_open_or_not_known_is_left_out(void **state)
{
    (void)state;
    set_rules(0, 2, &open_to_all);
    set_rules(2, 3, &delegated);
    struct wc_report *r = wc_report_new(&subs);
    assert_non_null(r);
    assert_int_equal(r->ndelegated, 1);
    assert_int_equal(r->ncompiled, 0);
    assert_int_equal(r->npairs, 1);
    assert_string_equal(r->pair[0].role, "anon");
    assert_string_equal(r->pair[0].why, delegated.why);
    assert_int_equal(r->pair[0].nbindings, 1);
    assert_int_equal(r->pair[0].nwaiting, 0);
    wc_report_free(r);
}

static void the_delegated_are_listed_first_and_all_are_counted(void **state)
{
    (void)state;
    set_rules(0, NROLLS - 3, &compiled);
    set_rules(NROLLS - 3, NROLLS, &delegated);
    struct wc_report *r = wc_report_new(&subs);
    assert_non_null(r);
    assert_int_equal(r->ncompiled, NROLLS - 3);
    assert_int_equal(r->ndelegated, 3);
    assert_int_equal(r->npairs, WC_REPORT_PAIRS_MAX);
    for (size_t i = 0; i < r->npairs; i++)
        assert_int_equal(r->pair[i].why != NULL, i < 3);
    assert_int_equal(r->pair[3].nwaiting, 1);
    wc_report_free(r);
}

static void few_changes_are_logged_and_all_are_counted(void **state)
{
    (void)state;
    set_rules(0, NROLLS, &compiled);
    int64_t before = wc_metric_sum(WC_M_RULES_CHANGES);
    for (unsigned i = 0; i < NROLLS; i++)
        wc_report_change(&subs, roll[i], &delegated);
    assert_int_equal(wc_metric_sum(WC_M_RULES_CHANGES) - before, NROLLS);
    assert_int_equal(subs.rules_told.count, WC_REPORT_LINES);
    assert_int_equal(subs.rules_told.unsaid, NROLLS - WC_REPORT_LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_open_or_not_known_is_left_out, begin, end),
        cmocka_unit_test_setup_teardown(the_delegated_are_listed_first_and_all_are_counted, begin,
                                        end),
        cmocka_unit_test_setup_teardown(few_changes_are_logged_and_all_are_counted, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

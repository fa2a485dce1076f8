#include "bridge/subs/shadow.h"

#include "base/metrics.h"
#include "decoder/pgoutput.h"
#include "tests/unit/bridge/subs/fake_judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* The verdict under test is the caller's, so a wrong one is made by saying it. */

enum { PERMILLE = 1000, REL = 7 };

/* R: oid 7, public.notes, without columns */
static const char notes[] = "R\0\0\0\7public\0notes\0f\0\0";

struct fixture {
    struct wc_shadow *shadow;
    struct wc_pgoutput *decoder;
    const struct wc_rel *rel;
    struct wc_contexts *contexts;
    struct wc_context *alice, *bob;
    struct wc_rules *rules;
    struct wc_access access;
    bool has_answer; /* a later one */
    unsigned versions_asked, distrusted;
    bool refuses_version;
    int64_t counted[WC_METRIC_COUNT];
};

static const struct wc_access *on_access(void *self, const struct wc_rel *rel, struct wc_slice role,
                                         wc_us since)
{
    const struct fixture *f = self;
    assert_int_equal(rel->oid, REL);
    assert_true(wc_slice_is(role, "authenticated"));
    return since == 0 || f->has_answer ? &f->access : NULL;
}

static bool on_ask_version(void *self, const struct wc_access *access, const struct wc_change *ch)
{
    struct fixture *f = self;
    assert_ptr_equal(access, &f->access);
    assert_int_equal(ch->rel->oid, REL);
    f->versions_asked += !f->refuses_version;
    return !f->refuses_version;
}

static void on_distrust(void *self, const struct wc_rules *rules, const char *why)
{
    struct fixture *f = self;
    assert_ptr_equal(rules, f->rules);
    assert_non_null(why);
    f->distrusted++;
}

static struct wc_rules *new_rules(uint64_t number)
{
    struct wc_rules *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->refs = 1;
    r->number = number;
    r->kind = WC_RULES_COMPILED;
    wc_arena_init(&r->arena, 1024);
    return r;
}

static void describe(struct fixture *f)
{
    struct wc_arena arena;
    struct wc_event ev;
    struct wc_err err;
    f->decoder = wc_pgoutput_new(1);
    wc_arena_init(&arena, 1 << 16);
    assert_int_equal(
        wc_pgoutput_decode(f->decoder, wc_slice(notes, sizeof notes - 1), &arena, &ev, &err),
        WC_OK);
    wc_arena_release(&arena);
    f->rel = ev.relation;
}

static int setup(void **state)
{
    static const struct wc_shadow_hooks hooks = {
        .access = on_access, .ask_version = on_ask_version, .distrust = on_distrust};
    static const struct wc_judge_options options = {.tenant = "t"};
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->contexts = wc_contexts_new();
    f->alice =
        wc_context_get(f->contexts, wc_slice_str("authenticated"), wc_slice_str("{\"a\":1}"));
    f->bob = wc_context_get(f->contexts, wc_slice_str("authenticated"), wc_slice_str("{\"b\":1}"));
    describe(f);
    f->rules = new_rules(5);
    f->access.rules = f->rules;
    f->shadow = wc_shadow_new(NULL, &options, PERMILLE, &hooks, f);
    assert_non_null(f->shadow);
    for (size_t i = 0; i < WC_METRIC_COUNT; i++)
        f->counted[i] = wc_metric_sum((enum wc_metric)i);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    wc_shadow_free(f->shadow);
    assert_int_equal(f->rules->refs, 1);
    wc_rules_unref(f->rules);
    wc_context_unref(f->alice);
    wc_context_unref(f->bob);
    wc_contexts_free(f->contexts);
    wc_pgoutput_free(f->decoder);
    free(f);
    return 0;
}

static int64_t counted(const struct fixture *f, enum wc_metric m)
{
    return wc_metric_sum(m) - f->counted[m];
}

static bool take(struct fixture *f, enum wc_op op)
{
    const struct wc_change ch = {.op = op, .rel = f->rel};
    return wc_shadow_takes(f->shadow, &ch, 700);
}

/* One change, one context, sent. */
static void ask(struct fixture *f, enum wc_verdict here)
{
    assert_true(take(f, WC_OP_INSERT));
    wc_shadow_add(f->shadow, &f->access, f->alice, here);
    wc_shadow_send(f->shadow);
    assert_true(fake_judge.is_busy);
    assert_int_equal(fake_judge.nquestions, 1);
}

static void answer(enum wc_verdict there)
{
    fake_judge_answer_all(there, WC_FALSE);
}

static void version(struct fixture *f, const char *text)
{
    wc_shadow_version(f->shadow, text ? wc_slice_str(text) : wc_slice(NULL, 0));
}

static void expect_alarms(const struct fixture *f, unsigned n)
{
    assert_int_equal(f->distrusted, n);
    assert_int_equal(counted(f, WC_M_SHADOW_DISAGREEMENTS), n);
}

/* It is found to be so once more, and once more ... */
static void confirm(struct fixture *f, enum wc_verdict there, const char *row)
{
    for (int i = 1; i < 5; i++) {
        expect_alarms(f, 0);
        assert_true(fake_judge.is_busy);
        answer(there);
        if (there == WC_VERDICT_HIDDEN)
            version(f, row);
        wc_shadow_go_on(f->shadow);
    }
}

static bool is_gathering(struct fixture *f)
{
    return take(f, WC_OP_UPDATE);
}

static void verdicts_that_agree_or_cannot_be_held_against_raise_no_alarm(void **state)
{
    static const struct {
        enum wc_verdict here, there;
        unsigned counts;
    } table[] = {
        {WC_VERDICT_VISIBLE, WC_VERDICT_VISIBLE, 1},
        {WC_VERDICT_HIDDEN, WC_VERDICT_HIDDEN, 1},
        {WC_VERDICT_VISIBLE, WC_VERDICT_GONE, 0},
        {WC_VERDICT_VISIBLE, WC_VERDICT_SUPERSEDED, 0},
        {WC_VERDICT_VISIBLE, WC_VERDICT_FAILED, 0},
        {WC_VERDICT_VISIBLE, WC_VERDICT_SUSPENDED, 0},
        {WC_VERDICT_HIDDEN, WC_VERDICT_SUPERSEDED, 0},
        {WC_VERDICT_HIDDEN, WC_VERDICT_GONE, 0},
    };
    struct fixture *f = *state;
    f->has_answer = true;
    unsigned checks = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        ask(f, table[i].here);
        answer(table[i].there);
        wc_shadow_go_on(f->shadow);
        checks += table[i].counts;
        assert_int_equal(counted(f, WC_M_SHADOW_CHECKS), checks);
        expect_alarms(f, 0);
        assert_int_equal(f->versions_asked, 0);
    }
}

static void a_row_hidden_here_and_visible_there_is_an_alarm_by_the_same_rules(void **state)
{
    struct fixture *f = *state;
    ask(f, WC_VERDICT_HIDDEN);
    answer(WC_VERDICT_VISIBLE);
    wc_shadow_go_on(f->shadow);
    expect_alarms(f, 0); /* the catalog has not been asked since */
    assert_false(is_gathering(f));
    f->has_answer = true;
    wc_shadow_go_on(f->shadow);
    confirm(f, WC_VERDICT_VISIBLE, NULL);
    expect_alarms(f, 1);
    assert_true(is_gathering(f));
}

static void what_is_found_no_more_was_no_disagreement(void **state)
{
    struct fixture *f = *state;
    f->has_answer = true;
    ask(f, WC_VERDICT_HIDDEN);
    answer(WC_VERDICT_VISIBLE);
    wc_shadow_go_on(f->shadow);
    answer(WC_VERDICT_VISIBLE);
    wc_shadow_go_on(f->shadow);
    answer(WC_VERDICT_HIDDEN);
    wc_shadow_go_on(f->shadow);
    expect_alarms(f, 0);
    assert_true(is_gathering(f));
}

static void rules_that_changed_meanwhile_explain_it(void **state)
{
    struct fixture *f = *state;
    struct wc_rules *later = new_rules(6);
    ask(f, WC_VERDICT_HIDDEN);
    answer(WC_VERDICT_VISIBLE);
    f->access.rules = later;
    f->has_answer = true;
    wc_shadow_go_on(f->shadow);
    expect_alarms(f, 0);
    assert_true(is_gathering(f));
    wc_rules_unref(later);
    f->access.rules = f->rules;
}

static void rules_that_changed_and_changed_back_explain_it(void **state)
{
    struct fixture *f = *state;
    f->access.version = wc_slice_str("700 16400 701");
    ask(f, WC_VERDICT_HIDDEN);
    answer(WC_VERDICT_VISIBLE);
    f->access.version = wc_slice_str("700 16400 703");
    f->has_answer = true;
    wc_shadow_go_on(f->shadow);
    expect_alarms(f, 0);
    assert_true(is_gathering(f));
}

static void a_row_visible_here_and_hidden_there_is_an_alarm_if_it_stood_all_the_time(void **state)
{
    struct fixture *f = *state;
    f->has_answer = true;
    ask(f, WC_VERDICT_VISIBLE);
    answer(WC_VERDICT_HIDDEN);
    assert_int_equal(f->versions_asked, 1);
    version(f, "1 (0,1) 700");
    assert_true(fake_judge.is_busy);
    answer(WC_VERDICT_HIDDEN);
    assert_int_equal(f->versions_asked, 2);
    wc_shadow_go_on(f->shadow);
    expect_alarms(f, 0);
    version(f, "1 (0,1) 700");
    wc_shadow_go_on(f->shadow);
    confirm(f, WC_VERDICT_HIDDEN, "1 (0,1) 700");
    expect_alarms(f, 1);
    assert_true(is_gathering(f));
}

static void a_row_that_changed_meanwhile_explains_it(void **state)
{
    struct fixture *f = *state;
    f->has_answer = true;
    static const struct {
        const char *first;
        enum wc_verdict again;
        const char *second;
    } table[] = {
        {NULL, WC_VERDICT_NONE, NULL},
        {"1 (0,1) 700", WC_VERDICT_VISIBLE, NULL},
        {"1 (0,1) 700", WC_VERDICT_GONE, NULL},
        {"1 (0,1) 700", WC_VERDICT_HIDDEN, NULL},
        {"1 (0,1) 700", WC_VERDICT_HIDDEN, "1 (0,2) 701"},
        {"1 (0,1) 700", WC_VERDICT_HIDDEN, "1 (0,1) 7000"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        ask(f, WC_VERDICT_VISIBLE);
        answer(WC_VERDICT_HIDDEN);
        version(f, table[i].first);
        if (table[i].first)
            answer(table[i].again);
        if (table[i].again == WC_VERDICT_HIDDEN)
            version(f, table[i].second);
        wc_shadow_go_on(f->shadow);
        expect_alarms(f, 0);
        assert_false(fake_judge.is_busy);
    }
    assert_true(is_gathering(f));
}

static void who_does_not_see_all_rows_lets_it_go(void **state)
{
    struct fixture *f = *state;
    f->refuses_version = true;
    ask(f, WC_VERDICT_VISIBLE);
    answer(WC_VERDICT_HIDDEN);
    expect_alarms(f, 0);
    assert_int_equal(counted(f, WC_M_SHADOW_SKIPPED_UNSETTLED), 1);
    assert_true(is_gathering(f));
}

static void rules_are_distrusted_once(void **state)
{
    struct fixture *f = *state;
    f->has_answer = true;
    assert_true(take(f, WC_OP_INSERT));
    wc_shadow_add(f->shadow, &f->access, f->alice, WC_VERDICT_HIDDEN);
    wc_shadow_add(f->shadow, &f->access, f->bob, WC_VERDICT_HIDDEN);
    wc_shadow_add(f->shadow, &f->access, f->bob, WC_VERDICT_HIDDEN); /* the same question */
    assert_true(take(f, WC_OP_UPDATE));
    wc_shadow_add(f->shadow, &f->access, f->alice, WC_VERDICT_HIDDEN);
    wc_shadow_send(f->shadow);
    assert_int_equal(fake_judge.nquestions, 3);
    answer(WC_VERDICT_VISIBLE);
    wc_shadow_go_on(f->shadow);
    confirm(f, WC_VERDICT_VISIBLE, NULL);
    wc_shadow_go_on(f->shadow);
    expect_alarms(f, 1);
    assert_int_equal(counted(f, WC_M_SHADOW_CHECKS), 3);
    assert_true(is_gathering(f));
}

static void one_batch_is_under_way_and_the_rest_is_counted(void **state)
{
    struct fixture *f = *state;
    assert_false(take(f, WC_OP_DELETE));
    for (int i = 0; i < WC_SHADOW_ROWS; i++) {
        assert_true(take(f, WC_OP_INSERT));
        wc_shadow_add(f->shadow, &f->access, f->alice, WC_VERDICT_VISIBLE);
    }
    assert_false(take(f, WC_OP_INSERT));
    wc_shadow_send(f->shadow);
    wc_shadow_send(f->shadow);
    assert_int_equal(fake_judge.nquestions, WC_SHADOW_ROWS);
    assert_false(take(f, WC_OP_INSERT));
    assert_int_equal(counted(f, WC_M_SHADOW_SKIPPED_BUSY), 2);
    answer(WC_VERDICT_VISIBLE);
    assert_int_equal(counted(f, WC_M_SHADOW_CHECKS), WC_SHADOW_ROWS);
    assert_true(is_gathering(f));
}

static void a_change_that_nobody_is_judged_for_is_not_asked_about(void **state)
{
    struct fixture *f = *state;
    assert_true(take(f, WC_OP_INSERT));
    wc_shadow_send(f->shadow);
    assert_false(fake_judge.is_busy);
    ask(f, WC_VERDICT_VISIBLE); /* there is room again */
}

static void a_batch_without_an_answer_is_forgotten(void **state)
{
    struct fixture *f = *state;
    f->has_answer = true;
    ask(f, WC_VERDICT_HIDDEN);
    fake_judge_verdict(0, WC_VERDICT_VISIBLE);
    fake_judge_answered(false);
    wc_shadow_go_on(f->shadow);
    expect_alarms(f, 0);
    assert_int_equal(counted(f, WC_M_SHADOW_CHECKS), 0);
    assert_true(is_gathering(f));
}

static void what_was_asked_before_the_stream_began_again_does_not_count(void **state)
{
    struct fixture *f = *state;
    f->has_answer = true;
    ask(f, WC_VERDICT_VISIBLE);
    answer(WC_VERDICT_HIDDEN);
    wc_shadow_forget(f->shadow);
    ask(f, WC_VERDICT_VISIBLE);
    answer(WC_VERDICT_HIDDEN);
    version(f, "1 (0,1) 1"); /* of the first */
    assert_false(fake_judge.is_busy);
    version(f, "1 (0,1) 2");
    answer(WC_VERDICT_HIDDEN);
    version(f, "1 (0,1) 2");
    wc_shadow_go_on(f->shadow);
    confirm(f, WC_VERDICT_HIDDEN, "1 (0,1) 2");
    expect_alarms(f, 1);
}

static void without_memory_nothing_is_asked(void **state)
{
    struct fixture *f = *state;
    assert_true(take(f, WC_OP_INSERT));
    fake_judge.refuses = WC_NOMEM;
    wc_shadow_add(f->shadow, &f->access, f->alice, WC_VERDICT_VISIBLE);
    fake_judge.refuses = WC_OK;
    wc_shadow_add(f->shadow, &f->access, f->bob, WC_VERDICT_VISIBLE);
    wc_shadow_send(f->shadow);
    assert_false(fake_judge.is_busy);
    ask(f, WC_VERDICT_VISIBLE);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(verdicts_that_agree_or_cannot_be_held_against_raise_no_alarm),
        CASE(a_row_hidden_here_and_visible_there_is_an_alarm_by_the_same_rules),
        CASE(what_is_found_no_more_was_no_disagreement),
        CASE(rules_that_changed_meanwhile_explain_it),
        CASE(rules_that_changed_and_changed_back_explain_it),
        CASE(a_row_visible_here_and_hidden_there_is_an_alarm_if_it_stood_all_the_time),
        CASE(a_row_that_changed_meanwhile_explains_it),
        CASE(who_does_not_see_all_rows_lets_it_go),
        CASE(rules_are_distrusted_once),
        CASE(one_batch_is_under_way_and_the_rest_is_counted),
        CASE(a_change_that_nobody_is_judged_for_is_not_asked_about),
        CASE(a_batch_without_an_answer_is_forgotten),
        CASE(what_was_asked_before_the_stream_began_again_does_not_count),
        CASE(without_memory_nothing_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

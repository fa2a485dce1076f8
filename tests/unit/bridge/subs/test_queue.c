/* Changes are inserts into one table whose only column is a text. What a change needs is said by
 * the text: "-" nothing, "~" patience, a letter the verdict of that context, "%" a comparison. */
#include "bridge/subs/queue.h"
#include "tests/unit/bridge/subs/fake_judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_CHANGES = 1024, MAX_BYTES = 1 << 20, CONTEXTS = 26 };

struct world {
    struct wc_queue_hooks hooks;
    struct wc_queue *queue;
    const struct wc_rel *rel;
    struct wc_pgoutput *decoder;
    struct wc_context context[CONTEXTS];
    bool is_here[CONTEXTS];
    struct wc_comparisons *comparisons;
    struct wc_shared_comparison *comparison;
    bool is_patient;        /* "~" waits */
    enum wc_status deliver; /* what delivering says */
    char delivered[2048];   /* "a:visible b:hidden -" ... */
    unsigned moved, later, failed;
    char trouble[200];
};

static const struct wc_access access_entry;

static char text_of(const struct wc_queued *c, size_t i)
{
    return (char)c->change.new.col[0].val.p[i];
}

static bool is_context(char letter)
{
    return letter >= 'a' && letter <= 'z';
}

static enum wc_need look(void *self, const struct wc_queued *c)
{
    const struct world *w = self;
    for (size_t i = 0; i < c->change.new.col[0].val.len; i++) {
        char letter = text_of(c, i);
        if (letter == '~' && w->is_patient)
            return WC_NEED_PATIENCE;
        if (is_context(letter) && w->is_here[letter - 'a'] &&
            wc_queued_verdict(c, &w->context[letter - 'a']) == WC_VERDICT_NONE)
            return WC_NEED_ANSWERS;
        if (letter == '%' && wc_queued_truth(c, w->comparison) == WC_UNDECIDED)
            return WC_NEED_ANSWERS;
    }
    return WC_NEED_NOTHING;
}

static enum wc_status ask(void *self, struct wc_queued *c)
{
    struct world *w = self;
    size_t letters = c->change.new.col[0].val.len;
    enum wc_status st = WC_OK;
    for (size_t i = 0; i < letters && st == WC_OK; i++) {
        char letter = text_of(c, i);
        if (is_context(letter) && w->is_here[letter - 'a'])
            st = wc_queue_want(w->queue, c, &access_entry, &w->context[letter - 'a']);
        if (letter == '%')
            st = wc_queue_compare(w->queue, c, w->comparison, wc_slice_str("value"));
    }
    return st;
}

static enum wc_status deliver(void *self, const struct wc_queued *c)
{
    struct world *w = self;
    if (w->deliver != WC_OK)
        return w->deliver;
    size_t len = strlen(w->delivered);
    for (size_t i = 0; i < c->change.new.col[0].val.len; i++) {
        char letter = text_of(c, i);
        int answer = 0;
        if (is_context(letter) && w->is_here[letter - 'a'])
            answer = (int)wc_queued_verdict(c, &w->context[letter - 'a']);
        if (letter == '%')
            answer = (int)wc_queued_truth(c, w->comparison);
        len +=
            (size_t)snprintf(w->delivered + len, sizeof w->delivered - len, "%c%d", letter, answer);
    }
    (void)snprintf(w->delivered + len, sizeof w->delivered - len, " ");
    return WC_OK;
}

static void moved(void *self)
{
    ((struct world *)self)->moved++;
}

static void later(void *self)
{
    ((struct world *)self)->later++;
}

static void failed(void *self, enum wc_status st)
{
    struct world *w = self;
    assert_int_equal(st, w->deliver);
    w->failed++;
    wc_queue_forget(w->queue); /* as the end of the stream does */
}

static void trouble(void *self, wc_oid rel, struct wc_slice schema, struct wc_slice role,
                    bool is_over, const char *text)
{
    struct world *w = self;
    (void)snprintf(w->trouble, sizeof w->trouble, "%u %.*s %.*s %d %s", rel, WC_SLICE_ARG(schema),
                   WC_SLICE_ARG(role), is_over, text);
}

/* Relation 16384 public.t (v text), as the stream describes it. */
static const uint8_t relation[] = "R\0\0\x40\0public\0t\0d\0\x01\0v\0\0\0\0\x19\xff\xff\xff\xff";

static void new_queue(struct world *w, wc_us freshness)
{
    const struct wc_queue_limits limits = {MAX_CHANGES, MAX_BYTES, freshness};
    wc_queue_free(w->queue);
    w->queue = wc_queue_new(NULL, &(struct wc_judge_options){0}, &limits, &w->hooks, w);
}

static int set_up(void **state)
{
    static const struct wc_queue_hooks hooks = {.look = look,
                                                .deliver = deliver,
                                                .ask = ask,
                                                .moved = moved,
                                                .later = later,
                                                .failed = failed,
                                                .trouble = trouble};
    struct world *w = calloc(1, sizeof *w);
    struct wc_arena arena;
    struct wc_event ev;
    struct wc_err err;
    w->decoder = wc_pgoutput_new(1);
    wc_arena_init(&arena, 1 << 16);
    assert_int_equal(
        wc_pgoutput_decode(w->decoder, wc_slice(relation, sizeof relation - 1), &arena, &ev, &err),
        WC_OK);
    wc_arena_release(&arena);
    w->rel = ev.relation;
    for (size_t i = 0; i < CONTEXTS; i++) {
        w->context[i] = (struct wc_context){.serial = i + 1};
        w->is_here[i] = true;
    }
    w->comparisons = wc_comparisons_new();
    w->comparison = wc_comparison_get(
        w->comparisons, wc_slice_str("t"),
        &(struct wc_comparison){.op = WC_FILTER_LIKE, .type = wc_slice_str("text")});
    w->hooks = hooks;
    w->queue = NULL;
    new_queue(w, 3600 * (wc_us)1000000);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    wc_queue_free(w->queue);
    wc_comparison_unref(w->comparison);
    wc_comparisons_free(w->comparisons);
    wc_pgoutput_free(w->decoder);
    free(w);
    return 0;
}

static enum wc_status append_bytes(struct world *w, const void *text, size_t len)
{
    struct wc_col *col = malloc(sizeof *col); /* so that its use after this is found */
    uint8_t *copy = malloc(len + 1);
    memcpy(copy, text, len);
    *col = (struct wc_col){.kind = WC_COL_TEXT, .val = wc_slice(copy, len)};
    const struct wc_change ch = {
        .op = WC_OP_INSERT, .rel = w->rel, .new = {.ncols = 1, .col = col}};
    const struct wc_place place = {.xid = 700};
    enum wc_status st = wc_queue_append(w->queue, &ch, &place);
    free(copy);
    free(col);
    return st;
}

static void append(struct world *w, const char *text)
{
    assert_int_equal(append_bytes(w, text, strlen(text)), WC_OK);
}

static void changes_leave_in_the_order_they_came(void **state)
{
    struct world *w = *state;
    append(w, "a");
    append(w, "-");
    append(w, "b");
    append(w, "-");
    wc_queue_go_on(w->queue);
    assert_string_equal(w->delivered, "");
    assert_int_equal(fake_judge.sent, 1);
    assert_int_equal(fake_judge.nquestions, 2); /* what is behind the head is asked with it */
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_TRUE);
    assert_string_equal(w->delivered, "a1 -0 b1 -0 ");
    assert_true(wc_queue_is_empty(w->queue));
    assert_int_equal(w->moved, 1);
}

static void what_needs_nothing_leaves_at_once(void **state)
{
    struct world *w = *state;
    append(w, "-");
    append(w, "a");
    wc_queue_go_on(w->queue);
    assert_string_equal(w->delivered, "-0 ");
    assert_int_equal(w->moved, 1);
    fake_judge_answer_all(WC_VERDICT_HIDDEN, WC_TRUE);
    assert_string_equal(w->delivered, "-0 a2 ");
}

static void while_a_batch_is_under_way_nothing_is_asked_or_delivered(void **state)
{
    struct world *w = *state;
    append(w, "a");
    wc_queue_go_on(w->queue);
    append(w, "-");
    append(w, "b");
    wc_queue_go_on(w->queue);
    assert_string_equal(w->delivered, "");
    assert_int_equal(fake_judge.sent, 1);
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_TRUE);
    assert_string_equal(w->delivered, "a1 -0 ");
    assert_int_equal(fake_judge.sent, 2); /* what came meanwhile is the next batch */
    assert_int_equal(fake_judge.nchanges, 1);
    fake_judge_answer_all(WC_VERDICT_GONE, WC_TRUE);
    assert_string_equal(w->delivered, "a1 -0 b3 ");
}

static void a_batch_holds_no_more_than_the_judge_takes(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < WC_JUDGE_MAX + 3; i++)
        append(w, "a");
    assert_true(wc_queue_is_ripe(w->queue));
    wc_queue_go_on(w->queue);
    assert_int_equal(fake_judge.nchanges, WC_JUDGE_MAX);
    assert_false(wc_queue_is_ripe(w->queue));
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_TRUE);
    assert_int_equal(fake_judge.nchanges, 3);
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_TRUE);
    assert_true(wc_queue_is_empty(w->queue));
}

static void a_change_that_nothing_is_asked_about_takes_no_room_in_a_batch(void **state)
{
    struct world *w = *state;
    append(w, "a");
    for (size_t i = 0; i < WC_JUDGE_MAX; i++)
        append(w, "-");
    append(w, "b");
    wc_queue_go_on(w->queue);
    assert_int_equal(fake_judge.nchanges, 2);
}

static void it_is_full_by_count(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < MAX_CHANGES; i++)
        append(w, "a");
    assert_int_equal(append_bytes(w, "a", 1), WC_AGAIN);
    wc_queue_go_on(w->queue);
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_TRUE);
    append(w, "a");
}

static void it_is_full_by_bytes_but_one_larger_change_fits_alone(void **state)
{
    struct world *w = *state;
    char *large = malloc(MAX_BYTES * 2);
    memset(large, '-', MAX_BYTES * 2);
    assert_int_equal(append_bytes(w, large, MAX_BYTES * 2), WC_OK);
    assert_int_equal(append_bytes(w, "-", 1), WC_AGAIN);
    wc_queue_forget(w->queue);
    append(w, "a");
    assert_int_equal(append_bytes(w, large, MAX_BYTES), WC_AGAIN);
    assert_int_equal(append_bytes(w, large, MAX_BYTES / 2), WC_OK);
    assert_int_equal(append_bytes(w, large, MAX_BYTES / 2), WC_AGAIN);
    free(large);
}

static void who_comes_while_a_change_waits_is_asked_about_too(void **state)
{
    struct world *w = *state;
    w->is_here['b' - 'a'] = false;
    append(w, "ab");
    wc_queue_go_on(w->queue);
    assert_int_equal(fake_judge.nquestions, 1);
    w->is_here['b' - 'a'] = true;
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_TRUE);
    assert_string_equal(w->delivered, "");
    assert_int_equal(fake_judge.nquestions, 1); /* what is known is not asked again */
    assert_ptr_equal(fake_judge.question[0].context, &w->context[1]);
    fake_judge_answer_all(WC_VERDICT_HIDDEN, WC_TRUE);
    assert_string_equal(w->delivered, "a1b2 ");
}

static void who_leaves_while_a_change_waits_holds_nothing_up(void **state)
{
    struct world *w = *state;
    append(w, "a");
    append(w, "b");
    wc_queue_go_on(w->queue);
    w->is_here[0] = false;
    fake_judge_verdict(1, WC_VERDICT_VISIBLE);
    fake_judge_answered(true);
    assert_string_equal(w->delivered, "a0 b1 ");
}

static void an_answer_is_not_taken_for_that_of_a_later_context_in_its_place(void **state)
{
    struct world *w = *state;
    append(w, "-a");
    wc_queue_go_on(w->queue);
    fake_judge_verdict(0, WC_VERDICT_VISIBLE);
    w->context[0].serial = 1000; /* the same address: somebody else */
    fake_judge_answered(true);
    assert_string_equal(w->delivered, "");
    assert_int_equal(fake_judge.nquestions, 1);
    fake_judge_answer_all(WC_VERDICT_HIDDEN, WC_TRUE);
    assert_string_equal(w->delivered, "-0a2 ");
}

/* The verdict comes after the context's end: it was asked for by somebody who is gone. */
static void an_answer_to_somebody_who_is_gone_is_nobodys(void **state)
{
    struct world *w = *state;
    append(w, "a");
    wc_queue_go_on(w->queue);
    struct wc_context gone = w->context[0];
    w->context[0].serial = 1000;
    fake_judge.question[0].context = &gone;
    fake_judge_verdict(0, WC_VERDICT_VISIBLE);
    fake_judge_answered(true);
    assert_string_equal(w->delivered, "");
    fake_judge_answer_all(WC_VERDICT_HIDDEN, WC_TRUE);
    assert_string_equal(w->delivered, "a2 ");
}

static void what_is_not_answered_is_asked_again_later(void **state)
{
    struct world *w = *state;
    append(w, "ab");
    append(w, "c");
    wc_queue_go_on(w->queue);
    fake_judge_verdict(0, WC_VERDICT_VISIBLE);
    fake_judge_verdict(1, WC_VERDICT_NONE);
    fake_judge_answered(false);
    assert_int_equal(w->later, 1);
    assert_int_equal(fake_judge.sent, 1);
    wc_queue_go_on(w->queue);
    assert_int_equal(fake_judge.sent, 2);
    assert_int_equal(fake_judge.nquestions, 2);
    assert_ptr_equal(fake_judge.question[0].context, &w->context[1]);
    fake_judge_answer_all(WC_VERDICT_FAILED, WC_TRUE);
    assert_string_equal(w->delivered, "a1b5 c5 ");
}

static void truths_are_answers_too(void **state)
{
    struct world *w = *state;
    append(w, "%a");
    wc_queue_go_on(w->queue);
    assert_int_equal(fake_judge.nquestions, 2);
    assert_ptr_equal(fake_judge.question[0].comparison, &w->comparison->is);
    assert_int_equal(fake_judge.question[0].value.len, 5);
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_FALSE);
    assert_string_equal(w->delivered, "%0a1 ");
}

static void a_comparison_lives_until_it_is_answered(void **state)
{
    struct world *w = *state;
    append(w, "%");
    wc_queue_go_on(w->queue);
    assert_int_equal(w->comparison->refs, 2);
    fake_judge_truth(0, WC_NULL);
    fake_judge_answered(true);
    assert_int_equal(w->comparison->refs, 1);
    append(w, "%");
    wc_queue_go_on(w->queue);
    wc_queue_forget(w->queue);
    assert_int_equal(w->comparison->refs, 1);
}

static void many_answers_to_one_change_are_all_remembered(void **state)
{
    struct world *w = *state;
    append(w, "abcdefghijklmnopqrstuvwxyz%");
    wc_queue_go_on(w->queue);
    assert_int_equal(fake_judge.nquestions, 27);
    for (size_t i = 0; i < 26; i++)
        fake_judge_verdict(i, i % 2 ? WC_VERDICT_HIDDEN : WC_VERDICT_VISIBLE);
    fake_judge_truth(26, WC_TRUE);
    fake_judge_answered(true);
    assert_string_equal(w->delivered, "a1b2c1d2e1f2g1h2i1j2k1l2m1n2o1p2q1r2s1t2u1v2w1x2y1z2%1 ");
}

static void patience_holds_back_the_rest_and_is_not_asked_about(void **state)
{
    struct world *w = *state;
    w->is_patient = true;
    append(w, "~");
    append(w, "a");
    wc_queue_go_on(w->queue);
    assert_int_equal(fake_judge.sent, 0);
    w->is_patient = false;
    wc_queue_go_on(w->queue);
    assert_string_equal(w->delivered, "~0 ");
    assert_int_equal(fake_judge.sent, 1);
}

static void an_answer_that_is_too_old_is_asked_for_again(void **state)
{
    struct world *w = *state;
    new_queue(w, 0);
    append(w, "ab~");
    append(w, "c");
    wc_queue_go_on(w->queue);
    w->is_patient = true;
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_TRUE);
    assert_string_equal(w->delivered, "");
    w->is_patient = false;
    for (wc_us answered = wc_clock_mono(); wc_clock_mono() <= answered;)
        continue;
    wc_queue_go_on(w->queue);
    assert_string_equal(w->delivered, "");
    assert_int_equal(fake_judge.nquestions, 3);
    fake_judge_answer_all(WC_VERDICT_HIDDEN, WC_TRUE); /* fresh, however long the batch took */
    assert_string_equal(w->delivered, "a2b2~0 c2 ");
}

static void what_is_forgotten_is_never_delivered(void **state)
{
    struct world *w = *state;
    append(w, "a");
    append(w, "-");
    wc_queue_go_on(w->queue);
    wc_queue_forget(w->queue);
    assert_int_equal(fake_judge.forgotten, 1);
    assert_true(wc_queue_is_empty(w->queue));
    assert_null(wc_queue_head(w->queue));
    append(w, "b");
    wc_queue_go_on(w->queue);
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_TRUE);
    assert_string_equal(w->delivered, "b1 ");
}

static void after_a_stop_nothing_is_delivered_and_all_stays(void **state)
{
    struct world *w = *state;
    append(w, "a");
    append(w, "-");
    wc_queue_go_on(w->queue);
    wc_queue_stop(w->queue);
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_TRUE);
    wc_queue_go_on(w->queue);
    assert_string_equal(w->delivered, "");
    assert_non_null(wc_queue_head(w->queue));
}

static void a_failed_delivery_ends_the_walk(void **state)
{
    struct world *w = *state;
    append(w, "a");
    append(w, "-");
    wc_queue_go_on(w->queue);
    w->deliver = WC_NOMEM;
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_TRUE);
    assert_int_equal(w->failed, 1);
    assert_string_equal(w->delivered, "");
    assert_true(wc_queue_is_empty(w->queue));
}

static void a_batch_that_memory_does_not_allow_is_tried_again(void **state)
{
    struct world *w = *state;
    append(w, "a");
    fake_judge.refuses = WC_NOMEM;
    wc_queue_go_on(w->queue);
    assert_int_equal(fake_judge.sent, 0);
    assert_int_equal(fake_judge.nchanges, 0);
    assert_int_equal(w->later, 1);
    fake_judge.refuses = WC_OK;
    wc_queue_go_on(w->queue);
    fake_judge_answer_all(WC_VERDICT_VISIBLE, WC_TRUE);
    assert_string_equal(w->delivered, "a1 ");
}

static void rows_are_copied_whole(void **state)
{
    struct world *w = *state;
    static const struct wc_col old[] = {{WC_COL_TEXT, {(const uint8_t *)"", 0}},
                                        {WC_COL_NULL, {NULL, 0}}};
    static const struct wc_col new[] = {{WC_COL_TOAST_UNCHANGED, {NULL, 0}},
                                        {WC_COL_BINARY, {(const uint8_t *)"a\0b", 3}}};
    const struct wc_change ch = {.op = WC_OP_UPDATE,
                                 .rel = w->rel,
                                 .old_kind = WC_OLD_FULL,
                                 .old = {.ncols = 2, .col = old},
                                 .new = {.ncols = 2, .col = new}};
    const struct wc_place place = {
        .xid = 7, .commit_time = 8, .commit_lsn = 9, .ordinal = 10, .passed = 11};
    assert_int_equal(wc_queue_append(w->queue, &ch, &place), WC_OK);
    const struct wc_queued *c = wc_queue_head(w->queue);
    assert_memory_equal(&c->place, &place, sizeof place);
    assert_int_equal(c->change.op, WC_OP_UPDATE);
    assert_int_equal(c->change.old_kind, WC_OLD_FULL);
    assert_ptr_equal(c->change.rel, w->rel);
    assert_int_equal(c->change.old.ncols, 2);
    assert_int_equal(c->change.old.col[0].kind, WC_COL_TEXT);
    assert_int_equal(c->change.old.col[0].val.len, 0);
    assert_int_equal(c->change.old.col[1].kind, WC_COL_NULL);
    assert_int_equal(c->change.new.col[0].kind, WC_COL_TOAST_UNCHANGED);
    assert_int_equal(c->change.new.col[1].kind, WC_COL_BINARY);
    assert_int_equal(c->change.new.col[1].val.len, 3);
    assert_memory_equal(c->change.new.col[1].val.p, "a\0b", 4); /* and a NUL behind */
}

static void a_relation_lives_as_long_as_what_waits_for_it(void **state)
{
    struct world *w = *state;
    append(w, "-");
    wc_pgoutput_reset(w->decoder);
    assert_string_equal(wc_queue_head(w->queue)->change.rel->name.p, "t");
}

static void trouble_is_passed_on_with_the_schema_of_the_table(void **state)
{
    struct world *w = *state;
    append(w, "a");
    wc_queue_go_on(w->queue);
    fake_judge.events->trouble(fake_judge.arg, 16384, wc_slice_str("anon"), false, "it raised");
    assert_string_equal(w->trouble, "16384 public anon 0 it raised");
    fake_judge.events->trouble(fake_judge.arg, 1, wc_slice_str("anon"), true, "it is over");
    assert_string_equal(w->trouble, "1  anon 1 it is over");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(changes_leave_in_the_order_they_came),
        TEST(what_needs_nothing_leaves_at_once),
        TEST(while_a_batch_is_under_way_nothing_is_asked_or_delivered),
        TEST(a_batch_holds_no_more_than_the_judge_takes),
        TEST(a_change_that_nothing_is_asked_about_takes_no_room_in_a_batch),
        TEST(it_is_full_by_count),
        TEST(it_is_full_by_bytes_but_one_larger_change_fits_alone),
        TEST(who_comes_while_a_change_waits_is_asked_about_too),
        TEST(who_leaves_while_a_change_waits_holds_nothing_up),
        TEST(an_answer_is_not_taken_for_that_of_a_later_context_in_its_place),
        TEST(an_answer_to_somebody_who_is_gone_is_nobodys),
        TEST(what_is_not_answered_is_asked_again_later),
        TEST(truths_are_answers_too),
        TEST(a_comparison_lives_until_it_is_answered),
        TEST(many_answers_to_one_change_are_all_remembered),
        TEST(patience_holds_back_the_rest_and_is_not_asked_about),
        TEST(an_answer_that_is_too_old_is_asked_for_again),
        TEST(what_is_forgotten_is_never_delivered),
        TEST(after_a_stop_nothing_is_delivered_and_all_stays),
        TEST(a_failed_delivery_ends_the_walk),
        TEST(a_batch_that_memory_does_not_allow_is_tried_again),
        TEST(rows_are_copied_whole),
        TEST(a_relation_lives_as_long_as_what_waits_for_it),
        TEST(trouble_is_passed_on_with_the_schema_of_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

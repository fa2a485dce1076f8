#include "bridge/repl/feedback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { PATIENCE = 6, LONG_AGO = 0, NOW = 100000000 };

static struct wc_feedback made_at(wc_lsn point)
{
    struct wc_feedback f = {0};
    wc_feedback_slot_made(&f, point);
    assert_true(wc_feedback_ok(&f));
    return f;
}

static void nothing_is_told_beyond_what_was_offered(void **state)
{
    (void)state;
    struct wc_feedback f = made_at(1000);
    (void)wc_feedback_confirm(&f, 2000, NOW);
    assert_int_equal(wc_feedback_tell(&f), 1000);
    wc_feedback_progress(&f, 1500);
    assert_int_equal(wc_feedback_tell(&f), 1000); /* offered is not handed over */
    (void)wc_feedback_confirm(&f, 1501, NOW);
    assert_int_equal(wc_feedback_tell(&f), 1000);
    (void)wc_feedback_confirm(&f, 1500, NOW);
    assert_int_equal(wc_feedback_tell(&f), 1500);
    wc_feedback_server_at(&f, 9000); /* what the server has is not what we have */
    assert_int_equal(wc_feedback_tell(&f), 1500);
    assert_true(wc_feedback_ok(&f));
}

static void positions_never_go_back(void **state)
{
    (void)state;
    struct wc_feedback f = made_at(1000);
    wc_feedback_progress(&f, 3000);
    wc_feedback_progress(&f, 2000);
    assert_int_equal(f.received, 3000);
    (void)wc_feedback_confirm(&f, 2500, NOW);
    (void)wc_feedback_confirm(&f, 2400, NOW);
    assert_int_equal(wc_feedback_tell(&f), 2500);
    wc_feedback_server_at(&f, 5000);
    wc_feedback_server_at(&f, 4000);
    assert_int_equal(f.server, 5000);
}

static void what_is_taken_back_is_not_received_any_more(void **state)
{
    (void)state;
    struct wc_feedback f = made_at(1000);
    wc_feedback_progress(&f, 5000);
    (void)wc_feedback_confirm(&f, 2000, NOW);
    wc_feedback_take_back(&f, 6000);
    assert_int_equal(f.received, 5000);
    wc_feedback_take_back(&f, 3000);
    assert_int_equal(f.received, 3000);
    (void)wc_feedback_confirm(&f, 3001, NOW);
    assert_int_equal(f.confirmed, 2000);
    wc_feedback_take_back(&f, 1500);
    assert_int_equal(f.received, 2000); /* what is confirmed stays so */
    assert_true(wc_feedback_ok(&f));
}

static void an_update_is_due_at_most_once_a_second(void **state)
{
    (void)state;
    struct wc_feedback f = made_at(1000);
    wc_feedback_progress(&f, 9000);
    f.sent_at = NOW;
    assert_false(wc_feedback_confirm(&f, 2000, NOW));
    assert_false(wc_feedback_confirm(&f, 3000, NOW + 999999));
    assert_true(wc_feedback_confirm(&f, 4000, NOW + 1000000));
    assert_false(wc_feedback_confirm(&f, 4000, NOW + 2000000)); /* nothing new to say */
}

static void a_slot_found_further_on_than_we_ever_told_was_moved_by_somebody_else(void **state)
{
    (void)state;
    static const struct {
        wc_lsn told, confirmed, found;
        bool is_ours;
        wc_lsn confirmed_then;
    } table[] = {
        {1000, 1000, 1000, true, 1000},
        {1000, 1000, 900, true, 1000},  /* it crashed before it wrote what we told */
        {1000, 1400, 1000, true, 1400}, /* handed over, and not told yet */
        {1000, 1400, 1200, false, 1400},
        {1000, 1000, 5000, false, 5000},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct wc_feedback f = made_at(table[i].told);
        wc_feedback_progress(&f, table[i].confirmed);
        (void)wc_feedback_confirm(&f, table[i].confirmed, LONG_AGO);
        assert_int_equal(wc_feedback_slot_found(&f, table[i].found), table[i].is_ours);
        assert_int_equal(f.confirmed, table[i].confirmed_then);
        assert_true(wc_feedback_ok(&f));
    }
}

static void another_log_begins_at_nothing(void **state)
{
    (void)state;
    struct wc_feedback f = made_at(1000);
    wc_feedback_server_at(&f, 5000);
    wc_feedback_forget(&f);
    assert_int_equal(f.received | f.confirmed | f.told | f.server, 0);
    (void)wc_feedback_slot_found(&f, 700);
    assert_int_equal(wc_feedback_tell(&f), 700);
}

static void a_reply_is_asked_for_only_when_nothing_came_since_the_last_update(void **state)
{
    (void)state;
    struct wc_feedback f = made_at(1000);
    wc_feedback_heard(&f);
    assert_false(wc_feedback_tick(&f, true));
    assert_true(wc_feedback_tick(&f, true));
    wc_feedback_heard(&f);
    assert_false(wc_feedback_tick(&f, true));
}

static void silence_counts_from_the_second_request_and_ends_with_anything_heard(void **state)
{
    (void)state;
    struct wc_feedback f = made_at(1000);
    static const enum wc_feedback_silence expected[] = {
        WC_FEEDBACK_ANSWERS, WC_FEEDBACK_SILENT, WC_FEEDBACK_SILENT, WC_FEEDBACK_SILENT,
        WC_FEEDBACK_SILENT,  WC_FEEDBACK_SILENT, WC_FEEDBACK_DEAD,   WC_FEEDBACK_DEAD};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_true(wc_feedback_tick(&f, true));
        assert_int_equal(wc_feedback_silence(&f, PATIENCE), expected[i]);
    }
    wc_feedback_heard(&f);
    assert_int_equal(wc_feedback_silence(&f, PATIENCE), WC_FEEDBACK_ANSWERS);
}

static void a_stream_that_is_not_read_is_not_silent(void **state)
{
    (void)state;
    struct wc_feedback f = made_at(1000);
    for (int i = 0; i < 3 * PATIENCE; i++) {
        assert_false(wc_feedback_tick(&f, false));
        assert_int_equal(wc_feedback_silence(&f, PATIENCE), WC_FEEDBACK_ANSWERS);
    }
    assert_true(wc_feedback_tick(&f, true)); /* from here on it is read again */
    assert_int_equal(wc_feedback_silence(&f, PATIENCE), WC_FEEDBACK_ANSWERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_told_beyond_what_was_offered),
        cmocka_unit_test(positions_never_go_back),
        cmocka_unit_test(what_is_taken_back_is_not_received_any_more),
        cmocka_unit_test(an_update_is_due_at_most_once_a_second),
        cmocka_unit_test(a_slot_found_further_on_than_we_ever_told_was_moved_by_somebody_else),
        cmocka_unit_test(another_log_begins_at_nothing),
        cmocka_unit_test(a_reply_is_asked_for_only_when_nothing_came_since_the_last_update),
        cmocka_unit_test(silence_counts_from_the_second_request_and_ends_with_anything_heard),
        cmocka_unit_test(a_stream_that_is_not_read_is_not_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

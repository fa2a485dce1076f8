/* Who may connect, who waits, and for whom nobody waits. */
#include "bridge/pg/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = WC_PG_GATE_ROOM + 3 };

static struct wc_pg_pass *entered[MANY];
static unsigned nentered;

static void enter(struct wc_pg_pass *p)
{
    assert_true(nentered < MANY);
    entered[nentered++] = p;
}

/* Each of its own database; returns how many were let in at once. */
static unsigned ask_all(struct wc_pg_gate *g, struct wc_pg_lane *lane, struct wc_pg_pass *pass,
                        bool are_failing)
{
    unsigned in = 0;
    nentered = 0;
    for (unsigned i = 0; i < MANY; i++) {
        lane[i] = (struct wc_pg_lane){.gate = g, .is_failing = are_failing};
        in += wc_pg_gate_ask(&lane[i], &pass[i], enter);
    }
    return in;
}

static void leave_all(struct wc_pg_pass *pass)
{
    for (unsigned i = 0; i < MANY; i++)
        wc_pg_gate_leave(&pass[i], WC_PG_ATTEMPT_GIVEN_UP);
}

static void those_beyond_the_room_wait_and_come_in_order(void **state)
{
    (void)state;
    struct wc_pg_gate g;
    struct wc_pg_lane lane[MANY];
    struct wc_pg_pass pass[MANY];
    wc_pg_gate_init(&g);
    assert_int_equal(ask_all(&g, lane, pass, false), WC_PG_GATE_ROOM);
    wc_pg_gate_leave(&pass[5], WC_PG_ATTEMPT_SUCCEEDED);
    wc_pg_gate_leave(&pass[6], WC_PG_ATTEMPT_FAILED);
    assert_int_equal(nentered, 2);
    assert_ptr_equal(entered[0], &pass[WC_PG_GATE_ROOM]);
    assert_ptr_equal(entered[1], &pass[WC_PG_GATE_ROOM + 1]);
    assert_true(!lane[5].is_failing && lane[6].is_failing);
    leave_all(pass);
    assert_int_equal(g.inside[0] + g.inside[1], 0);
}

static void one_that_waits_and_is_closed_is_not_let_in(void **state)
{
    (void)state;
    struct wc_pg_gate g;
    struct wc_pg_lane lane[MANY];
    struct wc_pg_pass pass[MANY];
    wc_pg_gate_init(&g);
    (void)ask_all(&g, lane, pass, false);
    wc_pg_gate_leave(&pass[WC_PG_GATE_ROOM], WC_PG_ATTEMPT_GIVEN_UP);
    assert_int_equal(nentered, 0);
    wc_pg_gate_leave(&pass[0], WC_PG_ATTEMPT_GIVEN_UP);
    assert_int_equal(nentered, 1);
    assert_ptr_equal(entered[0], &pass[WC_PG_GATE_ROOM + 1]);
    assert_false(lane[0].is_failing); /* nothing is known of it */
    leave_all(pass);
    assert_int_equal(g.inside[0], 0);
}

static void failing_databases_never_keep_a_sound_one_waiting(void **state)
{
    (void)state;
    struct wc_pg_gate g;
    struct wc_pg_lane lane[MANY];
    struct wc_pg_pass pass[MANY];
    wc_pg_gate_init(&g);
    (void)ask_all(&g, lane, pass, true);
    struct wc_pg_lane sound = {.gate = &g};
    struct wc_pg_pass its = {.lane = NULL};
    assert_true(wc_pg_gate_ask(&sound, &its, enter));
    wc_pg_gate_leave(&its, WC_PG_ATTEMPT_SUCCEEDED);
    leave_all(pass);
    assert_int_equal(g.inside[0] + g.inside[1], 0);
}

static void nobody_waits_for_one_that_takes_long(void **state)
{
    (void)state;
    struct wc_pg_gate g;
    struct wc_pg_lane lane[MANY];
    struct wc_pg_pass pass[MANY];
    wc_pg_gate_init(&g);
    (void)ask_all(&g, lane, pass, false);
    wc_pg_gate_is_slow(&pass[0]);
    assert_int_equal(nentered, 1);
    assert_true(lane[0].is_failing);
    wc_pg_gate_is_slow(&pass[0]); /* it is out */
    assert_int_equal(nentered, 1);
    wc_pg_gate_leave(&pass[0], WC_PG_ATTEMPT_SUCCEEDED); /* after all */
    assert_false(lane[0].is_failing);
    assert_int_equal(nentered, 1);
    assert_int_equal(g.inside[0], WC_PG_GATE_ROOM);
    leave_all(pass);
    assert_int_equal(g.inside[0], 0);
}

static void leaving_without_having_asked_is_fine(void **state)
{
    (void)state;
    struct wc_pg_pass pass = {.lane = NULL};
    wc_pg_gate_leave(&pass, WC_PG_ATTEMPT_FAILED);
    wc_pg_gate_leave(&pass, WC_PG_ATTEMPT_GIVEN_UP);
    assert_int_equal(pass.state, WC_PG_PASS_OUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_beyond_the_room_wait_and_come_in_order),
        cmocka_unit_test(one_that_waits_and_is_closed_is_not_let_in),
        cmocka_unit_test(failing_databases_never_keep_a_sound_one_waiting),
        cmocka_unit_test(nobody_waits_for_one_that_takes_long),
        cmocka_unit_test(leaving_without_having_asked_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

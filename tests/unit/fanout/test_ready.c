/* Channels that want to be told when broadcasts of the database reach this server. */
#include "fanout/ready.h"
#include "tests/unit/fanout/fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define WANTS       "{\"broadcast\":{\"replication_ready\":true}}"
#define ESTABLISHED "Replication connection established"
#define TOO_LATE    "Replication connection was not established in time"

/* Joins; what follows the reply stays in the queue. */
static void join(struct wc_session *s, const char *config)
{
    char text[256];
    assert_true(snprintf(text, sizeof text,
                         "[\"1\",\"1\",\"realtime:r\",\"phx_join\",{\"config\":%s}]",
                         config) < (int)sizeof text);
    wc_fake_send(s, text);
    struct wc_frame *reply = wc_fake_take(s);
    assert_non_null(reply);
    wc_frame_unref(reply);
}

static void expect(struct wc_session *s, const char *part)
{
    struct wc_frame *f = wc_fake_take(s);
    if (!f)
        fail_msg("nothing instead of %s", part);
    struct wc_slice got = wc_slice(wc_frame_payload(f), f->len - f->payload);
    if (!memmem(got.p, got.len, part, strlen(part)))
        fail_msg("%.*s instead of %s", WC_SLICE_ARG(got), part);
    wc_frame_unref(f);
}

static void expect_nothing(struct wc_session *s)
{
    assert_int_equal(s->out.count, 0);
}

static void look_after(struct wc_fake_world *w, wc_us ms)
{
    wc_fake_pass(w, ms * 1000);
    wc_ready_look(w->hub[0]);
}

static void told_with_the_join_when_it_stands_already(void **state)
{
    struct wc_fake_world *w = *state;
    w->source.is_replicating = true;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    join(s, WANTS);
    expect(s, "\"status\":\"ok\",\"message\":\"" ESTABLISHED "\",\"channel\":\"r\"");
    assert_false(wc_ready_is_awaited(w->hub[0]));
    look_after(w, WC_READY_LOOK_MS);
    expect_nothing(s);
    wc_fake_drop(s);
}

static void told_once_when_it_stands(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    join(s, WANTS);
    look_after(w, WC_READY_LOOK_MS);
    expect_nothing(s);
    w->source.is_replicating = true;
    look_after(w, WC_READY_LOOK_MS - 1);
    expect_nothing(s);
    look_after(w, 1);
    expect(s, ESTABLISHED);
    look_after(w, 2 * WC_READY_TIMEOUT_MS);
    expect_nothing(s);
    wc_fake_drop(s);
}

static void shut_when_it_does_not_stand_in_time(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
    join(s, WANTS);
    look_after(w, WC_READY_TIMEOUT_MS - 1);
    expect_nothing(s);
    wc_fake_pass(w, 1);
    look_after(w, WC_READY_LOOK_MS);
    expect(s, "\"status\":\"error\",\"message\":\"" TOO_LATE "\"");
    expect(s, "phx_close");
    assert_int_equal(s->nchannels, 0);
    assert_false(wc_ready_is_awaited(w->hub[0]));
    wc_fake_drop(s);
}

static void who_left_is_not_told(void **state)
{
    struct wc_fake_world *w = *state;
    struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2), *other = wc_fake_open(w, 0, WC_PHX_V2);
    join(s, WANTS);
    join(other, WANTS);
    wc_fake_drop(s);
    w->source.is_replicating = true;
    look_after(w, WC_READY_LOOK_MS);
    expect(other, ESTABLISHED);
    wc_fake_drop(other);
    assert_false(wc_ready_is_awaited(w->hub[0]));
}

static void every_value_but_false_and_null_asks_for_it(void **state)
{
    struct wc_fake_world *w = *state;
    static const struct {
        const char *config;
        bool wants;
    } row[] = {{"{}", false},
               {"{\"broadcast\":null}", false},
               {"{\"broadcast\":{\"replication_ready\":false}}", false},
               {"{\"broadcast\":{\"replication_ready\":null}}", false},
               {"{\"broadcast\":{\"replication_ready\":\"false\"}}", true},
               {"{\"broadcast\":{\"replication_ready\":0}}", true},
               {"{\"broadcast\":{\"replication_ready\":{}}}", true}};
    w->source.is_replicating = true;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct wc_session *s = wc_fake_open(w, 0, WC_PHX_V2);
        join(s, row[i].config);
        if (row[i].wants)
            expect(s, ESTABLISHED);
        expect_nothing(s);
        wc_fake_drop(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(told_with_the_join_when_it_stands_already, wc_fake_setup,
                                        wc_fake_teardown),
        cmocka_unit_test_setup_teardown(told_once_when_it_stands, wc_fake_setup, wc_fake_teardown),
        cmocka_unit_test_setup_teardown(shut_when_it_does_not_stand_in_time, wc_fake_setup,
                                        wc_fake_teardown),
        cmocka_unit_test_setup_teardown(who_left_is_not_told, wc_fake_setup, wc_fake_teardown),
        cmocka_unit_test_setup_teardown(every_value_but_false_and_null_asks_for_it, wc_fake_setup,
                                        wc_fake_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

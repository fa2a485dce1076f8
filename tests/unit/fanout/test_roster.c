/* Who is sent away when a tenant has changed, and how much of it in one turn. */
#include "fanout/connect.h"
#include "tests/unit/fanout/fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 40, OTHER = 2 };

struct world {
    struct wc_fake_world fake;
    struct wc_tenant_view other; /* a tenant beside the fake's */
};

static void on_free(struct wc_tenant_view *view)
{
    (void)view;
    fail_msg("a reference was dropped twice");
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    wc_fake_world_init(&w->fake, 64);
    const struct wc_tenant_view *first = &w->fake.source.view;
    w->other.id = OTHER;
    w->other.external_id = "other";
    w->other.keys = first->keys;
    w->other.quota = first->quota;
    w->other.free = on_free;
    atomic_init(&w->other.refs, 1);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    assert_int_equal(atomic_load_explicit(&w->other.refs, memory_order_relaxed), 1);
    wc_fake_world_release(&w->fake);
    free(w);
    return 0;
}

static struct wc_session *open_other(struct world *w)
{
    struct wc_connect_result r = {.serializer = WC_PHX_V2, .tenant = wc_tenant_view_ref(&w->other)};
    struct wc_session *s = wc_session_new(w->fake.hub[0], &r);
    assert_non_null(s);
    wc_session_open(s);
    return s;
}

static void disconnect(struct world *w, uint64_t tenant)
{
    struct wc_msg *m = wc_msg_new(WC_MSG_DISCONNECT, wc_slice(NULL, 0));
    assert_non_null(m);
    m->tenant = tenant;
    assert_int_equal(wc_mesh_push(w->fake.mesh, 0, 0, m), WC_OK);
    wc_mesh_flush(w->fake.mesh, 0);
    (void)wc_fake_turn(&w->fake);
}

static bool turn(struct world *w, wc_us until)
{
    return wc_roster_turn(w->fake.hub[0], until);
}

static void expect_text(struct wc_session *s, const char *want)
{
    struct wc_frame *f = wc_fake_take(s);
    assert_non_null(f);
    assert_int_equal(f->len - f->payload, strlen(want));
    assert_memory_equal(wc_frame_payload(f), want, strlen(want));
    wc_frame_unref(f);
}

static void expect_1012(struct wc_session *s)
{
    struct wc_frame *f = wc_fake_take(s);
    assert_non_null(f);
    assert_memory_equal(wc_frame_payload(f), "\x03\xf4", 2);
    assert_int_equal(f->len - f->payload, 2);
    wc_frame_unref(f);
    assert_int_equal(s->state, WC_SESSION_CLOSING);
    assert_null(wc_fake_take(s));
}

static void each_channel_is_told_and_the_connection_closed(void **state)
{
    struct world *w = *state;
    struct wc_session *s = wc_fake_open(&w->fake, 0, WC_PHX_V2), *other = open_other(w);
    wc_fake_join(s, "a", "{}");
    wc_fake_join(s, "b", "{}");
    disconnect(w, w->fake.source.view.id);
    assert_false(turn(w, INT64_MAX));
#define NOTICE(topic)                                                                              \
    "[null,null,\"realtime:" topic "\",\"system\",{\"extension\":\"system\",\"status\":\"ok\","    \
    "\"message\":\"Server requested disconnect\"}]"
    expect_text(s, NOTICE("a"));
    expect_text(s, NOTICE("b"));
    expect_1012(s);
    assert_int_equal(other->state, WC_SESSION_OPEN);
    assert_null(wc_fake_take(other));
    wc_fake_drop(s);
    wc_fake_drop(other);
}

static void who_came_later_stays(void **state)
{
    struct world *w = *state;
    struct wc_session *before = wc_fake_open(&w->fake, 0, WC_PHX_V1);
    disconnect(w, w->fake.source.view.id);
    struct wc_session *after = wc_fake_open(&w->fake, 0, WC_PHX_V1);
    assert_false(turn(w, INT64_MAX));
    expect_1012(before);
    assert_int_equal(after->state, WC_SESSION_OPEN);
    disconnect(w, w->fake.source.view.id);
    assert_false(turn(w, INT64_MAX));
    expect_1012(after);
    wc_fake_drop(before);
    wc_fake_drop(after);
}

static void thousands_are_spread_over_turns(void **state)
{
    struct world *w = *state;
    struct wc_session *s[MANY];
    unsigned turns = 1, closing = 0;
    for (unsigned i = 0; i < MANY; i++)
        s[i] = wc_fake_open(&w->fake, 0, WC_PHX_V2);
    disconnect(w, w->fake.source.view.id);
    for (bool more = turn(w, 0); more; turns++) {
        closing = 0;
        for (unsigned i = 0; i < MANY; i++)
            closing += s[i]->state == WC_SESSION_CLOSING;
        assert_in_range(closing, 1, MANY);
        more = turn(w, 0);
    }
    assert_in_range(turns, 3, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        expect_1012(s[i]);
        wc_fake_drop(s[i]);
    }
}

static void who_leaves_meanwhile_is_no_more_of_it(void **state)
{
    struct world *w = *state;
    struct wc_session *s = wc_fake_open(&w->fake, 0, WC_PHX_V2);
    disconnect(w, w->fake.source.view.id);
    wc_fake_drop(s);
    assert_false(turn(w, INT64_MAX));
    disconnect(w, w->fake.source.view.id); /* of whom nobody is there */
    disconnect(w, OTHER);
    assert_false(turn(w, INT64_MAX));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_channel_is_told_and_the_connection_closed),
        TEST(who_came_later_stays),
        TEST(thousands_are_spread_over_turns),
        TEST(who_leaves_meanwhile_is_no_more_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

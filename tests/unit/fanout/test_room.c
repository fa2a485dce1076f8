/* Rooms: who is in, on which threads, with which serializer; and for how long a room exists. */
#include "fanout/room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TENANT = 7 };

static int setup(void **state)
{
    *state = wc_rooms_new();
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    wc_rooms_free(*state); /* asserts that every room has gone */
    return 0;
}

static struct wc_room *enter(struct wc_rooms *r, const char *sub, unsigned thread,
                             enum wc_serializer v)
{
    struct wc_room *room = wc_room_enter(r, TENANT, false, wc_slice_str(sub), thread, v);
    assert_non_null(room);
    return room;
}

static void expect_threads(const struct wc_room *room, uint64_t v1, uint64_t v2)
{
    assert_true(wc_room_threads(room, WC_PHX_V1) == v1);
    assert_true(wc_room_threads(room, WC_PHX_V2) == v2);
}

static void a_room_knows_its_threads_by_serializer(void **state)
{
    struct wc_rooms *r = *state;
    struct wc_room *room = enter(r, "a", 0, WC_PHX_V1);
    assert_ptr_equal(enter(r, "a", 63, WC_PHX_V2), room);
    assert_ptr_equal(enter(r, "a", 63, WC_PHX_V2), room);
    expect_threads(room, 1, UINT64_C(1) << 63);
    wc_room_leave(r, room, 63, WC_PHX_V2, false);
    expect_threads(room, 1, UINT64_C(1) << 63);
    wc_room_leave(r, room, 63, WC_PHX_V2, true);
    expect_threads(room, 1, 0);
    wc_room_leave(r, room, 0, WC_PHX_V1, true);
}

static void rooms_differ_by_tenant_privacy_and_name(void **state)
{
    static const struct {
        uint64_t tenant;
        bool is_private;
        const char *sub;
    } keys[] = {{1, false, "a"}, {1, true, "a"}, {2, false, "a"}, {1, false, "A"}, {1, false, ""}};
    enum { N = sizeof keys / sizeof *keys };
    struct wc_rooms *r = *state;
    struct wc_room *room[N];
    for (size_t i = 0; i < N; i++) {
        room[i] = wc_room_enter(r, keys[i].tenant, keys[i].is_private, wc_slice_str(keys[i].sub), 0,
                                WC_PHX_V1);
        assert_non_null(room[i]);
        assert_true(wc_slice_is(room[i]->sub, keys[i].sub));
        assert_int_equal(room[i]->tenant, keys[i].tenant);
        assert_int_equal(room[i]->is_private, keys[i].is_private);
        for (size_t j = 0; j < i; j++)
            assert_true(room[j] != room[i] && room[j]->number != room[i]->number);
    }
    for (size_t i = 0; i < N; i++) {
        struct wc_room *found =
            wc_room_find(r, keys[i].tenant, keys[i].is_private, wc_slice_str(keys[i].sub));
        assert_ptr_equal(found, room[i]);
        wc_room_release(r, found);
        wc_room_leave(r, room[i], 0, WC_PHX_V1, true);
    }
}

static void only_rooms_with_somebody_are_found(void **state)
{
    struct wc_rooms *r = *state;
    assert_null(wc_room_find(r, TENANT, false, wc_slice_str("a")));
    struct wc_room *room = enter(r, "a", 3, WC_PHX_V2);
    uint64_t number = room->number;
    wc_room_leave(r, room, 3, WC_PHX_V2, true);
    assert_null(wc_room_find(r, TENANT, false, wc_slice_str("a")));
    room = enter(r, "a", 3, WC_PHX_V2);
    assert_true(room->number != number); /* numbers are never used again */
    wc_room_leave(r, room, 3, WC_PHX_V2, true);
    wc_room_release(r, NULL);
}

static void a_room_lives_as_long_as_somebody_holds_it(void **state)
{
    struct wc_rooms *r = *state;
    struct wc_room *room = enter(r, "a", 3, WC_PHX_V2);
    struct wc_room *held = wc_room_find(r, TENANT, false, wc_slice_str("a"));
    wc_room_leave(r, room, 3, WC_PHX_V2, true);
    expect_threads(held, 0, 0);
    assert_ptr_equal(enter(r, "a", 1, WC_PHX_V1), held); /* the same one again */
    expect_threads(held, 2, 0);
    wc_room_release(r, held);
    wc_room_leave(r, held, 1, WC_PHX_V1, true);
}

static void names_may_be_long(void **state)
{
    struct wc_rooms *r = *state;
    char name[4097];
    memset(name, 'n', sizeof name);
    struct wc_slice sub = wc_slice(name, sizeof name);
    struct wc_room *room = wc_room_enter(r, TENANT, false, sub, 0, WC_PHX_V1);
    assert_non_null(room);
    struct wc_room *found = wc_room_find(r, TENANT, false, sub);
    assert_ptr_equal(found, room);
    wc_room_release(r, found);
    wc_room_leave(r, room, 0, WC_PHX_V1, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_room_knows_its_threads_by_serializer),
        TEST(rooms_differ_by_tenant_privacy_and_name),
        TEST(only_rooms_with_somebody_are_found),
        TEST(a_room_lives_as_long_as_somebody_holds_it),
        TEST(names_may_be_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

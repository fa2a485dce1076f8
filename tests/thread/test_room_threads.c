/* Threads that enter and leave the same few rooms while others look them up. A thread that is in a
 * room must find its own bit there, and no bit of its own once it has left. */
#include "fanout/room.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MEMBERS = 3, LOOKERS = 1, ROOMS = 4, ROUNDS = 40000 };

struct run {
    struct wc_rooms *rooms;
    _Atomic unsigned running; /* members not done */
    struct side {
        struct run *run;
        unsigned index;
        uint64_t faults, found;
    } member[MEMBERS], looker[LOOKERS];
};

static struct wc_slice name_of(unsigned i)
{
    static const char names[] = "0123";
    return wc_slice(names + i % ROOMS, 1);
}

/* Two memberships at a time, as of two channels of one thread in one room. */
static void *come_and_go(void *arg)
{
    struct side *s = arg;
    struct wc_rooms *rooms = s->run->rooms;
    uint64_t bit = UINT64_C(1) << s->index;
    for (unsigned i = 0; i < ROUNDS; i++) {
        enum wc_serializer v = i % 3 ? WC_PHX_V2 : WC_PHX_V1;
        struct wc_room *first = wc_room_enter(rooms, 1, false, name_of(i), s->index, v);
        struct wc_room *second = wc_room_enter(rooms, 1, false, name_of(i), s->index, v);
        if (!first || first != second)
            abort();
        s->faults += !(wc_room_threads(first, v) & bit);
        wc_room_leave(rooms, second, s->index, v, false);
        s->faults += !(wc_room_threads(first, v) & bit);
        wc_room_leave(rooms, first, s->index, v, true);
        struct wc_room *after = wc_room_find(rooms, 1, false, name_of(i));
        s->faults += after && (wc_room_threads(after, v) & bit);
        wc_room_release(rooms, after);
    }
    /* Release: pairs with the lookers' load; what this thread did is done. */
    (void)atomic_fetch_sub_explicit(&s->run->running, 1, memory_order_release);
    return NULL;
}

static void *look(void *arg)
{
    struct side *s = arg;
    const uint64_t all = (UINT64_C(1) << (MEMBERS + 1)) - 1; /* and the one who stays */
    unsigned i = 0;
    do {
        struct wc_room *room = wc_room_find(s->run->rooms, 1, false, name_of(i));
        i++;
        if (!room)
            continue;
        s->found++;
        s->faults += !wc_slice_eq(room->sub, name_of(i - 1));
        uint64_t in = wc_room_threads(room, WC_PHX_V1) | wc_room_threads(room, WC_PHX_V2);
        s->faults += (in & ~all) != 0;
        wc_room_release(s->run->rooms, room);
    } while (atomic_load_explicit(&s->run->running, memory_order_acquire));
    return NULL;
}

static void start(pthread_t *t, void *(*f)(void *), struct side *s, struct run *run, unsigned index)
{
    *s = (struct side){.run = run, .index = index};
    assert_int_equal(pthread_create(t, NULL, f, s), 0);
}

static void members_come_and_go_while_others_look(void **state)
{
    (void)state;
    struct run run = {.rooms = wc_rooms_new()};
    pthread_t member[MEMBERS], looker[LOOKERS];
    assert_non_null(run.rooms);
    atomic_init(&run.running, MEMBERS);
    struct wc_room *stays = wc_room_enter(run.rooms, 1, false, name_of(0), MEMBERS, WC_PHX_V1);
    assert_non_null(stays);
    for (unsigned i = 0; i < MEMBERS; i++)
        start(&member[i], come_and_go, &run.member[i], &run, i);
    for (unsigned i = 0; i < LOOKERS; i++)
        start(&looker[i], look, &run.looker[i], &run, i);
    for (unsigned i = 0; i < MEMBERS; i++) {
        assert_int_equal(pthread_join(member[i], NULL), 0);
        assert_int_equal(run.member[i].faults, 0);
    }
    for (unsigned i = 0; i < LOOKERS; i++) {
        assert_int_equal(pthread_join(looker[i], NULL), 0);
        assert_int_equal(run.looker[i].faults, 0);
        assert_true(run.looker[i].found > 0);
    }
    assert_true(wc_room_threads(stays, WC_PHX_V1) == UINT64_C(1) << MEMBERS);
    wc_room_leave(run.rooms, stays, MEMBERS, WC_PHX_V1, true);
    wc_rooms_free(run.rooms); /* asserts that nothing was left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(members_come_and_go_while_others_look)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

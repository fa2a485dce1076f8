#include "fanout/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct wc_msg *message(uint64_t n)
{
    struct wc_msg *m = wc_msg_new(WC_MSG_AUDIENCE, wc_slice(NULL, 0));
    assert_non_null(m);
    m->audience = n;
    return m;
}

static void push(struct wc_ring *r, uint64_t n, enum wc_status want)
{
    struct wc_msg *m = message(n);
    assert_int_equal(wc_ring_push(r, m), want);
    if (want == WC_AGAIN) {
        /* not taken: ours to let go, once */
        assert_int_equal(atomic_load_explicit(&m->refs, memory_order_relaxed), 1);
        wc_msg_unref(m);
    }
    assert_true(wc_ring_ok(r));
}

static void pop(struct wc_ring *r, uint64_t want)
{
    wc_ring_look(r);
    struct wc_msg *m = wc_ring_pop(r);
    assert_non_null(m);
    assert_int_equal(m->audience, want);
    wc_msg_unref(m);
    assert_true(wc_ring_ok(r));
}

static void fill_empty_refill(uint64_t start)
{
    struct wc_ring r;
    assert_int_equal(wc_ring_init(&r, 2, start), WC_OK);
    for (uint64_t round = 0; round < 3; round++) {
        push(&r, 2 * round, WC_OK);
        push(&r, 2 * round + 1, WC_OK);
        push(&r, 99, WC_AGAIN);
        wc_ring_publish(&r, 7);
        pop(&r, 2 * round);
        pop(&r, 2 * round + 1);
        wc_ring_look(&r);
        assert_null(wc_ring_pop(&r));
        assert_false(wc_ring_give_back(&r));
    }
    wc_ring_release(&r);
}

static void capacity_two_fills_empties_and_refills(void **state)
{
    (void)state;
    fill_empty_refill(0);
}

static void indices_wrap_around(void **state)
{
    (void)state;
    fill_empty_refill(UINT64_MAX - 1);
}

static void nothing_is_visible_before_publish(void **state)
{
    (void)state;
    struct wc_ring r;
    assert_int_equal(wc_ring_init(&r, 4, 0), WC_OK);
    push(&r, 1, WC_OK);
    wc_ring_look(&r);
    assert_null(wc_ring_pop(&r));
    assert_true(wc_ring_is_empty(&r));
    wc_ring_publish(&r, 7);
    assert_false(wc_ring_is_empty(&r));
    pop(&r, 1);
    wc_ring_release(&r);
}

static void each_batch_has_its_stamp_and_shows_at_the_next_look(void **state)
{
    (void)state;
    struct wc_ring r;
    uint64_t stamp = 0;
    assert_int_equal(wc_ring_init(&r, 4, UINT64_MAX), WC_OK);
    push(&r, 1, WC_OK);
    push(&r, 2, WC_OK);
    wc_ring_publish(&r, 7);
    assert_false(wc_ring_front(&r, &stamp));
    wc_ring_look(&r);
    push(&r, 3, WC_OK);
    wc_ring_publish(&r, 9);
    for (uint64_t n = 1; n <= 2; n++) {
        assert_true(wc_ring_front(&r, &stamp));
        assert_int_equal(stamp, 7);
        wc_msg_unref(wc_ring_pop(&r));
    }
    assert_false(wc_ring_front(&r, &stamp));
    assert_null(wc_ring_pop(&r));
    wc_ring_look(&r);
    assert_true(wc_ring_front(&r, &stamp));
    assert_int_equal(stamp, 9);
    wc_ring_release(&r);
}

static void slots_return_only_when_given_back(void **state)
{
    (void)state;
    struct wc_ring r;
    assert_int_equal(wc_ring_init(&r, 2, UINT64_MAX), WC_OK);
    push(&r, 1, WC_OK);
    push(&r, 2, WC_OK);
    wc_ring_publish(&r, 7);
    pop(&r, 1);
    push(&r, 3, WC_AGAIN);
    assert_int_equal(wc_ring_given_back(&r), UINT64_MAX);
    assert_false(wc_ring_give_back(&r));
    assert_int_equal(wc_ring_given_back(&r), 0);
    push(&r, 3, WC_OK);
    wc_ring_release(&r);
}

static void asking_for_space_is_answered_once(void **state)
{
    (void)state;
    struct wc_ring r;
    assert_int_equal(wc_ring_init(&r, 2, 0), WC_OK);
    push(&r, 1, WC_OK);
    push(&r, 2, WC_OK);
    wc_ring_publish(&r, 7);
    assert_true(wc_ring_wants_space(&r));
    pop(&r, 1);
    assert_true(wc_ring_give_back(&r));
    assert_false(wc_ring_give_back(&r));
    assert_false(wc_ring_wants_space(&r)); /* there is room already */
    wc_ring_release(&r);
}

static void release_drops_every_reference_once(void **state)
{
    (void)state;
    struct wc_ring r;
    struct wc_msg *m = message(0);
    assert_int_equal(wc_ring_init(&r, 4, UINT64_MAX - 1), WC_OK);
    wc_msg_ref(m, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(wc_ring_push(&r, m), WC_OK);
        if (i == 2)
            wc_ring_publish(&r, 7); /* the last one stays unpublished */
    }
    wc_ring_look(&r);
    assert_ptr_equal(wc_ring_pop(&r), m);
    wc_msg_unref(m); /* what pop returned */
    wc_ring_release(&r);
    assert_int_equal(atomic_load_explicit(&m->refs, memory_order_relaxed), 1);
    wc_msg_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacity_two_fills_empties_and_refills),
        cmocka_unit_test(indices_wrap_around),
        cmocka_unit_test(nothing_is_visible_before_publish),
        cmocka_unit_test(each_batch_has_its_stamp_and_shows_at_the_next_look),
        cmocka_unit_test(slots_return_only_when_given_back),
        cmocka_unit_test(asking_for_space_is_answered_once),
        cmocka_unit_test(release_drops_every_reference_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

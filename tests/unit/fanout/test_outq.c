#include "fanout/outq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct wc_slab slab;

static void push(struct wc_outq *q, const char *text, enum wc_book book)
{
    struct wc_frame *f = wc_frame_copy(WC_FRAME_TEXT, wc_slice_str(text));
    struct wc_held *h = wc_held_new(&slab, f, book);
    assert_non_null(h);
    assert_int_equal(wc_outq_push(q, h), WC_OK);
    wc_held_unref(&slab, h);
    assert_true(wc_outq_ok(q));
}

static int setup(void **state)
{
    (void)state;
    wc_slab_init(&slab, sizeof(struct wc_held));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wc_slab_release(&slab);
    return 0;
}

static void frames_leave_whole_or_in_parts(void **state)
{
    (void)state;
    struct wc_outq q = {0};
    struct wc_outq_done done = {0};
    push(&q, "ab", WC_BOOK_NONE); /* 4 bytes with the header */
    push(&q, "", WC_BOOK_NONE);   /* 2 */
    push(&q, "c", WC_BOOK_NONE);  /* 3 */
    assert_int_equal(q.bytes, 9);
    assert_int_equal(wc_outq_consume(&q, &slab, 3, &done), 0);
    assert_int_equal(q.offset, 3);
    assert_true(wc_outq_ok(&q));
    assert_int_equal(wc_outq_consume(&q, &slab, 4, &done), 2);
    assert_int_equal(q.offset, 1);
    assert_true(wc_outq_ok(&q));
    assert_int_equal(wc_outq_consume(&q, &slab, 2, &done), 1);
    assert_int_equal(q.bytes, 0);
    assert_true(wc_outq_ok(&q));
    wc_outq_release(&q, &slab, &done);
}

static void order_survives_growth_and_wrap_around(void **state)
{
    (void)state;
    struct wc_outq q = {0};
    struct wc_outq_done done = {0};
    uint8_t in = 0, out = 0;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 3; i++) {
            char text[2] = {(char)('A' + in++ % 26), '\0'};
            push(&q, text, WC_BOOK_NONE);
        }
        for (int i = 0; i < 2; i++) {
            assert_int_equal(*wc_frame_payload(wc_outq_at(&q, 0)->frame), 'A' + out++ % 26);
            assert_int_equal(wc_outq_consume(&q, &slab, 3, &done), 1);
            assert_true(wc_outq_ok(&q));
        }
    }
    assert_int_equal(q.count, 200);
    wc_outq_release(&q, &slab, &done);
}

static void drop_keeps_the_rest_of_a_started_frame(void **state)
{
    (void)state;
    struct wc_outq q = {0};
    struct wc_outq_done done = {0};
    for (int i = 0; i < 4; i++)
        push(&q, "abc", i % 2 ? WC_BOOK_CHANGE : WC_BOOK_BROADCAST);
    assert_int_equal(wc_outq_consume(&q, &slab, 2, &done), 0);
    wc_outq_drop(&q, &slab, &done);
    assert_int_equal(done.frames[WC_BOOK_CHANGE], 2);
    assert_int_equal(done.frames[WC_BOOK_BROADCAST], 1);
    assert_int_equal(q.count, 1);
    assert_int_equal(q.bytes, 3);
    assert_true(wc_outq_ok(&q));
    assert_int_equal(wc_outq_consume(&q, &slab, 3, &done), 1);
    assert_int_equal(done.frames[WC_BOOK_BROADCAST], 2);
    wc_outq_drop(&q, &slab, &done);
    assert_int_equal(done.frames[WC_BOOK_CHANGE] + done.frames[WC_BOOK_BROADCAST], 4);
    wc_outq_release(&q, &slab, &done);
}

static void what_is_done_is_as_old_as_its_oldest_change(void **state)
{
    (void)state;
    static const wc_us committed[] = {0, 30, 10, 20};
    struct wc_outq q = {0};
    struct wc_outq_done done = {0};
    for (size_t i = 0; i < sizeof committed / sizeof *committed; i++) {
        push(&q, "c", committed[i] ? WC_BOOK_CHANGE : WC_BOOK_NONE);
        wc_outq_at(&q, q.count - 1)->committed_at = committed[i];
    }
    assert_int_equal(wc_outq_consume(&q, &slab, 3, &done), 1);
    assert_int_equal(done.committed_at, 0);
    assert_int_equal(wc_outq_consume(&q, &slab, 3, &done), 1);
    assert_int_equal(done.committed_at, 30);
    assert_int_equal(wc_outq_consume(&q, &slab, 6, &done), 2);
    assert_int_equal(done.committed_at, 10);
    assert_int_equal(done.frames[WC_BOOK_CHANGE], 3);
    wc_outq_release(&q, &slab, &done);
}

static void queues_share_one_reference_to_the_frame(void **state)
{
    (void)state;
    struct wc_outq q[3] = {0};
    struct wc_outq_done done = {0};
    struct wc_frame *f = wc_frame_copy(WC_FRAME_TEXT, wc_slice_str("x"));
    struct wc_held *h = wc_held_new(&slab, wc_frame_ref(f), WC_BOOK_CHANGE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wc_outq_push(&q[i], h), WC_OK);
    wc_held_unref(&slab, h);
    assert_int_equal(atomic_load_explicit(&f->refs, memory_order_relaxed), 2);
    assert_int_equal(wc_outq_consume(&q[0], &slab, f->len, &done), 1);
    wc_outq_drop(&q[1], &slab, &done);
    assert_int_equal(done.frames[WC_BOOK_CHANGE], 2);
    assert_int_equal(atomic_load_explicit(&f->refs, memory_order_relaxed), 2);
    for (int i = 0; i < 3; i++)
        wc_outq_release(&q[i], &slab, &done);
    assert_int_equal(atomic_load_explicit(&f->refs, memory_order_relaxed), 1);
    wc_frame_unref(f);
}

static void slab_recycles_and_zeroes(void **state)
{
    (void)state;
    struct wc_slab s;
    void *p[200];
    wc_slab_init(&s, 40);
    for (int i = 0; i < 200; i++) {
        p[i] = wc_slab_get(&s);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        memset(p[i], 0xee, 40);
    }
    wc_slab_put(&s, p[7]);
    uint8_t *again = wc_slab_get(&s);
    assert_ptr_equal(again, p[7]);
    for (int i = 0; i < 40; i++)
        assert_int_equal(again[i], 0);
    wc_slab_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_leave_whole_or_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(order_survives_growth_and_wrap_around, setup, teardown),
        cmocka_unit_test_setup_teardown(drop_keeps_the_rest_of_a_started_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_done_is_as_old_as_its_oldest_change, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(queues_share_one_reference_to_the_frame, setup, teardown),
        cmocka_unit_test(slab_recycles_and_zeroes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "fanout/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void header_uses_the_shortest_length_form(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint8_t header[10];
        uint32_t header_len;
    } cases[] = {
        {0, {0x81, 0}, 2},
        {1, {0x81, 1}, 2},
        {125, {0x81, 125}, 2},
        {126, {0x81, 126, 0, 126}, 4},
        {300, {0x81, 126, 1, 44}, 4},
        {65535, {0x81, 126, 0xff, 0xff}, 4},
        {65536, {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}, 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_frame *f = wc_frame_new(WC_FRAME_TEXT, cases[i].len);
        assert_non_null(f);
        assert_int_equal(f->payload, cases[i].header_len);
        assert_int_equal(f->len, cases[i].header_len + cases[i].len);
        assert_memory_equal(f->bytes, cases[i].header, cases[i].header_len);
        memset(wc_frame_payload(f), 'x', cases[i].len);
        wc_frame_unref(f);
    }
}

static void copy_holds_the_payload_and_the_opcode(void **state)
{
    (void)state;
    struct wc_frame *f = wc_frame_copy(WC_FRAME_BINARY, wc_slice("\x00\xff", 2));
    assert_non_null(f);
    assert_int_equal(f->len, 4);
    assert_memory_equal(f->bytes, "\x82\x02\x00\xff", 4);
    wc_frame_unref(f);
}

static void absurd_length_is_refused(void **state)
{
    (void)state;
    assert_null(wc_frame_new(WC_FRAME_TEXT, UINT32_MAX));
    assert_null(wc_frame_new(WC_FRAME_TEXT, SIZE_MAX));
}

static void references_are_counted(void **state)
{
    (void)state;
    struct wc_frame *f = wc_frame_copy(WC_FRAME_TEXT, wc_slice_str("a"));
    assert_ptr_equal(wc_frame_ref(f), f);
    assert_int_equal(atomic_load_explicit(&f->refs, memory_order_relaxed), 2);
    wc_frame_unref(f);
    assert_memory_equal(wc_frame_payload(f), "a", 1);
    wc_frame_unref(f);
    assert_null(wc_frame_ref(NULL));
    wc_frame_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_uses_the_shortest_length_form),
        cmocka_unit_test(copy_holds_the_payload_and_the_opcode),
        cmocka_unit_test(absurd_length_is_refused),
        cmocka_unit_test(references_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

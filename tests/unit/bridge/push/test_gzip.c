#include "bridge/push/gzip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

enum { LARGE = 3 << 20 };

static void expect_back(struct wc_slice in)
{
    struct wc_buf packed;
    wc_buf_init(&packed, LARGE * 2);
    assert_int_equal(wc_gzip(in, &packed), WC_OK);
    uint8_t *back = malloc(in.len + 1);
    assert_non_null(back);
    z_stream z = {.next_in = packed.p, .avail_in = (uInt)packed.len};
    z.next_out = back;
    z.avail_out = (uInt)in.len + 1;
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK); /* gzip and nothing else */
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, in.len);
    assert_int_equal(z.avail_in, 0);
    if (in.len)
        assert_memory_equal(back, in.p, in.len);
    assert_int_equal(inflateEnd(&z), Z_OK);
    free(back);
    wc_buf_release(&packed);
}

static void what_is_packed_comes_back(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(LARGE);
    assert_non_null(bytes);
    expect_back(wc_slice(NULL, 0));
    expect_back(wc_slice_str("walcast_connections 1\n"));
    memset(bytes, 'x', LARGE);
    expect_back(wc_slice(bytes, LARGE));
    uint32_t x = 1; /* nothing to be made smaller */
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    expect_back(wc_slice(bytes, LARGE));
    free(bytes);
}

static void a_buffer_too_small_is_a_limit(void **state)
{
    (void)state;
    struct wc_buf packed;
    wc_buf_init(&packed, 16);
    assert_int_equal(wc_gzip(wc_slice_str("walcast"), &packed), WC_LIMIT);
    wc_buf_release(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_comes_back),
        cmocka_unit_test(a_buffer_too_small_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

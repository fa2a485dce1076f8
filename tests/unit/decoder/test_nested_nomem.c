/* Values with each allocation failing in turn: no memory is the answer, and nothing leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decoder/value.h"
#include "tests/unit/base/alloc_fail.h"

/* An array in a composite, both with escapes: a buffer for each beside the output's. */
static enum wc_status attempt(long n)
{
    const struct wc_attr attr = {wc_slice_str("\"a\":"), wc_type_builtin(1009)};
    const struct wc_type type = {.value_class = WC_VALUE_COMPOSITE, .nattrs = 1, .attr = &attr};
    struct wc_buf out;
    wc_buf_init(&out, 4096);
    wc_test_fail_alloc(n);
    enum wc_status status =
        wc_value_render(&out, &type, wc_slice_str("(\"{\"\"x\\\\\"\"y\"\"}\")"));
    wc_test_fail_alloc(-1);
    if (status == WC_OK)
        status = out.status;
    wc_buf_release(&out);
    return status;
}

static void every_failing_allocation_is_no_memory(void **state)
{
    (void)state; /* unused */
    long n = 0;
    enum wc_status status;
    while ((status = attempt(n)) == WC_NOMEM && n < 100)
        n++;
    assert_int_equal(status, WC_OK);
    assert_int_equal(n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Records, with each allocation failing in turn: all or nothing, and nothing leaks. */
#include "bridge/store/record.h"
#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Makes, copies and frees a record with the n-th allocation failing. */
static bool attempt(long n)
{
    wc_test_fail_alloc(n);
    struct wc_record *r = wc_record_new("t1"), *copy = NULL;
    if (r && wc_record_add_database(r) && wc_record_set(&r->jwt_secret, "secret"))
        copy = wc_record_copy(r);
    wc_test_fail_alloc(-1);
    bool ok = copy != NULL;
    assert_true(!r || !r->has_database || r->database.settings != NULL);
    wc_record_free(copy);
    wc_record_free(r);
    return ok;
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    long n = 0;
    while (n < 1000 && !attempt(n))
        n++;
    assert_false(wc_test_alloc_failed());
    assert_true(n > 40); /* twenty strings and more, twice */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Loading and reloading with each allocation failing in turn: no snapshot, and nothing leaks. */
#include "bridge/config/config.h"
#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char *env_old[] = {(char[]){"JWT_SECRET=old"}, NULL};
static char *env_new[] = {(char[]){"JWT_SECRET=new"}, (char[]){"SLOT_NAME=s"}, NULL};

static struct wc_config *load(void)
{
    struct wc_config_input in = {.env = env_old};
    struct wc_buf problems;
    struct wc_config *c = NULL;
    wc_buf_init(&problems, 4096);
    enum wc_status status = wc_config_load(&in, &problems, &c);
    assert_true((status == WC_OK) == (c != NULL));
    assert_true(status == WC_OK || status == WC_NOMEM);
    assert_int_equal(problems.len, 0);
    wc_buf_release(&problems);
    return c;
}

static void every_failing_allocation_of_a_load_is_nomem(void **state)
{
    (void)state;
    long n = 0;
    struct wc_config *c;
    for (; wc_test_fail_alloc(n), c = load(), wc_test_alloc_failed(); n++)
        assert_null(c);
    wc_test_fail_alloc(-1);
    assert_non_null(c);
    assert_true(n >= 10); /* the snapshot and each string */
    wc_config_free(c);
}

static void a_failed_reload_leaves_the_snapshot_alone(void **state)
{
    (void)state;
    struct wc_config *now = load();
    struct wc_config_input in = {.env = env_new};
    struct wc_config *next = NULL;
    struct wc_buf notes;
    enum wc_status status = WC_NOMEM;
    bool lost_note = false;
    wc_buf_init(&notes, 4096);
    for (long n = 0; status == WC_NOMEM || lost_note; n++) {
        wc_config_free(next);
        next = NULL;
        wc_buf_release(&notes);
        wc_test_fail_alloc(n);
        status = wc_config_reload(now, &in, &notes, &next);
        lost_note = notes.status == WC_NOMEM;
        assert_true((status == WC_OK) == (next != NULL));
        assert_string_equal(now->jwt_secret, "old");
    }
    wc_test_fail_alloc(-1);
    assert_int_equal(status, WC_OK);
    assert_string_equal(next->jwt_secret, "old");
    wc_config_free(next);
    wc_config_free(now);
    wc_buf_release(&notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_of_a_load_is_nomem),
        cmocka_unit_test(a_failed_reload_leaves_the_snapshot_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

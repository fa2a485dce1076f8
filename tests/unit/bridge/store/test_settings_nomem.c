/* Settings, with each allocation failing in turn: all is told as out of memory, and nothing leaks.
 */
#include "bridge/store/settings.h"
#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Writes and reads the settings of a record with the n-th allocation failing. */
static enum wc_status attempt(const struct wc_vault *vault, struct wc_record *r, long n)
{
    struct wc_buf json;
    struct wc_err err = {0};
    wc_buf_init(&json, 64 << 10);
    wc_test_fail_alloc(n);
    enum wc_status st = wc_store_settings_write(vault, &r->database, &json, &err);
    if (st == WC_OK)
        st = wc_store_settings_read(vault, wc_buf_view(&json), &r->database, &err);
    wc_test_fail_alloc(-1);
    wc_buf_release(&json);
    return st;
}

static void a_failing_allocation_is_no_memory(void **state)
{
    (void)state;
    struct wc_vault *vault = NULL;
    struct wc_record *r = wc_record_new("t1");
    assert_int_equal(wc_vault_make(wc_slice_str("walcast-test-key-of-32-bytes-gcm"),
                                   wc_slice("", 0), false, &vault, NULL),
                     WC_OK);
    assert_true(r && wc_record_add_database(r));
    assert_true(wc_record_set(&r->database.host, "db.example.com"));
    long n = 0;
    enum wc_status st;
    while ((st = attempt(vault, r, n)) == WC_NOMEM && n < 1000)
        n++;
    assert_int_equal(st, WC_OK);
    assert_false(wc_test_alloc_failed());
    assert_true(n > 40); /* five secrets, eight strings, each of several */
    assert_string_equal(r->database.host, "db.example.com");
    wc_record_free(r);
    wc_vault_free(vault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_allocation_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

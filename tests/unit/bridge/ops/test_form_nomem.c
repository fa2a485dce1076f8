/* A form with each allocation failing in turn: no record, no half of one, and nothing leaks. */
#include "bridge/ops/form.h"
#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char json[] =
    "{\"external_id\":\"t\\u0031\",\"name\":\"n\",\"jwt_secret\":\"s\",\"jwt_jwks\":{\"keys\":[]},"
    "\"extensions\":[{\"type\":\"postgres\",\"settings\":{\"region\":\"eu\",\"db_host\":\"h\","
    "\"db_port\":\"1\",\"db_name\":\"n\",\"db_user\":\"u\",\"db_password\":\"p\",\"x\":1}}]}";

static enum wc_status submit(const struct wc_record *defaults, const struct wc_record *base)
{
    struct wc_json doc;
    struct wc_form *form = NULL;
    struct wc_record *record = NULL;
    struct wc_buf errors;
    struct wc_arena arena;
    const struct wc_json_limits limits = {.depth = 64, .nodes = 1000};
    wc_arena_init(&arena, 1 << 20);
    wc_buf_init(&errors, 1 << 16);
    const struct wc_form_context c = {.defaults = defaults, .scratch = &arena};
    enum wc_status st = wc_json_parse(&doc, wc_slice_str(json), &arena, limits, NULL);
    if (st == WC_OK)
        st = wc_form_read(&doc, 0, &c, &form, &errors);
    if (st == WC_OK)
        st = wc_form_apply(form, base, &record, &errors);
    assert_true((st == WC_OK) == (record != NULL));
    wc_record_free(record);
    wc_form_free(form);
    wc_buf_release(&errors);
    wc_arena_release(&arena);
    return st;
}

static void every_failing_allocation_is_nomem(void **state)
{
    (void)state;
    struct wc_record *defaults = wc_record_new("");
    struct wc_record *bases[] = {NULL, wc_record_new("t1")};
    assert_true(defaults && bases[1]);
    for (size_t i = 0; i < 2; i++) {
        long n = 0;
        enum wc_status st;
        while (wc_test_fail_alloc(n), st = submit(defaults, bases[i]), wc_test_alloc_failed()) {
            assert_int_equal(st, WC_NOMEM);
            n++;
        }
        wc_test_fail_alloc(-1);
        assert_int_equal(st, WC_OK);
        assert_true(n > 30);
    }
    wc_record_free(defaults);
    wc_record_free(bases[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_failing_allocation_is_nomem)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Tokens with each allocation failing in turn: no memory is the answer, and nothing leaks. */
#include "auth/jwt.h"
#include "tests/unit/base/alloc_fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char secret[] = "walcast-test-secret-of-32-bytes!";
static const char payload[] = "{\"role\":\"\\u0061non\",\"exp\":2000000000}";

static void keys_are_all_or_nothing(void **state)
{
    (void)state;
    wc_test_fail_alloc(0);
    assert_null(wc_keyset_new(wc_slice_str(secret)));
    assert_true(wc_test_alloc_failed());
}

/* Mints a token and verifies it with the n-th allocation failing. */
static enum wc_jwt_result attempt(const struct wc_keyset *keys, long n)
{
    struct wc_buf token;
    struct wc_claims *claims = NULL;
    wc_buf_init(&token, 4096);
    wc_test_fail_alloc(n);
    enum wc_jwt_result result = WC_JWT_NO_MEMORY;
    enum wc_status status = wc_jwt_mint(keys, wc_slice_str(payload), &token);
    if (status == WC_OK)
        result = wc_jwt_verify(keys, wc_buf_view(&token), 1, &claims, NULL);
    else
        assert_int_equal(status, WC_NOMEM);
    wc_test_fail_alloc(-1);
    assert_true((claims != NULL) == (result == WC_JWT_OK));
    wc_claims_unref(claims);
    wc_buf_release(&token);
    return result;
}

static void every_failing_allocation_is_no_memory(void **state)
{
    (void)state;
    struct wc_keyset *keys = wc_keyset_new(wc_slice_str(secret));
    assert_non_null(keys);
    long n = 0;
    enum wc_jwt_result result;
    while ((result = attempt(keys, n)) == WC_JWT_NO_MEMORY && n < 100)
        n++;
    assert_int_equal(result, WC_JWT_OK);
    assert_true(n >= 4); /* two for minting, arena and claims for verifying */
    wc_keyset_free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_all_or_nothing),
        cmocka_unit_test(every_failing_allocation_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* bridge/rls/context.c: equal roles and claims are one context; slots are dense, serials are not
 * used again. */
#include "bridge/rls/context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct wc_context *get(struct wc_contexts *t, const char *role, const char *claims)
{
    return wc_context_get(t, wc_slice_str(role), wc_slice_str(claims));
}

static void equal_role_and_claims_are_one_context(void **state)
{
    (void)state;
    struct wc_contexts *t = wc_contexts_new();
    struct wc_context *a = get(t, "anon", "{\"sub\":1}");
    struct wc_context *b = get(t, "anon", "{\"sub\":1}");
    struct wc_context *c = get(t, "anon", "{\"sub\":2}");
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_string_equal((const char *)a->role.p, "anon");
    assert_string_equal((const char *)c->claims.p, "{\"sub\":2}");
    wc_context_unref(a);
    wc_context_unref(b);
    wc_context_unref(c);
    wc_contexts_free(t);
}

static void the_border_between_role_and_claims_counts(void **state)
{
    (void)state;
    struct wc_contexts *t = wc_contexts_new();
    struct wc_context *a = get(t, "ab", "c"), *b = get(t, "a", "bc"), *c = get(t, "", "");
    assert_ptr_not_equal(a, b);
    assert_int_equal(c->role.len, 0);
    wc_context_unref(a);
    wc_context_unref(b);
    wc_context_unref(c);
    wc_contexts_free(t);
}

static void a_serial_is_not_given_again(void **state)
{
    (void)state;
    struct wc_contexts *t = wc_contexts_new();
    struct wc_context *a = get(t, "a", ""), *b = get(t, "b", "");
    uint64_t serial = a->serial;
    assert_true(serial > 0);
    wc_context_unref(a);
    a = get(t, "a", "");
    assert_true(a->serial > serial);
    assert_true(a->serial > b->serial);
    wc_context_unref(a);
    wc_context_unref(b);
    wc_context_unref(NULL);
    wc_contexts_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_role_and_claims_are_one_context),
        cmocka_unit_test(the_border_between_role_and_claims_counts),
        cmocka_unit_test(a_serial_is_not_given_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

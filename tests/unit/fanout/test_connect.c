#include "tests/unit/fanout/fake_source.h"
#include "fanout/connect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOW = 1000 };

static struct wc_slice text(const char *s)
{
    return s ? wc_slice_str(s) : wc_slice(NULL, 0);
}

static struct wc_connect_result check(struct wc_fake_source *f, const char *vsn, const char *host,
                                      const char *key)
{
    struct wc_directory d = wc_fake_directory(f);
    struct wc_connect_request req = {
        .vsn = text(vsn), .address.host = text(host), .key = text(key)};
    return wc_connect_check(&d, &req, NOW);
}

static void refusals_come_in_the_documented_order(void **state)
{
    (void)state;
    struct wc_fake_source f;
    wc_fake_source_init(&f);
    static const struct {
        const char *vsn, *host, *key;
        const char *claims; /* of a token made for the case instead of key */
        unsigned status;
        const char *text;
    } cases[] = {
        {"3.0.0", "nobody", NULL, NULL, 403, ""},
        {"", "dev", NULL, NULL, 403, ""},
        {"1.1.0", "dev", NULL, NULL, 403, ""},
        {"1.0.", "dev", NULL, NULL, 403, ""},
        {"1.0.x", "dev", NULL, NULL, 403, ""},
        {"1.0.0", "nobody", NULL, NULL, 404, "Tenant not found"},
        {NULL, "dev", NULL, NULL, 401, "API key is missing"},
        {NULL, "dev", "", NULL, 401, "The token provided is not a valid JWT"},
        {NULL, "dev", "potato", NULL, 401, "The token provided is not a valid JWT"},
        {NULL, "dev", "e30.e30.AAAA", NULL, 401,
         "Failed to generate JWT signer, check your JWT secret or JWKS configuration"},
        {NULL, "dev", NULL, "{\"role\":\"anon\",\"exp\":999}", 401, "Token has expired"},
        {NULL, "dev", NULL, "{\"exp\":2000}", 401, "Fields `role` and `exp` are required in JWT"},
        {NULL, "dev", NULL, "{\"role\":\"anon\"}", 401,
         "Fields `role` and `exp` are required in JWT"},
        {NULL, "dev", NULL, "{\"role\":\"anon\",\"exp\":2000,\"iat\":\"x\"}", 500,
         "Error connecting to Realtime"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *token = cases[i].claims ? wc_fake_token(&f, cases[i].claims) : NULL;
        struct wc_connect_result r =
            check(&f, cases[i].vsn, cases[i].host, token ? token : cases[i].key);
        assert_int_equal(r.status, cases[i].status);
        assert_string_equal(r.text, cases[i].text);
        assert_null(r.claims);
        free(token);
    }
    wc_fake_source_release(&f); /* asserts that no refusal kept the tenant */
}

static void a_suspended_tenant_is_closed_to_valid_keys_too(void **state)
{
    (void)state;
    struct wc_fake_source f;
    wc_fake_source_init(&f);
    f.view.is_suspended = true;
    char *token = wc_fake_token(&f, "{\"role\":\"anon\",\"exp\":2000}");
    struct wc_connect_result r = check(&f, NULL, "dev", token);
    assert_int_equal(r.status, 403);
    assert_string_equal(r.text, "Realtime was disabled for this tenant");
    r = check(&f, NULL, "dev", NULL); /* which is said before what the key lacks */
    assert_int_equal(r.status, 403);
    free(token);
    wc_fake_source_release(&f);
}

static void a_valid_key_is_accepted_in_its_version(void **state)
{
    (void)state;
    static const struct {
        const char *vsn;
        enum wc_serializer want;
    } cases[] = {
        {NULL, WC_PHX_V1}, {"1.0.0", WC_PHX_V1}, {"1.0.12", WC_PHX_V1}, {"2.0.0", WC_PHX_V2}};
    struct wc_fake_source f;
    wc_fake_source_init(&f);
    char *token = wc_fake_token(&f, "{\"role\":\"anon\",\"exp\":1001}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wc_connect_result r = check(&f, cases[i].vsn, "dev", token);
        assert_int_equal(r.status, 0);
        assert_int_equal(r.serializer, cases[i].want);
        assert_true(wc_slice_is(r.claims->role, "anon"));
        wc_claims_unref(r.claims);
        wc_tenant_view_unref(r.tenant);
    }
    free(token);
    wc_fake_source_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_come_in_the_documented_order),
        cmocka_unit_test(a_suspended_tenant_is_closed_to_valid_keys_too),
        cmocka_unit_test(a_valid_key_is_accepted_in_its_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

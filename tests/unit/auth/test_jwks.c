#include "auth/jwk.h"
#include "auth/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECRET "walcast-test-secret-of-32-bytes!"
#define NOW    INT64_C(1700000000)

static const char jwks_text[] =
#include "tests/unit/auth/jwks_keys.def"
    ;

static const struct {
    const char *what, *token;
    enum wc_jwt_result result;
} jwks_tokens[] = {
#define JWKS_TOKEN(what, token, result) {what, token, result},
#include "tests/unit/auth/jwks_tokens.def"
#undef JWKS_TOKEN
};

static struct wc_keyset *make(const char *secret, const char *jwks, const char *validators)
{
    struct wc_keyset *keys = NULL;
    struct wc_err err = {0};
    const struct wc_keyset_source from = {.secret = wc_slice_str(secret),
                                          .jwks = wc_slice_str(jwks),
                                          .validators = wc_slice_str(validators)};
    if (wc_keyset_make(&from, &keys, &err) != WC_OK)
        fail_msg("%s", err.text);
    return keys;
}

static enum wc_jwt_result verify(const struct wc_keyset *keys, const char *token,
                                 struct wc_jwt_detail *detail)
{
    struct wc_claims *claims = NULL;
    enum wc_jwt_result result = wc_jwt_verify(keys, wc_slice_str(token), NOW, &claims, detail);
    assert_true((result == WC_JWT_OK) == (claims != NULL));
    wc_claims_unref(claims);
    return result;
}

static const char *token_of(const char *what)
{
    for (size_t i = 0; i < sizeof jwks_tokens / sizeof *jwks_tokens; i++)
        if (strcmp(jwks_tokens[i].what, what) == 0)
            return jwks_tokens[i].token;
    fail_msg("no such token: %s", what);
    return NULL;
}

static void tokens_of_every_algorithm_are_judged(void **state)
{
    (void)state;
    struct wc_keyset *keys = make(SECRET, jwks_text, "");
    for (size_t i = 0; i < sizeof jwks_tokens / sizeof *jwks_tokens; i++) {
        enum wc_jwt_result result = verify(keys, jwks_tokens[i].token, NULL);
        if (result != jwks_tokens[i].result)
            fail_msg("%s: %d instead of %d", jwks_tokens[i].what, (int)result,
                     (int)jwks_tokens[i].result);
    }
    wc_keyset_free(keys);
}

static void a_changed_letter_of_a_signature_is_refused(void **state)
{
    (void)state;
    struct wc_keyset *keys = make("", jwks_text, "");
    const char *const good[] = {"RS256", "PS384", "ES512", "EdDSA by ed25519", "EdDSA by ed448"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char *copy = strdup(token_of(good[i]));
        assert_non_null(copy);
        for (size_t at = (size_t)(strrchr(copy, '.') - copy) + 1; at < strlen(copy); at += 7) {
            char saved = copy[at];
            copy[at] = saved == 'A' ? 'B' : 'A';
            assert_int_equal(verify(keys, copy, NULL), WC_JWT_BAD_SIGNATURE);
            copy[at] = saved;
        }
        assert_int_equal(verify(keys, copy, NULL), WC_JWT_OK);
        free(copy);
    }
    wc_keyset_free(keys);
}

static void without_a_set_only_the_secret_counts(void **state)
{
    (void)state;
    struct wc_jwt_detail detail;
    struct wc_keyset *keys = make(SECRET, "", "");
    assert_int_equal(verify(keys, token_of("RS256"), &detail), WC_JWT_NO_KEY);
    assert_string_equal(detail.kid, "");
    assert_int_equal(
        verify(keys, token_of("HS256 with the tenant's secret and the kid of a key"), NULL),
        WC_JWT_OK);
    wc_keyset_free(keys);
    struct wc_keyset *no_secret = make("", jwks_text, "");
    assert_int_equal(verify(no_secret, token_of("HS256 with the tenant's secret and no kid"), NULL),
                     WC_JWT_NO_KEY);
    wc_keyset_free(no_secret);
}

static void the_kid_without_a_usable_key_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *what, *kid;
    } table[] = {{"RS256 with an unknown kid", "nobody"},
                 {"RS256 with half a key", "half"},
                 {"HS256 with the kid of an undecodable key", "bad"},
                 {"RS256 without kid", ""},
                 {"none", ""}};
    struct wc_keyset *keys = make(SECRET, jwks_text, "");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct wc_jwt_detail detail;
        assert_int_equal(verify(keys, token_of(table[i].what), &detail), WC_JWT_NO_KEY);
        assert_string_equal(detail.kid, table[i].kid);
    }
    wc_keyset_free(keys);
}

static void of_two_keys_with_one_kid_the_first_counts(void **state)
{
    (void)state;
    struct wc_jwks *set = NULL;
    const char text[] = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"MQ\"},"
                        "{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"Mg\"}]}";
    assert_int_equal(wc_jwks_parse(wc_slice_str(text), &set, NULL), WC_OK);
    const struct wc_jwk *key = wc_jwks_find(set, WC_JWK_OCT, wc_slice_str("a"));
    assert_non_null(key);
    assert_true(wc_slice_is(key->secret, "1"));
    assert_null(wc_jwks_find(set, WC_JWK_RSA, wc_slice_str("a")));
    wc_jwks_free(set);
}

static void what_is_no_set_is_refused_in_words(void **state)
{
    (void)state;
    const char *const texts[] = {"[]", "{}", "{\"keys\":{}}", "{\"keys\":[}", "7", "potato"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct wc_jwks *set = NULL;
        struct wc_err err = {0};
        assert_int_equal(wc_jwks_parse(wc_slice_str(texts[i]), &set, &err), WC_INVALID);
        assert_string_not_equal(err.text, "");
        assert_null(set);
    }
}

static void a_set_beyond_the_limits_is_refused(void **state)
{
    (void)state;
    struct wc_buf text;
    struct wc_jwks *set = NULL;
    wc_buf_init(&text, 1 << 20);
    wc_buf_str(&text, "{\"keys\":[1");
    for (int i = 0; i < 256; i++)
        wc_buf_str(&text, ",1");
    wc_buf_str(&text, "]}");
    assert_int_equal(wc_jwks_parse(wc_buf_view(&text), &set, NULL), WC_LIMIT);
    while (text.len <= 256 << 10)
        wc_buf_str(&text, "                                                                ");
    assert_int_equal(wc_jwks_parse(wc_buf_view(&text), &set, NULL), WC_LIMIT);
    wc_buf_release(&text);
}

static void validators_bind_the_claims_that_are_present(void **state)
{
    (void)state;
    static const struct {
        const char *validators;
        enum wc_jwt_result result;
    } table[] = {
        {"{}", WC_JWT_OK},
        {"{\"aud\":\"walcast\"}", WC_JWT_OK},
        {"{\"aud\":\"w\\u0061lcast\",\"iss\":\"somebody\"}", WC_JWT_OK},
        {"{\"aud\":\"other\"}", WC_JWT_CLAIMS_INVALID},
        {"{\"aud\":[\"walcast\"]}", WC_JWT_CLAIMS_INVALID},
        {"{\"aud\":null}", WC_JWT_CLAIMS_INVALID},
        {"{\"n\":1}", WC_JWT_OK},
        {"{\"n\":10e-1}", WC_JWT_OK},
        {"{\"n\":\"1\"}", WC_JWT_CLAIMS_INVALID},
        {"{\"o\":{\"a\":null,\"b\":[1,\"x\"]}}", WC_JWT_OK},
        {"{\"o\":{\"a\":null,\"b\":[\"x\",1]}}", WC_JWT_CLAIMS_INVALID},
        {"{\"o\":{\"b\":[1,\"x\"]}}", WC_JWT_CLAIMS_INVALID},
        {"{\"o\":{\"a\":null,\"b\":[1,\"x\"],\"c\":1}}", WC_JWT_CLAIMS_INVALID},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct wc_keyset *keys = make(SECRET, jwks_text, table[i].validators);
        if (verify(keys, token_of("ES256"), NULL) != table[i].result)
            fail_msg("%s", table[i].validators);
        wc_keyset_free(keys);
    }
}

static void a_source_that_cannot_be_read_is_refused_in_words(void **state)
{
    (void)state;
    const struct wc_keyset_source bad[] = {
        {.jwks = wc_slice_str("{\"keys\":7}")},
        {.validators = wc_slice_str("[]")},
        {.validators = wc_slice_str("{\"aud\":")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct wc_keyset *keys = NULL;
        struct wc_err err = {0};
        assert_int_equal(wc_keyset_make(&bad[i], &keys, &err), WC_INVALID);
        assert_string_not_equal(err.text, "");
        assert_null(keys);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_every_algorithm_are_judged),
        cmocka_unit_test(a_changed_letter_of_a_signature_is_refused),
        cmocka_unit_test(without_a_set_only_the_secret_counts),
        cmocka_unit_test(the_kid_without_a_usable_key_is_told),
        cmocka_unit_test(of_two_keys_with_one_kid_the_first_counts),
        cmocka_unit_test(what_is_no_set_is_refused_in_words),
        cmocka_unit_test(a_set_beyond_the_limits_is_refused),
        cmocka_unit_test(validators_bind_the_claims_that_are_present),
        cmocka_unit_test(a_source_that_cannot_be_read_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "auth/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define SECRET "walcast-test-secret-of-32-bytes!"
#define NOW    INT64_C(1700000000)

/* Made by Python's hmac module with SECRET over {"role":"anon","exp":2000000000}. */
#define PAYLOAD         "eyJyb2xlIjoiYW5vbiIsImV4cCI6MjAwMDAwMDAwMH0"
#define HS256_HEADER    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
#define HS256_SIGNATURE "c0FIbIfgqAPGZMC4c9F3Nz5An8-Z17EpKFlAW9B0s_E"
#define HS256_TOKEN     HS256_HEADER "." PAYLOAD "." HS256_SIGNATURE
#define HS384_TOKEN                                                                                \
    "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9." PAYLOAD                                                \
    ".Y_QbRBqEG3fXuTGDU7sSEYPZPRpkvVlB45lh6MX7e7JszosIEsSs3mfQ8GJTIlfb"
#define HS512_TOKEN                                                                                \
    "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9." PAYLOAD                                                \
    ".4OeqeltheD1MV53jKCrqIJZp8Vf8tZgXU850Wm_R_1AItW7m8hWujgciGKGrKrONYknsUnY6XDARgCi2jrSzuw"
/* Made by the openssl command; no `typ`, exp 2000000000.5 */
#define OPENSSL_TOKEN                                                                              \
    "eyJhbGciOiJIUzM4NCJ9."                                                                        \
    "eyJyb2xlIjoiYXV0aGVudGljYXRlZCIsImV4cCI6MjAwMDAwMDAwMC41LCJzdWIiOiJ1MSJ9."                    \
    "WzCBznU5XvcpdrgWYvunm3CrCPqZLdOjcJWE06JKB4RlgLfSJ19r6zxcDntFWE8F"

static struct wc_keyset *keys;

static int make_keys(void **state)
{
    (void)state;
    keys = wc_keyset_new(wc_slice_str(SECRET));
    return keys ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    wc_keyset_free(keys);
    return 0;
}

/* An encoder and signer of its own, on OpenSSL, so that the module is not tested with itself. */
static void put_base64url(struct wc_buf *out, const void *bytes, size_t len)
{
    char *text = malloc(len * 2 + 8);
    assert_non_null(text);
    int n = EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    for (int i = 0; i < n && text[i] != '='; i++)
        wc_buf_byte(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
    free(text);
}

static void sign_with(struct wc_buf *out, const EVP_MD *md, const char *secret, const char *header,
                      struct wc_slice payload)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len;
    wc_buf_init(out, 1 << 20);
    put_base64url(out, header, strlen(header));
    wc_buf_byte(out, '.');
    put_base64url(out, payload.p, payload.len);
    assert_non_null(HMAC(md, secret, (int)strlen(secret), out->p, out->len, mac, &len));
    wc_buf_byte(out, '.');
    put_base64url(out, mac, len);
    assert_int_equal(out->status, WC_OK);
}

static enum wc_jwt_result verify_at(const char *token, int64_t now, struct wc_claims **out,
                                    struct wc_jwt_detail *detail)
{
    return wc_jwt_verify(keys, wc_slice_str(token), now, out, detail);
}

/* The result for a token that must not be accepted, or whose claims are of no interest. */
static enum wc_jwt_result result_of(struct wc_slice token)
{
    struct wc_claims *claims = NULL;
    enum wc_jwt_result result = wc_jwt_verify(keys, token, NOW, &claims, NULL);
    assert_true((result == WC_JWT_OK) == (claims != NULL));
    wc_claims_unref(claims);
    return result;
}

static enum wc_jwt_result result_of_payload(const char *payload)
{
    struct wc_buf token;
    sign_with(&token, EVP_sha256(), SECRET, "{\"alg\":\"HS256\"}", wc_slice_str(payload));
    enum wc_jwt_result result = result_of(wc_buf_view(&token));
    wc_buf_release(&token);
    return result;
}

static enum wc_jwt_result result_of_header(const char *header)
{
    struct wc_buf token;
    sign_with(&token, EVP_sha256(), SECRET, header,
              wc_slice_str("{\"role\":\"anon\",\"exp\":2000000000}"));
    enum wc_jwt_result result = result_of(wc_buf_view(&token));
    wc_buf_release(&token);
    return result;
}

static void tokens_of_other_programs_verify(void **state)
{
    (void)state;
    const char *tokens[] = {HS256_TOKEN, HS384_TOKEN, HS512_TOKEN};
    for (size_t i = 0; i < 3; i++) {
        struct wc_claims *claims;
        assert_int_equal(verify_at(tokens[i], NOW, &claims, NULL), WC_JWT_OK);
        assert_string_equal((const char *)claims->role.p, "anon");
        assert_string_equal((const char *)claims->json.p, "{\"role\":\"anon\",\"exp\":2000000000}");
        assert_int_equal(claims->json.len, strlen((const char *)claims->json.p));
        assert_int_equal(claims->exp, 2000000000);
        wc_claims_unref(claims);
    }
    struct wc_claims *claims;
    assert_int_equal(verify_at(OPENSSL_TOKEN, NOW, &claims, NULL), WC_JWT_OK);
    assert_string_equal((const char *)claims->role.p, "authenticated");
    assert_int_equal(claims->exp, 2000000001);
    wc_claims_unref(claims);
}

/* RFC 7515, appendix A.1: no role in it, so a good signature shows as missing claims. */
static void the_example_of_the_standard_verifies(void **state)
{
    (void)state;
    static const uint8_t key[] = {3,   35,  53,  75,  43,  15,  165, 188, 131, 126, 6,   101, 119,
                                  123, 166, 143, 90,  179, 40,  230, 240, 84,  201, 40,  169, 15,
                                  132, 178, 210, 80,  46,  191, 211, 251, 90,  146, 210, 6,   71,
                                  239, 150, 138, 180, 195, 119, 98,  61,  34,  61,  46,  33,  114,
                                  5,   46,  79,  8,   192, 205, 154, 245, 103, 208, 128, 163};
    const char token[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                         "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
                         "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
                         "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    struct wc_keyset *rfc = wc_keyset_new(wc_slice(key, sizeof key));
    struct wc_claims *claims;
    struct wc_jwt_detail detail;
    assert_non_null(rfc);
    assert_int_equal(wc_jwt_verify(rfc, wc_slice_str(token), 1300819379, &claims, NULL),
                     WC_JWT_CLAIMS_MISSING);
    assert_int_equal(wc_jwt_verify(rfc, wc_slice_str(token), 1300819390, &claims, &detail),
                     WC_JWT_EXPIRED);
    assert_int_equal(detail.expired_s, 10);
    assert_int_equal(wc_jwt_verify(keys, wc_slice_str(token), 1300819379, &claims, NULL),
                     WC_JWT_BAD_SIGNATURE);
    wc_keyset_free(rfc);
}

static void any_changed_character_is_refused(void **state)
{
    (void)state;
    char token[] = HS256_TOKEN;
    for (size_t i = 0; i < sizeof token - 1; i++) {
        char saved = token[i];
        for (const char *c = "AZaz09-_.=+/"; *c; c++) {
            token[i] = *c;
            enum wc_jwt_result result = result_of(wc_slice(token, sizeof token - 1));
            if ((result == WC_JWT_OK) != (*c == saved))
                fail_msg("byte %zu as %c: %d", i, *c, (int)result);
        }
        token[i] = saved;
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < strlen(HS256_TOKEN); n++) {
        char *copy = malloc(n ? n : 1); /* exact, so that a sanitizer sees a read past the end */
        assert_non_null(copy);
        memcpy(copy, HS256_TOKEN, n);
        assert_int_not_equal(result_of(wc_slice(copy, n)), WC_JWT_OK);
        free(copy);
    }
}

static void each_broken_token_has_its_result(void **state)
{
    (void)state;
    const struct {
        const char *token;
        enum wc_jwt_result result;
    } table[] = {
        {"", WC_JWT_MALFORMED},
        {"potato", WC_JWT_MALFORMED},
        {".", WC_JWT_MALFORMED},
        {"..", WC_JWT_MALFORMED},
        {"...", WC_JWT_MALFORMED},
        {HS256_HEADER "." PAYLOAD, WC_JWT_MALFORMED},
        {HS256_HEADER "." PAYLOAD ".", WC_JWT_BAD_SIGNATURE},
        {HS256_HEADER ".." HS256_SIGNATURE, WC_JWT_MALFORMED},
        {"." PAYLOAD "." HS256_SIGNATURE, WC_JWT_MALFORMED},
        {HS256_TOKEN ".", WC_JWT_MALFORMED},
        {HS256_TOKEN "." HS256_SIGNATURE, WC_JWT_MALFORMED},
        {HS256_TOKEN "=", WC_JWT_MALFORMED},
        {HS256_TOKEN "A", WC_JWT_BAD_SIGNATURE},
        /* the same 32 bytes, with a bit set that the text does not need */
        {HS256_HEADER "." PAYLOAD ".c0FIbIfgqAPGZMC4c9F3Nz5An8-Z17EpKFlAW9B0s_F",
         WC_JWT_BAD_SIGNATURE},
        {HS256_HEADER "." PAYLOAD ".c0FIbIfgqAPGZMC4c9F3Nz5An8+Z17EpKFlAW9B0s/E", WC_JWT_MALFORMED},
        {HS256_HEADER "=." PAYLOAD "." HS256_SIGNATURE, WC_JWT_MALFORMED},
        {"bm90IGpzb24." PAYLOAD "." HS256_SIGNATURE, WC_JWT_MALFORMED},   /* not json */
        {HS256_HEADER ".bm90IGpzb24." HS256_SIGNATURE, WC_JWT_MALFORMED}, /* not json */
        {HS256_HEADER ".WzFd." HS256_SIGNATURE, WC_JWT_MALFORMED},        /* [1] */
        {"WzFd." PAYLOAD "." HS256_SIGNATURE, WC_JWT_MALFORMED},          /* [1] */
        {HS256_HEADER "." PAYLOAD "." HS256_SIGNATURE "\x01", WC_JWT_MALFORMED},
        {"Bearer " HS256_TOKEN, WC_JWT_MALFORMED},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        enum wc_jwt_result result = result_of(wc_slice_str(table[i].token));
        if (result != table[i].result)
            fail_msg("%s: %d", table[i].token, (int)result);
    }
}

static void payloads_that_are_no_object_are_malformed(void **state)
{
    (void)state;
    const char *payloads[] = {"[]",  "\"x\"",           "1", "null", "true", "", "{",
                              "{}x", "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++)
        assert_int_equal(result_of_payload(payloads[i]), WC_JWT_MALFORMED);
}

static void whitespace_and_percent_escapes_are_cleaned(void **state)
{
    (void)state;
    const char *good[] = {
        " " HS256_TOKEN "\r\n",
        "%20" HS256_TOKEN "%0a%0D",
        "\t" HS256_HEADER " .\n" PAYLOAD "\v.\f" HS256_SIGNATURE,
        HS256_HEADER "%2E" PAYLOAD "%2e" HS256_SIGNATURE,
        "%65yJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." PAYLOAD "." HS256_SIGNATURE,
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(result_of(wc_slice_str(good[i])), WC_JWT_OK);
    const char *bad[] = {HS256_TOKEN "%", HS256_TOKEN "%2",  HS256_TOKEN "%zz",
                         "+" HS256_TOKEN, HS256_TOKEN "%00", "%2520" HS256_TOKEN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(result_of(wc_slice_str(bad[i])), WC_JWT_MALFORMED);
}

static void algorithms_without_a_key_are_refused_before_the_signature(void **state)
{
    (void)state;
    const char *headers[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"\"}",
        "{}",
        "{\"alg\":null}",
        "{\"alg\":256}",
        "{\"alg\":[\"HS256\"]}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":\"HS256 \"}",
        "{\"alg\":\"RS256\"}",
        "{\"alg\":\"ES256\"}",
        "{\"alg\":\"PS256\"}",
        "{\"alg\":\"EdDSA\"}",
        "{\"alg\":\"HS256\\u0000\"}",
        "{\"alg\":\"HS256\",\"alg\":\"none\"}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (result_of_header(headers[i]) != WC_JWT_NO_KEY)
            fail_msg("%s", headers[i]);
    /* {"alg":"none"} with an empty signature, the classic */
    assert_int_equal(result_of(wc_slice_str("eyJhbGciOiJub25lIn0." PAYLOAD ".")), WC_JWT_NO_KEY);
}

static void the_algorithm_named_is_the_one_used(void **state)
{
    (void)state;
    assert_int_equal(result_of_header("{\"alg\":\"HS256\"}"), WC_JWT_OK);
    assert_int_equal(result_of_header("{\"alg\":\"HS384\"}"), WC_JWT_BAD_SIGNATURE);
    assert_int_equal(result_of_header("{\"alg\":\"HS512\"}"), WC_JWT_BAD_SIGNATURE);
    assert_int_equal(result_of_header("{\"alg\":\"none\",\"alg\":\"HS256\"}"), WC_JWT_OK);
    assert_int_equal(result_of_header("{\"\\u0061lg\":\"HS\\u003256\",\"typ\":7}"), WC_JWT_OK);
    assert_int_equal(result_of_header("{\"alg\":\"HS256\",\"kid\":\"k\"}"), WC_JWT_OK);
    assert_int_equal(result_of_header("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}"), WC_JWT_MALFORMED);
}

static void a_long_kid_is_cut_between_characters(void **state)
{
    (void)state;
    char header[400], kid[300] = "";
    for (int i = 0; i < 100; i++)
        memcpy(kid + i * 2, "\xc3\xa4", 3);
    struct wc_keyset *set = NULL;
    const struct wc_keyset_source from = {.jwks = wc_slice_str("{\"keys\":[]}")};
    assert_int_equal(wc_keyset_make(&from, &set, NULL), WC_OK);
    struct wc_buf token;
    struct wc_claims *claims;
    struct wc_jwt_detail detail;
    (void)snprintf(header, sizeof header, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", kid);
    sign_with(&token, EVP_sha256(), SECRET, header, wc_slice_str("{}"));
    assert_int_equal(wc_jwt_verify(set, wc_buf_view(&token), NOW, &claims, &detail), WC_JWT_NO_KEY);
    assert_int_equal(strlen(detail.kid), 126); /* 127 would cut a character in two */
    assert_memory_equal(detail.kid, kid, 126);
    wc_buf_release(&token);
    wc_keyset_free(set);
}

static void claims_are_checked_in_the_order_of_the_protocol(void **state)
{
    (void)state;
    const struct {
        const char *payload;
        enum wc_jwt_result result;
    } table[] = {
        {"{\"role\":\"anon\",\"exp\":1700000001}", WC_JWT_OK},
        {"{\"role\":\"anon\",\"exp\":1700000000}", WC_JWT_EXPIRED},
        {"{\"role\":\"anon\",\"exp\":1700000000.4}", WC_JWT_EXPIRED},
        {"{\"role\":\"anon\",\"exp\":1700000000.6}", WC_JWT_OK},
        {"{\"role\":\"anon\",\"exp\":1.8e9,\"iat\":1.7e9}", WC_JWT_OK},
        {"{\"role\":\"anon\",\"exp\":1800000000.25,\"iat\":1699999999.5}", WC_JWT_OK},
        {"{\"role\":\"anon\",\"exp\":1e300}", WC_JWT_OK},
        {"{\"role\":\"anon\",\"exp\":-1e300}", WC_JWT_EXPIRED},
        {"{\"role\":\"anon\",\"exp\":1e999}", WC_JWT_CLAIMS_INVALID},
        {"{\"role\":\"anon\",\"exp\":1e400}", WC_JWT_CLAIMS_INVALID},
        {"{\"role\":\"anon\",\"exp\":-1e400}", WC_JWT_CLAIMS_INVALID},
        {"{\"role\":\"anon\",\"exp\":1e-400}", WC_JWT_EXPIRED},
        {"{\"role\":\"anon\",\"exp\":99999999999999999999999999}", WC_JWT_OK},
        {"{\"role\":\"anon\",\"exp\":1800000000,\"iat\":1e400}", WC_JWT_CLAIMS_INVALID},
        {"{\"role\":\"anon\",\"exp\":[1800000000]}", WC_JWT_CLAIMS_INVALID},
        {"{\"role\":\"anon\",\"exp\":{}}", WC_JWT_CLAIMS_INVALID},
        {"{\"role\":\"anon\",\"exp\":01800000000}", WC_JWT_MALFORMED},
        {"{\"role\":\"anon\",\"exp\":0x7fffffff}", WC_JWT_MALFORMED},
        {"{\"role\":\"anon\",\"exp\":Infinity}", WC_JWT_MALFORMED},
        {"{\"role\":\"anon\",\"exp\":1800000000,\"\\u0065xp\":1}", WC_JWT_EXPIRED},
        {"{\"role\":\"anon\",\"exp\":1800000000,\"exp\":\"1800000000\"}", WC_JWT_CLAIMS_INVALID},
        {"{\"role\":\"anon\",\"exp\":\"1800000000\"}", WC_JWT_CLAIMS_INVALID},
        {"{\"role\":\"anon\",\"exp\":null}", WC_JWT_CLAIMS_INVALID},
        {"{\"role\":\"anon\",\"exp\":true}", WC_JWT_CLAIMS_INVALID},
        {"{\"role\":\"anon\",\"exp\":1800000000,\"iat\":\"1\"}", WC_JWT_CLAIMS_INVALID},
        {"{\"role\":\"anon\",\"exp\":1800000000,\"iat\":9000000000}", WC_JWT_OK},
        {"{\"role\":\"anon\",\"exp\":1800000000,\"nbf\":9000000000,\"aud\":7}", WC_JWT_OK},
        {"{\"role\":\"anon\"}", WC_JWT_CLAIMS_MISSING},
        {"{\"exp\":1800000000}", WC_JWT_CLAIMS_MISSING},
        {"{}", WC_JWT_CLAIMS_MISSING},
        {"{\"iat\":\"x\"}", WC_JWT_CLAIMS_INVALID},
        {"{\"exp\":1}", WC_JWT_EXPIRED},
        {"{\"exp\":\"1\"}", WC_JWT_CLAIMS_INVALID},
        {"{\"Role\":\"anon\",\"exp\":1800000000}", WC_JWT_CLAIMS_MISSING},
        {"{\"a\":{\"role\":\"anon\",\"exp\":1800000000}}", WC_JWT_CLAIMS_MISSING},
        {"{\"role\":\"anon\",\"exp\":1,\"exp\":1800000000}", WC_JWT_OK},
        {"{\"role\":\"anon\",\"exp\":1800000000,\"exp\":1}", WC_JWT_EXPIRED},
        {"{\"role\":\"a\\u0000b\",\"exp\":1800000000}", WC_JWT_CLAIMS_INVALID},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        enum wc_jwt_result result = result_of_payload(table[i].payload);
        if (result != table[i].result)
            fail_msg("%s: %d", table[i].payload, (int)result);
    }
}

/* A kid that is no string names no key, and one without a set means nothing: the secret counts. */
static void a_kid_is_never_more_than_a_name(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"alg\":\"HS256\",\"kid\":7}",
        "{\"alg\":\"HS256\",\"kid\":null}",
        "{\"alg\":\"HS256\",\"kid\":[\"k\"]}",
        "{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}",
        "{\"alg\":\"HS256\",\"kid\":\"k' or '1'='1\"}",
        "{\"alg\":\"HS256\",\"kid\":\"k\\u0000\"}",
        "{\"alg\":\"HS256\",\"jku\":\"http://127.0.0.1/\",\"x5u\":\"http://127.0.0.1/\"}",
        "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"MQ\"}}",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct wc_buf forged;
        if (result_of_header(good[i]) != WC_JWT_OK)
            fail_msg("%s", good[i]);
        sign_with(&forged, EVP_sha256(), "1", good[i],
                  wc_slice_str("{\"role\":\"anon\",\"exp\":2000000000}"));
        assert_int_equal(result_of(wc_buf_view(&forged)), WC_JWT_BAD_SIGNATURE);
        wc_buf_release(&forged);
    }
}

static void depth_and_size_have_a_limit_that_is_kept(void **state)
{
    (void)state;
    enum { DEPTH = 64, TOKEN_MAX = 64 * 1024 };
    for (int deep = DEPTH - 1; deep <= DEPTH + 1; deep++) {
        char text[400] = "{\"role\":\"anon\",\"exp\":1800000000,\"x\":";
        size_t n = strlen(text);
        memset(text + n, '[', (size_t)deep - 1); /* the object is the first level */
        memset(text + n + deep - 1, ']', (size_t)deep - 1);
        memcpy(text + n + 2 * (deep - 1), "}", 2);
        assert_int_equal(result_of_payload(text), deep <= DEPTH ? WC_JWT_OK : WC_JWT_MALFORMED);
    }
    struct wc_buf token;
    sign_with(&token, EVP_sha256(), SECRET, "{\"alg\":\"HS256\"}",
              wc_slice_str("{\"role\":\"anon\",\"exp\":2000000000}"));
    while (token.len < TOKEN_MAX)
        wc_buf_byte(&token, ' '); /* which is removed */
    assert_int_equal(result_of(wc_buf_view(&token)), WC_JWT_OK);
    wc_buf_byte(&token, ' ');
    assert_int_equal(result_of(wc_buf_view(&token)), WC_JWT_MALFORMED);
    wc_buf_release(&token);
}

static void thousands_of_claims_are_read_or_refused(void **state)
{
    (void)state;
    struct wc_buf text;
    wc_buf_init(&text, 1 << 20);
    wc_buf_str(&text, "{\"role\":\"anon\",\"exp\":1800000000");
    for (int i = 0; i < 2000; i++)
        wc_buf_printf(&text, ",\"exp\":%d", 1800000001 + i); /* nodes for key and value */
    wc_buf_str(&text, "}");
    wc_buf_byte(&text, '\0');
    assert_int_equal(result_of_payload((const char *)text.p), WC_JWT_OK);
    text.len -= 2;
    for (int i = 0; i < 100; i++)
        wc_buf_str(&text, ",\"a\":1");
    wc_buf_str(&text, "}");
    wc_buf_byte(&text, '\0');
    assert_int_equal(result_of_payload((const char *)text.p), WC_JWT_MALFORMED);
    wc_buf_release(&text);
}

static enum wc_jwt_result validated(const char *validator, const char *claim)
{
    char validators[100], payload[200];
    struct wc_keyset *strict = NULL;
    struct wc_claims *claims = NULL;
    struct wc_buf token;
    (void)snprintf(validators, sizeof validators, "{\"org\":%s}", validator);
    (void)snprintf(payload, sizeof payload, "{\"role\":\"anon\",\"exp\":1800000000,\"org\":%s}",
                   claim);
    const struct wc_keyset_source from = {.secret = wc_slice_str(SECRET),
                                          .validators = wc_slice_str(validators)};
    assert_int_equal(wc_keyset_make(&from, &strict, NULL), WC_OK);
    sign_with(&token, EVP_sha256(), SECRET, "{\"alg\":\"HS256\"}", wc_slice_str(payload));
    enum wc_jwt_result result = wc_jwt_verify(strict, wc_buf_view(&token), NOW, &claims, NULL);
    wc_claims_unref(claims);
    wc_buf_release(&token);
    wc_keyset_free(strict);
    return result;
}

static void validators_tell_large_numbers_apart(void **state)
{
    (void)state;
    assert_int_equal(validated("9007199254740993", "9007199254740993"), WC_JWT_OK);
    assert_int_equal(validated("9007199254740993", "9007199254740992"), WC_JWT_CLAIMS_INVALID);
    assert_int_equal(validated("99999999999999999999", "99999999999999999998"),
                     WC_JWT_CLAIMS_INVALID);
    assert_int_equal(validated("99999999999999999999", "99999999999999999999"), WC_JWT_OK);
    assert_int_equal(validated("1e400", "1e401"), WC_JWT_CLAIMS_INVALID);
    assert_int_equal(validated("1", "1.0"), WC_JWT_OK);
    assert_int_equal(validated("0.5", "5e-1"), WC_JWT_OK);
    assert_int_equal(validated("0.5", "0"), WC_JWT_CLAIMS_INVALID);
    assert_int_equal(validated("1", "\"1\""), WC_JWT_CLAIMS_INVALID);
}

static void a_bad_signature_hides_what_the_claims_are(void **state)
{
    (void)state;
    const char *payloads[] = {"{\"role\":\"anon\",\"exp\":1}", "{\"exp\":\"x\"}", "{}"};
    for (size_t i = 0; i < 3; i++) {
        struct wc_buf token;
        sign_with(&token, EVP_sha256(), "another secret", "{\"alg\":\"HS256\"}",
                  wc_slice_str(payloads[i]));
        assert_int_equal(result_of(wc_buf_view(&token)), WC_JWT_BAD_SIGNATURE);
        wc_buf_release(&token);
    }
}

static void role_is_the_last_one_unescaped_or_the_json_text(void **state)
{
    (void)state;
    const struct {
        const char *payload, *role;
    } table[] = {
        {"{\"role\":\"anon\",\"exp\":1800000000,\"role\":\"service_role\"}", "service_role"},
        {"{\"role\":\"\\u0061n\\\"on\",\"exp\":1800000000}", "an\"on"},
        {"{\"role\":[1, 2],\"exp\":1800000000}", "[1, 2]"},
        {"{\"role\":null,\"exp\":1800000000}", "null"},
        {"{\"role\":\"\",\"exp\":1800000000}", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct wc_buf token;
        struct wc_claims *claims;
        sign_with(&token, EVP_sha256(), SECRET, "{\"alg\":\"HS256\"}",
                  wc_slice_str(table[i].payload));
        assert_int_equal(wc_jwt_verify(keys, wc_buf_view(&token), NOW, &claims, NULL), WC_JWT_OK);
        assert_string_equal((const char *)claims->role.p, table[i].role);
        assert_string_equal((const char *)claims->json.p, table[i].payload);
        wc_claims_unref(claims);
        wc_buf_release(&token);
    }
}

static void expiry_is_told_and_far_dates_are_cut(void **state)
{
    (void)state;
    struct wc_claims *claims;
    struct wc_jwt_detail detail;
    assert_int_equal(verify_at(HS256_TOKEN, 1999999999, &claims, &detail), WC_JWT_OK);
    assert_int_equal(detail.expired_s, 0);
    wc_claims_unref(claims);
    assert_int_equal(verify_at(HS256_TOKEN, 2000000000, &claims, &detail), WC_JWT_EXPIRED);
    assert_int_equal(detail.expired_s, 0);
    assert_int_equal(verify_at(HS256_TOKEN, 2000000042, &claims, &detail), WC_JWT_EXPIRED);
    assert_int_equal(detail.expired_s, 42);

    struct wc_buf token;
    sign_with(&token, EVP_sha256(), SECRET, "{\"alg\":\"HS256\"}",
              wc_slice_str("{\"role\":\"anon\",\"exp\":9223372036854775807}"));
    assert_int_equal(wc_jwt_verify(keys, wc_buf_view(&token), NOW, &claims, NULL), WC_JWT_OK);
    assert_int_equal(claims->exp, WC_JWT_EXP_MAX);
    wc_claims_unref(claims);
    wc_buf_release(&token);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    enum { DEEP = 20000, HUGE_TOKEN = 10 << 20 };
    char *text = malloc(HUGE_TOKEN);
    assert_non_null(text);
    memset(text, 'A', HUGE_TOKEN);
    assert_int_equal(result_of(wc_slice(text, HUGE_TOKEN)), WC_JWT_MALFORMED);
    memset(text, '[', DEEP);
    memcpy(text, "{\"a\":", 5);
    text[DEEP] = '\0';
    assert_int_equal(result_of_payload(text), WC_JWT_MALFORMED);
    free(text);
}

static void a_long_token_within_the_limit_verifies(void **state)
{
    (void)state;
    enum { FILL = 40000 };
    char *text = malloc(FILL + 100);
    assert_non_null(text);
    int n = snprintf(text, 100, "{\"role\":\"anon\",\"exp\":1800000000,\"x\":\"");
    memset(text + n, 'x', FILL);
    memcpy(text + n + FILL, "\"}", 3);
    assert_int_equal(result_of_payload(text), WC_JWT_OK);
    free(text);
}

static void an_empty_secret_verifies_and_signs_nothing(void **state)
{
    (void)state;
    struct wc_keyset *none = wc_keyset_new(wc_slice(NULL, 0));
    struct wc_claims *claims;
    struct wc_buf token;
    assert_non_null(none);
    sign_with(&token, EVP_sha256(), "", "{\"alg\":\"HS256\"}",
              wc_slice_str("{\"role\":\"anon\",\"exp\":1800000000}"));
    assert_int_equal(wc_jwt_verify(none, wc_buf_view(&token), NOW, &claims, NULL), WC_JWT_NO_KEY);
    wc_buf_reset(&token);
    assert_int_equal(wc_jwt_mint(none, wc_slice_str("{}"), &token), WC_INVALID);
    assert_int_equal(token.len, 0);
    wc_buf_release(&token);
    wc_keyset_free(none);
}

static void claims_live_until_the_last_reference(void **state)
{
    (void)state;
    struct wc_claims *claims;
    assert_int_equal(verify_at(HS256_TOKEN, NOW, &claims, NULL), WC_JWT_OK);
    assert_ptr_equal(wc_claims_ref(claims), claims);
    wc_claims_unref(claims);
    assert_string_equal((const char *)claims->role.p, "anon");
    wc_claims_unref(claims);
    wc_claims_unref(NULL);
}

static void a_minted_token_is_what_others_make(void **state)
{
    (void)state;
    struct wc_buf out;
    wc_buf_init(&out, 1000);
    wc_buf_str(&out, "token: ");
    assert_int_equal(
        wc_jwt_mint(keys, wc_slice_str("{\"role\":\"anon\",\"exp\":2000000000}"), &out), WC_OK);
    assert_true(wc_slice_is(wc_buf_view(&out), "token: " HS256_TOKEN));
    wc_buf_release(&out);
}

static void only_objects_are_minted(void **state)
{
    (void)state;
    const char *payloads[] = {"", "[]", "\"x\"", "{", "{\"a\":}", "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct wc_buf out;
        wc_buf_init(&out, 1000);
        assert_int_equal(wc_jwt_mint(keys, wc_slice_str(payloads[i]), &out), WC_INVALID);
        assert_int_equal(out.len, 0);
        wc_buf_release(&out);
    }
}

static void minting_into_a_small_buffer_reports_the_limit(void **state)
{
    (void)state;
    for (size_t cap = 1; cap < strlen(HS256_TOKEN); cap++) {
        struct wc_buf out;
        wc_buf_init(&out, cap);
        assert_int_equal(
            wc_jwt_mint(keys, wc_slice_str("{\"role\":\"anon\",\"exp\":2000000000}"), &out),
            WC_LIMIT);
        wc_buf_release(&out);
    }
}

static enum wc_jwt_result checked(const char *secret, const char *payload)
{
    struct wc_buf token;
    sign_with(&token, EVP_sha512(), secret, "{\"alg\":\"HS512\"}", wc_slice_str(payload));
    enum wc_jwt_result result = wc_jwt_check(keys, wc_buf_view(&token), NOW);
    wc_buf_release(&token);
    return result;
}

static void a_token_that_only_opens_a_door_needs_no_claims(void **state)
{
    (void)state;
    assert_int_equal(checked(SECRET, "{}"), WC_JWT_OK);
    assert_int_equal(checked(SECRET, "{\"exp\":1700000001}"), WC_JWT_OK);
    assert_int_equal(checked(SECRET, "{\"exp\":1700000000}"), WC_JWT_EXPIRED);
    assert_int_equal(checked(SECRET, "{\"exp\":\"1800000000\"}"), WC_JWT_CLAIMS_INVALID);
    assert_int_equal(checked(SECRET, "{\"iat\":true}"), WC_JWT_CLAIMS_INVALID);
    assert_int_equal(checked(SECRET, "[]"), WC_JWT_MALFORMED);
    assert_int_equal(checked("another secret", "{}"), WC_JWT_BAD_SIGNATURE);
    assert_int_equal(wc_jwt_check(keys, wc_slice_str(""), NOW), WC_JWT_MALFORMED);
    assert_int_equal(wc_jwt_check(keys, wc_slice_str("e30.e30."), NOW), WC_JWT_NO_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_other_programs_verify),
        cmocka_unit_test(the_example_of_the_standard_verifies),
        cmocka_unit_test(any_changed_character_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(each_broken_token_has_its_result),
        cmocka_unit_test(payloads_that_are_no_object_are_malformed),
        cmocka_unit_test(whitespace_and_percent_escapes_are_cleaned),
        cmocka_unit_test(algorithms_without_a_key_are_refused_before_the_signature),
        cmocka_unit_test(the_algorithm_named_is_the_one_used),
        cmocka_unit_test(a_long_kid_is_cut_between_characters),
        cmocka_unit_test(claims_are_checked_in_the_order_of_the_protocol),
        cmocka_unit_test(a_kid_is_never_more_than_a_name),
        cmocka_unit_test(depth_and_size_have_a_limit_that_is_kept),
        cmocka_unit_test(thousands_of_claims_are_read_or_refused),
        cmocka_unit_test(validators_tell_large_numbers_apart),
        cmocka_unit_test(a_bad_signature_hides_what_the_claims_are),
        cmocka_unit_test(role_is_the_last_one_unescaped_or_the_json_text),
        cmocka_unit_test(expiry_is_told_and_far_dates_are_cut),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(a_long_token_within_the_limit_verifies),
        cmocka_unit_test(an_empty_secret_verifies_and_signs_nothing),
        cmocka_unit_test(claims_live_until_the_last_reference),
        cmocka_unit_test(a_token_that_only_opens_a_door_needs_no_claims),
        cmocka_unit_test(a_minted_token_is_what_others_make),
        cmocka_unit_test(only_objects_are_minted),
        cmocka_unit_test(minting_into_a_small_buffer_reports_the_limit),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}

/*
 * Up to the first 0xff byte: claim validators; the rest: a key set. Tokens are verified with what
 * is accepted, by which no key may become usable that the text does not hold.
 */
#include "auth/jwk.h"
#include "auth/jwt.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* {"alg":"...","kid":"k"}.{"role":"anon","exp":2000000000,"aud":"a"}.AAAA for RS256, ES256, EdDSA
 */
static const char *const tokens[] = {
    "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ"
    ".eyJyb2xlIjoiYW5vbiIsImV4cCI6MjAwMDAwMDAwMCwiYXVkIjoiYSJ9.AAAA",
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ"
    ".eyJyb2xlIjoiYW5vbiIsImV4cCI6MjAwMDAwMDAwMCwiYXVkIjoiYSJ9.AAAA",
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ"
    ".eyJyb2xlIjoiYW5vbiIsImV4cCI6MjAwMDAwMDAwMCwiYXVkIjoiYSJ9.AAAA",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *border = size ? memchr(data, 0xff, size) : NULL;
    size_t first = border ? (size_t)(border - data) : size;
    const struct wc_keyset_source from = {
        .secret = wc_slice_str("walcast-test-secret-of-32-bytes!"),
        .validators = wc_slice(data, first),
        .jwks = border ? wc_slice(border + 1, size - first - 1) : wc_slice(NULL, 0),
    };
    struct wc_keyset *keys = NULL;
    struct wc_err err = {0};
    enum wc_status st = wc_keyset_make(&from, &keys, &err);
    WC_ASSERT((st == WC_OK) == (keys != NULL));
    WC_ASSERT(st == WC_OK || err.text[0]);
    for (size_t i = 0; keys && i < sizeof tokens / sizeof *tokens; i++) {
        struct wc_claims *claims = NULL;
        struct wc_jwt_detail detail;
        enum wc_jwt_result result =
            wc_jwt_verify(keys, wc_slice_str(tokens[i]), 1700000000, &claims, &detail);
        WC_ASSERT(result == WC_JWT_NO_KEY || result == WC_JWT_BAD_SIGNATURE);
    }
    wc_keyset_free(keys);
    return 0;
}

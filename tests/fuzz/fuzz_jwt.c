/*
 * First byte 'p': the rest is a payload, which is minted and must verify, up to its claims.
 * Anything else: the input is a token. What is accepted must have its parts terminated and be JSON.
 */
#include "auth/jwt.h"
#include "base/assert.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOKEN_MAX_BYTES = 64 * 1024 };

static const int64_t now = 1700000000;

static void check_claims(const struct wc_claims *c)
{
    struct wc_arena arena;
    struct wc_json doc;
    struct wc_json_limits limits = {.depth = 64, .nodes = 4096};
    wc_arena_init(&arena, 1 << 20);
    WC_ASSERT(strlen((const char *)c->role.p) == c->role.len);
    WC_ASSERT(strlen((const char *)c->json.p) == c->json.len);
    WC_ASSERT(wc_utf8_ok(c->role));
    WC_ASSERT(wc_json_parse(&doc, c->json, &arena, limits, NULL) == WC_OK);
    WC_ASSERT(wc_json_type(&doc, 0) == WC_JSON_OBJECT);
    WC_ASSERT(c->exp > now && c->exp <= WC_JWT_EXP_MAX);
    wc_arena_release(&arena);
}

static enum wc_jwt_result verify(const struct wc_keyset *keys, struct wc_slice token,
                                 struct wc_slice payload)
{
    struct wc_claims *claims = NULL;
    struct wc_jwt_detail detail;
    enum wc_jwt_result result = wc_jwt_verify(keys, token, now, &claims, &detail);
    WC_ASSERT((result == WC_JWT_OK) == (claims != NULL));
    WC_ASSERT(memchr(detail.kid, '\0', sizeof detail.kid) != NULL);
    WC_ASSERT(detail.expired_s >= 0);
    if (claims) {
        check_claims(claims);
        WC_ASSERT(!payload.p || wc_slice_eq(claims->json, payload));
    }
    wc_claims_unref(claims);
    return result;
}

static void mint_and_verify(const struct wc_keyset *keys, struct wc_slice payload)
{
    struct wc_buf token;
    wc_buf_init(&token, TOKEN_MAX_BYTES);
    if (wc_jwt_mint(keys, payload, &token) == WC_OK) {
        enum wc_jwt_result result = verify(keys, wc_buf_view(&token), payload);
        WC_ASSERT(result == WC_JWT_OK || result == WC_JWT_EXPIRED ||
                  result == WC_JWT_CLAIMS_MISSING || result == WC_JWT_CLAIMS_INVALID);
    }
    wc_buf_release(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wc_keyset *keys = wc_keyset_new(wc_slice_str("walcast-test-secret-of-32-bytes!"));
    WC_ASSERT(keys != NULL);
    if (size > 0 && data[0] == 'p')
        mint_and_verify(keys, wc_slice(data + 1, size - 1));
    else
        (void)verify(keys, wc_slice(data, size), wc_slice(NULL, 0)); /* its checks are the point */
    wc_keyset_free(keys);
    return 0;
}

#include "fanout/token.h"

#include "base/assert.h"

#include <inttypes.h>

const struct wc_token_refusal *wc_token_refusal(enum wc_jwt_result result)
{
    static const struct wc_token_refusal table[] = {
        [WC_JWT_MALFORMED] = {401, "The token provided is not a valid JWT",
                              "MalformedJWT: The token provided is not a valid JWT",
                              "The token provided is not a valid JWT"},
        [WC_JWT_NO_KEY] = {401,
                           "Failed to generate JWT signer, check your JWT secret or JWKS "
                           "configuration",
                           "JwtSignerError: Failed to generate JWT signer, check your JWT secret "
                           "or JWKS configuration",
                           ":error_generating_signer"},
        [WC_JWT_BAD_SIGNATURE] = {401, "Failed to validate JWT signature",
                                  "JwtSignatureError: Failed to validate JWT signature",
                                  ":signature_error"},
        [WC_JWT_EXPIRED] = {401, "Token has expired", "InvalidJWTToken: ", ""},
        [WC_JWT_CLAIMS_MISSING] = {401, "Fields `role` and `exp` are required in JWT",
                                   "InvalidJWTToken: Fields `role` and `exp` are required in JWT",
                                   "Fields `role` and `exp` are required in JWT"},
        [WC_JWT_CLAIMS_INVALID] = {500, "Error connecting to Realtime", "Unknown Error on Channel",
                                   "The token's claims are not valid"},
        [WC_JWT_NO_MEMORY] = {500, "Error connecting to Realtime", "Unknown Error on Channel",
                              "Unknown Error on Channel"},
    };
    WC_ASSERT(result != WC_JWT_OK);
    return &table[result];
}

bool wc_token_is_api_key(struct wc_slice token)
{
    return token.len >= 3 && memcmp(token.p, "sb_", 3) == 0;
}

void wc_token_expired_text(struct wc_buf *out, int64_t seconds)
{
    wc_buf_printf(out, "Token has expired %" PRId64 " seconds ago", seconds);
}

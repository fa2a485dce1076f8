#include "fanout/token.h"

#include "base/assert.h"

#include <inttypes.h>

struct refusal {
    unsigned http_status;
    const char *connect_text; /* NULL: `text` */
    const char *join_code;    /* before `text` */
    const char *text;         /* NULL: made of the detail */
    const char *refresh_text; /* NULL: `text` */
};

static const struct refusal *find(enum wc_jwt_result result)
{
    static const char malformed[] = "The token provided is not a valid JWT";
    static const char missing[] = "Fields `role` and `exp` are required in JWT";
    static const char signature[] = "Failed to validate JWT signature";
    static const char sorry[] = "Error connecting to Realtime";
    static const char unknown[] = "Unknown Error on Channel";
    static const struct refusal table[] = {
        [WC_JWT_MALFORMED] = {401, malformed, "MalformedJWT: ", malformed, NULL},
        [WC_JWT_NO_KEY] = {401, NULL, "JwtSignerError: ", NULL, ":error_generating_signer"},
        [WC_JWT_BAD_SIGNATURE] = {401, signature, "JwtSignatureError: ", signature,
                                  ":signature_error"},
        [WC_JWT_EXPIRED] = {401, "Token has expired", "InvalidJWTToken: ", NULL, NULL},
        [WC_JWT_CLAIMS_MISSING] = {401, missing, "InvalidJWTToken: ", missing, NULL},
        [WC_JWT_CLAIMS_INVALID] = {500, sorry, "", unknown, "The token's claims are not valid"},
        [WC_JWT_NO_MEMORY] = {500, sorry, "", unknown, NULL},
    };
    WC_ASSERT(result != WC_JWT_OK);
    return &table[result];
}

static void put_signer_text(struct wc_buf *out, const char *kid)
{
    wc_buf_str(out, "Failed to generate JWT signer");
    if (kid[0])
        wc_buf_printf(out, " for key ID (kid) \"%s\"", kid);
    wc_buf_str(out, ", check your JWT secret or JWKS configuration");
}

static void put_text(struct wc_buf *out, enum wc_jwt_result result,
                     const struct wc_jwt_detail *detail)
{
    if (result == WC_JWT_NO_KEY)
        put_signer_text(out, detail->kid);
    else if (result == WC_JWT_EXPIRED)
        wc_token_expired_text(out, detail->expired_s);
    else
        wc_buf_str(out, find(result)->text);
}

unsigned wc_token_http_status(enum wc_jwt_result result)
{
    return find(result)->http_status;
}

void wc_token_connect_text(struct wc_buf *out, enum wc_jwt_result result,
                           const struct wc_jwt_detail *detail)
{
    const char *text = find(result)->connect_text;
    if (text)
        wc_buf_str(out, text);
    else
        put_text(out, result, detail);
}

void wc_token_join_reason(struct wc_buf *out, enum wc_jwt_result result,
                          const struct wc_jwt_detail *detail)
{
    wc_buf_str(out, find(result)->join_code);
    put_text(out, result, detail);
}

void wc_token_refresh_text(struct wc_buf *out, enum wc_jwt_result result,
                           const struct wc_jwt_detail *detail)
{
    const char *text = find(result)->refresh_text;
    if (text && !(result == WC_JWT_NO_KEY && detail->kid[0]))
        wc_buf_str(out, text);
    else
        put_text(out, result, detail);
}

bool wc_token_is_api_key(struct wc_slice token)
{
    return token.len >= 3 && memcmp(token.p, "sb_", 3) == 0;
}

void wc_token_expired_text(struct wc_buf *out, int64_t seconds)
{
    wc_buf_printf(out, "Token has expired %" PRId64 " seconds ago", seconds);
}

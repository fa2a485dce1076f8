#include "auth/jwa.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <sodium.h>

enum { DER_MAX_BYTES = 2 * (66 + 3) + 4 };

struct wc_jwa {
    const char *name;
    enum wc_jwk_type type;
    const EVP_MD *(*digest)(void); /* NULL: part of the algorithm */
    int padding;                   /* RSA */
    int curve_bits;                /* EC */
    const char *curve;             /* OKP: OpenSSL's name of the only one, or NULL */
};

static const struct wc_jwa algorithms[] = {
    {"HS256", WC_JWK_OCT, EVP_sha256, 0, 0, NULL},
    {"HS384", WC_JWK_OCT, EVP_sha384, 0, 0, NULL},
    {"HS512", WC_JWK_OCT, EVP_sha512, 0, 0, NULL},
    {"RS256", WC_JWK_RSA, EVP_sha256, RSA_PKCS1_PADDING, 0, NULL},
    {"RS384", WC_JWK_RSA, EVP_sha384, RSA_PKCS1_PADDING, 0, NULL},
    {"RS512", WC_JWK_RSA, EVP_sha512, RSA_PKCS1_PADDING, 0, NULL},
    {"PS256", WC_JWK_RSA, EVP_sha256, RSA_PKCS1_PSS_PADDING, 0, NULL},
    {"PS384", WC_JWK_RSA, EVP_sha384, RSA_PKCS1_PSS_PADDING, 0, NULL},
    {"PS512", WC_JWK_RSA, EVP_sha512, RSA_PKCS1_PSS_PADDING, 0, NULL},
    {"ES256", WC_JWK_EC, EVP_sha256, 0, 256, NULL},
    {"ES384", WC_JWK_EC, EVP_sha384, 0, 384, NULL},
    {"ES512", WC_JWK_EC, EVP_sha512, 0, 521, NULL},
    {"EdDSA", WC_JWK_OKP, NULL, 0, 0, NULL},
    {"Ed25519", WC_JWK_OKP, NULL, 0, 0, "ED25519"},
    {"Ed448", WC_JWK_OKP, NULL, 0, 0, "ED448"},
};

const struct wc_jwa *wc_jwa_find(struct wc_slice name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (wc_slice_is(name, algorithms[i].name))
            return &algorithms[i];
    return NULL;
}

enum wc_jwk_type wc_jwa_key_type(const struct wc_jwa *alg)
{
    return alg->type;
}

/* ---- HMAC ---- */

static void mac_hs256(struct wc_slice secret, struct wc_slice text, uint8_t *mac)
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, secret.p, secret.len);
    crypto_auth_hmacsha256_update(&state, text.p, text.len);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_memzero(&state, sizeof state);
}

static void mac_hs512(struct wc_slice secret, struct wc_slice text, uint8_t *mac)
{
    crypto_auth_hmacsha512_state state;
    crypto_auth_hmacsha512_init(&state, secret.p, secret.len);
    crypto_auth_hmacsha512_update(&state, text.p, text.len);
    crypto_auth_hmacsha512_final(&state, mac);
    sodium_memzero(&state, sizeof state);
}

bool wc_jwa_mac(const struct wc_jwa *alg, struct wc_slice secret, struct wc_slice text,
                uint8_t mac[static WC_JWA_MAC_MAX_BYTES], size_t *len)
{
    *len = (size_t)EVP_MD_get_size(alg->digest());
    if (*len == crypto_auth_hmacsha256_BYTES)
        mac_hs256(secret, text, mac);
    else if (*len == crypto_auth_hmacsha512_BYTES)
        mac_hs512(secret, text, mac);
    else
        return HMAC(alg->digest(), secret.p, (int)secret.len, text.p, text.len, mac, NULL) != NULL;
    return true;
}

/* ---- public keys ---- */

/* r and s, each as long as the curve's order, as the DER that OpenSSL reads; 0: not of that form.
 */
static size_t der_of(const struct wc_jwa *alg, struct wc_slice signature,
                     uint8_t out[static DER_MAX_BYTES])
{
    size_t n = ((size_t)alg->curve_bits + 7) / 8;
    if (signature.len != 2 * n)
        return 0;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.p, (int)n, NULL);
    BIGNUM *s = BN_bin2bn(signature.p + n, (int)n, NULL);
    int len = 0;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) /* owns both now */
        len = i2d_ECDSA_SIG(sig, &out);
    else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

static bool set_padding(const struct wc_jwa *alg, EVP_PKEY_CTX *ctx)
{
    if (alg->type != WC_JWK_RSA)
        return true;
    if (EVP_PKEY_CTX_set_rsa_padding(ctx, alg->padding) <= 0)
        return false;
    return alg->padding != RSA_PKCS1_PSS_PADDING ||
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
}

bool wc_jwa_verify(const struct wc_jwa *alg, EVP_PKEY *pkey, struct wc_slice text,
                   struct wc_slice signature)
{
    uint8_t der[DER_MAX_BYTES];
    if ((alg->curve_bits && EVP_PKEY_get_bits(pkey) != alg->curve_bits) ||
        (alg->curve && !EVP_PKEY_is_a(pkey, alg->curve)))
        return false;
    if (alg->type == WC_JWK_EC)
        signature = wc_slice(der, der_of(alg, signature, der));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey_ctx = NULL; /* ctx's */
    bool ok =
        ctx && signature.len > 0 &&
        EVP_DigestVerifyInit(ctx, &pkey_ctx, alg->digest ? alg->digest() : NULL, NULL, pkey) > 0 &&
        set_padding(alg, pkey_ctx) &&
        EVP_DigestVerify(ctx, signature.p, signature.len, text.p, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

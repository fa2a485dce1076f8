/*
 * JSON Web Algorithms: the signatures a token may carry.
 *
 *   HS256 HS384 HS512       HMAC with a shared secret
 *   RS256 RS384 RS512       RSASSA-PKCS1-v1_5
 *   PS256 PS384 PS512       RSASSA-PSS, salt as long as the hash
 *   ES256 ES384 ES512       ECDSA, on P-256, P-384 and P-521; r and s as fixed-length numbers
 *   EdDSA Ed25519 Ed448     as the key's curve says, or only on that curve
 *
 * An algorithm takes keys of its own type only, so a public key never serves as a secret.
 * Threads: pure. Errors: wc_jwa_sign is false without memory; verifying answers yes or no, and an
 * internal failure is no. Source: RFC 7518 section 3, RFC 8037, RFC 9864.
 */
#ifndef WC_AUTH_JWA_H
#define WC_AUTH_JWA_H

#include "auth/jwk.h"

enum { WC_JWA_MAC_MAX_BYTES = 64 };

struct wc_jwa;

/* NULL: not an algorithm of this list. */
const struct wc_jwa *wc_jwa_find(struct wc_slice name);
enum wc_jwk_type wc_jwa_key_type(const struct wc_jwa *);

/* HS*: the code of the text, and its length in *len. */
WC_MUST_USE
bool wc_jwa_mac(const struct wc_jwa *, struct wc_slice secret, struct wc_slice text,
                uint8_t mac[static WC_JWA_MAC_MAX_BYTES], size_t *len);

/* The others: is this the signature of the text by that key? */
WC_MUST_USE
bool wc_jwa_verify(const struct wc_jwa *, struct evp_pkey_st *, struct wc_slice text,
                   struct wc_slice signature);

#endif

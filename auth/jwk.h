/*
 * JSON Web Key Sets: the public keys (RSA, EC, Ed25519, Ed448) and shared secrets (oct) that a
 * tenant's tokens may name by `kid`.
 *
 * A set is an object with an array `keys`; anything else is refused. A key that cannot be used (no
 * `kid`, unknown `kty` or `crv`, a member missing or undecodable, RSA outside 2,048 to 16,384
 * bits) stays in the set without its value: a token that names it has no key, and falls back to
 * nothing. Of two keys of one type with one `kid` the first counts. `alg`, `use` and `key_ops` are
 * not looked at; private members neither.
 *
 * Ownership: a set owns its keys. Threads: any; immutable. Errors: INVALID, LIMIT, NOMEM with err
 * filled. Limits: 256 KiB of text, 256 keys. Source: RFC 7517, 7518, 8037; protocol reference 8.1.
 */
#ifndef WC_AUTH_JWK_H
#define WC_AUTH_JWK_H

#include "base/buf.h"
#include "base/err.h"

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

enum wc_jwk_type { WC_JWK_OCT, WC_JWK_RSA, WC_JWK_EC, WC_JWK_OKP };

struct wc_jwk {
    enum wc_jwk_type type;
    struct wc_slice kid;
    struct wc_slice secret;   /* OCT, in locked memory; p NULL when unusable */
    struct evp_pkey_st *pkey; /* the others; NULL when unusable */
};

struct wc_jwks;

WC_MUST_USE
enum wc_status wc_jwks_parse(struct wc_slice json, struct wc_jwks **out, struct wc_err *err);
void wc_jwks_free(struct wc_jwks *); /* wipes secrets; NULL is fine */

/* NULL: no such key. A key found may still be unusable. */
const struct wc_jwk *wc_jwks_find(const struct wc_jwks *, enum wc_jwk_type, struct wc_slice kid);

#endif

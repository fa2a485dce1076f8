/*
 * JSON Web Tokens: verification with a tenant's keys (a shared secret, a JWKS), and minting for
 * development (HS256).
 *
 * Input is cleaned as the wire asks: %XX decoded ('+' kept), all whitespace removed. Then payload
 * and header must be JSON objects, the signature must verify (constant time), `exp` must be a
 * number in the future and `iat` a number where present; client tokens need keys `role` and `exp`.
 * No clock leeway. `typ` is not needed, `nbf`, `aud` and `iss` mean nothing unless a validator
 * names them. HS* tokens are verified with the `oct` key of their `kid`, else with the secret; the
 * others (jwa.h) with the key of their `kid`, and have none without it. When a claim is repeated
 * the last one counts, as in Postgres' jsonb. Ownership: see each function. Threads: any; keysets
 * and claims are immutable. Limits: tokens and secrets of 64 KiB; JSON nested 64 deep, 4096 values.
 * Source: RFC 7515, 7519; protocol reference sections 1.3, 3.3, 8.1.
 */
#ifndef WC_AUTH_JWT_H
#define WC_AUTH_JWT_H

#include "base/buf.h"

#include <stdatomic.h>

struct wc_keyset;

/* Empty slices: none. */
struct wc_keyset_source {
    struct wc_slice secret; /* for HS* tokens that name no key of the set */
    struct wc_slice jwks;   /* JSON text (jwk.h) */
    struct wc_slice
        validators; /* JSON object: claim to the value it must have where it is present */
};

/* Copies what it needs, secrets into locked memory. INVALID, LIMIT, NOMEM: err says what is wrong.
 */
WC_MUST_USE
enum wc_status wc_keyset_make(const struct wc_keyset_source *, struct wc_keyset **out,
                              struct wc_err *err);
/* With a secret alone; an empty one verifies nothing. NULL when out of memory or over the limit. */
struct wc_keyset *wc_keyset_new(struct wc_slice secret);
void wc_keyset_free(struct wc_keyset *); /* wipes it */

/* 9999-12-31T23:59:59Z. A date beyond it is cut to it, so that microseconds fit an int64. */
#define WC_JWT_EXP_MAX INT64_C(253402300799)

/* The verified claims of one token: immutable, reference counted, shared between threads. */
struct wc_claims {
    _Atomic uint32_t refs;
    struct wc_slice role; /* NUL-terminated too; the JSON text when the claim is no string */
    struct wc_slice json; /* the payload as sent, valid JSON; NUL-terminated too */
    int64_t exp;          /* Unix seconds, rounded to an integer */
    uint64_t token_hash;  /* wc_hash of the token as it came: equal ones are recognised by it */
};

struct wc_claims *wc_claims_ref(struct wc_claims *);
void wc_claims_unref(struct wc_claims *); /* NULL is fine */

enum wc_jwt_result {
    WC_JWT_OK,
    WC_JWT_MALFORMED, /* not three base64url parts, no JSON objects in them, or `crit` */
    WC_JWT_NO_KEY,    /* alg or kid without a usable key; detail: the kid, if any */
    WC_JWT_BAD_SIGNATURE,
    WC_JWT_EXPIRED,        /* expired_s tells how long ago */
    WC_JWT_CLAIMS_MISSING, /* no role or no exp */
    WC_JWT_CLAIMS_INVALID, /* exp or iat is no number, a validator says no, or role holds a NUL */
    WC_JWT_NO_MEMORY,
};

struct wc_jwt_detail {
    int64_t expired_s;
    char kid[128]; /* of NO_KEY: the one that the JWKS has no usable key for, cut; else empty */
};

/* `now` in Unix seconds. *out is a new reference on OK and untouched otherwise; detail may be
 * NULL. */
enum wc_jwt_result wc_jwt_verify(const struct wc_keyset *, struct wc_slice token, int64_t now,
                                 struct wc_claims **out, struct wc_jwt_detail *detail);

/* The same for tokens that open a door and stand for nobody: no claim is required; those that are
 * present count as they do above. */
enum wc_jwt_result wc_jwt_check(const struct wc_keyset *, struct wc_slice token, int64_t now);

/* Appends a signed HS256 token with the given payload (JSON object text) to out. INVALID: an empty
 * secret, or a payload that is no JSON object. */
WC_MUST_USE
enum wc_status wc_jwt_mint(const struct wc_keyset *, struct wc_slice payload, struct wc_buf *out);

#endif

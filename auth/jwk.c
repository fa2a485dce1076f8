#include "auth/jwk.h"

#include "base/json.h"

#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>

enum {
    TEXT_MAX_BYTES = 256 << 10,
    KEYS_MAX = 256,
    ARENA_BYTES = 8 << 20, /* nodes, and the decoded members of all keys */
    RSA_MIN_BITS = 2048,   /* RFC 7518, section 3.3 */
    RSA_MAX_BITS = 16384,  /* OpenSSL's own ceiling; verifying costs more with each bit */
    POINT_MAX_BYTES = 2 * 66 + 1,
};

static const struct wc_json_limits json_limits = {.depth = 16, .nodes = 16384};

struct wc_jwks {
    size_t count;
    struct wc_jwk key[];
};

void wc_jwks_free(struct wc_jwks *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++) {
        free((void *)(uintptr_t)set->key[i].kid.p); /* ours, const in the slice */
        sodium_free((void *)(uintptr_t)set->key[i].secret.p);
        EVP_PKEY_free(set->key[i].pkey);
    }
    free(set);
}

const struct wc_jwk *wc_jwks_find(const struct wc_jwks *set, enum wc_jwk_type type,
                                  struct wc_slice kid)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->key[i].type == type && wc_slice_eq(set->key[i].kid, kid))
            return &set->key[i];
    return NULL;
}

/* ---- members ---- */

/* One key of the document. */
struct member_reader {
    const struct wc_json *doc;
    uint32_t object;
    struct wc_arena *arena;
};

static bool is_member(const struct member_reader *r, const char *name, const char *value)
{
    struct wc_slice text;
    return wc_json_string(r->doc, wc_json_get(r->doc, r->object, name), r->arena, &text) &&
           wc_slice_is(text, value);
}

/* Base64url without padding, the only form RFC 7515 allows. An empty value is none. */
static bool decode_member(const struct member_reader *r, const char *name, struct wc_slice *out)
{
    struct wc_slice text;
    if (!wc_json_string(r->doc, wc_json_get(r->doc, r->object, name), r->arena, &text))
        return false;
    size_t cap = text.len / 4 * 3 + 3, len;
    uint8_t *bytes = wc_arena_alloc(r->arena, cap);
    if (!bytes || sodium_base642bin(bytes, cap, (const char *)text.p, text.len, NULL, &len, NULL,
                                    sodium_base64_VARIANT_URLSAFE_NO_PADDING))
        return false;
    *out = wc_slice(bytes, len);
    return len > 0;
}

/* ---- keys ---- */

static struct wc_slice locked_copy(struct wc_slice s)
{
    uint8_t *copy = sodium_malloc(s.len);
    if (copy)
        memcpy(copy, s.p, s.len);
    return wc_slice(copy, copy ? s.len : 0);
}

static void read_oct(const struct member_reader *r, struct wc_jwk *out)
{
    struct wc_slice k;
    if (!decode_member(r, "k", &k))
        return;
    out->secret = locked_copy(k);
    sodium_memzero((void *)(uintptr_t)k.p, k.len);
}

/* Public key of this OpenSSL type from what was pushed; consumes the builder. NULL: unusable. */
static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = builder ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    return pkey;
}

static void read_rsa(const struct member_reader *r, struct wc_jwk *out)
{
    struct wc_slice n, e;
    if (!decode_member(r, "n", &n) || !decode_member(r, "e", &e))
        return;
    BIGNUM *modulus = BN_bin2bn(n.p, (int)n.len, NULL); /* both are below TEXT_MAX_BYTES */
    BIGNUM *exponent = BN_bin2bn(e.p, (int)e.len, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (modulus && exponent && builder && BN_num_bits(modulus) >= RSA_MIN_BITS &&
        BN_num_bits(modulus) <= RSA_MAX_BITS && BN_num_bits(exponent) <= 64 &&
        BN_is_odd(exponent) && !BN_is_one(exponent) && BN_is_odd(modulus) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
        out->pkey = build("RSA", builder);
    else
        OSSL_PARAM_BLD_free(builder);
    BN_free(exponent);
    BN_free(modulus);
}

static void read_ec(const struct member_reader *r, struct wc_jwk *out)
{
    static const struct {
        const char *crv, *group;
        size_t bytes; /* of a coordinate, always in full (RFC 7518, section 6.2.1.2) */
    } curves[] = {
        {"P-256", "prime256v1", 32}, {"P-384", "secp384r1", 48}, {"P-521", "secp521r1", 66}};
    struct wc_slice x, y;
    if (!decode_member(r, "x", &x) || !decode_member(r, "y", &y))
        return;
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        size_t n = curves[i].bytes;
        if (!is_member(r, "crv", curves[i].crv) || x.len != n || y.len != n)
            continue;
        uint8_t point[POINT_MAX_BYTES] = {4}; /* uncompressed (SEC 1, 2.3.3) */
        memcpy(point + 1, x.p, n);
        memcpy(point + 1 + n, y.p, n);
        OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
        if (builder &&
            OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curves[i].group,
                                            0) &&
            OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * n))
            out->pkey = build("EC", builder);
        else
            OSSL_PARAM_BLD_free(builder);
        return;
    }
}

static void read_okp(const struct member_reader *r, struct wc_jwk *out)
{
    struct wc_slice x;
    if (!decode_member(r, "x", &x))
        return;
    if (is_member(r, "crv", "Ed25519"))
        out->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.p, x.len);
    else if (is_member(r, "crv", "Ed448"))
        out->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED448, NULL, x.p, x.len);
}

/* False: not a key that a token could name. */
static bool read_key(const struct member_reader *r, struct wc_jwk *out)
{
    static const struct {
        const char *kty;
        enum wc_jwk_type type;
        void (*read)(const struct member_reader *, struct wc_jwk *);
    } types[] = {{"oct", WC_JWK_OCT, read_oct},
                 {"RSA", WC_JWK_RSA, read_rsa},
                 {"EC", WC_JWK_EC, read_ec},
                 {"OKP", WC_JWK_OKP, read_okp}};
    struct wc_slice kid;
    if (!wc_json_string(r->doc, wc_json_get(r->doc, r->object, "kid"), r->arena, &kid))
        return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!is_member(r, "kty", types[i].kty))
            continue;
        char *copy = wc_slice_dup(kid);
        if (!copy)
            return false;
        *out = (struct wc_jwk){.type = types[i].type, .kid = wc_slice(copy, kid.len)};
        types[i].read(r, out);
        return true;
    }
    return false;
}

static enum wc_status read_set(const struct wc_json *doc, struct wc_arena *arena,
                               struct wc_jwks **out, struct wc_err *err)
{
    uint32_t keys = wc_json_get(doc, 0, "keys");
    if (wc_json_type(doc, keys) != WC_JSON_ARRAY)
        return wc_err_set(err, WC_INVALID, "a JWKS is an object with an array `keys`");
    uint32_t count = wc_json_count(doc, keys);
    if (count > KEYS_MAX)
        return wc_err_set(err, WC_LIMIT, "more than %d keys in a JWKS", KEYS_MAX);
    struct wc_jwks *set = calloc(1, sizeof *set + count * sizeof set->key[0]);
    if (!set)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    struct member_reader r = {doc, wc_json_first(doc, keys), arena};
    for (uint32_t i = 0; i < count; i++, r.object = wc_json_next(doc, r.object))
        set->count += read_key(&r, &set->key[set->count]);
    *out = set;
    return WC_OK;
}

enum wc_status wc_jwks_parse(struct wc_slice json, struct wc_jwks **out, struct wc_err *err)
{
    if (sodium_init() < 0)
        return wc_err_set(err, WC_NOMEM, "libsodium cannot be initialised");
    if (json.len > TEXT_MAX_BYTES)
        return wc_err_set(err, WC_LIMIT, "a JWKS of more than %d bytes", TEXT_MAX_BYTES);
    struct wc_arena arena;
    struct wc_json doc;
    wc_arena_init(&arena, ARENA_BYTES);
    enum wc_status st = wc_json_parse(&doc, json, &arena, json_limits, err);
    if (st == WC_OK)
        st = read_set(&doc, &arena, out, err);
    wc_arena_release(&arena);
    return st == WC_PROTO ? WC_INVALID : st;
}

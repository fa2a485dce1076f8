/*
 * The code of an HS* token is compared as text: the expected one is encoded and compared with what
 * was sent, in constant time. So exactly one text is accepted for a token, whatever its unused last
 * bits, and nothing of an unverified code is decoded.
 */
#include "auth/jwt.h"

#include "auth/jwa.h"
#include "auth/validator.h"
#include "base/arena.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/map.h"

#include <stdlib.h>

#include <sodium.h>

enum {
    SECRET_MAX_BYTES = 64 * 1024,
    TOKEN_MAX_BYTES = 64 * 1024,
    /* the cleaned token, both decoded parts and the nodes of both documents */
    ARENA_BYTES = 512 * 1024,
    MAC_TEXT_BYTES =
        sodium_base64_ENCODED_LEN(WC_JWA_MAC_MAX_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
    VALIDATORS_MAX_BYTES = 64 * 1024,
};

static const int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
static const struct wc_json_limits json_limits = {.depth = 64, .nodes = 4096};

struct wc_keyset {
    uint8_t *secret; /* sodium_malloc; NULL when empty, which verifies nothing */
    size_t len;
    struct wc_jwks *jwks;      /* NULL: none */
    struct wc_arena arena;     /* of the validators */
    struct wc_json validators; /* an object; no nodes: none */
};

static enum wc_status keep_secret(struct wc_keyset *keys, struct wc_slice secret,
                                  struct wc_err *err)
{
    if (secret.len > SECRET_MAX_BYTES)
        return wc_err_set(err, WC_LIMIT, "a secret of more than %d bytes", SECRET_MAX_BYTES);
    if (secret.len == 0)
        return WC_OK;
    keys->secret = sodium_malloc(secret.len);
    if (!keys->secret)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    memcpy(keys->secret, secret.p, secret.len);
    keys->len = secret.len;
    return WC_OK;
}

static enum wc_status keep_validators(struct wc_keyset *keys, struct wc_slice text,
                                      struct wc_err *err)
{
    if (text.len == 0)
        return WC_OK;
    if (text.len > VALIDATORS_MAX_BYTES)
        return wc_err_set(err, WC_LIMIT, "claim validators of more than %d bytes",
                          VALIDATORS_MAX_BYTES);
    char *copy = wc_arena_strdup(&keys->arena, text);
    if (!copy)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    enum wc_status st =
        wc_json_parse(&keys->validators, wc_slice(copy, text.len), &keys->arena, json_limits, err);
    if (st == WC_OK && wc_json_type(&keys->validators, 0) != WC_JSON_OBJECT)
        return wc_err_set(err, WC_INVALID, "claim validators are not a JSON object");
    return st == WC_PROTO ? WC_INVALID : st;
}

enum wc_status wc_keyset_make(const struct wc_keyset_source *from, struct wc_keyset **out,
                              struct wc_err *err)
{
    if (sodium_init() < 0)
        return wc_err_set(err, WC_NOMEM, "libsodium cannot be initialised");
    struct wc_keyset *keys = calloc(1, sizeof *keys);
    if (!keys)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    wc_arena_init(&keys->arena, ARENA_BYTES);
    enum wc_status st = keep_secret(keys, from->secret, err);
    if (st == WC_OK && from->jwks.len)
        st = wc_jwks_parse(from->jwks, &keys->jwks, err);
    if (st == WC_OK)
        st = keep_validators(keys, from->validators, err);
    if (st == WC_OK)
        *out = keys;
    else
        wc_keyset_free(keys);
    return st;
}

struct wc_keyset *wc_keyset_new(struct wc_slice secret)
{
    struct wc_keyset *keys = NULL;
    const struct wc_keyset_source from = {.secret = secret};
    return wc_keyset_make(&from, &keys, NULL) == WC_OK ? keys : NULL;
}

void wc_keyset_free(struct wc_keyset *keys)
{
    if (!keys)
        return;
    sodium_free(keys->secret); /* wipes */
    wc_jwks_free(keys->jwks);
    wc_arena_release(&keys->arena);
    free(keys);
}

struct wc_claims *wc_claims_ref(struct wc_claims *c)
{
    (void)atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void wc_claims_unref(struct wc_claims *c)
{
    /* R1 acq_rel: every holder's reads are done before the last one frees */
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        free(c);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A % without two hex digits stays, and makes the token malformed later. */
static struct wc_slice clean(struct wc_slice in, uint8_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.p[i], byte;
        if (c == '%' && in.len - i > 2) {
            if (wc_hex_decode(wc_slice(in.p + i + 1, 2), &byte)) {
                c = byte;
                i += 2;
            }
        }
        if (!is_space(c))
            out[n++] = c;
    }
    return wc_slice(out, n);
}

/* header.payload.signature; `signed_text` is the first two with their dot */
struct parts {
    struct wc_slice header, payload, signature, signed_text;
};

static bool is_base64url(struct wc_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.p[i];
        uint8_t lower = c | 0x20;
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

static bool split(struct wc_slice token, struct parts *out)
{
    const uint8_t *end = token.p + token.len;
    const uint8_t *dot1 = memchr(token.p, '.', token.len);
    if (!dot1)
        return false;
    const uint8_t *payload = dot1 + 1;
    const uint8_t *dot2 = memchr(payload, '.', (size_t)(end - payload));
    if (!dot2)
        return false;
    const uint8_t *signature = dot2 + 1;
    *out = (struct parts){
        .header = wc_slice(token.p, (size_t)(dot1 - token.p)),
        .payload = wc_slice(payload, (size_t)(dot2 - payload)),
        .signature = wc_slice(signature, (size_t)(end - signature)),
        .signed_text = wc_slice(token.p, (size_t)(dot2 - token.p)),
    };
    return is_base64url(out->signature);
}

/* Base64url of a JSON object, into the arena. */
static enum wc_jwt_result decode_object(struct wc_slice part, struct wc_arena *arena,
                                        struct wc_json *out)
{
    size_t cap = part.len / 4 * 3 + 3;
    uint8_t *bytes = wc_arena_alloc(arena, cap);
    if (!bytes)
        return WC_JWT_NO_MEMORY;
    size_t len;
    if (sodium_base642bin(bytes, cap, (const char *)part.p, part.len, NULL, &len, NULL, variant))
        return WC_JWT_MALFORMED;
    enum wc_status status = wc_json_parse(out, wc_slice(bytes, len), arena, json_limits, NULL);
    if (status == WC_NOMEM)
        return WC_JWT_NO_MEMORY;
    return status == WC_OK && wc_json_type(out, 0) == WC_JSON_OBJECT ? WC_JWT_OK : WC_JWT_MALFORMED;
}

/* Cut on a character border, so that it can be quoted in a JSON message. */
static void copy_kid(struct wc_slice kid, char out[static 128])
{
    size_t n = kid.len < 127 ? kid.len : 127;
    if (n < kid.len)
        while (n > 0 && (kid.p[n] & 0xc0) == 0x80)
            n--;
    memcpy(out, kid.p, n);
    out[n] = '\0';
}

/* What a token is to be verified with: a public key, or a secret. */
struct verifier {
    const struct wc_jwa *alg;
    struct evp_pkey_st *pkey;
    struct wc_slice secret;
};

/* The tenant's own secret serves HS* tokens that name no key of the set. */
static bool choose_key(const struct wc_keyset *keys, const struct wc_slice *kid, struct verifier *v)
{
    enum wc_jwk_type type = wc_jwa_key_type(v->alg);
    const struct wc_jwk *key = kid && keys->jwks ? wc_jwks_find(keys->jwks, type, *kid) : NULL;
    if (key) {
        v->pkey = key->pkey;
        v->secret = key->secret;
    } else if (type == WC_JWK_OCT) {
        v->secret = wc_slice(keys->secret, keys->len);
    }
    return v->pkey || v->secret.len;
}

static enum wc_jwt_result choose(const struct wc_keyset *keys, const struct wc_json *header,
                                 struct wc_arena *arena, struct verifier *out,
                                 struct wc_jwt_detail *detail)
{
    struct wc_slice name, kid;
    if (wc_json_get(header, 0, "crit") != WC_JSON_NONE)
        return WC_JWT_MALFORMED; /* RFC 7515, 4.1.11: an extension we do not understand */
    bool has_kid = wc_json_string(header, wc_json_get(header, 0, "kid"), arena, &kid);
    *out = (struct verifier){0};
    if (wc_json_string(header, wc_json_get(header, 0, "alg"), arena, &name))
        out->alg = wc_jwa_find(name);
    if (out->alg && choose_key(keys, has_kid ? &kid : NULL, out))
        return WC_JWT_OK;
    if (out->alg && has_kid && keys->jwks)
        copy_kid(kid, detail->kid);
    return WC_JWT_NO_KEY;
}

/* Writes the code's text, with a NUL, into out. */
static bool mac_text(const struct wc_jwa *alg, struct wc_slice secret, struct wc_slice text,
                     char out[static MAC_TEXT_BYTES])
{
    uint8_t mac[WC_JWA_MAC_MAX_BYTES];
    size_t len;
    bool ok = wc_jwa_mac(alg, secret, text, mac, &len);
    if (ok)
        (void)sodium_bin2base64(out, MAC_TEXT_BYTES, mac, len, variant); /* returns out */
    sodium_memzero(mac, sizeof mac);
    return ok;
}

static enum wc_jwt_result check_mac(const struct verifier *v, const struct parts *parts)
{
    char expected[MAC_TEXT_BYTES];
    if (!mac_text(v->alg, v->secret, parts->signed_text, expected))
        return WC_JWT_NO_MEMORY;
    size_t len = strlen(expected);
    bool same =
        parts->signature.len == len && sodium_memcmp(parts->signature.p, expected, len) == 0;
    sodium_memzero(expected, sizeof expected);
    return same ? WC_JWT_OK : WC_JWT_BAD_SIGNATURE;
}

static enum wc_jwt_result check_signature(const struct verifier *v, const struct parts *parts,
                                          struct wc_arena *arena)
{
    if (!v->pkey)
        return check_mac(v, parts);
    struct wc_slice text = parts->signature;
    size_t cap = text.len / 4 * 3 + 3, len;
    uint8_t *bytes = wc_arena_alloc(arena, cap);
    if (!bytes)
        return WC_JWT_NO_MEMORY;
    /* Refuses unused last bits that are not zero, so here too one text only is accepted. */
    if (sodium_base642bin(bytes, cap, (const char *)text.p, text.len, NULL, &len, NULL, variant))
        return WC_JWT_BAD_SIGNATURE;
    return wc_jwa_verify(v->alg, v->pkey, parts->signed_text, wc_slice(bytes, len))
               ? WC_JWT_OK
               : WC_JWT_BAD_SIGNATURE;
}

/* A date as Unix seconds; false when it is no number. */
static bool read_seconds(const struct wc_json *doc, uint32_t node, int64_t *out)
{
    int64_t whole;
    double d;
    if (wc_json_int(doc, node, &whole))
        d = (double)whole;
    else if (!wc_json_double(doc, node, &d))
        return false;
    const double furthest = (double)WC_JWT_EXP_MAX;
    d = d > furthest ? furthest : d < -furthest ? -furthest : d;
    *out = (int64_t)(d < 0 ? d - 0.5 : d + 0.5);
    return true;
}

/* Of the dates that are present. */
static enum wc_jwt_result check_dates(const struct wc_json *doc, int64_t now, int64_t *exp,
                                      struct wc_jwt_detail *detail)
{
    uint32_t exp_node = wc_json_get(doc, 0, "exp");
    uint32_t iat_node = wc_json_get(doc, 0, "iat");
    int64_t ignored;
    if (exp_node != WC_JSON_NONE) {
        if (!read_seconds(doc, exp_node, exp))
            return WC_JWT_CLAIMS_INVALID;
        if (*exp <= now) {
            detail->expired_s = now - *exp;
            return WC_JWT_EXPIRED;
        }
    }
    if (iat_node != WC_JSON_NONE && !read_seconds(doc, iat_node, &ignored))
        return WC_JWT_CLAIMS_INVALID;
    return WC_JWT_OK;
}

/* What is absent is an error only after what is present is right. */
static enum wc_jwt_result check_required(const struct wc_json *doc)
{
    bool has_both =
        wc_json_get(doc, 0, "exp") != WC_JSON_NONE && wc_json_get(doc, 0, "role") != WC_JSON_NONE;
    return has_both ? WC_JWT_OK : WC_JWT_CLAIMS_MISSING;
}

static struct wc_slice put(uint8_t **at, struct wc_slice s)
{
    struct wc_slice copy = wc_slice(*at, s.len);
    memcpy(*at, s.p, s.len);
    (*at)[s.len] = '\0';
    *at += s.len + 1;
    return copy;
}

static enum wc_jwt_result build_claims(const struct wc_json *doc, struct wc_arena *arena,
                                       int64_t exp, struct wc_claims **out)
{
    uint32_t node = wc_json_get(doc, 0, "role");
    struct wc_slice role = wc_json_raw(doc, node);
    if (wc_json_type(doc, node) == WC_JSON_STRING && !wc_json_string(doc, node, arena, &role))
        return WC_JWT_NO_MEMORY;
    if (role.len && memchr(role.p, '\0', role.len))
        return WC_JWT_CLAIMS_INVALID;
    struct wc_claims *c = malloc(sizeof *c + role.len + 1 + doc->text.len + 1);
    if (!c)
        return WC_JWT_NO_MEMORY;
    uint8_t *at = (uint8_t *)(c + 1);
    atomic_init(&c->refs, 1);
    c->role = put(&at, role);
    c->json = put(&at, doc->text);
    c->exp = exp;
    *out = c;
    return WC_JWT_OK;
}

/* `out` NULL: nobody's claims are asked for, and none are required. */
static enum wc_jwt_result verify(const struct wc_keyset *keys, const struct parts *parts,
                                 struct wc_arena *arena, int64_t now, struct wc_claims **out,
                                 struct wc_jwt_detail *detail)
{
    struct wc_json payload, header;
    struct verifier verifier;
    int64_t exp = 0;
    enum wc_jwt_result result = decode_object(parts->payload, arena, &payload);
    if (result == WC_JWT_OK)
        result = decode_object(parts->header, arena, &header);
    if (result == WC_JWT_OK)
        result = choose(keys, &header, arena, &verifier, detail);
    if (result == WC_JWT_OK)
        result = check_signature(&verifier, parts, arena);
    if (result == WC_JWT_OK)
        result = check_dates(&payload, now, &exp, detail);
    if (result == WC_JWT_OK && out)
        result = check_required(&payload);
    if (result == WC_JWT_OK)
        result = wc_validators_check(&keys->validators, &payload, arena);
    if (result == WC_JWT_OK && out)
        result = build_claims(&payload, arena, exp, out);
    return result;
}

static enum wc_jwt_result verify_text(const struct wc_keyset *keys, struct wc_slice token,
                                      int64_t now, struct wc_claims **out,
                                      struct wc_jwt_detail *detail)
{
    if (token.len == 0 || token.len > TOKEN_MAX_BYTES)
        return WC_JWT_MALFORMED;
    struct wc_arena arena;
    wc_arena_init(&arena, ARENA_BYTES);
    enum wc_jwt_result result = WC_JWT_NO_MEMORY;
    uint8_t *text = wc_arena_alloc(&arena, token.len);
    if (text) {
        struct parts parts;
        result = split(clean(token, text), &parts) ? verify(keys, &parts, &arena, now, out, detail)
                                                   : WC_JWT_MALFORMED;
        sodium_memzero(text, token.len); /* it would still open a connection */
    }
    wc_arena_release(&arena);
    return result;
}

enum wc_jwt_result wc_jwt_verify(const struct wc_keyset *keys, struct wc_slice token, int64_t now,
                                 struct wc_claims **out, struct wc_jwt_detail *detail)
{
    struct wc_jwt_detail unwanted;
    if (!detail)
        detail = &unwanted;
    *detail = (struct wc_jwt_detail){0};
    enum wc_jwt_result result = verify_text(keys, token, now, out, detail);
    if (result == WC_JWT_OK)
        (*out)->token_hash = wc_hash(token);
    return result;
}

enum wc_jwt_result wc_jwt_check(const struct wc_keyset *keys, struct wc_slice token, int64_t now)
{
    struct wc_jwt_detail unwanted = {0};
    return verify_text(keys, token, now, NULL, &unwanted);
}

static void append_base64url(struct wc_buf *out, struct wc_slice s)
{
    size_t room = sodium_base64_encoded_len(s.len, variant); /* counts a NUL */
    char *at = (char *)wc_buf_reserve(out, room);
    if (!at)
        return;
    (void)sodium_bin2base64(at, room, s.p, s.len, variant); /* returns at */
    wc_buf_commit(out, room - 1);
}

static enum wc_status check_payload(struct wc_slice payload)
{
    struct wc_arena arena;
    struct wc_json doc;
    wc_arena_init(&arena, ARENA_BYTES);
    enum wc_status status = wc_json_parse(&doc, payload, &arena, json_limits, NULL);
    if (status == WC_OK && wc_json_type(&doc, 0) != WC_JSON_OBJECT)
        status = WC_INVALID;
    wc_arena_release(&arena);
    return status == WC_PROTO ? WC_INVALID : status;
}

enum wc_status wc_jwt_mint(const struct wc_keyset *keys, struct wc_slice payload,
                           struct wc_buf *out)
{
    const struct wc_jwa *alg = wc_jwa_find(wc_slice_str("HS256"));
    enum wc_status status = keys->len ? check_payload(payload) : WC_INVALID;
    if (status != WC_OK)
        return status;
    size_t start = out->len;
    append_base64url(out, wc_slice_str("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
    wc_buf_byte(out, '.');
    append_base64url(out, payload);
    if (out->status != WC_OK)
        return out->status;
    char signature[MAC_TEXT_BYTES];
    if (!mac_text(alg, wc_slice(keys->secret, keys->len),
                  wc_slice(out->p + start, out->len - start), signature))
        return WC_NOMEM;
    wc_buf_byte(out, '.');
    wc_buf_str(out, signature);
    sodium_memzero(signature, sizeof signature);
    return out->status;
}

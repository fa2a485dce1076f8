/*
 * AES by OpenSSL (libsodium has GCM only where the processor has), text and random bytes by
 * libsodium. What is decrypted is written in place and taken back when its tag does not fit, so
 * nothing of a changed text is ever handed out.
 */
#include "auth/vault.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <sodium.h>

enum {
    KEY_BYTES = 32,
    LEGACY_KEY_BYTES = 16,
    IV_BYTES = 12,
    TAG_BYTES = 16,
    BLOCK_BYTES = 16,
    MAX_BYTES = 1 << 20, /* of a stored text; a secret has some hundred */
};

static const char prefix[] = "g1:";
static const int variant = sodium_base64_VARIANT_ORIGINAL;

struct wc_vault {
    uint8_t key[KEY_BYTES], legacy_key[LEGACY_KEY_BYTES];
    bool has_key, has_legacy_key, write_legacy;
};

static enum wc_status check_length(struct wc_slice key, size_t wanted, const char *what,
                                   struct wc_err *err)
{
    if (key.len == 0 || key.len == wanted)
        return WC_OK;
    return wc_err_set(err, WC_INVALID, "the key for %s has %zu bytes instead of %zu", what, key.len,
                      wanted);
}

enum wc_status wc_vault_make(struct wc_slice key, struct wc_slice legacy_key, bool write_legacy,
                             struct wc_vault **out, struct wc_err *err)
{
    if (key.len == 0 && legacy_key.len == 0)
        return wc_err_set(err, WC_INVALID, "no key for secrets at rest");
    enum wc_status st = check_length(key, KEY_BYTES, "AES-256-GCM", err);
    if (st == WC_OK)
        st = check_length(legacy_key, LEGACY_KEY_BYTES, "AES-128-ECB", err);
    if (st != WC_OK)
        return st;
    struct wc_vault *v = sodium_init() < 0 ? NULL : calloc(1, sizeof *v);
    if (!v)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    v->has_key = key.len > 0;
    v->has_legacy_key = legacy_key.len > 0;
    v->write_legacy = v->has_legacy_key && (write_legacy || !v->has_key);
    if (v->has_key)
        memcpy(v->key, key.p, sizeof v->key);
    if (v->has_legacy_key)
        memcpy(v->legacy_key, legacy_key.p, sizeof v->legacy_key);
    *out = v;
    return WC_OK;
}

void wc_vault_free(struct wc_vault *v)
{
    if (!v)
        return;
    sodium_memzero(v, sizeof *v);
    free(v);
}

bool wc_vault_writes_legacy(const struct wc_vault *v)
{
    return v->write_legacy;
}

bool wc_vault_is_legacy(struct wc_slice stored)
{
    const size_t n = sizeof prefix - 1;
    return stored.len < n || memcmp(stored.p, prefix, n) != 0;
}

/* ---- writing ---- */

/* out: iv, tag, ciphertext. */
static bool seal(const struct wc_vault *v, struct wc_slice plain, uint8_t *out)
{
    uint8_t *tag = out + IV_BYTES, *text = tag + TAG_BYTES;
    int n = 0, last = 0;
    randombytes_buf(out, IV_BYTES);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, v->key, out) == 1 &&
              (plain.len == 0 || EVP_EncryptUpdate(ctx, text, &n, plain.p, (int)plain.len) == 1) &&
              EVP_EncryptFinal_ex(ctx, text + n, &last) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1;
    EVP_CIPHER_CTX_free(ctx); /* wipes its key */
    return ok;
}

static bool seal_legacy(const struct wc_vault *v, struct wc_slice plain, uint8_t *out)
{
    int n = 0, last = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, v->legacy_key, NULL) == 1 &&
              (plain.len == 0 || EVP_EncryptUpdate(ctx, out, &n, plain.p, (int)plain.len) == 1) &&
              EVP_EncryptFinal_ex(ctx, out + n, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

enum wc_status wc_vault_encrypt(const struct wc_vault *v, struct wc_slice plain, struct wc_buf *out)
{
    if (plain.len > MAX_BYTES / 2)
        return WC_LIMIT;
    size_t len = v->write_legacy ? plain.len - plain.len % BLOCK_BYTES + BLOCK_BYTES
                                 : IV_BYTES + TAG_BYTES + plain.len;
    size_t text_len = sodium_base64_encoded_len(len, variant); /* with its NUL */
    if (!v->write_legacy)
        wc_buf_str(out, prefix);
    uint8_t *sealed = malloc(len);
    uint8_t *text = wc_buf_reserve(out, text_len);
    bool ok = sealed && text && (v->write_legacy ? seal_legacy : seal)(v, plain, sealed);
    if (ok) {
        (void)sodium_bin2base64((char *)text, text_len, sealed, len, variant); /* returns text */
        wc_buf_commit(out, text_len - 1);
    }
    free(sealed);
    return ok ? WC_OK : WC_NOMEM;
}

/* ---- reading ---- */

static bool open_sealed(const struct wc_vault *v, uint8_t *sealed, size_t len, uint8_t *plain,
                        size_t *plain_len)
{
    uint8_t *tag = sealed + IV_BYTES, *text = tag + TAG_BYTES;
    int n = 0, last = 0;
    if (len < IV_BYTES + TAG_BYTES)
        return false;
    len -= IV_BYTES + TAG_BYTES;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, v->key, sealed) == 1 &&
              (len == 0 || EVP_DecryptUpdate(ctx, plain, &n, text, (int)len) == 1) &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
              EVP_DecryptFinal_ex(ctx, plain + n, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    *plain_len = len;
    return ok;
}

static bool open_legacy(const struct wc_vault *v, uint8_t *sealed, size_t len, uint8_t *plain,
                        size_t *plain_len)
{
    int n = 0, last = 0;
    if (len == 0 || len % BLOCK_BYTES != 0)
        return false;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, v->legacy_key, NULL) == 1 &&
              EVP_DecryptUpdate(ctx, plain, &n, sealed, (int)len) == 1 &&
              EVP_DecryptFinal_ex(ctx, plain + n, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    *plain_len = ok ? (size_t)n + (size_t)last : 0;
    return ok;
}

/* `bytes` has room for what the text says. */
static bool decode(struct wc_slice text, uint8_t *bytes, size_t *len)
{
    return sodium_base642bin(bytes, text.len, (const char *)text.p, text.len, NULL, len, NULL,
                             variant) == 0;
}

enum wc_status wc_vault_decrypt(const struct wc_vault *v, struct wc_slice stored,
                                struct wc_buf *out, struct wc_err *err)
{
    bool is_legacy = wc_vault_is_legacy(stored);
    if (is_legacy ? !v->has_legacy_key : !v->has_key)
        return wc_err_set(err, WC_INVALID, "there is no key for %s",
                          is_legacy ? "the old form of secrets, AES-128-ECB"
                                    : "secrets in AES-256-GCM");
    if (stored.len == 0 || stored.len > MAX_BYTES)
        return wc_err_set(err, WC_INVALID, "a secret of %zu bytes", stored.len);
    if (!is_legacy)
        stored = wc_slice(stored.p + sizeof prefix - 1, stored.len - sizeof prefix + 1);
    /* the block cipher may write one block more than there is text */
    size_t len = 0, plain_len = 0;
    uint8_t *sealed = malloc(stored.len + 1);
    uint8_t *plain = wc_buf_reserve(out, stored.len + BLOCK_BYTES);
    if (!sealed || !plain) {
        free(sealed);
        return wc_err_set(err, WC_NOMEM, "out of memory");
    }
    bool ok = decode(stored, sealed, &len) &&
              (is_legacy ? open_legacy : open_sealed)(v, sealed, len, plain, &plain_len);
    if (ok)
        wc_buf_commit(out, plain_len);
    else
        sodium_memzero(plain, stored.len + BLOCK_BYTES);
    free(sealed);
    return ok ? WC_OK : wc_err_set(err, WC_INVALID, "a secret is damaged, or of another key");
}

/*
 * Secrets at rest, as the control store keeps them.
 *
 *   g1:BASE64(iv[12] tag[16] ciphertext)   AES-256-GCM without additional data, key of 32 bytes
 *   BASE64(ciphertext)                     AES-128-ECB with PKCS#7 padding, key of 16 bytes: read,
 *                                          and written only where a vault has no other key,
 *                                          or is told to
 *
 * Threads: pure; a vault may be used by any. Errors: INVALID: not one of these forms, a key that is
 * missing, or a text that was changed (the text says which, never the secret); LIMIT: a secret of
 * more than half a megabyte; NOMEM, also when `out` has no room.
 * Source: protocol reference section 10.4; NIST SP 800-38D.
 */
#ifndef WC_AUTH_VAULT_H
#define WC_AUTH_VAULT_H

#include "base/buf.h"

struct wc_vault;

/* A key is empty when there is none; at least one must be there. `write_legacy`: new values in the
 * old form although there is a new key. INVALID: err says which key is of which wrong length. */
WC_MUST_USE
enum wc_status wc_vault_make(struct wc_slice key, struct wc_slice legacy_key, bool write_legacy,
                             struct wc_vault **out, struct wc_err *err);
void wc_vault_free(struct wc_vault *); /* wipes the keys; NULL is fine */

/* Append to `out`. The caller wipes what it decrypted. */
WC_MUST_USE
enum wc_status wc_vault_encrypt(const struct wc_vault *, struct wc_slice plain, struct wc_buf *out);
WC_MUST_USE
enum wc_status wc_vault_decrypt(const struct wc_vault *, struct wc_slice stored, struct wc_buf *out,
                                struct wc_err *err);
bool wc_vault_writes_legacy(const struct wc_vault *);
bool wc_vault_is_legacy(struct wc_slice stored);

#endif

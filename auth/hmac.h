/*
 * HMAC-SHA256 (RFC 2104), verified in constant time. Threads: pure.
 */
#ifndef WC_AUTH_HMAC_H
#define WC_AUTH_HMAC_H

#include "base/buf.h"

enum { WC_HMAC_SHA256_BYTES = 32 };

/* Is this the code of the parts, one after the other, under the key? */
bool wc_hmac_sha256_is(const uint8_t mac[WC_HMAC_SHA256_BYTES], struct wc_slice key,
                       const struct wc_slice *part, size_t nparts);

/* Forgets a key. */
void wc_hmac_wipe(void *key, size_t len);

#endif

#include "auth/hmac.h"

#include <sodium.h>

bool wc_hmac_sha256_is(const uint8_t mac[WC_HMAC_SHA256_BYTES], struct wc_slice key,
                       const struct wc_slice *part, size_t nparts)
{
    uint8_t expected[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    _Static_assert(sizeof expected == WC_HMAC_SHA256_BYTES, "one size");
    (void)crypto_auth_hmacsha256_init(&state, key.p, key.len); /* none of these can fail */
    for (size_t i = 0; i < nparts; i++)
        (void)crypto_auth_hmacsha256_update(&state, part[i].p, part[i].len);
    (void)crypto_auth_hmacsha256_final(&state, expected);
    bool is_same = sodium_memcmp(mac, expected, sizeof expected) == 0;
    sodium_memzero(&state, sizeof state);
    sodium_memzero(expected, sizeof expected);
    return is_same;
}

void wc_hmac_wipe(void *key, size_t len)
{
    sodium_memzero(key, len);
}

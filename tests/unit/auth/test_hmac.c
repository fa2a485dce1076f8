#include "auth/hmac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* RFC 4231, test case 2. */
static const uint8_t mac[WC_HMAC_SHA256_BYTES] = {
    0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
    0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};

static void the_code_is_that_of_the_parts_in_order(void **state)
{
    (void)state;
    const struct wc_slice key = wc_slice_str("Jefe");
    const struct wc_slice part[] = {wc_slice_str("what do ya want "), wc_slice_str("for nothing?")};
    const struct wc_slice swapped[] = {part[1], part[0]};
    assert_true(wc_hmac_sha256_is(mac, key, part, 2));
    assert_false(wc_hmac_sha256_is(mac, key, swapped, 2));
    assert_false(wc_hmac_sha256_is(mac, key, part, 1));
    assert_false(wc_hmac_sha256_is(mac, wc_slice_str("jefe"), part, 2));
}

static void every_bit_of_it_counts(void **state)
{
    (void)state;
    const struct wc_slice part[] = {wc_slice_str("what do ya want for nothing?")};
    for (size_t bit = 0; bit < 8 * sizeof mac; bit++) {
        uint8_t other[sizeof mac];
        memcpy(other, mac, sizeof mac);
        other[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(wc_hmac_sha256_is(other, wc_slice_str("Jefe"), part, 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_code_is_that_of_the_parts_in_order),
                                       cmocka_unit_test(every_bit_of_it_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

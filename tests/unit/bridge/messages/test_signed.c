#include "base/uuid.h"
#include "bridge/messages/signed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cmocka.h>

enum { MAC = 32, CAP = 256 };

static const uint8_t key[WC_SIGNED_KEY_BYTES] = {1, 2, 3};

static const uint8_t content[] = {1,    6,    0,    0,    0,    9,    0,    0,    0,    1,    0,
                                  0,    0,    77,   0,    0,    0,    0,    0,    0,    1,    0,
                                  0x0b, 0x1c, 0x2d, 0x3e, 0x4f, 0x50, 0x46, 0x17, 0x88, 0x99, 0xaa,
                                  0xbb, 0xcc, 0xdd, 0xee, 0xff, 0,    0,    0,    2,    'h',  'i',
                                  0,    0,    0,    1,    'e',  'x',  'y'};

/* Signs `len` bytes of content; returns how many there are with the code. */
static size_t sign(const uint8_t *bytes, size_t len, uint8_t out[CAP])
{
    static const char prefix[] = WC_SIGNED_PREFIX;
    uint8_t text[CAP];
    memcpy(text, prefix, sizeof prefix);
    memcpy(text + sizeof prefix, bytes, len);
    assert_non_null(HMAC(EVP_sha256(), key, sizeof key, text, sizeof prefix + len, out, NULL));
    memcpy(out + MAC, bytes, len);
    return MAC + len;
}

static void its_parts_are_read(void **state)
{
    (void)state;
    uint8_t bytes[CAP];
    struct wc_signed s;
    size_t len = sign(content, sizeof content, bytes);
    assert_int_equal(wc_signed_open(wc_slice(bytes, len), key, &s), WC_OK);
    assert_false(s.is_immediate);
    assert_true(s.is_private);
    assert_true(s.is_binary);
    assert_int_equal(s.database, 9);
    assert_int_equal(s.xid, UINT64_C(1) << 32 | 77);
    assert_int_equal(s.time, 256);
    assert_true(wc_slice_is(s.topic, "hi"));
    assert_true(wc_slice_is(s.event, "e"));
    assert_true(wc_slice_is(s.body, "xy"));
    char id[WC_UUID_TEXT];
    wc_uuid_format(s.id, id);
    assert_string_equal(id, "0b1c2d3e-4f50-4617-8899-aabbccddeeff");
}

static void every_bit_is_signed(void **state)
{
    (void)state;
    uint8_t bytes[CAP];
    struct wc_signed s;
    size_t len = sign(content, sizeof content, bytes);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(wc_signed_open(wc_slice(bytes, len), key, &s), WC_OK);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    static const uint8_t other[WC_SIGNED_KEY_BYTES] = {1, 2, 4};
    assert_int_equal(wc_signed_open(wc_slice(bytes, len), other, &s), WC_PROTO);
}

/* Each length in memory of its own, so that a read past its end is seen. */
static void one_that_is_cut_is_none(void **state)
{
    (void)state;
    enum { BODY = 2 };
    for (size_t n = 0; n < sizeof content - BODY; n++) {
        uint8_t bytes[CAP];
        struct wc_signed s;
        size_t len = sign(content, n, bytes);
        uint8_t *own = malloc(len);
        assert_non_null(own);
        memcpy(own, bytes, len);
        assert_int_equal(wc_signed_open(wc_slice(own, len), key, &s), WC_INVALID);
        free(own);
    }
}

static void another_version_and_unknown_flags_are_none(void **state)
{
    (void)state;
    uint8_t changed[sizeof content], bytes[CAP];
    struct wc_signed s;
    memcpy(changed, content, sizeof content);
    changed[0] = 2;
    size_t len = sign(changed, sizeof changed, bytes);
    assert_int_equal(wc_signed_open(wc_slice(bytes, len), key, &s), WC_INVALID);
    changed[0] = 1;
    changed[1] = 8;
    len = sign(changed, sizeof changed, bytes);
    assert_int_equal(wc_signed_open(wc_slice(bytes, len), key, &s), WC_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_parts_are_read),
        cmocka_unit_test(every_bit_is_signed),
        cmocka_unit_test(one_that_is_cut_is_none),
        cmocka_unit_test(another_version_and_unknown_flags_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/decoder/capture.h"
#include "decoder/copyboth.h"

#define BYTES(literal) wc_slice(literal, sizeof(literal) - 1)

#define XLOG                                                                                       \
    "w"                                                                                            \
    "\x01\x02\x03\x04\x05\x06\x07\x08"                                                             \
    "\x11\x12\x13\x14\x15\x16\x17\x18"                                                             \
    "\xff\xff\xff\xff\xff\xff\xff\xfe"

#define KEEPALIVE                                                                                  \
    "k"                                                                                            \
    "\x11\x12\x13\x14\x15\x16\x17\x18"                                                             \
    "\x00\x00\x00\x00\x00\x00\x00\x2a"                                                             \
    "\x01"

static void xlog_data_is_an_envelope_around_its_payload(void **state)
{
    (void)state; /* unused */
    struct wc_slice bytes = BYTES(XLOG "payload");
    struct wc_copy_msg msg;
    assert_int_equal(wc_copyboth_decode(bytes, &msg, NULL), WC_OK);
    assert_int_equal(msg.kind, WC_COPY_XLOG);
    assert_int_equal(msg.wal_end, UINT64_C(0x1112131415161718));
    assert_int_equal(msg.send_time, -2);
    assert_ptr_equal(msg.payload.p, bytes.p + 25);
    assert_int_equal(msg.payload.len, strlen("payload"));
}

static void xlog_data_without_payload_is_an_empty_payload(void **state)
{
    (void)state; /* unused */
    struct wc_copy_msg msg;
    assert_int_equal(wc_copyboth_decode(BYTES(XLOG), &msg, NULL), WC_OK);
    assert_int_equal(msg.payload.len, 0);
}

static void keepalive_carries_position_and_request(void **state)
{
    (void)state; /* unused */
    struct wc_copy_msg msg;
    assert_int_equal(wc_copyboth_decode(BYTES(KEEPALIVE), &msg, NULL), WC_OK);
    assert_int_equal(msg.kind, WC_COPY_KEEPALIVE);
    assert_int_equal(msg.wal_end, UINT64_C(0x1112131415161718));
    assert_int_equal(msg.send_time, 42);
    assert_true(msg.reply_requested);
    assert_int_equal(msg.payload.len, 0);
}

static void recorded_streams_are_xlog_data_and_a_keepalive_at_the_end(void **state)
{
    (void)state; /* unused */
    struct wc_capture *c = wc_capture_load("identity_default");
    wc_lsn last = 0;
    for (size_t i = 0; i < c->count; i++) {
        struct wc_copy_msg msg;
        assert_int_equal(wc_copyboth_decode(c->copy[i], &msg, NULL), WC_OK);
        bool is_last = i == c->count - 1;
        assert_int_equal(msg.kind, is_last ? WC_COPY_KEEPALIVE : WC_COPY_XLOG);
        assert_true(msg.send_time > 0);
        if (msg.wal_end) { /* 0/0 for Relation */
            assert_true(msg.wal_end >= last);
            last = msg.wal_end;
        }
    }
    wc_capture_free(c);
}

static void expect_refused(struct wc_slice bytes, size_t at)
{
    struct wc_slice exact = wc_exact_copy(bytes);
    struct wc_copy_msg msg = {.send_time = 77};
    struct wc_err err = {.at = SIZE_MAX};
    assert_int_equal(wc_copyboth_decode(exact, &msg, &err), WC_PROTO);
    assert_int_equal(err.code, WC_PROTO);
    assert_int_equal(err.at, at);
    assert_int_equal(msg.send_time, 77);
    assert_int_equal(wc_copyboth_decode(exact, &msg, NULL), WC_PROTO);
    wc_exact_free(exact);
}

static void every_truncated_header_is_refused_at_its_end(void **state)
{
    (void)state; /* unused */
    for (size_t len = 0; len < sizeof XLOG - 1; len++)
        expect_refused(wc_slice(XLOG, len), len);
    for (size_t len = 0; len < sizeof KEEPALIVE - 1; len++)
        expect_refused(wc_slice(KEEPALIVE, len), len);
}

static void keepalive_with_a_byte_too_many_is_refused(void **state)
{
    (void)state; /* unused */
    expect_refused(BYTES(KEEPALIVE "x"), sizeof KEEPALIVE - 1);
}

static void other_letters_are_refused(void **state)
{
    (void)state; /* unused */
    for (unsigned c = 0; c < 256; c++) {
        char bytes[sizeof XLOG] = XLOG;
        bytes[0] = (char)c;
        if (c != 'w' && c != 'k')
            expect_refused(wc_slice(bytes, sizeof bytes - 1), 0);
    }
}

static void status_update_repeats_the_confirmed_position_three_times(void **state)
{
    (void)state; /* unused */
    uint8_t out[WC_STATUS_UPDATE_BYTES];
    wc_copyboth_status(out, UINT64_C(0x0102030405060708), -2, true);
    static const char expected[] = "r"
                                   "\x01\x02\x03\x04\x05\x06\x07\x08"
                                   "\x01\x02\x03\x04\x05\x06\x07\x08"
                                   "\x01\x02\x03\x04\x05\x06\x07\x08"
                                   "\xff\xff\xff\xff\xff\xff\xff\xfe"
                                   "\x01";
    assert_int_equal(sizeof expected - 1, sizeof out);
    assert_memory_equal(out, expected, sizeof out);
    wc_copyboth_status(out, 1, 2, false);
    assert_int_equal(out[8], 1);
    assert_int_equal(out[32], 2);
    assert_int_equal(out[33], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xlog_data_is_an_envelope_around_its_payload),
        cmocka_unit_test(xlog_data_without_payload_is_an_empty_payload),
        cmocka_unit_test(keepalive_carries_position_and_request),
        cmocka_unit_test(recorded_streams_are_xlog_data_and_a_keepalive_at_the_end),
        cmocka_unit_test(every_truncated_header_is_refused_at_its_end),
        cmocka_unit_test(keepalive_with_a_byte_too_many_is_refused),
        cmocka_unit_test(other_letters_are_refused),
        cmocka_unit_test(status_update_repeats_the_confirmed_position_three_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * A signed logical message (sql/README.md, "Signed messages"): bytes to a broadcast.
 *
 *   mac(32) version(1) = 1  flags(1)  database(4) xid(8) time(8) id(16)
 *   len(4) topic  len(4) event  body
 *
 * flags: 1 immediate, 2 private, 4 binary body (else JSON). Integers are big endian; the time is in
 * microseconds since 2000-01-01 UTC; texts are UTF-8. The code is that of the prefix, a zero byte
 * and everything after it.
 *
 * Ownership: the result borrows the bytes. Threads: pure.
 */
#ifndef WC_BRIDGE_MESSAGES_SIGNED_H
#define WC_BRIDGE_MESSAGES_SIGNED_H

#include "base/buf.h"

#define WC_SIGNED_PREFIX "walcast.broadcast"

enum { WC_SIGNED_KEY_BYTES = 32 };

struct wc_signed {
    bool is_immediate, is_private, is_binary;
    uint32_t database;
    uint64_t xid;
    int64_t time;
    const uint8_t *id; /* 16 bytes */
    struct wc_slice topic, event, body;
};

/* INVALID: these are no such bytes. PROTO: the key has not signed them. */
WC_MUST_USE
enum wc_status wc_signed_open(struct wc_slice bytes, const uint8_t key[WC_SIGNED_KEY_BYTES],
                              struct wc_signed *out);

#endif

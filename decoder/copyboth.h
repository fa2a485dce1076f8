/*
 * The envelope of the streaming replication protocol inside CopyData.
 *
 *   server → client   XLogData   'w' Int64(walStart) Int64(walEnd) Int64(sendTime) Byten(message)
 *                     keepalive  'k' Int64(walEnd) Int64(sendTime) Byte1(replyRequested)
 *   client → server   status     'r' Int64(written) Int64(flushed) Int64(applied) Int64(clientTime)
 *                                    Byte1(replyRequested)
 *
 * Integers are big-endian; times are microseconds since 2000-01-01 UTC. walStart of R and Y
 * messages is 0/0, so progress is never taken from XLogData headers.
 *
 * Feedback rule: the confirmed LSN is the end of the last transaction handed over completely; a
 * keepalive may advance it only when no transaction is open and nothing is queued. The server does
 * not check what we report: a position too far ahead loses data.
 *
 * Ownership: the payload borrows the input. Threads: pure. Errors: PROTO.
 * Source: PostgreSQL manual, "Streaming Replication Protocol".
 */
#ifndef WC_DECODER_COPYBOTH_H
#define WC_DECODER_COPYBOTH_H

#include "decoder/lsn.h"

enum wc_copy_kind { WC_COPY_XLOG, WC_COPY_KEEPALIVE };

struct wc_copy_msg {
    enum wc_copy_kind kind;
    wc_lsn wal_end;
    int64_t send_time;       /* microseconds since 2000-01-01 UTC */
    bool reply_requested;    /* keepalive */
    struct wc_slice payload; /* XLogData: exactly one pgoutput message */
};

enum { WC_STATUS_UPDATE_BYTES = 34 };

WC_MUST_USE
enum wc_status wc_copyboth_decode(struct wc_slice bytes, struct wc_copy_msg *out,
                                  struct wc_err *err);

/* `confirmed` goes out as written, flushed and applied: we hold nothing durably ourselves. */
void wc_copyboth_status(uint8_t out[WC_STATUS_UPDATE_BYTES], wc_lsn confirmed, int64_t client_time,
                        bool reply_requested);

/* 2000-01-01 UTC in microseconds of the Unix epoch, for the times above. */
#define WC_PG_EPOCH_US INT64_C(946684800000000)

#endif

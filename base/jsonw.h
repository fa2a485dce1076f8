/*
 * Writing JSON (RFC 8259) into a buffer: the value forms that need care. Structure (braces, commas,
 * fixed keys) is written by the caller with wc_buf_str.
 * Errors: as wc_buf. Threads: pure.
 */
#ifndef WC_BASE_JSONW_H
#define WC_BASE_JSONW_H

#include "base/buf.h"

/* A JSON string with its quotes. Bytes from 0x80 up pass through unchanged: the input must be
 * UTF-8 (everything Postgres sends under client_encoding UTF8 is). */
void wc_jsonw_string(struct wc_buf *, struct wc_slice utf8);

/* The same of a uuid's text. */
void wc_jsonw_uuid(struct wc_buf *, const uint8_t uuid[16]);

static inline void wc_jsonw_cstr(struct wc_buf *out, const char *s)
{
    wc_jsonw_string(out, wc_slice_str(s));
}

#endif

/*
 * UUIDs: 16 bytes, and as text 32 hexadecimal digits in groups of 8-4-4-4-12, in lower case as
 * Postgres prints them. Threads: any. Source: RFC 9562.
 */
#ifndef WC_BASE_UUID_H
#define WC_BASE_UUID_H

#include "base/buf.h"

enum { WC_UUID_BYTES = 16, WC_UUID_TEXT = 37 }; /* the latter with its NUL */

void wc_uuid_random(uint8_t out[WC_UUID_BYTES]); /* version 4 */
void wc_uuid_format(const uint8_t uuid[WC_UUID_BYTES], char out[WC_UUID_TEXT]);
/* False: it is no such text. */
WC_MUST_USE
bool wc_uuid_parse(struct wc_slice text, uint8_t out[WC_UUID_BYTES]);

#endif

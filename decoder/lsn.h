/*
 * Log sequence numbers: byte positions in the write-ahead log, and their text form "16/B374D848"
 * (two hexadecimal halves). This is the only formatter and the only parser.
 * Source: PostgreSQL manual, "pg_lsn Type".
 */
#ifndef WC_DECODER_LSN_H
#define WC_DECODER_LSN_H

#include "base/buf.h"

typedef uint64_t wc_lsn;
typedef uint32_t wc_oid;
typedef uint32_t wc_xid;

enum { WC_LSN_TEXT = 18 }; /* 8 digits, slash, 8 digits, NUL */

const char *wc_lsn_format(wc_lsn, char out[WC_LSN_TEXT]); /* returns out */
WC_MUST_USE
enum wc_status wc_lsn_parse(struct wc_slice text, wc_lsn *out); /* INVALID */

/* Where the last record before this end of the log ends: behind a full page the server names the
 * place behind the next one's header, which a stream reaches with the next record only. */
wc_lsn wc_lsn_end_of_record(wc_lsn end_of_log);

#endif

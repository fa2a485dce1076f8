/* gzip of a page (RFC 1952). Threads: pure. */
#ifndef WC_BRIDGE_PUSH_GZIP_H
#define WC_BRIDGE_PUSH_GZIP_H

#include "base/buf.h"

/* Appends to out. NOMEM, LIMIT: the buffer's. */
WC_MUST_USE
enum wc_status wc_gzip(struct wc_slice in, struct wc_buf *out);

#endif

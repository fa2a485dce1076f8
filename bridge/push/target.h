/* The URL of a push with the labels in its query. Threads: pure. */
#ifndef WC_BRIDGE_PUSH_TARGET_H
#define WC_BRIDGE_PUSH_TARGET_H

#include "base/buf.h"

/* Appends url and, for each `name=value` of the list, `extra_label=name=value`, percent-encoded.
 * INVALID: an entry is not of that form, or the URL is not one of http or https; err says which
 * setting is wrong, without its value. */
WC_MUST_USE
enum wc_status wc_push_target(const char *url, const char *extra_labels, struct wc_buf *out,
                              struct wc_err *err);

#endif

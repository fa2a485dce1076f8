/*
 * The allow-list of Origin headers: which web pages may open a WebSocket here.
 *
 *   list:  empty (every page), or entries separated by commas
 *   entry: https://[*.]example.com[:8443]
 *          this origin, or with the asterisk every host below it, but not itself
 *
 * Browsers always send the header and no page can forge it; what sends none is no browser, and is
 * not held back: tokens are what admits. Letter case does not count. Threads: pure.
 * Source: RFC 6454, section 6; RFC 6455, section 10.2.
 */
#ifndef WC_FANOUT_ORIGIN_H
#define WC_FANOUT_ORIGIN_H

#include "base/buf.h"

/* origin.p NULL: the request has none. */
bool wc_origin_is_allowed(const char *list, struct wc_slice origin);

#endif

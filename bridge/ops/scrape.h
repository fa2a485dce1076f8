/*
 * Answers GET /metrics from a thread of its own: the page of a thousand tenants in use takes 10 ms
 * and more to write, which the connections of a socket thread would wait for.
 *
 *   handler ─park→ waiting ─(scrape thread: one page for all that wait)→ bridge ─call→ answered
 *
 * Ownership: borrows page and bridge. Threads: answer: socket threads; the rest: main, stop before
 * the bridge stops. Errors: 503 when it cannot be parked or the bridge takes no more, 500 when
 * there is no memory for the page. Limits: those of parked requests (fanout/call.h).
 */
#ifndef WC_BRIDGE_OPS_SCRAPE_H
#define WC_BRIDGE_OPS_SCRAPE_H

#include "bridge/ops/page.h"
#include "bridge/tenant/bridge.h"
#include "fanout/request.h"

struct wc_scrape;

struct wc_scrape *wc_scrape_new(struct wc_page *); /* owned; NULL when out of memory */
/* `via` publishes the answers. */
WC_MUST_USE
enum wc_status wc_scrape_start(struct wc_scrape *, struct wc_bridge *via, struct wc_err *err);
void wc_scrape_stop(struct wc_scrape *); /* NULL is fine, as one that was not started */
void wc_scrape_free(struct wc_scrape *); /* stopped; NULL is fine */

/* From a handler, as the last thing it does: the answer comes later. */
void wc_scrape_answer(struct wc_scrape *, const struct wc_http_request *,
                      struct wc_http_response *);

#endif

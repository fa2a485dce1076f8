/*
 * Transactions that have said, while they were still open, that they change the rules. Their rows
 * stand before and behind the DDL, and are there for others all at once with it: so none of them is
 * judged by what held before.
 *
 * Any role can write such messages. What is announced costs a question when the transaction comes;
 * with more than WC_ANNOUNCED that did not come, each transaction counts as announced for a while,
 * since it is not known whose place was taken.
 *
 * Transactions that are rolled back stay until their place is needed; ids come back after 2^32.
 * Threads: one owner.
 */
#ifndef WC_BRIDGE_SUBS_ANNOUNCED_H
#define WC_BRIDGE_SUBS_ANNOUNCED_H

#include "base/buf.h"
#include "base/clock.h"
#include "decoder/lsn.h"

enum { WC_ANNOUNCED = 512 };

struct wc_announced { /* zeroed: none */
    wc_xid xid[WC_ANNOUNCED];
    size_t count;
    size_t next; /* whose place is taken when it is full */
    wc_us doubtful_until;
};

/* text: the id in decimal digits; what is none is not taken notice of. */
void wc_announced_add(struct wc_announced *, struct wc_slice text, wc_us now);
bool wc_announced_has(const struct wc_announced *, wc_xid, wc_us now);
void wc_announced_came(struct wc_announced *, wc_xid);
void wc_announced_forget(struct wc_announced *); /* another server */

#endif

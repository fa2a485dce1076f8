/*
 * A snapshot of the database in the form txid_current_snapshot() prints: which transactions does a
 * session see as committed? Reference counted. Threads: one owner.
 * Source: PostgreSQL manual, "Transaction ID and Snapshot Information Functions".
 */
#ifndef WC_BRIDGE_RLS_SNAPSHOT_H
#define WC_BRIDGE_RLS_SNAPSHOT_H

#include "decoder/lsn.h"

struct wc_snapshot {
    uint32_t refs;
    uint64_t xmin, xmax;
    size_t nxip;
    uint64_t xip[]; /* in progress, ascending */
};

/* "xmin:xmax:xip,xip,...". Returns owned; NULL when unreadable or out of memory. */
struct wc_snapshot *wc_snapshot_parse(const char *text);
struct wc_snapshot *wc_snapshot_ref(struct wc_snapshot *);
void wc_snapshot_unref(struct wc_snapshot *); /* NULL is fine */

/* For a transaction known to be committed: does the snapshot see it? The stream names 32 bits of an
 * id; the transaction is taken to be within 2^31 of the snapshot. */
bool wc_snapshot_sees(const struct wc_snapshot *, wc_xid);

#endif

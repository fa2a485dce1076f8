/*
 * From what the server said to what the operator should do: SQLSTATE to event name, hint and how
 * patient the next attempt is. Pure.
 */
#ifndef WC_BRIDGE_PG_REASON_H
#define WC_BRIDGE_PG_REASON_H

#include <stdint.h>

struct wc_pg_reason {
    const char *event;
    const char *hint;
    uint32_t least_wait_ms; /* 0: comes back by itself soon; else only an operator can mend it */
};

/* Beside SQLSTATEs: WALLV (wal_level is not logical), SLOT (the slot cannot be ours), STDBY (a
 * standby too old to decode), XWAIT and RWAIT (slot creation waits for a transaction, or for the
 * primary of a standby), QUIET (the server is connected and does not answer), SLAGS (the slot is
 * too far behind); the publication of realtime.messages is missing (MPUBX), does not hold it
 * (MPUB0), holds other tables (MPUBT), or clashes with others (MPUBC). sqlstate may be empty (the
 * server did not answer, or closed without a word). */
struct wc_pg_reason wc_pg_reason(const char *sqlstate, const char *message);

#endif

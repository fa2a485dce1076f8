/*
 * Checks that fail: of which role on which relation, whether to go on asking, and who is told.
 *
 * Three timeouts within a minute suspend a group; then one question at a time finds out, after
 * pauses that double from a second to a minute, whether it is over. Channels are told once, and
 * once more when a batch goes well; of what comes and goes they are told once a minute at most. The
 * server's texts are not passed on: the error of a policy may hold other people's rows.
 */
#ifndef WC_BRIDGE_RLS_TROUBLE_PRIV_H
#define WC_BRIDGE_RLS_TROUBLE_PRIV_H

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "decoder/lsn.h"

struct wc_judge;

/* The checks of a role on a relation. Kept from batch to batch while something is wrong, and for a
 * minute after it was told. */
struct wc_trouble {
    struct wc_map_node node; /* key: rel, role */
    struct wc_judge *judge;
    wc_oid rel;
    struct wc_slice role;
    /* timeouts */
    unsigned timeouts; /* since `first` */
    wc_us first;
    bool is_suspended, is_probing; /* probing: one question is under way to see if it is over */
    wc_us until;                   /* suspended: of the next probe */
    uint32_t pause_ms;             /* the last one's length */
    /* what was told, and what became of this batch's questions */
    bool is_told; /* and not yet that it is over */
    wc_us told;
    unsigned good, bad;
    struct wc_log_limit complaint;
};

enum wc_may { WC_MAY_ASK, WC_MAY_LATER, WC_MAY_NOT };

struct wc_trouble *wc_trouble_get(struct wc_judge *, wc_oid, struct wc_slice role); /* or NULL */
enum wc_may wc_trouble_may_ask(struct wc_trouble *, wc_us now);
void wc_trouble_asked(struct wc_trouble *);
void wc_trouble_good(struct wc_trouble *);
void wc_trouble_timeout(struct wc_trouble *, wc_us now);
void wc_trouble_bad(struct wc_trouble *, const char *sqlstate);
void wc_trouble_settle(struct wc_judge *); /* at the end of a batch */
void wc_trouble_release(struct wc_judge *);

#endif

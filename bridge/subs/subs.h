/*
 * A tenant's subscriptions to changes: who asked for what, from which point in the log each channel
 * gets changes, and the path of one change from the decoder to the rings.
 *
 * Channels that always receive the same frames (equal topic, bindings, claims) form an audience;
 * the database checks an audience's bindings once. A member passes through
 *
 *   CHECKING ─→ FENCING ─→ DIRECT ─→ ENLISTED
 *
 *   CHECKING  the audience's bindings are being resolved by the catalog
 *   FENCING   the bindings are in the index; a snapshot S is being taken. Changes that match are
 *             kept aside for it, at most MAX_KEPT over all members, then the stream is held
 *   DIRECT    S is known: "Subscribed" went out, and a change is delivered iff the transaction is
 *             not visible in S
 *   ENLISTED  the log has passed the position taken with S, so whatever comes is not visible in S:
 *             the member gets what its audience gets
 *
 * So a SELECT made after "Subscribed" plus the stream has no gap, and nothing committed before the
 * authorisation arrives. While a permanent slot waits for its clients to come back no fence is
 * needed: everything the slot holds is theirs. Without a stream nobody is told "Subscribed"; after
 * a stream that begins a new epoch everybody is told again.
 *
 * A channel with a new token asks again under the handle it has. Until its bindings stand for the
 * new claims it goes on with the old ones; then the new member takes the place of the old one
 * between two changes, so that each change is judged with the old claims or with the new ones and
 * none is lost or comes twice. "Subscribed" follows when a snapshot sees all that went by. Who is
 * refused with the new claims has lost the old ones too.
 *
 * A change that Postgres has to be asked about (row security, comparisons that are not decided
 * here) waits for the answer, and all that come after it wait behind it, so that every client gets
 * changes in the order of the log. What waits is not delivered: the position that may be confirmed,
 * and the members' way from DIRECT to ENLISTED, follow what has left the queue. When too much
 * waits, the stream is held. When the stream is lost, so is what waits: it comes again from a
 * permanent slot, and with a temporary one everybody is told anyway.
 *
 * While the tenant's events per second are over their limit, changes are withheld, counted as
 * rate_limited, and each channel that misses one is told so once.
 *
 * Ownership: takes each wc_subscribe. Threads: the bridge thread's.
 * Source: design sections 3 and 4; database reference 4.2.
 */
#ifndef WC_BRIDGE_SUBS_SUBS_H
#define WC_BRIDGE_SUBS_SUBS_H

#include "bridge/pg/pg.h"
#include "bridge/rls/judge.h"
#include "decoder/pgoutput.h"
#include "fanout/publish.h"
#include "fanout/quota.h"
#include "fanout/share.h"
#include "fanout/source.h"

/* What becomes of a DELETE whose row is under row security. */
enum wc_deletes {
    WC_DELETES_COMPATIBLE, /* its primary key goes to everybody whose filter passes */
    WC_DELETES_NONE,       /* nothing goes out */
    /* What compiled policies say of a full old row counts, and it goes out whole. Where they say
     * nothing, or the old row is not full, nothing goes out. */
    WC_DELETES_JUDGED,
};

struct wc_subs_options {
    struct wc_pg_options pg;  /* of the tenant database; strings borrowed for the life */
    const char *tenant;       /* borrowed for the life */
    const char *publications; /* comma separated; borrowed for the life */
    uint64_t first_audience;  /* audience numbers count up from here */
    uint32_t freshness_ms;
    struct wc_quota *quota; /* the tenant's; borrowed for the life */
    struct wc_share *share; /* likewise; NULL: it has all of the rings */
    uint32_t max_bindings;  /* of one channel */
    size_t max_record_bytes;
    struct wc_judge_options judge; /* strings borrowed for the life */
    bool no_compiling;             /* of policies, see bridge/rls/access.h */
    uint32_t shadow_permille; /* of changes, whose compiled verdicts are asked of Postgres too */
    enum wc_deletes deletes;
};

struct wc_subs_hooks {
    void (*resume)(void *self); /* what was answered AGAIN may be offered again */
    void (*moved)(void *self);  /* wc_subs_delivered has risen, outside a call of the stream's */
    void (*failed)(void *self, enum wc_status); /* the stream has to begin again */
    /* The stream is down, and changes that waited are given up: this was the first of them. passed:
     * as wc_subs_delivered said before. */
    void (*taken_back)(void *self, wc_lsn commit_lsn, uint64_t ordinal, wc_lsn passed);
    void (*standing)(void *self); /* a channel's bindings have been resolved and stand */
    /* What was answered AGAIN waits for a server that is shutting down, which in turn waits for the
     * stream to take the rest of the log: one of them must let go. */
    void (*give_up)(void *self);
    void (*server_at)(void *self, wc_lsn); /* how far the log reaches; about once a second */
};

enum wc_subs_stream {
    WC_SUBS_STREAM_DOWN,
    WC_SUBS_STREAM_WAITING, /* permanent slot, not yet read */
    WC_SUBS_STREAM_UP,
};

struct wc_subs;

/* Returns owned; NULL when out of memory. Borrows the publisher. */
struct wc_subs *wc_subs_new(struct uv_loop_s *, const struct wc_subs_options *,
                            struct wc_publisher *, const struct wc_subs_hooks *, void *self);
void wc_subs_free(struct wc_subs *);
/* No audience has had this number or one above it. */
uint64_t wc_subs_next_audience(const struct wc_subs *);

/* For who takes it down while there are members, and adds them to another: what each asks for, with
 * its newest token. The array and what is in it are the caller's. */
struct wc_subs_requests {
    struct wc_subscribe **request;
    size_t count;
    bool is_complete; /* false: memory was short */
};
struct wc_subs_requests wc_subs_requests(const struct wc_subs *, struct wc_tenant_view *);

void wc_subs_add(struct wc_subs *, struct wc_subscribe *); /* takes */
void wc_subs_drop(struct wc_subs *, struct wc_handle);     /* unknown handles are fine */

void wc_subs_stream(struct wc_subs *, enum wc_subs_stream, bool new_epoch);

/* To be called now and then while the stream cannot begin: whoever has waited for "Subscribed" for
 * a while is told why, once. */
void wc_subs_stream_waits(struct wc_subs *, struct wc_slice why);

/* The stream, in order. */
bool wc_subs_wants(const struct wc_subs *, const struct wc_rel *);
/* Do the application's publications hold it, as far as is known? */
bool wc_subs_publishes(const struct wc_subs *, wc_oid);
/* AGAIN as for a change. */
WC_MUST_USE
enum wc_status wc_subs_begin(struct wc_subs *, wc_lsn commit_lsn, wc_xid, int64_t commit_time);
WC_MUST_USE
enum wc_status wc_subs_relation(struct wc_subs *, const struct wc_rel *);
/* OK: it was delivered or waits for Postgres to say who may see it, and the stream may go on.
 * AGAIN: hold the stream at this change until hooks.resume. NOMEM. ordinal: as in repl.h */
WC_MUST_USE
enum wc_status wc_subs_change(struct wc_subs *, const struct wc_change *, uint64_t ordinal);
/* A transactional logical message with this prefix: DDL may have changed policies, grants or
 * functions. Rows that the transaction wrote behind it, and all that commit later, are judged by
 * what is in force once it is visible. Any role can write such messages: nothing is asked before a
 * row is there to be judged. AGAIN as for a change. */
#define WC_SUBS_RULES_PREFIX "walcast.rules"
WC_MUST_USE
enum wc_status wc_subs_rules_changed(struct wc_subs *);
/* One with this prefix that is not transactional: the open transaction of this id, in digits, will
 * say so. That holds for all of its rows then (announced.h). */
void wc_subs_rules_will_change(struct wc_subs *, struct wc_slice xid);
void wc_subs_progress(struct wc_subs *, wc_lsn); /* no transaction is open before this position */
void wc_subs_batch_end(struct wc_subs *);        /* nothing more was read for now */

/* What committed before this position was handed to the publisher, or concerns nobody. */
wc_lsn wc_subs_delivered(const struct wc_subs *);
void wc_subs_go_on(struct wc_subs *); /* what held changes back may be over */
void wc_subs_drain(struct wc_subs *); /* what waits is not delivered any more */

#endif

/*
 * One logical replication stream: connects, prepares the slot, streams pgoutput, keeps the server
 * content with status updates, and comes back after every failure with a capped, jittered back-off.
 *
 *            ┌──────────────────────── back-off ───────────────────────┐
 *   DOWN ─→ CONNECTING ─→ PREPARING ─→ WAITING ─→ STARTING ─→ STREAMING ┘
 *                             ↑        (permanent slot, until wc_repl_go)│
 *                             └────────── successor (temporary slot) ────┘
 *
 * PREPARING runs IDENTIFY_SYSTEM, the checks of sql/q_preflight.sql and q_slot.sql, and creates the
 * slot when needed, which may wait for old transactions (blocker.h). WAITING: a permanent slot that
 * existed before this process is not read until the owner says so, because what it holds belongs to
 * clients that still have to come back.
 *
 * What is wrong has a stable name and a remedy (bridge/pg/reason.h) in the status, and is logged. A
 * slot that cannot be read any more is never dropped by us: whoever does so loses what it held. A
 * permanent slot that is missing is made anew; on a standby (from 16 on) slots are made there.
 *
 * The publication of realtime.messages is taken along when it is there and nothing is wrong with it
 * (optional.h), else left out, which the status says and the log. When it can be taken up, the
 * stream begins anew between two transactions: from a permanent slot by connecting again, from a
 * temporary one through a successor (successor.h). Nothing is missed, nothing comes twice, and the
 * epoch goes on.
 *
 * Order key: every change has (commit LSN, ordinal); the ordinal counts each I, U, D, T and M
 * message of its transaction before any filter of ours; a logical message outside of transactions
 * has its own position in the place of the commit's, and ordinal 0: that is where it ends, and
 * where the commit of a transaction behind it may begin. Epoch: (system id, timeline, slot,
 * consistent point). A key not above the last one handed over is suppressed, within one epoch only.
 * A new epoch: a temporary slot after any loss of its connection; a permanent one that was made
 * anew, moved on by somebody else, or is found on another timeline (after a promotion) or system.
 *
 * Back-pressure: the owner answers AGAIN to an event to hold it; the message is kept, the socket is
 * not read, status updates go on, and wc_repl_resume offers the same event again.
 *
 * Ownership: events are borrowed during the callback. Threads: the loop's.
 * Source: PostgreSQL manual, "Streaming Replication Protocol"; database reference section 6.
 */
#ifndef WC_BRIDGE_REPL_REPL_H
#define WC_BRIDGE_REPL_REPL_H

#include "bridge/pg/pg.h"
#include "decoder/pgoutput.h"

enum wc_repl_state {
#define WC_REPL_STATE(symbol, text, may_follow) WC_REPL_##symbol,
#include "bridge/repl/state.def"
#undef WC_REPL_STATE
};

struct wc_change_key {
    wc_lsn commit_lsn;
    uint64_t ordinal; /* from 1; 0: a logical message outside of transactions */
};

struct wc_repl_handler {
    /* May this relation interest anybody? No: its changes are skipped undecoded. */
    bool (*wants)(void *self, const struct wc_rel *);
    /* BEGIN, COMMIT, RELATION, CHANGE and MESSAGE events. OK takes it for good: it is not offered
     * again in this epoch, even if the connection is lost before it was confirmed. AGAIN holds the
     * stream.
     */
    enum wc_status (*on_event)(void *self, const struct wc_event *, const struct wc_change_key *);
    /* Everything that committed before `position` has been offered; no transaction is open. */
    void (*on_progress)(void *self, wc_lsn position);
    void (*on_batch_end)(void *self); /* nothing more is waiting right now */
    /* STREAMING with new_epoch: the slot begins here, what came before is not known. */
    void (*on_state)(void *self, enum wc_repl_state, bool new_epoch);
};

struct wc_repl_options {
    struct wc_pg_options pg;          /* replication, application_name and options are set by us */
    const char *tenant;               /* for the log; borrowed for the life of the stream */
    const char *slot_name;            /* empty: a temporary slot with a name of ours */
    const char *publications;         /* comma separated; required */
    const char *messages_publication; /* taken along if possible; NULL or empty: none */
    uint32_t status_interval_ms;
    size_t max_rels;
};

struct wc_repl;

/* Begins connecting on the loop. Returns owned; NULL when out of memory. */
struct wc_repl *wc_repl_new(struct uv_loop_s *, const struct wc_repl_options *,
                            const struct wc_repl_handler *, void *self);
void wc_repl_free(struct wc_repl *); /* stops it; freed one loop turn later; NULL is fine */
/* Says what is confirmed for the last time and ends the stream for good. */
void wc_repl_stop(struct wc_repl *);
/* Gives the connection up as if it had failed with this; it comes back after the back-off. */
void wc_repl_break(struct wc_repl *, const char *sqlstate, const char *why);

/* The stream is down, and the owner gives up changes that it accepted, from this one on: they are
 * offered again if they come again. What committed before `passed` was handed over. */
void wc_repl_take_back(struct wc_repl *, const struct wc_change_key *from, wc_lsn passed);

void wc_repl_go(struct wc_repl *);     /* leaves WAITING, or never enters it */
void wc_repl_resume(struct wc_repl *); /* after AGAIN */

/* Everything before this was handed over; goes out with the next status update. Never beyond what
 * on_progress reported (such a position is ignored: the server would believe it). */
void wc_repl_confirm(struct wc_repl *, wc_lsn);

/* The log reaches this far: what the server says elsewhere while the stream is not read. */
void wc_repl_server_at(struct wc_repl *, wc_lsn);

enum wc_repl_state wc_repl_state(const struct wc_repl *);
const char *wc_repl_state_text(enum wc_repl_state);

/* What the creation of the slot waits for. */
struct wc_repl_blocker {
    enum {
        WC_REPL_NOT_BLOCKED,
        WC_REPL_BLOCKED_BY_TRANSACTION, /* the fields below */
        WC_REPL_BLOCKED_BY_PRIMARY, /* on a standby: which transactions run is not known there */
    } kind;
    wc_xid xid;
    uint32_t pid;  /* 0: a prepared transaction, or not known */
    int64_t age_s; /* 0: not known */
};

struct wc_repl_status {
    enum wc_repl_state state;
    bool temporary;
    char slot[64];
    wc_lsn received, confirmed, server; /* server: end of WAL as last heard */
    /* What is wrong: a stable name and what an operator can do (static texts; NULL: nothing), and
     * in words. With the state STREAMING: the server does not answer. */
    const char *reason, *hint;
    char error[200];
    struct wc_repl_blocker blocked_by;
    bool has_messages; /* it streams, with the publication of realtime.messages */
    const char *messages_reason, *messages_hint; /* why it does not; static texts, or NULL */
};
void wc_repl_status(const struct wc_repl *, struct wc_repl_status *out);

#endif

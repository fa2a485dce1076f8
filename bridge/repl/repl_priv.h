/*
 * Shared by repl.c (life cycle, states, failure), stream.c (messages and status updates) and
 * prepare.c (from a ready connection to START_REPLICATION). Everything is the loop's.
 */
#ifndef WC_BRIDGE_REPL_REPL_PRIV_H
#define WC_BRIDGE_REPL_REPL_PRIV_H

#include "base/log.h"
#include "bridge/pg/backoff.h"
#include "bridge/pg/reason.h"
#include "bridge/repl/blocker.h"
#include "bridge/repl/feedback.h"
#include "bridge/repl/optional.h"
#include "bridge/repl/repl.h"
#include "bridge/repl/slot.h"
#include "bridge/repl/successor.h"

#include <uv.h>

struct wc_epoch {
    char system_id[24];
    char timeline[12];
    char slot[WC_SLOT_NAME_CAP];
    wc_lsn consistent_point; /* 0 when the slot existed before */
};

struct wc_repl {
    uv_loop_t *loop;
    struct wc_repl_options opt;
    char *publications, *messages_publication;
    struct wc_repl_handler handler;
    void *self;
    enum wc_repl_state state;
    struct wc_pg *pg;
    uv_timer_t retry, status;
    unsigned handles; /* still to be closed by libuv before we are freed */
    struct wc_pgoutput *decoder;
    struct wc_arena arena;

    struct wc_epoch epoch, fresh; /* of the last stream; of the one being prepared */
    struct wc_change_key last;    /* handed over, in this epoch */
    struct wc_change_key now;     /* of the open transaction; ordinal of the last message */
    bool in_txn, held, go;
    struct wc_slice held_msg;

    struct wc_feedback feedback;
    uint32_t patience_ms; /* wal_sender_timeout of the connection, and ours with the server */
    int version;          /* server_version_num */
    int64_t keep_bytes;   /* max_slot_wal_keep_size; negative: unlimited, or not known */
    bool is_standby;
    char walsender_pid[12];
    struct wc_blocker *blocker; /* while a slot is being created */

    struct wc_optional *optional;
    const char *one_more; /* its name, when it is included */
    wc_lsn join_at;       /* confirmed: it can be taken up; 0: it is not ready */
    struct wc_successor *successor;
    bool is_succeeding; /* PREPARING and STARTING: the slot is there already */

    /* The publications were there when the log had reached this point. A server that leaves a
     * missing one out says so only in a notice, which may be about what the slot still has to read
     * from before. */
    wc_lsn published_at;
    char left_out[160]; /* the notice, until a relation is described; empty: none */

    wc_us started_at;
    struct wc_backoff backoff;
    struct wc_pg_reason trouble; /* event NULL: none */
    struct wc_repl_blocker blocked_by;
    char error[200];
    struct wc_log_limit complaint, noticed;
    const char *complained_of; /* event of the last trouble logged */
};

/* repl.c: the only way to DOWN but for wc_repl_stop; logs once and arms the back-off. */
void wc_repl_fail(struct wc_repl *, const char *sqlstate, const char *message);
/* repl.c: what is wrong while it goes on, for the status; logged at most once a minute. */
void wc_repl_set_trouble(struct wc_repl *, const char *sqlstate, const char *message);
void wc_repl_clear_trouble(struct wc_repl *);
/* repl.c: the only line that changes the state. */
void wc_repl_set_state(struct wc_repl *, enum wc_repl_state, bool new_epoch);

/* repl.c: the connection of the stream is given up for this one, or, NULL, for a new one. */
void wc_repl_replace(struct wc_repl *, struct wc_pg *);
/* repl.c: what a replication connection is opened with; options[] holds one of them. */
enum { WC_REPL_OPTIONS_CAP = 300 };
struct wc_pg_options wc_repl_pg_options(const struct wc_repl *, char options[WC_REPL_OPTIONS_CAP]);
extern const struct wc_pg_events wc_repl_pg_events;

/* prepare.c: the connection is ready; ends in STREAMING, WAITING or a failure. */
void wc_repl_prepare(struct wc_repl *);

/* prepare.c: the optional publication is ready from here on; takes it up if it is time. */
void wc_repl_on_optional(void *repl, wc_lsn ready_at);
void wc_repl_take_up(struct wc_repl *);

/* stream.c */
void wc_repl_send_status(struct wc_repl *);
void wc_repl_ask_status(struct wc_repl *); /* and asks for an answer */
void wc_repl_status_every(struct wc_repl *, uint32_t interval_ms);
void wc_repl_on_copy(void *repl); /* something has arrived */
void wc_repl_on_notice(void *repl, const char *sqlstate, const char *message);

#endif

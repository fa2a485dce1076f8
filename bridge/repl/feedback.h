/*
 * What the server is told of our progress, and whether it still answers. Pure: no socket, no clock.
 *
 *   told ≤ confirmed ≤ received      (told: the most that may have reached the server)
 *
 * `received` is how far the stream was offered to the owner: the end of the last transaction, or,
 * while none is open and none is held, the walEnd of a keepalive; without that an idle stream would
 * keep the WAL of other databases for ever. `confirmed` is what the owner says is handed over,
 * never beyond `received`: the server believes whatever it is told and would skip what was never
 * sent.
 *
 * Silence: a status update asks for a reply when nothing came since the one before, while we read.
 * SILENT after one interval without an answer, DEAD after as much patience as the server is asked
 * to have with us. Requests are counted instead of time, so that a stall of ours is not taken for
 * the server's.
 *
 * Threads: one owner. Source: database reference 6.6; PostgreSQL's walsender.c.
 */
#ifndef WC_BRIDGE_REPL_FEEDBACK_H
#define WC_BRIDGE_REPL_FEEDBACK_H

#include "base/clock.h"
#include "decoder/lsn.h"

struct wc_feedback {
    wc_lsn received, confirmed, told;
    wc_lsn server; /* end of WAL as last heard */
    wc_us sent_at; /* the last status update */
    uint32_t unanswered;
    bool heard; /* something came since the last regular update */
};

enum wc_feedback_silence { WC_FEEDBACK_ANSWERS, WC_FEEDBACK_SILENT, WC_FEEDBACK_DEAD };

/* The positions so far are those of another log. */
void wc_feedback_forget(struct wc_feedback *);
/* A new slot begins at this point. */
void wc_feedback_slot_made(struct wc_feedback *, wc_lsn consistent_point);
/* A slot that was there has this confirmed_flush_lsn. False when that is more than we ever told:
 * somebody else moved it on. */
bool wc_feedback_slot_found(struct wc_feedback *, wc_lsn confirmed);

void wc_feedback_progress(struct wc_feedback *, wc_lsn offered); /* never goes back */
/* What was offered from here on is to be offered again; never back behind what is confirmed. */
void wc_feedback_take_back(struct wc_feedback *, wc_lsn);
void wc_feedback_server_at(struct wc_feedback *, wc_lsn);
/* Ignored beyond `received`. True when a status update should go out now: at most one unasked
 * update a second. */
bool wc_feedback_confirm(struct wc_feedback *, wc_lsn, wc_us now);
/* What an update says that may go out now; sent_at is set by whoever saw it go. */
wc_lsn wc_feedback_tell(struct wc_feedback *);

void wc_feedback_heard(struct wc_feedback *);
/* A regular update is due. True when it should ask for a reply. */
bool wc_feedback_tick(struct wc_feedback *, bool is_reading);
/* patience: requests without an answer */
enum wc_feedback_silence wc_feedback_silence(const struct wc_feedback *, uint32_t patience);

bool wc_feedback_ok(const struct wc_feedback *);

#endif

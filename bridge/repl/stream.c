/*
 * The stream itself: envelopes, messages, ordinals, and what the server is told of our progress.
 */
#include "base/assert.h"
#include "base/metrics.h"
#include "bridge/repl/repl_priv.h"
#include "decoder/copyboth.h"

#include <stdio.h>

enum {
    ANSWERS_ALWAYS = 150000, /* a walsender reads our messages while it decodes since 15 */
    NOTICE_EVERY_US = 1000000,
};

/* ---- status updates ---- */

static void send_update(struct wc_repl *r, bool ask)
{
    uint8_t msg[WC_STATUS_UPDATE_BYTES];
    wc_lsn confirmed = wc_feedback_tell(&r->feedback);
    wc_copyboth_status(msg, confirmed, wc_clock_wall() - WC_PG_EPOCH_US, ask);
    if (wc_pg_copy_send(r->pg, wc_slice(msg, sizeof msg)) != WC_OK)
        return; /* a dead connection reports itself; a full socket means the next one will do */
    r->feedback.sent_at = wc_clock_mono();
}

void wc_repl_send_status(struct wc_repl *r)
{
    send_update(r, false);
}

void wc_repl_ask_status(struct wc_repl *r)
{
    if (r->state == WC_REPL_STREAMING)
        send_update(r, true);
}

/* A process that was stopped, or a host that froze, leaves the connection open. */
static void look_at_silence(struct wc_repl *r)
{
    uint32_t patience = r->patience_ms / r->opt.status_interval_ms;
    enum wc_feedback_silence silence = wc_feedback_silence(&r->feedback, patience);
    if (silence == WC_FEEDBACK_ANSWERS)
        return;
    if (silence == WC_FEEDBACK_DEAD && r->version >= ANSWERS_ALWAYS)
        wc_repl_fail(r, "QUIET", "the server does not answer status updates: given up");
    else
        wc_repl_set_trouble(r, "QUIET", "the server does not answer status updates");
}

/* A temporary slot that falls behind beyond what the server keeps is lost in the middle of a
 * change; before that it begins anew, which clients are told. A permanent one would lose all that
 * it is there to hold. */
static void look_at_lag(struct wc_repl *r)
{
    const struct wc_feedback *f = &r->feedback;
    uint64_t lag = f->server > f->confirmed ? f->server - f->confirmed : 0;
    if (r->opt.slot_name[0] || r->keep_bytes < 0 || lag <= (uint64_t)r->keep_bytes / 2)
        return;
    char text[160];
    (void)snprintf(text, sizeof text,
                   "ReplicationSlotLagTooHigh: %llu bytes of WAL wait, more than half of "
                   "max_slot_wal_keep_size",
                   (unsigned long long)lag);
    wc_repl_fail(r, "SLAGS", text);
}

/* The publication was not there at a point of the log that lies behind our last look at it. By now
 * what went by has been confirmed, so that it is not read again if all is well. */
static void look_at_publication(struct wc_repl *r)
{
    if (!r->left_out[0] || r->feedback.received < r->published_at)
        return;
    char text[sizeof r->left_out];
    memcpy(text, r->left_out, sizeof text);
    wc_repl_fail(r, "42704", text);
}

static void on_status_timer(uv_timer_t *t)
{
    struct wc_repl *r = t->data;
    send_update(r, wc_feedback_tick(&r->feedback, !r->held));
    if (r->state == WC_REPL_STREAMING)
        look_at_silence(r);
    if (r->state == WC_REPL_STREAMING)
        look_at_publication(r);
    if (r->state == WC_REPL_STREAMING)
        look_at_lag(r);
    wc_repl_take_up(r);
}

void wc_repl_status_every(struct wc_repl *r, uint32_t interval_ms)
{
    (void)uv_timer_start(&r->status, on_status_timer, interval_ms, interval_ms); /* valid handle */
}

void wc_repl_confirm(struct wc_repl *r, wc_lsn lsn)
{
    bool due = wc_feedback_confirm(&r->feedback, lsn, wc_clock_mono());
    if (due && r->state == WC_REPL_STREAMING)
        wc_repl_send_status(r);
    if (r->state == WC_REPL_STREAMING && r->join_at && r->feedback.confirmed >= r->join_at)
        (void)uv_timer_start(&r->status, on_status_timer, 0, r->opt.status_interval_ms);
}

void wc_repl_server_at(struct wc_repl *r, wc_lsn lsn)
{
    wc_feedback_server_at(&r->feedback, lsn);
}

/* ---- streaming ---- */

static bool already_handed_over(const struct wc_repl *r)
{
    return r->now.commit_lsn < r->last.commit_lsn ||
           (r->now.commit_lsn == r->last.commit_lsn && r->now.ordinal <= r->last.ordinal);
}

static void progress(struct wc_repl *r, wc_lsn position)
{
    wc_feedback_progress(&r->feedback, position);
    r->handler.on_progress(r->self, r->feedback.received);
}

/* Forwards only: what the server sends again must not take it back. */
static void handed_over(struct wc_repl *r, struct wc_change_key key)
{
    if (key.commit_lsn > r->last.commit_lsn ||
        (key.commit_lsn == r->last.commit_lsn && key.ordinal > r->last.ordinal))
        r->last = key;
}

void wc_repl_take_back(struct wc_repl *r, const struct wc_change_key *from, wc_lsn passed)
{
    WC_ASSERT(r->state != WC_REPL_STREAMING && from->ordinal > 0);
    const struct wc_change_key before = {from->commit_lsn, from->ordinal - 1};
    if (r->last.commit_lsn > before.commit_lsn ||
        (r->last.commit_lsn == before.commit_lsn && r->last.ordinal > before.ordinal))
        r->last = before;
    wc_feedback_take_back(&r->feedback, passed);
}

/* After an event was accepted: the bookkeeping that must not happen twice when one is held. */
static void accepted(struct wc_repl *r, const struct wc_event *ev)
{
    switch (ev->kind) {
    case WC_EVENT_BEGIN: r->in_txn = true; break;
    case WC_EVENT_COMMIT:
        r->in_txn = false;
        handed_over(r, (struct wc_change_key){r->now.commit_lsn, UINT64_MAX});
        progress(r, ev->commit.end_lsn);
        break;
    case WC_EVENT_CHANGE:
        handed_over(r, r->now);
        wc_metric_add(WC_M_CHANGES_IN, 1);
        break;
    case WC_EVENT_MESSAGE: handed_over(r, r->now); break;
    case WC_EVENT_RELATION: r->left_out[0] = '\0'; break;
    case WC_EVENT_ORIGIN:
    case WC_EVENT_TYPE:
    case WC_EVENT_TRUNCATE: break;
    }
}

static bool is_of_interest(const struct wc_repl *r, const struct wc_event *ev)
{
    switch (ev->kind) {
    case WC_EVENT_BEGIN:
    case WC_EVENT_COMMIT:
    case WC_EVENT_RELATION: return true;
    case WC_EVENT_CHANGE:
    case WC_EVENT_MESSAGE: return !already_handed_over(r);
    case WC_EVENT_ORIGIN:
    case WC_EVENT_TYPE:
    case WC_EVENT_TRUNCATE: return false;
    }
    return false;
}

/* False when the event is held or the stream has failed. */
static bool offer(struct wc_repl *r, struct wc_slice msg)
{
    struct wc_event ev;
    struct wc_err err;
    wc_arena_reset(&r->arena);
    if (wc_pgoutput_decode(r->decoder, msg, &r->arena, &ev, &err) != WC_OK) {
        char text[300];
        (void)snprintf(text, sizeof text, "undecodable pgoutput message '%c' at byte %zu: %s",
                       wc_pgoutput_letter(msg), err.at, err.text);
        wc_repl_fail(r, "", text);
        return false;
    }
    if (ev.kind == WC_EVENT_BEGIN)
        r->now = (struct wc_change_key){.commit_lsn = ev.begin.final_lsn};
    else if (ev.kind == WC_EVENT_MESSAGE && !ev.message.transactional)
        r->now = (struct wc_change_key){.commit_lsn = ev.message.lsn, .ordinal = 0};
    if (is_of_interest(r, &ev)) {
        enum wc_status st = r->handler.on_event(r->self, &ev, &r->now);
        if (st == WC_AGAIN) {
            r->held = true;
            r->held_msg = msg;
            wc_pg_copy_reading(r->pg, false);
            return false;
        }
        if (st != WC_OK) {
            wc_repl_fail(r, "", wc_status_text(st));
            return false;
        }
    }
    accepted(r, &ev);
    return true;
}

/* Counts the ordinal and skips what nobody wants before any tuple is read. */
static bool take_message(struct wc_repl *r, struct wc_slice msg)
{
    char letter = wc_pgoutput_letter(msg);
    if (letter == 'I' || letter == 'U' || letter == 'D' || letter == 'T' || letter == 'M')
        r->now.ordinal++;
    wc_oid oid = wc_pgoutput_rel_oid(msg);
    if (oid) {
        const struct wc_rel *rel = wc_pgoutput_rel(r->decoder, oid);
        if (rel && !r->handler.wants(r->self, rel)) {
            wc_metric_add(WC_M_CHANGES_IN, 1);
            return true;
        }
    }
    return offer(r, msg);
}

static bool take_envelope(struct wc_repl *r, struct wc_slice bytes)
{
    struct wc_copy_msg m;
    struct wc_err err;
    if (wc_copyboth_decode(bytes, &m, &err) != WC_OK) {
        wc_repl_fail(r, "", err.text);
        return false;
    }
    wc_repl_server_at(r, m.wal_end);
    if (m.kind == WC_COPY_XLOG)
        return take_message(r, m.payload);
    if (!r->in_txn)
        progress(r, m.wal_end);
    if (m.reply_requested)
        wc_repl_send_status(r);
    return r->state == WC_REPL_STREAMING;
}

static void pump(struct wc_repl *r)
{
    while (r->state == WC_REPL_STREAMING && !r->held) {
        struct wc_slice bytes;
        if (wc_pg_copy_next(r->pg, &bytes) != WC_OK)
            break;
        if (!take_envelope(r, bytes))
            break;
    }
    if (r->state == WC_REPL_STREAMING)
        r->handler.on_batch_end(r->self);
    wc_repl_take_up(r);
}

void wc_repl_resume(struct wc_repl *r)
{
    if (!r->held)
        return;
    r->held = false;
    if (!offer(r, r->held_msg))
        return;
    wc_pg_copy_reading(r->pg, true);
    pump(r);
}

void wc_repl_on_copy(void *arg)
{
    struct wc_repl *r = arg;
    wc_feedback_heard(&r->feedback);
    if (r->state == WC_REPL_STREAMING && r->trouble.event)
        wc_repl_clear_trouble(r);
    pump(r);
}

/* From 18 on a missing publication is left out with a warning (55000) instead of an error. */
void wc_repl_on_notice(void *arg, const char *sqlstate, const char *message)
{
    struct wc_repl *r = arg;
    unsigned long repeated = 0;
    if (wc_log_limit(&r->noticed, NOTICE_EVERY_US, &repeated))
        WC_LOG(WC_LOG_WARN, "repl", "notice",
               "tenant=%s sqlstate=%s message=\"%.200s\" repeated=%lu", r->opt.tenant, sqlstate,
               message, repeated);
    bool is_optional = wc_optional_is_named(r->optional, message);
    if (strcmp(sqlstate, "55000") == 0 && strstr(message, "publication") && !is_optional)
        (void)snprintf(r->left_out, sizeof r->left_out, "%s", message);
}

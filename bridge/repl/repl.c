/*
 * The stream as a chain of callbacks: each step sends one command and names the next. Whatever goes
 * wrong ends in fail(), the only way to DOWN, which logs once and arms the back-off.
 */
#include "bridge/repl/repl.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bridge/pg/array.h"
#include "bridge/pg/backoff.h"
#include "bridge/pg/reason.h"
#include "decoder/copyboth.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>
#include <uv.h>

enum {
    TXN_ARENA_CAP = 64 << 20,     /* one message's columns: 1,664 × 32 bytes and room to spare */
    CONFIRM_SOONEST_US = 1000000, /* at most one unasked status update a second */
    PATIENCE_MS = 60000,          /* wal_sender_timeout's default */
    STEADY_US = 5000000,          /* a stream that lived so long was a success */
};

/* Text output as the decoder expects it, and a server patient enough for our status interval,
 * whatever ALTER ROLE, ALTER DATABASE or postgresql.conf say. */
#define SESSION_OPTIONS                                                                            \
    "-c TimeZone=UTC -c DateStyle=ISO,MDY -c IntervalStyle=postgres -c extra_float_digits=1 "      \
    "-c bytea_output=hex -c wal_sender_timeout=%u"

struct epoch {
    char system_id[24];
    char timeline[12];
    char slot[64];
    wc_lsn consistent_point; /* 0 when the slot existed before */
};

struct wc_repl {
    uv_loop_t *loop;
    struct wc_repl_options opt;
    char *publications;
    struct wc_repl_handler handler;
    void *self;
    enum wc_repl_state state;
    struct wc_pg *pg;
    uv_timer_t retry, status;
    unsigned handles; /* still to be closed by libuv before we are freed */
    struct wc_pgoutput *decoder;
    struct wc_arena arena;

    struct epoch epoch, fresh; /* of the last stream; of the one being prepared */
    struct wc_change_key last; /* handed over, in this epoch */
    struct wc_change_key now;  /* of the open transaction; ordinal of the last message */
    bool in_txn, held, go;
    struct wc_slice held_msg;

    wc_lsn received, confirmed, server, sent;
    wc_us sent_at, started_at;
    struct wc_backoff backoff;
    char error[200];
    struct wc_log_limit complaint;
    const char *complained_of; /* event of the last logged failure */
};

static void connect_now(struct wc_repl *r);

/* ---- state ---- */

const char *wc_repl_state_text(enum wc_repl_state s)
{
    switch (s) {
#define WC_REPL_STATE(symbol, text, may_follow)                                                    \
    case WC_REPL_##symbol:                                                                         \
        return text;
#include "bridge/repl/state.def"
#undef WC_REPL_STATE
    }
    return "?";
}

static void set_state(struct wc_repl *r, enum wc_repl_state s, bool new_epoch)
{
    static const unsigned may_follow[] = {
#define BIT(symbol)                             (1u << WC_REPL_##symbol)
#define WC_REPL_STATE(symbol, text, may_follow) may_follow,
#include "bridge/repl/state.def"
#undef WC_REPL_STATE
#undef BIT
    };
    WC_ASSERT(may_follow[r->state] & 1u << s);
    WC_LOG(WC_LOG_DEBUG, "repl", "state", "tenant=%s from=%s to=%s", r->opt.tenant,
           wc_repl_state_text(r->state), wc_repl_state_text(s));
    r->state = s;
    r->handler.on_state(r->self, s, new_epoch);
}

static void on_retry(uv_timer_t *t)
{
    connect_now(t->data);
}

static void log_failure(struct wc_repl *r, const struct wc_pg_reason *why, const char *sqlstate,
                        uint32_t wait_ms)
{
    unsigned long suppressed = 0;
    bool news = r->complained_of != why->event;
    if (news)
        r->complaint = (struct wc_log_limit){0};
    if (!wc_log_limit(&r->complaint, 60 * 1000000, &suppressed))
        return;
    r->complained_of = why->event;
    WC_LOG(why->least_wait_ms ? WC_LOG_ERROR : WC_LOG_WARN, "repl", why->event,
           "tenant=%s sqlstate=%s error=\"%s\" hint=\"%s\" retry_in_ms=%u repeated=%lu",
           r->opt.tenant, sqlstate[0] ? sqlstate : "-", r->error, why->hint, wait_ms, suppressed);
}

static void fail(struct wc_repl *r, const char *sqlstate, const char *message)
{
    if (r->state == WC_REPL_DOWN)
        return;
    wc_pg_close(r->pg);
    r->pg = NULL;
    r->held = r->in_txn = false;
    (void)uv_timer_stop(&r->status); /* stopping an idle timer is no error */
    (void)snprintf(r->error, sizeof r->error, "%s", message);
    if (r->state == WC_REPL_STREAMING && wc_clock_mono() - r->started_at >= STEADY_US)
        r->backoff.ms = 0; /* not at its start: a stream that fails at once must not be hammered */
    struct wc_pg_reason why = wc_pg_reason(sqlstate, message);
    uint32_t wait_ms = wc_backoff_next(&r->backoff, why.least_wait_ms);
    log_failure(r, &why, sqlstate, wait_ms);
    wc_metric_add(WC_M_REPL_FAILURES, 1);
    set_state(r, WC_REPL_DOWN, false);
    (void)uv_timer_start(&r->retry, on_retry, wait_ms, 0); /* valid handle and callback */
}

static void fail_result(struct wc_repl *r, const struct wc_pg_result *res)
{
    char text[300];
    (void)snprintf(text, sizeof text, "%s%s%s", res->message, res->detail[0] ? ": " : "",
                   res->detail);
    fail(r, res->sqlstate, text);
}

static void command(struct wc_repl *r, const char *sql, wc_pg_result_fn next)
{
    if (r->pg && wc_pg_simple(r->pg, sql, next, r) != WC_OK)
        fail(r, "", "could not send a command");
}

/* ---- status updates ---- */

static void send_status(struct wc_repl *r)
{
    uint8_t msg[WC_STATUS_UPDATE_BYTES];
    wc_copyboth_status(msg, r->confirmed, wc_clock_wall() - WC_PG_EPOCH_US, false);
    enum wc_status st = wc_pg_copy_send(r->pg, wc_slice(msg, sizeof msg));
    if (st != WC_OK)
        return; /* a dead connection reports itself; a full socket means the next one will do */
    r->sent = r->confirmed;
    r->sent_at = wc_clock_mono();
}

static void on_status_timer(uv_timer_t *t)
{
    struct wc_repl *r = t->data;
    if (r->state == WC_REPL_STREAMING)
        send_status(r);
}

void wc_repl_confirm(struct wc_repl *r, wc_lsn lsn)
{
    if (lsn <= r->confirmed || lsn > r->received)
        return;
    r->confirmed = lsn;
    if (r->state == WC_REPL_STREAMING && wc_clock_mono() - r->sent_at >= CONFIRM_SOONEST_US)
        send_status(r);
}

void wc_repl_server_at(struct wc_repl *r, wc_lsn lsn)
{
    if (lsn > r->server)
        r->server = lsn;
}

/* ---- streaming ---- */

static bool already_handed_over(const struct wc_repl *r)
{
    return r->now.commit_lsn < r->last.commit_lsn ||
           (r->now.commit_lsn == r->last.commit_lsn && r->now.ordinal <= r->last.ordinal);
}

static void progress(struct wc_repl *r, wc_lsn position)
{
    if (position > r->received)
        r->received = position;
    r->handler.on_progress(r->self, r->received);
}

/* Forwards only: what the server sends again must not take it back. */
static void handed_over(struct wc_repl *r, struct wc_change_key key)
{
    if (key.commit_lsn > r->last.commit_lsn ||
        (key.commit_lsn == r->last.commit_lsn && key.ordinal > r->last.ordinal))
        r->last = key;
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
    case WC_EVENT_RELATION:
    case WC_EVENT_ORIGIN:
    case WC_EVENT_TYPE:
    case WC_EVENT_TRUNCATE:
    case WC_EVENT_MESSAGE: break;
    }
}

static bool is_of_interest(const struct wc_repl *r, const struct wc_event *ev)
{
    switch (ev->kind) {
    case WC_EVENT_BEGIN:
    case WC_EVENT_COMMIT:
    case WC_EVENT_RELATION: return true;
    case WC_EVENT_CHANGE: return !already_handed_over(r);
    case WC_EVENT_ORIGIN:
    case WC_EVENT_TYPE:
    case WC_EVENT_TRUNCATE:
    case WC_EVENT_MESSAGE: return false;
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
        fail(r, "", text);
        return false;
    }
    if (ev.kind == WC_EVENT_BEGIN)
        r->now = (struct wc_change_key){.commit_lsn = ev.begin.final_lsn};
    if (is_of_interest(r, &ev)) {
        enum wc_status st = r->handler.on_event(r->self, &ev, &r->now);
        if (st == WC_AGAIN) {
            r->held = true;
            r->held_msg = msg;
            wc_pg_copy_reading(r->pg, false);
            return false;
        }
        if (st != WC_OK) {
            fail(r, "", wc_status_text(st));
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
        fail(r, "", err.text);
        return false;
    }
    wc_repl_server_at(r, m.wal_end);
    if (m.kind == WC_COPY_XLOG)
        return take_message(r, m.payload);
    if (!r->in_txn)
        progress(r, m.wal_end);
    if (m.reply_requested)
        send_status(r);
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

static void on_copy(void *arg)
{
    pump(arg);
}

/* ---- preparing: each step's answer sends the next command ---- */

static void append_quoted(char *out, size_t cap, size_t *len, char quote, const char *s, size_t n)
{
    out[(*len)++] = quote;
    for (size_t i = 0; i < n && *len + 3 < cap; i++) {
        if (s[i] == quote)
            out[(*len)++] = quote;
        out[(*len)++] = s[i];
    }
    out[(*len)++] = quote;
}

/* "a,b" as the option value '"a","b"': identifiers inside one literal. */
static void quote_publications(const char *list, char *out, size_t cap)
{
    char idents[2048];
    size_t n = 0;
    for (struct wc_slice name; n + 200 < sizeof idents && wc_pg_next_name(&list, &name);) {
        if (n)
            idents[n++] = ',';
        append_quoted(idents, sizeof idents, &n, '"', (const char *)name.p, name.len);
    }
    size_t at = 0;
    append_quoted(out, cap, &at, '\'', idents, n);
    out[at] = '\0';
}

static bool same_epoch(const struct epoch *a, const struct epoch *b)
{
    return strcmp(a->system_id, b->system_id) == 0 && strcmp(a->timeline, b->timeline) == 0 &&
           strcmp(a->slot, b->slot) == 0 && a->consistent_point == b->consistent_point;
}

static void on_started(void *arg, const struct wc_pg_result *res)
{
    struct wc_repl *r = arg;
    if (!res->ok) {
        fail_result(r, res);
        return;
    }
    bool new_epoch = !same_epoch(&r->epoch, &r->fresh);
    if (new_epoch) {
        r->epoch = r->fresh;
        r->last = (struct wc_change_key){0};
    }
    wc_pgoutput_reset(r->decoder);
    r->now = (struct wc_change_key){0};
    r->started_at = wc_clock_mono();
    r->error[0] = '\0';
    r->complained_of = NULL;
    wc_metric_add(WC_M_REPL_CONNECTS, 1);
    WC_LOG(WC_LOG_INFO, "repl", "streaming", "tenant=%s slot=%s temporary=%d new_epoch=%d",
           r->opt.tenant, r->epoch.slot, r->opt.slot_name[0] == '\0', new_epoch);
    wc_pg_copy_reading(r->pg, true);
    set_state(r, WC_REPL_STREAMING, new_epoch);
    send_status(r);
    (void)uv_timer_start(&r->status, on_status_timer, r->opt.status_interval_ms,
                         r->opt.status_interval_ms); /* valid handle and callback */
}

static void start_replication(struct wc_repl *r)
{
    char pubs[4200], sql[4600];
    quote_publications(r->publications, pubs, sizeof pubs);
    (void)snprintf(sql, sizeof sql,
                   "START_REPLICATION SLOT \"%s\" LOGICAL 0/0 (proto_version '1', "
                   "publication_names %s)",
                   r->fresh.slot, pubs);
    set_state(r, WC_REPL_STARTING, false);
    command(r, sql, on_started);
}

static void slot_is_ready(struct wc_repl *r, bool existed)
{
    bool first = r->epoch.slot[0] == '\0';
    if (existed && first && !r->go) {
        WC_LOG(WC_LOG_INFO, "repl", "waiting", "tenant=%s slot=%s reason=\"%s\"", r->opt.tenant,
               r->fresh.slot, "a permanent slot is read when its clients are back");
        r->error[0] = '\0';
        r->backoff.ms = 0;
        set_state(r, WC_REPL_WAITING, false);
        return;
    }
    start_replication(r);
}

void wc_repl_go(struct wc_repl *r)
{
    r->go = true;
    if (r->state == WC_REPL_WAITING)
        start_replication(r);
}

static void on_slot_created(void *arg, const struct wc_pg_result *res)
{
    struct wc_repl *r = arg;
    if (!res->ok || res->nrows != 1) {
        fail_result(r, res);
        return;
    }
    if (wc_lsn_parse(wc_pg_slice(res, 0, 1), &r->fresh.consistent_point) != WC_OK) {
        fail(r, "", "unreadable consistent point");
        return;
    }
    r->received = r->confirmed = r->sent = r->fresh.consistent_point;
    slot_is_ready(r, false);
}

static void create_slot(struct wc_repl *r)
{
    bool temporary = r->opt.slot_name[0] == '\0';
    if (temporary) {
        uint32_t random = 0;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            random = (uint32_t)wc_clock_mono();
        (void)snprintf(r->fresh.slot, sizeof r->fresh.slot, "walcast_tmp_%d_%08x", (int)getpid(),
                       random);
    }
    char sql[200];
    (void)snprintf(sql, sizeof sql,
                   "CREATE_REPLICATION_SLOT \"%s\"%s LOGICAL pgoutput NOEXPORT_SNAPSHOT",
                   r->fresh.slot, temporary ? " TEMPORARY" : "");
    command(r, sql, on_slot_created);
}

static int find_slot(const struct wc_pg_result *res, const char *name)
{
    for (int i = 0; i < res->nrows; i++)
        if (wc_slice_is(wc_pg_slice(res, i, 0), name))
            return i;
    return -1;
}

/* Somebody else moved our slot on: what it skipped we never saw, so this is another epoch. */
static void note_confirmed(struct wc_repl *r, wc_lsn confirmed)
{
    bool known = r->epoch.slot[0] != '\0';
    if (known && confirmed > r->sent)
        r->fresh.consistent_point = confirmed;
    else if (known)
        r->fresh.consistent_point = r->epoch.consistent_point;
    if (confirmed > r->confirmed)
        r->confirmed = confirmed;
    if (r->confirmed > r->received)
        r->received = r->confirmed;
}

static void on_slots(void *arg, const struct wc_pg_result *res)
{
    struct wc_repl *r = arg;
    if (!res->ok) {
        fail_result(r, res);
        return;
    }
    (void)snprintf(r->fresh.slot, sizeof r->fresh.slot, "%s", r->opt.slot_name);
    int i = find_slot(res, r->opt.slot_name);
    if (i < 0) {
        create_slot(r);
        return;
    }
    char text[300];
    const char *pid = wc_pg_value(res, i, 4);
    wc_lsn confirmed = 0;
    if (!wc_slice_is(wc_pg_slice(res, i, 1), "pgoutput") ||
        !wc_slice_is(wc_pg_slice(res, i, 3), "t")) {
        (void)snprintf(text, sizeof text,
                       "slot %s exists for plugin %.63s in database %.63s: it cannot be ours",
                       r->opt.slot_name,
                       wc_pg_value(res, i, 1) ? wc_pg_value(res, i, 1) : "(physical)",
                       wc_pg_value(res, i, 2) ? wc_pg_value(res, i, 2) : "-");
        fail(r, "SLOT", text);
    } else if (wc_slice_is(wc_pg_slice(res, i, 5), "lost")) {
        (void)snprintf(text, sizeof text, "can no longer read slot %s: wal_status is lost",
                       r->opt.slot_name);
        fail(r, "55000", text);
    } else if (pid) {
        (void)snprintf(text, sizeof text, "replication slot \"%s\" is active for PID %.10s",
                       r->opt.slot_name, pid);
        fail(r, "55006", text);
    } else if (wc_lsn_parse(wc_pg_slice(res, i, 6), &confirmed) != WC_OK) {
        fail(r, "", "unreadable confirmed_flush_lsn");
    } else {
        note_confirmed(r, confirmed);
        slot_is_ready(r, true);
    }
}

/* A name of the comma separated list that `res` does not hold in column 1. */
static bool missing_publication(const char *list, const struct wc_pg_result *res,
                                struct wc_slice *missing)
{
    for (struct wc_slice name; wc_pg_next_name(&list, &name);) {
        bool found = false;
        for (int i = 0; i < res->nrows && !found; i++)
            found = wc_slice_eq(wc_pg_slice(res, i, 1), name);
        if (!found) {
            *missing = name;
            return true;
        }
    }
    return false;
}

static void on_preflight(void *arg, const struct wc_pg_result *res)
{
    struct wc_repl *r = arg;
    if (!res->ok || res->nrows < 1) {
        fail_result(r, res);
        return;
    }
    char text[200];
    struct wc_slice name;
    if (!wc_slice_is(wc_pg_slice(res, 0, 0), "logical")) {
        (void)snprintf(text, sizeof text, "wal_level is %.20s", wc_pg_value(res, 0, 0));
        fail(r, "WALLV", text);
    } else if (missing_publication(r->publications, res, &name)) {
        (void)snprintf(text, sizeof text, "publication \"%.*s\" does not exist",
                       WC_SLICE_ARG(name));
        fail(r, "42704", text);
    } else if (r->opt.slot_name[0]) {
        command(r, wc_sql_slot, on_slots);
    } else {
        create_slot(r);
    }
}

static void on_identified(void *arg, const struct wc_pg_result *res)
{
    struct wc_repl *r = arg;
    if (!res->ok || res->nrows != 1) {
        fail_result(r, res);
        return;
    }
    r->fresh = (struct epoch){0};
    (void)snprintf(r->fresh.system_id, sizeof r->fresh.system_id, "%s", wc_pg_value(res, 0, 0));
    (void)snprintf(r->fresh.timeline, sizeof r->fresh.timeline, "%s", wc_pg_value(res, 0, 1));
    if (strcmp(r->fresh.system_id, r->epoch.system_id) != 0 ||
        strcmp(r->fresh.timeline, r->epoch.timeline) != 0) /* positions mean nothing across these */
        r->received = r->confirmed = r->sent = r->server = 0;
    command(r, wc_sql_preflight, on_preflight);
}

static void on_ready(void *arg)
{
    struct wc_repl *r = arg;
    set_state(r, WC_REPL_PREPARING, false);
    command(r, "IDENTIFY_SYSTEM", on_identified);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    fail(arg, sqlstate, message);
}

static void connect_now(struct wc_repl *r)
{
    static const struct wc_pg_events events = {
        .on_ready = on_ready, .on_lost = on_lost, .on_copy = on_copy};
    char options[sizeof SESSION_OPTIONS + 10];
    uint32_t patience_ms = r->opt.status_interval_ms * 3;
    if (patience_ms < PATIENCE_MS)
        patience_ms = PATIENCE_MS;
    (void)snprintf(options, sizeof options, SESSION_OPTIONS, patience_ms); /* fits ten digits */
    struct wc_pg_options o = r->opt.pg;
    o.replication = true;
    o.application_name = "walcast_stream";
    o.options = options;
    set_state(r, WC_REPL_CONNECTING, false);
    r->pg = wc_pg_open(r->loop, &o, &events, r);
    if (!r->pg)
        fail(r, "", "out of memory");
}

/* ---- life cycle ---- */

struct wc_repl *wc_repl_new(uv_loop_t *loop, const struct wc_repl_options *options,
                            const struct wc_repl_handler *handler, void *self)
{
    struct wc_repl *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->loop = loop;
    r->opt = *options;
    r->handler = *handler;
    r->self = self;
    r->state = WC_REPL_DOWN;
    r->publications = strdup(options->publications);
    r->decoder = wc_pgoutput_new(options->max_rels);
    wc_arena_init(&r->arena, TXN_ARENA_CAP);
    if (!r->publications || !r->decoder) {
        free(r->publications);
        wc_pgoutput_free(r->decoder);
        free(r);
        return NULL;
    }
    (void)uv_timer_init(loop, &r->retry); /* cannot fail */
    (void)uv_timer_init(loop, &r->status);
    r->retry.data = r->status.data = r;
    r->handles = 2;
    (void)uv_timer_start(&r->retry, on_retry, 0, 0); /* the first attempt, from the loop */
    return r;
}

static void on_handle_closed(uv_handle_t *h)
{
    struct wc_repl *r = h->data;
    if (--r->handles)
        return;
    wc_pgoutput_free(r->decoder);
    wc_arena_release(&r->arena);
    free(r->publications);
    free(r);
}

void wc_repl_stop(struct wc_repl *r)
{
    if (r->state == WC_REPL_STREAMING)
        send_status(r);
    wc_pg_close(r->pg);
    r->pg = NULL;
    r->held = r->in_txn = false;
    (void)uv_timer_stop(&r->retry); /* stopping an idle timer is no error */
    (void)uv_timer_stop(&r->status);
    if (r->state != WC_REPL_DOWN)
        set_state(r, WC_REPL_DOWN, false);
}

void wc_repl_break(struct wc_repl *r, const char *sqlstate, const char *why)
{
    fail(r, sqlstate, why);
}

void wc_repl_free(struct wc_repl *r)
{
    if (!r)
        return;
    wc_repl_stop(r);
    uv_close((uv_handle_t *)&r->retry, on_handle_closed);
    uv_close((uv_handle_t *)&r->status, on_handle_closed);
}

enum wc_repl_state wc_repl_state(const struct wc_repl *r)
{
    return r->state;
}

void wc_repl_status(const struct wc_repl *r, struct wc_repl_status *out)
{
    *out = (struct wc_repl_status){.state = r->state,
                                   .temporary = r->opt.slot_name[0] == '\0',
                                   .received = r->received,
                                   .confirmed = r->confirmed,
                                   .server = r->server};
    (void)snprintf(out->slot, sizeof out->slot, "%s",
                   r->fresh.slot[0] ? r->fresh.slot : r->opt.slot_name);
    (void)snprintf(out->error, sizeof out->error, "%s", r->error);
}

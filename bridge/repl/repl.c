/*
 * The stream as a chain of callbacks: each step sends one command and names the next. Whatever goes
 * wrong ends in wc_repl_fail, the only way to DOWN, which logs once and arms the back-off.
 */
#include "base/assert.h"
#include "base/metrics.h"
#include "bridge/repl/repl_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TXN_ARENA_CAP = 64 << 20, /* one message's columns: 1,664 × 32 bytes and room to spare */
    PATIENCE_MS = 60000,      /* wal_sender_timeout's default */
    LET_GO_MS = 100,          /* until the server has seen that a connection is closed */
    STEADY_US = 5000000,      /* a stream that lived so long was a success */
};

/* Text output as the decoder expects it, and a server patient enough for our status interval,
 * whatever ALTER ROLE, ALTER DATABASE or postgresql.conf say. */
#define SESSION_OPTIONS                                                                            \
    "-c TimeZone=UTC -c DateStyle=ISO,MDY -c IntervalStyle=postgres -c extra_float_digits=1 "      \
    "-c bytea_output=hex -c client_min_messages=warning -c wal_sender_timeout=%u"

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

void wc_repl_set_state(struct wc_repl *r, enum wc_repl_state s, bool new_epoch)
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

/* ---- trouble ---- */

static void note_trouble(struct wc_repl *r, const char *sqlstate, const char *message)
{
    r->trouble = wc_pg_reason(sqlstate, message);
    (void)snprintf(r->error, sizeof r->error, "%s", message);
}

static void log_trouble(struct wc_repl *r, const char *sqlstate, uint32_t wait_ms)
{
    const struct wc_pg_reason *why = &r->trouble;
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

void wc_repl_set_trouble(struct wc_repl *r, const char *sqlstate, const char *message)
{
    note_trouble(r, sqlstate, message);
    log_trouble(r, sqlstate, 0);
}

void wc_repl_clear_trouble(struct wc_repl *r)
{
    r->trouble = (struct wc_pg_reason){0};
    r->blocked_by = (struct wc_repl_blocker){0};
    r->error[0] = '\0';
    r->complained_of = NULL;
}

static void drop_connection(struct wc_repl *r)
{
    wc_pg_close(r->pg);
    r->pg = NULL;
    wc_blocker_free(r->blocker);
    r->blocker = NULL;
    r->blocked_by = (struct wc_repl_blocker){0};
    r->held = r->in_txn = r->is_succeeding = false;
    r->join_at = 0;
    wc_successor_free(r->successor);
    r->successor = NULL;
    wc_optional_ended(r->optional);
    (void)uv_timer_stop(&r->status); /* stopping an idle timer is no error */
}

void wc_repl_fail(struct wc_repl *r, const char *sqlstate, const char *message)
{
    if (r->state == WC_REPL_DOWN)
        return;
    drop_connection(r);
    note_trouble(r, sqlstate, message);
    bool is_blamed = wc_optional_blame(r->optional, sqlstate, message);
    if (is_blamed)
        r->trouble.least_wait_ms = 0;
    if (r->state == WC_REPL_STREAMING)
        r->complained_of = NULL; /* the end of a stream is news, whatever was said while it went */
    if (r->state == WC_REPL_STREAMING && wc_clock_mono() - r->started_at >= STEADY_US)
        r->backoff.ms = 0; /* not at its start: a stream that fails at once must not be hammered */
    uint32_t wait_ms = wc_backoff_next(&r->backoff, r->trouble.least_wait_ms);
    log_trouble(r, sqlstate, wait_ms);
    wc_metric_add(WC_M_REPL_FAILURES, 1);
    wc_repl_set_state(r, WC_REPL_DOWN, false);
    if (is_blamed && r->last.ordinal != UINT64_MAX)
        r->last.ordinal = 0; /* without that publication the transaction has other ordinals */
    (void)uv_timer_start(&r->retry, on_retry, wait_ms, 0); /* valid handle and callback */
}

void wc_repl_replace(struct wc_repl *r, struct wc_pg *pg)
{
    drop_connection(r);
    r->pg = pg;
    if (pg)
        return;
    wc_repl_set_state(r, WC_REPL_DOWN, false);
    (void)uv_timer_start(&r->retry, on_retry, LET_GO_MS, 0); /* valid handle and callback */
}

/* ---- connecting ---- */

static void on_ready(void *arg)
{
    struct wc_repl *r = arg;
    wc_repl_set_state(r, WC_REPL_PREPARING, false);
    wc_repl_prepare(r);
}

static void on_lost(void *arg, const char *sqlstate, const char *message)
{
    wc_repl_fail(arg, sqlstate, message);
}

const struct wc_pg_events wc_repl_pg_events = {.on_ready = on_ready,
                                               .on_lost = on_lost,
                                               .on_copy = wc_repl_on_copy,
                                               .on_notice = wc_repl_on_notice};

struct wc_pg_options wc_repl_pg_options(const struct wc_repl *r, char options[WC_REPL_OPTIONS_CAP])
{
    (void)snprintf(options, WC_REPL_OPTIONS_CAP, SESSION_OPTIONS, r->patience_ms); /* fits */
    struct wc_pg_options o = r->opt.pg;
    o.replication = true;
    o.application_name = "walcast_stream";
    o.options = options;
    return o;
}

static void connect_now(struct wc_repl *r)
{
    char options[WC_REPL_OPTIONS_CAP];
    const struct wc_pg_options o = wc_repl_pg_options(r, options);
    wc_repl_set_state(r, WC_REPL_CONNECTING, false);
    r->pg = wc_pg_open(r->loop, &o, &wc_repl_pg_events, r);
    if (!r->pg)
        wc_repl_fail(r, "", "out of memory");
}

/* ---- life cycle ---- */

static void free_parts(struct wc_repl *r)
{
    wc_optional_free(r->optional);
    wc_pgoutput_free(r->decoder);
    wc_arena_release(&r->arena);
    free(r->publications);
    free(r->messages_publication);
    free(r);
}

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
    r->patience_ms = options->status_interval_ms * 3;
    if (r->patience_ms < PATIENCE_MS)
        r->patience_ms = PATIENCE_MS;
    r->publications = strdup(options->publications);
    r->messages_publication =
        strdup(options->messages_publication ? options->messages_publication : "");
    r->decoder = wc_pgoutput_new(options->max_rels);
    wc_arena_init(&r->arena, TXN_ARENA_CAP);
    r->optional = r->messages_publication
                      ? wc_optional_new(loop, &r->opt.pg, r->opt.tenant, r->messages_publication,
                                        wc_repl_on_optional, r)
                      : NULL;
    if (!r->publications || !r->decoder || !r->optional) {
        free_parts(r);
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
    free_parts(r);
}

void wc_repl_stop(struct wc_repl *r)
{
    if (r->state == WC_REPL_STREAMING)
        wc_repl_send_status(r);
    drop_connection(r);
    (void)uv_timer_stop(&r->retry); /* stopping an idle timer is no error */
    if (r->state != WC_REPL_DOWN)
        wc_repl_set_state(r, WC_REPL_DOWN, false);
}

void wc_repl_break(struct wc_repl *r, const char *sqlstate, const char *why)
{
    wc_repl_fail(r, sqlstate, why);
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
                                   .received = r->feedback.received,
                                   .confirmed = r->feedback.confirmed,
                                   .server = r->feedback.server,
                                   .reason = r->trouble.event,
                                   .hint = r->trouble.hint,
                                   .blocked_by = r->blocked_by,
                                   .has_messages = r->state == WC_REPL_STREAMING && r->one_more,
                                   .messages_reason = wc_optional_reason(r->optional).event,
                                   .messages_hint = wc_optional_reason(r->optional).hint};
    const char *slot = r->state == WC_REPL_STREAMING ? r->epoch.slot : r->fresh.slot;
    (void)snprintf(out->slot, sizeof out->slot, "%s", slot[0] ? slot : r->opt.slot_name);
    (void)snprintf(out->error, sizeof out->error, "%s", r->error);
}

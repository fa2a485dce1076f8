#include "bridge/tenant/tenant_priv.h"

#include "base/log.h"
#include "decoder/copyboth.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_RELATIONS = 65536, /* relations one stream may describe; about 200 MiB at 100 columns */
    REPORT_US = 1000000,
};

/* ---- confirmation ---- */

static void confirm_popped(struct wc_tenant *t)
{
    if (t->marked && wc_publisher_reached(t->publisher, &t->mark)) {
        wc_repl_confirm(t->repl, t->mark_lsn);
        t->marked = false;
    }
    if (!t->marked && t->progress > t->mark_lsn) {
        wc_publisher_mark(t->publisher, &t->mark);
        t->mark_lsn = t->progress;
        t->marked = true;
    }
}

static void confirm(struct wc_tenant *t)
{
    if (wc_tenant_is_permanent(t))
        confirm_popped(t);
    else if (!wc_publisher_is_backlogged(t->publisher))
        wc_repl_confirm(t->repl, t->progress);
}

/* ---- the stream's events ---- */

static bool on_wants(void *self, const struct wc_rel *rel)
{
    struct wc_tenant *t = self;
    return wc_messages_are_in(rel) || wc_subs_wants(t->subs, rel);
}

/* realtime.messages is in the stream for the broadcasts; who has subscribed to every table gets its
 * changes only if an application's publication holds it. */
static bool is_for_subscribers(const struct wc_tenant *t, const struct wc_rel *rel)
{
    return !wc_messages_are_in(rel) || wc_subs_publishes(t->subs, rel->oid);
}

/* There is no room, in the rings or in its share of them; it is woken when there is. */
static bool is_stuck(struct wc_tenant *t)
{
    return wc_publisher_is_backlogged(t->publisher) || wc_share_is_full(t->share);
}

static bool is_backlogged(struct wc_tenant *t)
{
    bool is = is_stuck(t);
    t->stalled |= is;
    return is;
}

/* Whoever asks for a replay from now on may have come too late for the row. */
static void change_messages(struct wc_tenant *t, const struct wc_change *change,
                            const struct wc_change_key *key)
{
    wc_messages_change(t->messages, change, key->commit_lsn, key->ordinal);
    if (change->op == WC_OP_INSERT)
        wc_authz_note_streamed(t->authz, t->xid);
}

static enum wc_status on_change(struct wc_tenant *t, const struct wc_change *change,
                                const struct wc_change_key *key)
{
    if (is_backlogged(t))
        return WC_AGAIN;
    if (wc_messages_are_in(change->rel))
        change_messages(t, change, key);
    if (!is_for_subscribers(t, change->rel))
        return WC_OK;
    return wc_subs_change(t->subs, change, key->ordinal);
}

static enum wc_status on_rules(struct wc_tenant *t, const struct wc_event *ev)
{
    if (ev->message.transactional)
        return wc_subs_rules_changed(t->subs);
    wc_subs_rules_will_change(t->subs, ev->message.body);
    return WC_OK;
}

static enum wc_status on_message(struct wc_tenant *t, const struct wc_event *ev,
                                 const struct wc_change_key *key)
{
    if (wc_slice_is(ev->message.prefix, WC_SUBS_RULES_PREFIX))
        return on_rules(t, ev);
    if (is_backlogged(t))
        return WC_AGAIN;
    return wc_messages_logical(t->messages, ev, key->commit_lsn, key->ordinal);
}

static enum wc_status on_begin(struct wc_tenant *t, const struct wc_event *ev)
{
    enum wc_status st =
        wc_subs_begin(t->subs, ev->begin.final_lsn, ev->begin.xid, ev->begin.commit_time);
    if (st != WC_OK)
        return st;
    t->xid = ev->begin.xid;
    wc_messages_begin(t->messages, ev->begin.xid, ev->begin.commit_time + WC_PG_EPOCH_US);
    return WC_OK;
}

static enum wc_status on_event(void *self, const struct wc_event *ev,
                               const struct wc_change_key *key)
{
    struct wc_tenant *t = self;
    if (t->is_draining)
        return WC_AGAIN;
    switch (ev->kind) {
    case WC_EVENT_BEGIN: return on_begin(t, ev);
    case WC_EVENT_RELATION:
        return is_for_subscribers(t, ev->relation) ? wc_subs_relation(t->subs, ev->relation)
                                                   : WC_OK;
    case WC_EVENT_CHANGE: return on_change(t, &ev->change, key);
    case WC_EVENT_MESSAGE: return on_message(t, ev, key);
    case WC_EVENT_COMMIT:
    case WC_EVENT_ORIGIN:
    case WC_EVENT_TYPE:
    case WC_EVENT_TRUNCATE: return WC_OK;
    }
    return WC_OK;
}

static void on_progress(void *self, wc_lsn position)
{
    struct wc_tenant *t = self;
    wc_subs_progress(t->subs, position);
    t->progress = wc_subs_delivered(t->subs);
}

static void on_batch_end(void *self)
{
    struct wc_tenant *t = self;
    wc_subs_batch_end(t->subs);
    wc_publisher_flush(t->publisher);
    confirm(t);
}

static void on_state(void *self, enum wc_repl_state state, bool new_epoch)
{
    struct wc_tenant *t = self;
    enum wc_subs_stream stream = WC_SUBS_STREAM_DOWN;
    if (state == WC_REPL_STREAMING)
        stream = WC_SUBS_STREAM_UP;
    else if (state == WC_REPL_WAITING)
        stream = WC_SUBS_STREAM_WAITING;
    if (stream != WC_SUBS_STREAM_UP) {
        t->marked = t->stalled = false;
        t->progress = t->mark_lsn = 0;
    }
    if (stream == WC_SUBS_STREAM_UP && new_epoch) {
        wc_messages_begin_epoch(t->messages);
        wc_authz_forget_streamed(t->authz);
    }
    wc_subs_stream(t->subs, stream, new_epoch);
    wc_tenant_publish_status(t);
}

/* ---- subscriptions' hooks ---- */

void wc_tenant_stream_resume(void *self)
{
    struct wc_tenant *t = self;
    wc_repl_resume(t->repl);
}

static void on_moved(void *self)
{
    struct wc_tenant *t = self;
    if (wc_repl_state(t->repl) != WC_REPL_STREAMING)
        return;
    t->progress = wc_subs_delivered(t->subs);
    confirm(t);
}

static void on_failed(void *self, enum wc_status st)
{
    struct wc_tenant *t = self;
    wc_repl_break(t->repl, "", wc_status_text(st));
}

static void on_taken_back(void *self, wc_lsn commit_lsn, uint64_t ordinal, wc_lsn passed)
{
    struct wc_tenant *t = self;
    const struct wc_change_key from = {commit_lsn, ordinal};
    wc_repl_take_back(t->repl, &from, passed);
}

static void on_give_up(void *self)
{
    struct wc_tenant *t = self;
    wc_repl_break(t->repl, "57P03", "the server is shutting down and cannot be asked who may read");
}

static void on_server_at(void *self, wc_lsn position)
{
    struct wc_tenant *t = self;
    wc_repl_server_at(t->repl, position);
}

static void on_grace_over(uv_timer_t *timer)
{
    struct wc_tenant *t = timer->data;
    wc_repl_go(t->repl);
}

static void on_standing(void *self)
{
    struct wc_tenant *t = self;
    if (wc_repl_state(t->repl) != WC_REPL_WAITING || uv_is_active((uv_handle_t *)t->grace))
        return;
    WC_LOG(WC_LOG_INFO, "tenant", "resuming", "tenant=%s in_ms=%u", t->opt.external_id,
           t->opt.resume_grace_ms);
    (void)uv_timer_start(t->grace, on_grace_over, t->opt.resume_grace_ms, 0); /* valid handle */
}

void wc_tenant_drain(struct wc_tenant *t)
{
    if (t->is_draining)
        return;
    t->is_draining = true;
    wc_subs_drain(t->subs);
    wc_publisher_flush(t->publisher);
    wc_publisher_mark(t->publisher, &t->last);
}

bool wc_tenant_is_quiet(struct wc_tenant *t)
{
    return !t->share || wc_share_is_idle(t->share);
}

bool wc_tenant_is_drained(struct wc_tenant *t)
{
    if (!wc_publisher_reached(t->publisher, &t->last) || !wc_tenant_is_quiet(t))
        return false;
    if (t->repl && wc_repl_state(t->repl) == WC_REPL_STREAMING)
        wc_repl_confirm(t->repl, t->progress);
    return true;
}

void wc_tenant_resume(struct wc_tenant *t)
{
    if (t->is_draining || is_stuck(t))
        return;
    wc_subs_go_on(t->subs);
    if (!t->stalled)
        return;
    t->stalled = false;
    wc_repl_resume(t->repl);
}

/* ---- from time to time ---- */

static void tell_why_it_waits(struct wc_tenant *t)
{
    char text[400];
    if (t->status.blocked_by.kind == WC_REPL_NOT_BLOCKED)
        return;
    (void)snprintf(text, sizeof text, "Not subscribed to PostgreSQL yet: %s; %s", t->status.error,
                   t->status.hint ? t->status.hint : "wait");
    wc_subs_stream_waits(t->subs, wc_slice_str(text));
}

/* Where memory is short the one before goes on to stand. */
static void publish_report(struct wc_tenant *t)
{
    wc_us now = wc_clock_mono();
    if (now - t->reported < REPORT_US)
        return;
    t->reported = now;
    struct wc_report *report = wc_report_new(t->subs);
    if (report)
        wc_tenant_set_report(t, report);
}

void wc_tenant_tick(struct wc_tenant *t)
{
    if (wc_repl_state(t->repl) == WC_REPL_STREAMING)
        confirm(t);
    wc_tenant_publish_status(t);
    publish_report(t);
    tell_why_it_waits(t);
}

void wc_tenant_end_stream(struct wc_tenant *t)
{
    if (!t->repl)
        return;
    if (wc_repl_state(t->repl) == WC_REPL_STREAMING)
        confirm(t);
    wc_repl_stop(t->repl);
}

/* ---- opening and closing ---- */

static uv_timer_t *make_timer(struct wc_tenant *t)
{
    uv_timer_t *timer = malloc(sizeof *timer);
    if (!timer)
        return NULL;
    (void)uv_timer_init(t->loop, timer); /* cannot fail */
    timer->data = t;
    return timer;
}

static void on_timer_closed(uv_handle_t *h)
{
    free(h);
}

bool wc_tenant_open_stream(struct wc_tenant *t)
{
    static const struct wc_repl_handler handler = {.wants = on_wants,
                                                   .on_event = on_event,
                                                   .on_progress = on_progress,
                                                   .on_batch_end = on_batch_end,
                                                   .on_state = on_state};
    const struct wc_repl_options o = {.pg = t->opt.pg,
                                      .tenant = t->opt.external_id,
                                      .slot_name = t->opt.slot_name,
                                      .publications = t->opt.publications,
                                      .messages_publication = t->opt.messages_publication,
                                      .status_interval_ms = t->opt.status_interval_ms,
                                      .max_rels = MAX_RELATIONS};
    t->repl = wc_repl_new(t->loop, &o, &handler, t);
    return t->repl != NULL;
}

bool wc_tenant_open_subs(struct wc_tenant *t)
{
    static const struct wc_subs_hooks hooks = {.resume = wc_tenant_stream_resume,
                                               .moved = on_moved,
                                               .failed = on_failed,
                                               .taken_back = on_taken_back,
                                               .standing = on_standing,
                                               .give_up = on_give_up,
                                               .server_at = on_server_at};
    const struct wc_subs_options o = {.pg = t->opt.pg,
                                      .tenant = t->opt.external_id,
                                      .publications = t->opt.publications,
                                      .first_audience = t->next_audience,
                                      .quota = t->view.quota,
                                      .share = t->share,
                                      .freshness_ms = t->opt.freshness_ms,
                                      .max_bindings = t->opt.max_bindings,
                                      .max_record_bytes = t->opt.max_record_bytes,
                                      .judge = t->opt.judge,
                                      .no_compiling = t->opt.no_compiling,
                                      .shadow_permille = t->opt.shadow_permille,
                                      .deletes = t->opt.deletes};
    t->stalled = t->marked = t->is_draining = false;
    t->progress = t->mark_lsn = 0;
    t->grace = make_timer(t);
    t->subs = t->grace ? wc_subs_new(t->loop, &o, t->publisher, &hooks, t) : NULL;
    return t->subs != NULL;
}

void wc_tenant_close_stream(struct wc_tenant *t)
{
    wc_repl_free(t->repl);
    t->repl = NULL;
    if (t->subs)
        t->next_audience = wc_subs_next_audience(t->subs);
    wc_subs_free(t->subs);
    t->subs = NULL;
    if (t->grace)
        uv_close((uv_handle_t *)t->grace, on_timer_closed);
    t->grace = NULL;
}

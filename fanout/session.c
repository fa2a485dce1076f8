#include "fanout/session.h"

#include "base/assert.h"
#include "fanout/hub.h"

#include <stdlib.h>

enum {
    PATIENCE_REGAIN = 10,      /* "Pacing" in session.h: a tenth of the time comes back */
    PATIENCE_START_US = 20000, /* to begin with; a hold lasts a timer's millisecond at least */
    SLOW_CLOSE_US = 1000000,   /* its socket is full: a close frame hardly gets through */
    POLITE_CLOSE_US = 5000000, /* others may first finish sending what they are sending */
    CLOSE_TEXT_MAX = 123,      /* RFC 6455, section 5.5: control payloads of 125 bytes */
    RX_CAP = 1 << 30,          /* never reached: ws.c checks max_frame_bytes before appending */
};

/* ---- state ---- */

/* Before the list of those who hold back changes, and before patience is looked at. */
static void reckon_patience(struct wc_hub *hub)
{
    wc_us passed = hub->now - hub->patience_at;
    hub->patience_at = hub->now;
    hub->patience += wc_list_is_empty(&hub->holding) ? passed / PATIENCE_REGAIN : -passed;
    if (hub->patience > WC_CREDIT_MAX_US)
        hub->patience = WC_CREDIT_MAX_US;
    if (hub->patience < 0)
        hub->patience = 0;
}

static void set_state(struct wc_session *s, enum wc_session_state to, enum wc_close_reason why)
{
    WC_ASSERT(s->state < to); /* every edge of the drawing goes forward */
    if (s->state == WC_SESSION_OPEN) {
        s->reason = why;
        wc_metric_add(wc_close_info(why)->metric, 1);
        wc_metric_add(WC_M_CONNECTIONS, -1);
        if (s->is_user)
            wc_quota_user_leave(s->tenant->quota);
        s->is_user = false;
    }
    wc_list_remove(&s->by_activity);
    wc_list_remove(&s->in_roster);
    reckon_patience(s->hub);
    wc_list_remove(&s->holding);
    if (to == WC_SESSION_CLOSING)
        wc_list_push(&s->hub->closing, &s->by_activity);
    s->state = to;
}

struct wc_session *wc_session_new(struct wc_hub *hub, struct wc_connect_result *from)
{
    struct wc_session *s = wc_slab_get(&hub->session_slab);
    if (!s) {
        wc_tenant_view_unref(from->tenant);
        wc_claims_unref(from->claims);
        return NULL;
    }
    s->magic = WC_SESSION_MAGIC;
    s->serializer = from->serializer;
    s->serial = hub->next_serial++;
    s->hub = hub;
    s->tenant = from->tenant;
    s->claims = from->claims;
    s->credit = WC_CREDIT_MAX_US;
    wc_list_init(&s->by_activity);
    wc_list_init(&s->in_roster);
    wc_list_init(&s->channels);
    wc_list_init(&s->dirty);
    wc_list_init(&s->holding);
    wc_list_init(&s->paused);
    wc_buf_init(&s->rx, RX_CAP);
    if (wc_roster_add(&hub->roster, s) == WC_OK)
        return s;
    wc_session_free(s);
    return NULL;
}

void wc_session_open(struct wc_session *s)
{
    WC_ON_THREAD(s->hub->owner);
    s->heard_at = s->hub->now;
    wc_list_push(&s->hub->sessions, &s->by_activity);
    wc_roster_open(s);
    wc_metric_add(WC_M_CONNECTIONS_TOTAL, 1);
    wc_metric_add(WC_M_CONNECTIONS, 1);
}

void wc_session_heard(struct wc_session *s)
{
    if (s->state != WC_SESSION_OPEN)
        return;
    s->heard_at = s->hub->now;
    wc_list_remove(&s->by_activity);
    wc_list_push(&s->hub->sessions, &s->by_activity);
}

void wc_session_pause(struct wc_session *s)
{
    if (s->state == WC_SESSION_OPEN && wc_list_is_empty(&s->paused))
        wc_list_push(&s->hub->paused, &s->paused);
}

static void end_channels(struct wc_session *s)
{
    WC_LIST_EACH_SAFE (it, &s->channels) {
        wc_hub_end_channel(s->hub, WC_CONTAINER(it, struct wc_channel, by_session));
    }
}

static void withhold(const struct wc_outq_done *lost, enum wc_close_reason why)
{
    static const enum wc_metric slow[WC_BOOKS] = {
        [WC_BOOK_CHANGE] = WC_M_WITHHELD_SLOW, [WC_BOOK_BROADCAST] = WC_M_BROADCAST_SLOW};
    static const enum wc_metric no_memory[WC_BOOKS] = {
        [WC_BOOK_CHANGE] = WC_M_WITHHELD_NO_MEMORY, [WC_BOOK_BROADCAST] = WC_M_BROADCAST_NO_MEMORY};
    static const enum wc_metric closed[WC_BOOKS] = {
        [WC_BOOK_CHANGE] = WC_M_WITHHELD_CLOSED, [WC_BOOK_BROADCAST] = WC_M_BROADCAST_CLOSED};
    const enum wc_metric *reason = why == WC_CLOSE_SLOW_CONSUMER ? slow
                                   : why == WC_CLOSE_NO_MEMORY   ? no_memory
                                                                 : closed;
    for (enum wc_book b = WC_BOOK_CHANGE; b < WC_BOOKS; b++)
        wc_metric_add(reason[b], lost->frames[b]);
}

static void withhold_one(enum wc_book book, enum wc_close_reason why)
{
    struct wc_outq_done lost = {0};
    lost.frames[book] = 1;
    withhold(&lost, why);
}

static size_t queued(const struct wc_session *s)
{
    return s->out.bytes + s->in_transport;
}

/* After every change of what is queued. */
static void count_queued(struct wc_session *s)
{
    wc_metric_add(WC_M_QUEUED_BYTES, (int64_t)queued(s) - (int64_t)s->counted_bytes);
    s->counted_bytes = queued(s);
}

static struct wc_frame *close_frame(const struct wc_close_info *info)
{
    size_t len = strlen(info->text);
    WC_ASSERT(len <= CLOSE_TEXT_MAX);
    struct wc_frame *f = wc_frame_new(WC_FRAME_CLOSE, 2 + len);
    if (!f)
        return NULL;
    wc_frame_payload(f)[0] = (uint8_t)(info->code >> 8);
    wc_frame_payload(f)[1] = (uint8_t)info->code;
    memcpy(wc_frame_payload(f) + 2, info->text, len);
    return f;
}

/* Clients that come and go are nothing to report; one that we had to close is. */
static void log_close(const struct wc_session *s, const struct wc_close_info *info)
{
    WC_LOG(info->is_fault && info->code ? WC_LOG_WARN : WC_LOG_DEBUG, "session", "closed",
           "tenant=%s reason=%s session=%u.%llu queued_bytes=%zu channels=%u",
           s->tenant->external_id, info->label, s->hub->opt.thread, (unsigned long long)s->serial,
           queued(s), s->nchannels);
}

static void mark_dirty(struct wc_session *s)
{
    if (wc_list_is_empty(&s->dirty))
        wc_list_push(&s->hub->dirty, &s->dirty);
}

/* Past every limit: it is one small frame, and the last. */
static void queue_close_frame(struct wc_session *s, const struct wc_close_info *info)
{
    struct wc_frame *f = close_frame(info);
    struct wc_held *h = f ? wc_held_new(&s->hub->held_slab, f, WC_BOOK_NONE) : NULL;
    if (h && wc_outq_push(&s->out, h) == WC_OK)
        mark_dirty(s);
    count_queued(s);
    wc_held_unref(&s->hub->held_slab, h); /* without a frame the deadline closes the connection */
}

void wc_session_close(struct wc_session *s, enum wc_close_reason reason)
{
    WC_ON_THREAD(s->hub->owner);
    if (s->state != WC_SESSION_OPEN)
        return;
    const struct wc_close_info *info = wc_close_info(reason);
    log_close(s, info);
    end_channels(s);
    bool is_slow = reason == WC_CLOSE_SLOW_CONSUMER;
    if (is_slow || reason == WC_CLOSE_NO_MEMORY) {
        struct wc_outq_done lost = {0};
        wc_outq_drop(&s->out, &s->hub->held_slab, &lost);
        withhold(&lost, reason);
    }
    set_state(s, WC_SESSION_CLOSING, reason);
    s->deadline = s->hub->now + (is_slow ? SLOW_CLOSE_US : POLITE_CLOSE_US);
    queue_close_frame(s, info);
}

void wc_session_disconnect(struct wc_session *s, enum wc_close_reason reason)
{
    WC_LIST_EACH_SAFE (it, &s->channels) {
        wc_channel_push_disconnect(WC_CONTAINER(it, struct wc_channel, by_session));
        if (s->state != WC_SESSION_OPEN)
            return; /* too slow for it, and the list is gone */
    }
    wc_session_close(s, reason);
}

void wc_session_lost(struct wc_session *s, enum wc_close_reason reason)
{
    WC_ON_THREAD(s->hub->owner);
    if (s->state == WC_SESSION_CLOSED)
        return;
    if (s->state == WC_SESSION_OPEN)
        log_close(s, wc_close_info(reason));
    end_channels(s);
    wc_list_remove(&s->dirty);
    wc_list_remove(&s->paused);
    wc_intake_release(&s->hub->intake, &s->rx);
    set_state(s, WC_SESSION_CLOSED, reason);
    wc_outq_release(&s->out, &s->hub->held_slab, &s->done);
    withhold(&s->done, s->reason);
    s->in_transport = 0;
    count_queued(s);
}

void wc_session_free(struct wc_session *s)
{
    if (!s)
        return;
    WC_ON_THREAD(s->hub->owner);
    WC_ASSERT(s->magic == WC_SESSION_MAGIC && wc_list_is_empty(&s->by_activity) &&
              wc_list_is_empty(&s->dirty));
    WC_ASSERT(!s->out.count); /* nothing is queued once it is lost */
    wc_outq_release(&s->out, &s->hub->held_slab, &s->done);
    wc_intake_release(&s->hub->intake, &s->rx);
    wc_roster_remove(&s->hub->roster, s);
    wc_tenant_view_unref(s->tenant);
    wc_claims_unref(s->claims);
    free(s->headers);
    s->magic = 0;
    wc_slab_put(&s->hub->session_slab, s);
}

/* ---- pacing ---- */

static bool is_above_half(const struct wc_session *s)
{
    return queued(s) > s->hub->opt.max_queued_bytes / 2;
}

static void spend_credit(struct wc_session *s)
{
    if (wc_list_is_empty(&s->holding))
        return;
    s->credit -= s->hub->now - s->credit_at;
    s->credit_at = s->hub->now;
    if (s->credit < 0)
        s->credit = 0;
}

/* Puts the session on the list of those who hold back, or takes it off. */
static void judge_holding(struct wc_session *s)
{
    spend_credit(s);
    reckon_patience(s->hub);
    bool held = !wc_list_is_empty(&s->holding);
    bool patient = s->hub->patience >= (held ? 1 : PATIENCE_START_US);
    bool holds = s->state == WC_SESSION_OPEN && s->credit > 0 && patient && is_above_half(s);
    if (holds == held)
        return;
    if (!holds) {
        wc_list_remove(&s->holding);
        return;
    }
    s->credit_at = s->hub->now;
    if (s->credit > s->hub->patience / 2) /* the rest is for those who come after */
        s->credit = s->hub->patience / 2;
    wc_list_push(&s->hub->holding, &s->holding);
}

wc_us wc_session_hold_time(struct wc_session *s)
{
    judge_holding(s);
    if (wc_list_is_empty(&s->holding))
        return 0;
    return s->credit < s->hub->patience ? s->credit : s->hub->patience;
}

/* The database's clock may be ahead of ours. */
static void count_delivered(struct wc_session *s)
{
    uint32_t changes = s->done.frames[WC_BOOK_CHANGE];
    wc_us age = changes && s->done.committed_at ? wc_clock_wall() - s->done.committed_at : 0;
    wc_metric_add(WC_M_CHANGES_DELIVERED, changes);
    wc_metric_add(WC_M_BROADCAST_DELIVERED, s->done.frames[WC_BOOK_BROADCAST]);
    if (changes && s->done.committed_at)
        wc_metric_observe(WC_H_COMMIT_TO_SOCKET, age > 0 ? (uint64_t)age : 0, changes);
    s->done = (struct wc_outq_done){0};
}

void wc_session_accepted(struct wc_session *s, size_t n)
{
    wc_hub_tally(s->hub, s->tenant, WC_T_BYTES_OUT, (int64_t)n);
    count_delivered(s);
    count_queued(s);
    spend_credit(s);
    wc_us earned = (wc_us)((uint64_t)n * 1000000 / s->hub->opt.pace_bytes_per_second);
    s->credit = earned > WC_CREDIT_MAX_US - s->credit ? WC_CREDIT_MAX_US : s->credit + earned;
    if (is_above_half(s)) {
        reckon_patience(s->hub);
        s->hub->patience += earned < WC_CREDIT_MAX_US ? earned : WC_CREDIT_MAX_US;
    }
    judge_holding(s);
}

/* ---- the queue ---- */

static bool fits(const struct wc_session *s, size_t len)
{
    size_t max = s->hub->opt.max_queued_bytes;
    return queued(s) + len <= max || (s->credit > 0 && queued(s) <= max / 2);
}

void wc_session_send_held(struct wc_session *s, struct wc_held *h)
{
    if (s->state != WC_SESSION_OPEN) {
        withhold_one(h->book, s->reason);
        return;
    }
    spend_credit(s);
    enum wc_status st = fits(s, h->frame->len) ? wc_outq_push(&s->out, h) : WC_LIMIT;
    if (st == WC_OK) {
        mark_dirty(s);
        count_queued(s);
        judge_holding(s);
        return;
    }
    wc_session_close(s, st == WC_LIMIT ? WC_CLOSE_SLOW_CONSUMER : WC_CLOSE_NO_MEMORY);
    withhold_one(h->book, s->reason);
}

void wc_session_send(struct wc_session *s, struct wc_frame *f)
{
    struct wc_held *h = f ? wc_held_new(&s->hub->held_slab, f, WC_BOOK_NONE) : NULL;
    if (!h) {
        wc_session_close(s, WC_CLOSE_NO_MEMORY);
        return;
    }
    wc_session_send_held(s, h);
    wc_held_unref(&s->hub->held_slab, h);
}

void wc_session_written(struct wc_session *s, size_t n)
{
    wc_metric_add(WC_M_FRAMES_OUT, wc_outq_consume(&s->out, &s->hub->held_slab, n, &s->done));
    wc_metric_add(WC_M_WRITES_OUT, 1);
}

void wc_session_writeable(struct wc_session *s)
{
    if (s->state != WC_SESSION_CLOSED && (s->out.count || s->in_transport))
        mark_dirty(s);
}

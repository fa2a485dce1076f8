#include "fanout/session.h"

#include "base/assert.h"
#include "fanout/hub.h"

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

static void withhold(uint32_t changes, enum wc_close_reason why)
{
    enum wc_metric reason = why == WC_CLOSE_SLOW_CONSUMER ? WC_M_WITHHELD_SLOW
                            : why == WC_CLOSE_NO_MEMORY   ? WC_M_WITHHELD_NO_MEMORY
                                                          : WC_M_WITHHELD_CLOSED;
    wc_metric_add(reason, changes);
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
           s->out.bytes + s->in_transport, s->nchannels);
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
    struct wc_held *h = f ? wc_held_new(&s->hub->held_slab, f, false) : NULL;
    if (h && wc_outq_push(&s->out, h) == WC_OK)
        mark_dirty(s);
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
    if (is_slow || reason == WC_CLOSE_NO_MEMORY)
        withhold(wc_outq_drop(&s->out, &s->hub->held_slab), reason);
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
    withhold(wc_outq_release(&s->out, &s->hub->held_slab) + s->changes_in_transport, s->reason);
}

void wc_session_free(struct wc_session *s)
{
    if (!s)
        return;
    WC_ON_THREAD(s->hub->owner);
    WC_ASSERT(s->magic == WC_SESSION_MAGIC && wc_list_is_empty(&s->by_activity) &&
              wc_list_is_empty(&s->dirty));
    (void)wc_outq_release(&s->out,
                          &s->hub->held_slab); /* empty: nothing is queued once it is lost */
    wc_intake_release(&s->hub->intake, &s->rx);
    wc_roster_remove(&s->hub->roster, s);
    wc_tenant_view_unref(s->tenant);
    wc_claims_unref(s->claims);
    s->magic = 0;
    wc_slab_put(&s->hub->session_slab, s);
}

/* ---- pacing ---- */

static size_t queued(const struct wc_session *s)
{
    return s->out.bytes + s->in_transport;
}

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

void wc_session_accepted(struct wc_session *s, size_t n)
{
    wc_metric_add(WC_M_BYTES_OUT, (int64_t)n);
    wc_metric_add(WC_M_CHANGES_DELIVERED, s->changes_in_transport);
    s->changes_in_transport = 0;
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
        withhold(h->is_change, s->reason);
        return;
    }
    spend_credit(s);
    enum wc_status st = fits(s, h->frame->len) ? wc_outq_push(&s->out, h) : WC_LIMIT;
    if (st == WC_OK) {
        mark_dirty(s);
        judge_holding(s);
        return;
    }
    wc_session_close(s, st == WC_LIMIT ? WC_CLOSE_SLOW_CONSUMER : WC_CLOSE_NO_MEMORY);
    withhold(h->is_change, s->reason);
}

void wc_session_send(struct wc_session *s, struct wc_frame *f)
{
    struct wc_held *h = f ? wc_held_new(&s->hub->held_slab, f, false) : NULL;
    if (!h) {
        wc_session_close(s, WC_CLOSE_NO_MEMORY);
        return;
    }
    wc_session_send_held(s, h);
    wc_held_unref(&s->hub->held_slab, h);
}

void wc_session_written(struct wc_session *s, size_t n)
{
    struct wc_outq_done done = wc_outq_consume(&s->out, &s->hub->held_slab, n);
    s->changes_in_transport += done.changes;
    wc_metric_add(WC_M_FRAMES_OUT, done.frames);
    wc_metric_add(WC_M_WRITES_OUT, 1);
}

void wc_session_writeable(struct wc_session *s)
{
    if (s->state != WC_SESSION_CLOSED && (s->out.count || s->in_transport))
        mark_dirty(s);
}

#include "fanout/presence.h"

#include "base/jsonw.h"
#include "base/uuid.h"
#include "fanout/hub.h"
#include "fanout/phoenix.h"
#include "fanout/presence_home.h"
#include "fanout/quota.h"

#include <strings.h>

enum {
    SIZE_ALLOWANCE = 500,       /* protocol reference, section 4.3 */
    ENTRY_BYTES = 512,          /* what a presence takes besides its text, about */
    SHARE = 16,                 /* a connection may take 1/SHARE of the budget */
    WHOLE_STATE_MAX = 16 << 10, /* below this a copy costs less than a second frame */
    RETRY_US = 50000,
    LOG_US = 10 * 1000000,
};

/* Of a client's message. GONE: the channel has ended. */
enum outcome { ACCEPTED, REFUSED, NOT_A_MAP, GONE };

static const char not_a_map[] = "{\"reason\":\"Presence track payload must be a map\"}";
static const char too_large[] = "Track message size exceeded";
static const char too_many_calls[] = "Client presence rate limit exceeded";
static const char too_many_events[] = "Too many presence messages per second";

static void log_refused(struct wc_channel *c, const char *code)
{
    unsigned long more = 0;
    wc_hub_count_error(c->session->hub, c->session->tenant, wc_slice_str(code));
    if (wc_log_limit(&c->session->hub->presence_log, LOG_US, &more))
        WC_LOG(WC_LOG_INFO, "presence", "refused", "tenant=%s code=%s suppressed=%lu",
               c->session->tenant->external_id, code, more);
}

static enum outcome shut(struct wc_channel *c, const char *code, const char *text)
{
    log_refused(c, code);
    wc_hub_shut_channel(c->session->hub, c, wc_slice_str(text));
    return GONE;
}

/* ---- to the home ---- */

static unsigned home_of(const struct wc_channel *c)
{
    return wc_presence_home_of(c->room, wc_mesh_sockets(c->session->hub->opt.mesh));
}

/* The text begins with the room's topic. */
static struct wc_msg *new_request(const struct wc_channel *c, enum wc_presence_op op,
                                  struct wc_slice text)
{
    struct wc_msg *m = wc_msg_new(WC_MSG_PRESENCE, text);
    if (!m)
        return NULL;
    m->handle = wc_channel_handle(&c->session->hub->channels, c);
    m->room = c->room->number;
    m->presence = (struct wc_presence_request){.op = op,
                                               .serializer = c->session->serializer,
                                               .tenant = c->room->tenant,
                                               .is_private = c->room->is_private,
                                               .home = home_of(c),
                                               .sub_len = (uint32_t)c->room->sub.len};
    return m;
}

static enum wc_status send(struct wc_hub *hub, struct wc_msg *taken)
{
    return wc_publish(hub->publisher, WC_ORIGIN_CLIENT, taken, UINT64_C(1) << taken->presence.home);
}

/* A session without memory is closed, which ends the channel. */
static bool send_or_close(struct wc_channel *c, struct wc_msg *taken)
{
    if (taken && send(c->session->hub, taken) == WC_OK)
        return true;
    wc_session_close(c->session, WC_CLOSE_NO_MEMORY);
    return false;
}

/* ---- budget ---- */

static void give_back(struct wc_channel *c, uint64_t bytes)
{
    if (bytes == 0)
        return;
    /* Relaxed: only the sum counts. */
    (void)atomic_fetch_sub_explicit(&c->session->hub->opt.presence.budget->used, bytes,
                                    memory_order_relaxed);
    c->session->presence_bytes -= bytes;
}

static bool reserve(struct wc_channel *c, uint64_t bytes)
{
    struct wc_presence_budget *b = c->session->hub->opt.presence.budget;
    if (c->session->presence_bytes + bytes > b->max / SHARE)
        return false;
    uint64_t before = atomic_fetch_add_explicit(&b->used, bytes, memory_order_relaxed);
    c->session->presence_bytes += bytes;
    if (before + bytes <= b->max)
        return true;
    give_back(c, bytes);
    return false;
}

/* ---- track ---- */

static void put_uuid(struct wc_channel *c, struct wc_buf *out)
{
    if (!c->presence.has_uuid)
        wc_uuid_random(c->presence.uuid);
    c->presence.has_uuid = true;
    wc_jsonw_uuid(out, c->presence.uuid);
}

static bool is_ours(const struct wc_json *doc, uint32_t key, struct wc_arena *arena)
{
    struct wc_slice s;
    return wc_json_string(doc, key, arena, &s) &&
           (wc_slice_is(s, "phx_ref") || wc_slice_is(s, "phx_ref_prev"));
}

/* The members of the payload, verbatim, but for those that are ours to set. */
static void put_members(struct wc_buf *out, const struct wc_json *doc, uint32_t object,
                        struct wc_arena *arena)
{
    const char *comma = "";
    for (uint32_t key = wc_json_first(doc, object); key != WC_JSON_NONE;) {
        uint32_t value = wc_json_next(doc, key);
        if (!is_ours(doc, key, arena)) {
            wc_buf_str(out, comma);
            wc_buf_slice(out, wc_json_raw(doc, key));
            wc_buf_byte(out, ':');
            wc_buf_slice(out, wc_json_raw(doc, value));
            comma = ",";
        }
        key = wc_json_next(doc, value);
    }
}

static struct wc_msg *track_request(struct wc_channel *c, const struct wc_json *doc,
                                    uint32_t payload)
{
    struct wc_buf text;
    struct wc_msg *m = NULL;
    wc_buf_init(&text, UINT32_MAX);
    wc_buf_slice(&text, c->room->sub);
    if (c->config.presence_key.len)
        wc_jsonw_string(&text, c->config.presence_key);
    else
        put_uuid(c, &text);
    size_t key_len = text.len - c->room->sub.len;
    put_members(&text, doc, payload, &c->session->hub->arena);
    if (text.status == WC_OK)
        m = new_request(c, WC_PRESENCE_TRACK, wc_buf_view(&text));
    if (m)
        m->presence.key_len = (uint32_t)key_len;
    wc_buf_release(&text);
    return m;
}

/* The message for its end at hand, and the bytes reserved. */
static enum outcome prepare(struct wc_channel *c, uint64_t bytes)
{
    struct wc_presence_member *p = &c->presence;
    if (!p->leave)
        p->leave = new_request(c, WC_PRESENCE_UNTRACK, c->room->sub);
    if (!p->leave) {
        wc_session_close(c->session, WC_CLOSE_NO_MEMORY);
        return GONE;
    }
    if (!wc_publisher_is_full(c->session->hub->publisher) && reserve(c, bytes))
        return ACCEPTED;
    log_refused(c, "UnableToTrackPresence");
    return REFUSED;
}

static enum outcome update(struct wc_channel *c, const struct wc_json *doc, uint32_t payload)
{
    struct wc_presence_member *p = &c->presence;
    struct wc_slice raw = wc_json_raw(doc, payload);
    uint64_t hash = wc_hash(raw), before = p->bytes;
    uint64_t bytes = raw.len + c->config.presence_key.len + ENTRY_BYTES;
    if (p->is_tracked && p->payload == hash)
        return ACCEPTED;
    enum outcome outcome = prepare(c, bytes);
    if (outcome != ACCEPTED)
        return outcome;
    p->bytes += bytes;
    if (!send_or_close(c, track_request(c, doc, payload)))
        return GONE;
    p->bytes -= before;
    give_back(c, before);
    p->payload = hash;
    p->is_tracked = true;
    wc_hub_count(c->session->hub, c->session->tenant, WC_QUOTA_PRESENCE, 1);
    wc_hub_observe(c->session->hub, c->session->tenant, WC_TH_PAYLOAD_PRESENCE, raw.len);
    return ACCEPTED;
}

static enum outcome track(struct wc_channel *c, const struct wc_json *doc, uint32_t payload)
{
    enum wc_json_type type = wc_json_type(doc, payload);
    size_t limit =
        (size_t)wc_quota_max_payload_kb(c->session->tenant->quota) * 1000 + SIZE_ALLOWANCE;
    if (type != WC_JSON_OBJECT && type != WC_JSON_ABSENT) {
        log_refused(c, "InvalidPresencePayload");
        return NOT_A_MAP;
    }
    if (!(c->may & WC_MAY_WRITE_PRESENCE)) {
        log_refused(c, "UnableToHandlePresence");
        return REFUSED;
    }
    if (wc_quota_is_triggered(c->session->tenant->quota, WC_QUOTA_PRESENCE))
        return shut(c, "PresenceRateLimitReached", too_many_events);
    if (wc_json_raw(doc, payload).len > limit)
        return shut(c, "PayloadSizeExceeded", too_large);
    c->config.wants_presence = true;
    return update(c, doc, payload);
}

static enum outcome untrack(struct wc_channel *c)
{
    struct wc_presence_member *p = &c->presence;
    if (!p->is_tracked)
        return ACCEPTED;
    if (!send_or_close(c, new_request(c, WC_PRESENCE_UNTRACK, c->room->sub)))
        return GONE;
    p->is_tracked = false;
    give_back(c, p->bytes);
    p->bytes = 0;
    return ACCEPTED;
}

/* ---- what clients say ---- */

static bool is_within_window(struct wc_channel *c)
{
    const struct wc_presence_options *o = &c->session->hub->opt.presence;
    const struct wc_tenant_limits own = wc_quota_limits(c->session->tenant->quota);
    wc_us window = own.presence_window_ms ? (wc_us)own.presence_window_ms * 1000 : o->window;
    wc_us now = c->session->hub->now;
    if (now >= c->presence.window_end) {
        c->presence.window_end = now + window;
        c->presence.calls = 0;
    }
    return ++c->presence.calls <= (own.presence_max_calls ? own.presence_max_calls : o->max_calls);
}

static bool is_event(struct wc_slice s, const char *lower)
{
    return s.len == strlen(lower) && strncasecmp((const char *)s.p, lower, s.len) == 0;
}

bool wc_presence_is_track(const struct wc_channel *c, const struct wc_phx_message *m)
{
    struct wc_slice event;
    uint32_t node = wc_json_get(&m->doc, m->payload, "event");
    return wc_json_string(&m->doc, node, &c->session->hub->arena, &event) &&
           is_event(event, "track");
}

static enum outcome handle(struct wc_channel *c, const struct wc_phx_message *m)
{
    struct wc_slice event;
    uint32_t node = wc_json_get(&m->doc, m->payload, "event");
    if (!is_within_window(c))
        return shut(c, "ClientPresenceRateLimitReached", too_many_calls);
    if (node == WC_JSON_NONE)
        return ACCEPTED;
    bool is_text = wc_json_string(&m->doc, node, &c->session->hub->arena, &event);
    if (is_text && is_event(event, "track"))
        return track(c, &m->doc, wc_json_get(&m->doc, m->payload, "payload"));
    if (is_text && is_event(event, "untrack"))
        return untrack(c);
    log_refused(c, "UnknownPresenceEvent");
    return REFUSED;
}

void wc_presence_receive(struct wc_channel *c, const struct wc_phx_message *m)
{
    struct wc_session *s = c->session;
    enum outcome outcome = handle(c, m);
    if (wc_publisher_is_backlogged(s->hub->publisher))
        wc_session_pause(s);
    switch (outcome) {
    case ACCEPTED: wc_channel_reply(c, m->ref, true, wc_slice_str("{}")); break;
    case REFUSED: wc_channel_reply(c, m->ref, false, wc_slice_str("{}")); break;
    case NOT_A_MAP: wc_channel_reply(c, m->ref, false, wc_slice_str(not_a_map)); break;
    case GONE: break;
    }
}

/* ---- the channel's life ---- */

bool wc_presence_joined(struct wc_channel *c)
{
    if (!c->config.wants_presence || !(c->may & WC_MAY_READ_PRESENCE))
        return true;
    if (wc_quota_is_triggered(c->session->tenant->quota, WC_QUOTA_PRESENCE)) {
        (void)shut(c, "PresenceRateLimitReached", too_many_events); /* always GONE */
        return false;
    }
    c->presence.awaits_state = true;
    return send_or_close(c, new_request(c, WC_PRESENCE_STATE, c->room->sub));
}

/* False: the first one still waits. */
static bool send_leaves(struct wc_hub *hub)
{
    for (struct wc_msg *m; (m = wc_msg_queue_pop(&hub->leaves));) {
        wc_msg_ref(m, 1); /* publishing drops one when it fails */
        if (send(hub, m) != WC_OK) {
            wc_msg_queue_push_front(&hub->leaves, m);
            return false;
        }
        wc_msg_unref(m);
    }
    return true;
}

void wc_presence_ended(struct wc_channel *c)
{
    struct wc_presence_member *p = &c->presence;
    give_back(c, p->bytes);
    if (p->is_tracked)
        wc_msg_queue_push(&c->session->hub->leaves, p->leave);
    else
        wc_msg_unref(p->leave);
    *p = (struct wc_presence_member){0};
    (void)send_leaves(c->session->hub); /* or at the end of the turn */
}

/* ---- what clients are told ---- */

/* The home's frame holds what follows the event, up to the closing bracket. */
static void put_v2_head(struct wc_buf *out, const struct wc_channel *c)
{
    wc_buf_byte(out, '[');
    wc_buf_slice(out, wc_channel_join_ref(c));
    wc_buf_str(out, ",null,");
    wc_jsonw_string(out, c->topic);
    wc_buf_str(out, ",\"presence_state\",");
}

static void send_shared(struct wc_session *s, struct wc_frame *f)
{
    struct wc_held *h = wc_held_new(&s->hub->held_slab, wc_frame_ref(f), WC_BOOK_NONE);
    if (h)
        wc_session_send_held(s, h);
    else
        wc_session_close(s, WC_CLOSE_NO_MEMORY);
    wc_held_unref(&s->hub->held_slab, h);
}

static void send_v2(struct wc_channel *c, struct wc_frame *tail)
{
    struct wc_session *s = c->session;
    struct wc_slice rest = wc_slice(wc_frame_payload(tail), tail->len - tail->payload);
    bool is_whole = rest.len <= WHOLE_STATE_MAX;
    struct wc_buf text;
    wc_buf_init(&text, 8 * WC_PHX_TOPIC_MAX + WHOLE_STATE_MAX);
    put_v2_head(&text, c);
    if (is_whole)
        wc_buf_slice(&text, rest);
    wc_session_send(
        s, text.status == WC_OK
               ? wc_frame_copy(is_whole ? WC_FRAME_TEXT : WC_FRAME_TEXT_BEGIN, wc_buf_view(&text))
               : NULL);
    wc_buf_release(&text);
    if (!is_whole && s->state == WC_SESSION_OPEN)
        send_shared(s, tail);
}

void wc_presence_deliver_state(struct wc_hub *hub, const struct wc_msg *m)
{
    struct wc_channel *c = wc_channel_by_handle(&hub->channels, m->handle);
    if (!c || !(c->may & WC_MAY_READ_PRESENCE))
        return; /* a new token is judged: it is asked for again if that may read it */
    c->presence.awaits_state = false;
    wc_hub_count(hub, c->session->tenant, WC_QUOTA_PRESENCE, 1);
    if (c->session->serializer == WC_PHX_V2)
        send_v2(c, m->frame[WC_PHX_V2]);
    else
        send_shared(c->session, m->frame[WC_PHX_V1]);
}

wc_us wc_presence_turn(struct wc_hub *hub)
{
    bool is_sent = send_leaves(hub);
    wc_us wait = wc_presence_home_turn(hub->presence_home, hub->now);
    return is_sent || (wait && wait < RETRY_US) ? wait : RETRY_US;
}

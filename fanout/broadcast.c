#include "fanout/broadcast.h"

#include "fanout/phxbin.h"

#include <stdio.h>

enum {
    SIZE_ALLOWANCE = 500, /* protocol reference, section 4.3 */
    USER_OVERHEAD = 26,   /* of kind 3, same section: what is counted besides its bytes */
    ROW_OVERHEAD = 6,     /* database reference, section 8.3 */
    METADATA_MAX = 64,    /* {"id":"..."} with a UUID in it */
    DROPPED_LOG_US = 10 * 1000000,
};

static const char size_exceeded[] = "\"payload_size_exceeded\"";
static const char not_sent[] = "\"broadcast_failed\"";

static const struct wc_json_limits payload_limits = {.depth = 64,
                                                     .nodes = 1000000}; /* as phoenix.c */

/* ---- encoding ---- */

static enum wc_status given(struct wc_frame *made, struct wc_frame **out)
{
    if (!made)
        return WC_NOMEM;
    *out = made;
    return WC_OK;
}

static enum wc_status encode_verbatim(const struct wc_broadcast *b, enum wc_serializer v,
                                      struct wc_slice topic, struct wc_frame **out)
{
    const struct wc_phx_envelope e = {.topic = topic, .event = wc_slice_str("broadcast")};
    bool is_object = b->payload.len && b->payload.p[0] == '{';
    *out = NULL;
    return v == WC_PHX_V1 || is_object ? given(wc_phx_encode(v, &e, b->payload), out) : WC_OK;
}

static enum wc_status encode_named(const struct wc_broadcast *b, enum wc_serializer v,
                                   struct wc_slice topic, struct wc_frame **out)
{
    const struct wc_phx_named n = {.event = b->event, .id = b->id, .payload_json = b->payload};
    return given(wc_phx_named(v, topic, &n), out);
}

static enum wc_status encode_user_v1(const struct wc_broadcast *b, struct wc_slice topic,
                                     struct wc_arena *scratch, struct wc_frame **out)
{
    struct wc_json doc;
    enum wc_status st = wc_json_parse(&doc, b->payload, scratch, payload_limits, NULL);
    if (st == WC_OK)
        return encode_named(b, WC_PHX_V1, topic, out);
    *out = NULL;
    return st == WC_NOMEM ? WC_NOMEM : WC_OK;
}

static enum wc_status encode_user(const struct wc_broadcast *b, enum wc_serializer v,
                                  struct wc_slice topic, struct wc_arena *scratch,
                                  struct wc_frame **out)
{
    bool is_json = b->form == WC_BROADCAST_USER_JSON;
    const struct wc_phxbin bin = {.kind = WC_PHXBIN_USER_BROADCAST,
                                  .topic = topic,
                                  .event = b->event,
                                  .is_json = is_json,
                                  .payload = b->payload};
    *out = NULL;
    if (v == WC_PHX_V2)
        return wc_phxbin_encode(&bin, out);
    return is_json ? encode_user_v1(b, topic, scratch, out) : WC_OK;
}

/* The id is a UUID, which needs no escapes. */
static enum wc_status encode_row(const struct wc_broadcast *b, enum wc_serializer v,
                                 struct wc_slice topic, struct wc_frame **out)
{
    bool is_json = b->form == WC_BROADCAST_ROW_JSON;
    *out = NULL;
    if (v == WC_PHX_V1)
        return is_json ? encode_named(b, v, topic, out) : WC_OK;
    char metadata[METADATA_MAX];
    int n = snprintf(metadata, sizeof metadata, "{\"id\":\"%.*s\"}", WC_SLICE_ARG(b->id));
    if (n < 0 || (size_t)n >= sizeof metadata)
        return WC_LIMIT;
    const struct wc_phxbin bin = {.kind = WC_PHXBIN_USER_BROADCAST,
                                  .topic = topic,
                                  .event = b->event,
                                  .metadata = wc_slice(metadata, (size_t)n),
                                  .is_json = is_json,
                                  .payload = b->payload};
    return wc_phxbin_encode(&bin, out);
}

static enum wc_status encode_push(const struct wc_broadcast *b, enum wc_serializer v,
                                  struct wc_slice topic, struct wc_frame **out)
{
    const struct wc_phxbin bin = {.kind = WC_PHXBIN_BROADCAST,
                                  .topic = topic,
                                  .event = wc_slice_str("broadcast"),
                                  .payload = b->payload};
    *out = NULL;
    return v == WC_PHX_V2 ? wc_phxbin_encode(&bin, out) : WC_OK;
}

/* *out is the frame for the receivers of this serializer, NULL when they get none. LIMIT: topic or
 * event do not fit a binary frame. */
static enum wc_status encode(const struct wc_broadcast *b, enum wc_serializer v,
                             struct wc_slice topic, struct wc_arena *scratch, struct wc_frame **out)
{
    switch (b->form) {
    case WC_BROADCAST_VERBATIM: return encode_verbatim(b, v, topic, out);
    case WC_BROADCAST_NAMED: return encode_named(b, v, topic, out);
    case WC_BROADCAST_USER_JSON:
    case WC_BROADCAST_USER_BINARY: return encode_user(b, v, topic, scratch, out);
    case WC_BROADCAST_PUSH: return encode_push(b, v, topic, out);
    case WC_BROADCAST_ROW_JSON:
    case WC_BROADCAST_ROW_BINARY: return encode_row(b, v, topic, out);
    }
    return WC_INVALID;
}

/* What is counted besides the payload. */
static size_t overhead(const struct wc_broadcast *b)
{
    switch (b->form) {
    case WC_BROADCAST_USER_JSON:
    case WC_BROADCAST_USER_BINARY: return b->event.len + USER_OVERHEAD;
    case WC_BROADCAST_ROW_JSON:
    case WC_BROADCAST_ROW_BINARY: return ROW_OVERHEAD;
    case WC_BROADCAST_VERBATIM:
    case WC_BROADCAST_NAMED:
    case WC_BROADCAST_PUSH: return 0;
    }
    return 0;
}

bool wc_broadcast_fits(const struct wc_broadcast *b, uint32_t max_payload_kb)
{
    return b->payload.len + overhead(b) <= (size_t)max_payload_kb * 1000 + SIZE_ALLOWANCE;
}

/* ---- publishing ---- */

static enum wc_status count_dropped(struct wc_hub *hub, enum wc_status why)
{
    unsigned long more = 0;
    wc_metric_add(why == WC_NOMEM ? WC_M_BROADCASTS_NO_MEMORY : WC_M_BROADCASTS_OVERFLOW, 1);
    if (wc_log_limit(&hub->dropped_log, DROPPED_LOG_US, &more))
        WC_LOG(WC_LOG_WARN, "broadcast", "dropped", "why=\"%s\" suppressed=%lu",
               why == WC_NOMEM ? "out of memory" : "too much waits for full rings", more);
    return why;
}

/* One frame per serializer in use; *threads are those that get any. */
static enum wc_status fill(struct wc_msg *m, const struct wc_room *room, struct wc_slice topic,
                           const struct wc_broadcast *b, struct wc_arena *scratch,
                           uint64_t *threads)
{
    enum wc_status st = WC_OK;
    for (enum wc_serializer v = WC_PHX_V1; v < WC_PHX_COUNT && st == WC_OK; v++) {
        uint64_t users = wc_room_threads(room, v);
        if (users)
            st = encode(b, v, topic, scratch, &m->frame[v]);
        if (m->frame[v])
            *threads |= users;
    }
    return st;
}

static enum wc_metric sent_by(enum wc_origin origin)
{
    switch (origin) {
    case WC_ORIGIN_CLIENT: return WC_M_BROADCASTS_CLIENT;
    case WC_ORIGIN_BRIDGE: return WC_M_BROADCASTS_DATABASE;
    case WC_ORIGIN_HTTP: return WC_M_BROADCASTS_HTTP;
    }
    return WC_M_NONE;
}

enum wc_status wc_broadcast_emit(struct wc_publisher *publisher,
                                 const struct wc_broadcast_target *to, const struct wc_broadcast *b,
                                 struct wc_arena *scratch)
{
    uint64_t threads = 0;
    if (wc_publisher_is_full(publisher))
        return WC_LIMIT;
    struct wc_msg *m = wc_msg_new(WC_MSG_ROOM, wc_slice(NULL, 0));
    if (!m)
        return WC_NOMEM;
    m->room = to->room->number;
    m->handle = to->except;
    m->share = to->share;
    m->has_id = b->uuid != NULL;
    if (m->has_id)
        memcpy(m->id, b->uuid, sizeof m->id);
    enum wc_status st = fill(m, to->room, to->topic, b, scratch, &threads);
    if (st == WC_OK)
        st = wc_publish(publisher, to->origin, m, threads);
    else
        wc_msg_unref(m);
    wc_metric_add(WC_M_BROADCASTS_OUT, st == WC_OK);
    return st;
}

enum wc_status wc_broadcast_publish(struct wc_hub *hub, enum wc_origin origin,
                                    const struct wc_room *room, struct wc_slice topic,
                                    struct wc_handle except, const struct wc_broadcast *b)
{
    const struct wc_broadcast_target to = {
        .origin = origin, .room = room, .topic = topic, .except = except};
    wc_metric_add(sent_by(origin), 1);
    enum wc_status st = wc_broadcast_emit(hub->publisher, &to, b, &hub->arena);
    return st == WC_OK ? WC_OK : count_dropped(hub, st);
}

enum wc_status wc_broadcast_send(struct wc_hub *hub, const struct wc_tenant_view *tenant,
                                 bool is_private, struct wc_slice sub, const struct wc_broadcast *b)
{
    static const char prefix[] = "realtime:";
    const size_t n = sizeof prefix - 1;
    struct wc_room *room = wc_room_find(hub->opt.rooms, tenant->id, is_private, sub);
    wc_hub_observe(hub, tenant, WC_TH_PAYLOAD_BROADCAST, b->payload.len);
    if (!room) {
        wc_metric_add(WC_M_BROADCASTS_HTTP, 1);
        wc_metric_add(WC_M_BROADCASTS_EMPTY, 1);
        return WC_OK;
    }
    uint8_t *topic = wc_arena_alloc(&hub->arena, n + sub.len);
    enum wc_status st = WC_NOMEM;
    if (topic) {
        memcpy(topic, prefix, n);
        memcpy(topic + n, sub.p, sub.len);
        st = wc_broadcast_publish(hub, WC_ORIGIN_HTTP, room, wc_slice(topic, n + sub.len),
                                  (struct wc_handle){0}, b);
    }
    wc_room_release(hub->opt.rooms, room);
    return st;
}

/* ---- from a client ---- */

static struct wc_broadcast of_message(const struct wc_phx_message *m)
{
    struct wc_broadcast b = {.event = m->user_event, .payload = m->data};
    switch (m->form) {
    case WC_PHX_TEXT:
        b.form = WC_BROADCAST_VERBATIM;
        b.payload = wc_json_raw(&m->doc, m->payload);
        break;
    case WC_PHX_BINARY_PUSH: b.form = WC_BROADCAST_PUSH; break;
    case WC_PHX_USER_JSON: b.form = WC_BROADCAST_USER_JSON; break;
    case WC_PHX_USER_BINARY: b.form = WC_BROADCAST_USER_BINARY; break;
    }
    return b;
}

/* NULL, or the response of the error reply. */
static const char *send(struct wc_channel *c, const struct wc_broadcast *b)
{
    struct wc_session *s = c->session;
    struct wc_handle except = {0};
    if (!wc_broadcast_fits(b, wc_quota_max_payload_kb(s->tenant->quota))) {
        wc_metric_add(WC_M_BROADCASTS_CLIENT, 1);
        wc_metric_add(WC_M_BROADCASTS_TOO_LARGE, 1);
        return size_exceeded;
    }
    wc_hub_observe(s->hub, s->tenant, WC_TH_PAYLOAD_BROADCAST, b->payload.len);
    if (!c->config.wants_self)
        except = wc_channel_handle(&s->hub->channels, c);
    enum wc_status st =
        wc_broadcast_publish(s->hub, WC_ORIGIN_CLIENT, c->room, c->topic, except, b);
    if (wc_publisher_is_backlogged(s->hub->publisher))
        wc_session_pause(s);
    return st == WC_OK ? NULL : not_sent;
}

void wc_broadcast_receive(struct wc_channel *c, const struct wc_phx_message *m)
{
    const struct wc_broadcast b = of_message(m);
    wc_hub_count(c->session->hub, c->session->tenant, WC_QUOTA_EVENTS, 1);
    if (!(c->may & WC_MAY_WRITE_BROADCAST)) {
        wc_metric_add(WC_M_BROADCASTS_CLIENT, 1);
        wc_metric_add(WC_M_BROADCASTS_DENIED, 1);
        return;
    }
    const char *error = send(c, &b);
    if (c->config.wants_ack)
        wc_channel_reply(c, m->ref, error == NULL, wc_slice_str(error ? error : "{}"));
}

#include "fanout/join.h"

#include "base/jsonw.h"
#include "fanout/binding.h"
#include "fanout/hub.h"
#include "fanout/subscription.h"
#include "fanout/token.h"
#include "fanout/wait.h"

#include <stdlib.h>
#include <strings.h>

enum {
    CHANNELS_MAX = 99999,     /* protocol reference, section 3.4 */
    WEIGHT_MAX = 8 << 20,     /* of a connection: room for CHANNELS_MAX channels of 80 bytes */
    REASON_CAP = 16 << 10,    /* the longest holds a topic, escaped later */
    REPLY_CAP = 64 << 20,     /* bindings as sent: bounded by the client's message */
    REFUSED_LOG_US = 1000000, /* a client that keeps trying is one line a second */
};

static const struct wc_json_limits legacy_limits = {.depth = 2, .nodes = 8};

static const char no_memory[] = "Unknown Error on Channel";

struct join {
    struct wc_session *s;
    const struct wc_phx_message *m;
    struct wc_arena *arena;
    struct wc_slice sub; /* topic without its prefix */
    struct wc_buf reason;
    struct wc_claims *claims; /* a reference */
    struct wc_channel_config config;
    struct wc_json legacy; /* the binding a legacy join stands for */
    const struct wc_json *doc;
    bool waits; /* to be answered when the changes stand */
    uint32_t timeout_ms;
    bool is_over_rate; /* the connection goes down, too */
    uint32_t nbindings;
    uint32_t node[WC_BINDINGS_MAX], id[WC_BINDINGS_MAX];
};

static bool refuse(struct join *j, const char *reason)
{
    wc_buf_str(&j->reason, reason);
    return false;
}

static bool refuse_for_memory(struct join *j)
{
    return refuse(j, no_memory);
}

/* ---- token (sections 3.3 and 3.4, row 7) ---- */

static struct wc_slice string_member(struct join *j, const char *key)
{
    const struct wc_json *doc = &j->m->doc;
    struct wc_slice s;
    uint32_t node = wc_json_get(doc, j->m->payload, key);
    return wc_json_string(doc, node, j->arena, &s) ? s : wc_slice(NULL, 0);
}

/* The token that the join brings; p NULL: the connection's own serves. */
static struct wc_slice choose_token(struct join *j)
{
    struct wc_slice access = string_member(j, "access_token");
    struct wc_slice user = string_member(j, "user_token");
    if (wc_token_is_api_key(access.p ? access : user))
        return wc_slice(NULL, 0);
    return user.p ? user : access;
}

static bool refuse_token(struct join *j, enum wc_jwt_result why, const struct wc_jwt_detail *detail)
{
    wc_token_join_reason(&j->reason, why, detail);
    return false;
}

static bool take_token(struct join *j)
{
    struct wc_slice token = choose_token(j);
    int64_t now = wc_clock_wall() / 1000000;
    struct wc_jwt_detail detail = {0};
    if (!token.p) {
        detail.expired_s = now - j->s->claims->exp;
        if (detail.expired_s >= 0)
            return refuse_token(j, WC_JWT_EXPIRED, &detail);
        j->claims = wc_claims_ref(j->s->claims);
        return true;
    }
    enum wc_jwt_result r = wc_jwt_verify(j->s->tenant->keys, token, now, &j->claims, &detail);
    return r == WC_JWT_OK || refuse_token(j, r, &detail);
}

/* ---- configuration (sections 3.2 and 7.2) ---- */

/* JSON true, or the word in any letter case; everything else is the default, false. */
static bool is_flexible_true(struct join *j, uint32_t node)
{
    struct wc_slice s;
    if (wc_json_type(j->doc, node) == WC_JSON_TRUE)
        return true;
    return wc_json_string(j->doc, node, j->arena, &s) && s.len == 4 &&
           strncasecmp((const char *)s.p, "true", 4) == 0;
}

static bool take_binding(struct join *j, uint32_t node)
{
    uint32_t hash;
    if (wc_json_type(j->doc, node) != WC_JSON_OBJECT)
        return refuse(j, "UnknownErrorOnChannel: postgres_changes holds something that is not an "
                         "object");
    if (j->nbindings == WC_BINDINGS_MAX)
        return refuse(j, "UnknownErrorOnChannel: too many postgres_changes in one join");
    if (!wc_binding_hash(j->doc, node, j->arena, &hash))
        return refuse_for_memory(j);
    j->node[j->nbindings] = node;
    j->id[j->nbindings] = wc_binding_unique(hash, j->id, j->nbindings);
    j->nbindings++;
    return true;
}

static bool take_bindings(struct join *j, uint32_t array)
{
    if (wc_json_type(j->doc, array) != WC_JSON_ARRAY)
        return true;
    for (uint32_t n = wc_json_first(j->doc, array); n != WC_JSON_NONE; n = wc_json_next(j->doc, n))
        if (wc_json_type(j->doc, n) != WC_JSON_NULL && !take_binding(j, n))
            return false;
    return true;
}

/* A join without `config` subscribes to what its topic names: schema[:table[:filter]]. */
static bool take_legacy(struct join *j)
{
    static const char *const key[] = {"{\"schema\":", ",\"table\":", ",\"filter\":"};
    struct wc_buf text;
    struct wc_slice rest = j->sub;
    wc_buf_init(&text, REASON_CAP);
    for (unsigned part = 0; part < 3; part++) {
        const uint8_t *colon = part < 2 ? memchr(rest.p, ':', rest.len) : NULL;
        size_t len = colon ? (size_t)(colon - rest.p) : rest.len;
        wc_buf_str(&text, key[part]);
        wc_jsonw_string(&text, wc_slice(rest.p, len));
        if (!colon)
            break;
        rest = wc_slice(colon + 1, rest.len - len - 1);
    }
    wc_buf_byte(&text, '}');
    char *kept = text.status == WC_OK ? wc_arena_strdup(j->arena, wc_buf_view(&text)) : NULL;
    wc_buf_release(&text);
    j->doc = &j->legacy;
    if (!kept || wc_json_parse(&j->legacy, wc_slice_str(kept), j->arena, legacy_limits, NULL))
        return refuse_for_memory(j);
    return take_binding(j, 0);
}

/* Any scalar; a number stands for its decimal text, null and false for none. */
static struct wc_slice scalar_text(struct join *j, uint32_t node)
{
    struct wc_slice s;
    if (wc_json_string(j->doc, node, j->arena, &s))
        return s;
    enum wc_json_type type = wc_json_type(j->doc, node);
    return type == WC_JSON_NUMBER || type == WC_JSON_TRUE ? wc_json_raw(j->doc, node)
                                                          : wc_slice(NULL, 0);
}

static void take_options(struct join *j, uint32_t config)
{
    uint32_t broadcast = wc_json_get(j->doc, config, "broadcast");
    uint32_t presence = wc_json_get(j->doc, config, "presence");
    j->config.is_private = is_flexible_true(j, wc_json_get(j->doc, config, "private"));
    j->config.wants_self = is_flexible_true(j, wc_json_get(j->doc, broadcast, "self"));
    j->config.wants_ack = is_flexible_true(j, wc_json_get(j->doc, broadcast, "ack"));
    j->config.wants_presence = is_flexible_true(j, wc_json_get(j->doc, presence, "enabled"));
    j->config.presence_key = scalar_text(j, wc_json_get(j->doc, presence, "key"));
}

static void take_wait(struct join *j, uint32_t options)
{
    int64_t ms = 0;
    j->waits = is_flexible_true(j, wc_json_get(j->doc, options, "wait"));
    j->timeout_ms = WC_WAIT_DEFAULT_MS;
    if (wc_json_int(j->doc, wc_json_get(j->doc, options, "timeout"), &ms) && ms > 0)
        j->timeout_ms = ms < WC_WAIT_MAX_MS ? (uint32_t)ms : WC_WAIT_MAX_MS;
}

static bool take_config(struct join *j)
{
    if (wc_json_type(j->doc, j->m->payload) != WC_JSON_OBJECT)
        return refuse(j, "UnknownErrorOnChannel: the join payload is not an object");
    uint32_t config = wc_json_get(j->doc, j->m->payload, "config");
    j->config.is_legacy = config == WC_JSON_NONE;
    if (j->config.is_legacy)
        return take_legacy(j);
    enum wc_json_type type = wc_json_type(j->doc, config);
    if (type == WC_JSON_NULL)
        return true;
    if (type != WC_JSON_OBJECT)
        return refuse(j, "UnknownErrorOnChannel: config is not an object");
    take_options(j, config);
    take_wait(j, wc_json_get(j->doc, config, "postgres_changes_options"));
    if (j->config.is_private) {
        wc_buf_str(&j->reason, "Unauthorized: You do not have permissions to read from this "
                               "Channel topic: ");
        wc_buf_slice(&j->reason, j->sub);
        return false;
    }
    /* Its mere presence, even as null (section 3.4, row 10). */
    uint32_t broadcast = wc_json_get(j->doc, config, "broadcast");
    if (wc_json_get(j->doc, broadcast, "replay") != WC_JSON_NONE)
        return refuse(j, "UnableToReplayMessages: Replay is not allowed for public channels");
    return take_bindings(j, wc_json_get(j->doc, config, "postgres_changes"));
}

/* ---- answers ---- */

static void log_refusal(const struct wc_session *s, struct wc_slice reason)
{
    unsigned long more = 0;
    if (wc_log_limit(&s->hub->refused_log, REFUSED_LOG_US, &more))
        WC_LOG(WC_LOG_INFO, "channel", "join_refused", "tenant=%s reason=\"%.*s\" suppressed=%lu",
               s->tenant->external_id, WC_SLICE_ARG(reason), more);
}

/* NULL when out of memory. */
static struct wc_frame *refusal(const struct wc_session *s, const struct wc_phx_envelope *e,
                                struct wc_slice reason)
{
    struct wc_buf response;
    wc_buf_init(&response, REPLY_CAP);
    wc_buf_str(&response, "{\"reason\":");
    wc_jsonw_string(&response, reason);
    wc_buf_byte(&response, '}');
    log_refusal(s, reason);
    wc_hub_count_error(s->hub, s->tenant, reason);
    wc_metric_add(WC_M_JOINED_ERROR, 1);
    struct wc_frame *f = response.status == WC_OK
                             ? wc_phx_reply(s->serializer, e, false, wc_buf_view(&response))
                             : NULL;
    wc_buf_release(&response);
    return f;
}

/* A connection counts as a user from its first join that succeeds; until then each attempt holds a
 * place only while it lasts. */
static void return_place(struct wc_session *s)
{
    if (!s->is_user || s->has_joined || s->nchannels)
        return;
    s->is_user = false;
    wc_quota_user_leave(s->tenant->quota);
}

static void send_refusal(struct join *j)
{
    const struct wc_phx_envelope e = {
        .topic = j->m->topic, .ref = j->m->ref, .join_ref = j->m->join_ref};
    return_place(j->s);
    wc_session_send(j->s,
                    j->reason.status == WC_OK ? refusal(j->s, &e, wc_buf_view(&j->reason)) : NULL);
    if (j->is_over_rate)
        wc_session_close(j->s, WC_CLOSE_JOIN_RATE);
}

static struct wc_phx_envelope envelope_of(const struct wc_channel *c)
{
    return (struct wc_phx_envelope){.topic = c->topic, .ref = c->ref, .join_ref = c->join_ref};
}

void wc_join_abandon(struct wc_channel *c, struct wc_slice reason)
{
    struct wc_session *s = c->session;
    const struct wc_phx_envelope e = envelope_of(c);
    struct wc_frame *f = refusal(s, &e, reason);
    wc_hub_end_channel(s->hub, c);
    return_place(s);
    wc_session_send(s, f);
}

bool wc_join_complete(struct wc_channel *c, struct wc_frame *reply)
{
    struct wc_session *s = c->session;
    if (wc_hub_enter_room(s->hub, c, c->config.is_private) != WC_OK) {
        wc_frame_unref(reply);
        wc_join_abandon(c, wc_slice_str(no_memory));
        return false;
    }
    s->has_joined = true;
    wc_metric_add(WC_M_JOINED_OK, 1);
    wc_session_send(s, reply);
    return s->state == WC_SESSION_OPEN && wc_presence_joined(c);
}

/* The object as sent, with its id as the last member, where it wins over one that came along. */
static void put_binding(struct wc_buf *out, struct wc_slice object, bool is_empty, uint32_t id)
{
    wc_buf_append(out, object.p, object.len - 1); /* without the closing brace */
    wc_buf_printf(out, "%s\"id\":%u}", is_empty ? "" : ",", id);
}

/* NULL when out of memory. */
static struct wc_frame *ok_reply(const struct join *j, const struct wc_channel *c)
{
    const struct wc_phx_envelope e = envelope_of(c);
    struct wc_buf response;
    wc_buf_init(&response, REPLY_CAP);
    wc_buf_str(&response, "{\"postgres_changes\":[");
    for (uint32_t i = 0; i < j->nbindings; i++) {
        if (i)
            wc_buf_byte(&response, ',');
        put_binding(&response, wc_json_raw(j->doc, j->node[i]),
                    wc_json_count(j->doc, j->node[i]) == 0, j->id[i]);
    }
    wc_buf_str(&response, "]}");
    struct wc_frame *f = response.status == WC_OK
                             ? wc_phx_reply(j->s->serializer, &e, true, wc_buf_view(&response))
                             : NULL;
    wc_buf_release(&response);
    return f;
}

/* ---- subscription ---- */

static struct wc_slice copy_bytes(uint8_t **at, struct wc_slice from)
{
    struct wc_slice to = wc_slice(*at, from.len);
    if (from.len)
        memcpy(*at, from.p, from.len);
    *at += from.len;
    return to;
}

/* What the channel asks for; who asks is filled in when it does. NULL when out of memory. */
static struct wc_subscribe *build_request(const struct join *j)
{
    size_t fixed = sizeof(struct wc_subscribe) + j->nbindings * sizeof(struct wc_binding_request);
    size_t text = j->m->topic.len;
    for (uint32_t i = 0; i < j->nbindings; i++)
        text += wc_json_raw(j->doc, j->node[i]).len;
    struct wc_subscribe *r = calloc(1, fixed + text);
    if (!r)
        return NULL;
    uint8_t *at = (uint8_t *)r + fixed;
    r->size = fixed + text;
    r->session = j->s->serial << 6 | j->s->hub->channels.thread; /* serials are the thread's */
    r->serializer = j->s->serializer;
    r->is_legacy = j->config.is_legacy;
    r->topic = copy_bytes(&at, j->m->topic);
    r->nbindings = j->nbindings;
    for (uint32_t i = 0; i < j->nbindings; i++) {
        r->binding[i].id = j->id[i];
        r->binding[i].json = copy_bytes(&at, wc_json_raw(j->doc, j->node[i]));
    }
    return r;
}

/* ---- the whole ---- */

/* What a channel keeps of its join here and, two or three times over, behind the change source. */
static size_t weight(const struct join *j)
{
    size_t n = j->m->topic.len + j->m->join_ref.len + j->m->ref.len;
    if (j->claims != j->s->claims)
        n += j->claims->json.len;
    for (uint32_t i = 0; i < j->nbindings; i++)
        n += wc_json_raw(j->doc, j->node[i]).len;
    return n;
}

static struct wc_channel *open_channel(struct join *j)
{
    struct wc_hub *hub = j->s->hub;
    struct wc_channel *c =
        wc_channel_new(&hub->channels, &(struct wc_channel_join){.session = j->s,
                                                                 .serial = j->s->serial,
                                                                 .topic = j->m->topic,
                                                                 .join_ref = j->m->join_ref,
                                                                 .ref = j->m->ref,
                                                                 .config = j->config,
                                                                 .claims = j->claims});
    if (!c) {
        (void)refuse_for_memory(j); /* always false */
        return NULL;
    }
    wc_list_push(&j->s->channels, &c->by_session);
    j->s->nchannels++;
    c->weight = (uint32_t)weight(j);
    j->s->weight += c->weight;
    wc_metric_add(WC_M_CHANNELS, 1);
    return c;
}

/* The reply comes before the request for changes, so that no change precedes it; when the join
 * waits for its changes, what they send until then is held back by the channel. */
static void answer(const struct join *j, struct wc_channel *c)
{
    struct wc_subscribe *asked = j->nbindings ? build_request(j) : NULL;
    struct wc_frame *reply = ok_reply(j, c);
    if (j->nbindings && !asked) {
        wc_frame_unref(reply);
        wc_join_abandon(c, wc_slice_str(no_memory));
    } else if (!asked || !j->waits) {
        if (wc_join_complete(c, reply) && asked)
            wc_subscription_ask(c, asked);
        else
            wc_subscribe_free(asked);
    } else if (wc_wait_begin(c, reply, j->timeout_ms) == WC_OK) {
        wc_subscription_ask(c, asked);
    } else {
        wc_subscribe_free(asked);
        wc_join_abandon(c, wc_slice_str(no_memory));
    }
}

/* Rows 4 to 6 of section 3.4. */
static bool take_place(struct join *j)
{
    struct wc_session *s = j->s;
    struct wc_quota *q = s->tenant->quota;
    if (!s->is_user)
        s->is_user = wc_quota_user_enter(q);
    if (!s->is_user)
        return refuse(j, "ConnectionRateLimitReached: Too many connected users");
    j->is_over_rate = wc_quota_is_triggered(q, WC_QUOTA_JOINS);
    if (j->is_over_rate)
        return refuse(j, "ClientJoinRateLimitReached: Too many joins per second");
    wc_hub_count(s->hub, s->tenant, WC_QUOTA_JOINS, 1);
    uint32_t max = wc_quota_limits(q).max_channels_per_client;
    if (max && s->nchannels >= max)
        return refuse(j, "ChannelRateLimitReached: Too many channels");
    return s->nchannels < CHANNELS_MAX || refuse(j, "too many channels joined");
}

static bool check_weight(struct join *j)
{
    return j->s->weight + weight(j) <= WEIGHT_MAX ||
           refuse(j, "the channels of this connection are too large together");
}

static bool check(struct join *j)
{
    if (j->sub.len == 0)
        return refuse(j, "TopicNameRequired: You must provide a topic name");
    if (j->s->hub->is_restarting)
        return refuse(j, "RealtimeRestarting: Realtime is restarting, please standby");
    return take_place(j) && take_token(j) && take_config(j) && check_weight(j);
}

void wc_join(struct wc_session *s, const struct wc_phx_message *m)
{
    struct join j = {.s = s,
                     .m = m,
                     .arena = &s->hub->arena,
                     .sub = wc_channel_subtopic(m->topic),
                     .doc = &m->doc};
    wc_buf_init(&j.reason, REASON_CAP);
    if (!s->has_tried)
        s->alone_since = s->hub->now;
    s->has_tried = true;
    struct wc_channel *c = check(&j) ? open_channel(&j) : NULL;
    if (c)
        answer(&j, c);
    else
        send_refusal(&j);
    wc_claims_unref(j.claims);
    wc_buf_release(&j.reason);
}

#include "fanout/join.h"

#include "base/jsonw.h"
#include "fanout/hub.h"
#include "fanout/join_config.h"
#include "fanout/permit.h"
#include "fanout/ready.h"
#include "fanout/subscription.h"
#include "fanout/token.h"
#include "fanout/wait.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    CHANNELS_MAX = 99999,     /* protocol reference, section 3.4 */
    WEIGHT_MAX = 8 << 20,     /* of a connection: room for CHANNELS_MAX channels of 80 bytes */
    REASON_CAP = 16 << 10,    /* the longest holds a topic, escaped later */
    VERDICT_CAP = 64 << 10,   /* longer than the change source's texts are */
    REPLY_CAP = 64 << 20,     /* bindings as sent: bounded by the client's message */
    REFUSED_LOG_US = 1000000, /* a client that keeps trying is one line a second */
};

static const char no_memory[] = "Unknown Error on Channel";

struct join {
    struct wc_session *s;
    const struct wc_phx_message *m;
    struct wc_arena *arena;
    struct wc_slice sub; /* topic without its prefix */
    struct wc_buf reason;
    struct wc_claims *claims; /* a reference */
    struct wc_join_config config;
    bool is_over_rate; /* the connection goes down, too */
};

static bool refuse(struct join *j, const char *reason)
{
    wc_buf_str(&j->reason, reason);
    return false;
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

void wc_join_refuse(struct wc_channel *c, struct wc_slice reason)
{
    struct wc_session *s = c->session;
    const struct wc_phx_envelope e = envelope_of(c);
    struct wc_frame *f = refusal(s, &e, reason);
    struct wc_kept kept = wc_wait_take(c->wait);
    wc_hub_end_channel(s->hub, c);
    return_place(s);
    wc_session_send(s, f);
    wc_kept_hand_over(s, &kept);
}

static void refuse_about(struct wc_channel *c, const char *code, struct wc_slice text)
{
    struct wc_buf reason;
    wc_buf_init(&reason, VERDICT_CAP);
    wc_buf_str(&reason, code);
    wc_buf_slice(&reason, text);
    wc_join_refuse(c, wc_buf_view(&reason));
    wc_buf_release(&reason);
}

/* Into the room, the reply (taken), what it gets again. False: the channel is gone, refused or with
 * its session. */
static bool complete(struct wc_channel *c, struct wc_frame *reply, const struct wc_replay *replay)
{
    struct wc_session *s = c->session;
    if (!c->room && wc_hub_enter_room(s->hub, c, c->config.is_private) != WC_OK) {
        wc_frame_unref(reply);
        wc_join_refuse(c, wc_slice_str(no_memory));
        return false;
    }
    s->has_joined = true;
    wc_metric_add(WC_M_JOINED_OK, 1);
    wc_session_send(s, reply);
    if (s->state != WC_SESSION_OPEN || (replay && !wc_replay_deliver(c, replay)))
        return false;
    return wc_presence_joined(c) && wc_ready_joined(c);
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
    for (uint32_t i = 0; i < j->config.nbindings; i++) {
        if (i)
            wc_buf_byte(&response, ',');
        put_binding(&response, wc_json_raw(j->config.doc, j->config.node[i]),
                    wc_json_count(j->config.doc, j->config.node[i]) == 0, j->config.id[i]);
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
    size_t fixed =
        sizeof(struct wc_subscribe) + j->config.nbindings * sizeof(struct wc_binding_request);
    size_t text = j->m->topic.len;
    for (uint32_t i = 0; i < j->config.nbindings; i++)
        text += wc_json_raw(j->config.doc, j->config.node[i]).len;
    struct wc_subscribe *r = calloc(1, fixed + text);
    if (!r)
        return NULL;
    uint8_t *at = (uint8_t *)r + fixed;
    r->size = fixed + text;
    r->session = j->s->serial << 6 | j->s->hub->channels.thread; /* serials are the thread's */
    r->serializer = j->s->serializer;
    r->is_legacy = j->config.channel.is_legacy;
    r->topic = copy_bytes(&at, j->m->topic);
    r->nbindings = j->config.nbindings;
    for (uint32_t i = 0; i < j->config.nbindings; i++) {
        r->binding[i].id = j->config.id[i];
        r->binding[i].json = copy_bytes(&at, wc_json_raw(j->config.doc, j->config.node[i]));
    }
    return r;
}

/* ---- the channel ---- */

/* What a channel keeps of its join here and, two or three times over, behind the change source. */
static size_t weight(const struct join *j)
{
    size_t n = j->m->topic.len + j->m->join_ref.len + j->m->ref.len;
    if (j->claims != j->s->claims)
        n += j->claims->json.len;
    for (uint32_t i = 0; i < j->config.nbindings; i++)
        n += wc_json_raw(j->config.doc, j->config.node[i]).len;
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
                                                                 .config = j->config.channel,
                                                                 .claims = j->claims});
    if (!c) {
        (void)refuse(j, no_memory); /* always false */
        return NULL;
    }
    wc_list_push(&j->s->channels, &c->by_session);
    j->s->nchannels++;
    c->weight = (uint32_t)weight(j);
    j->s->weight += c->weight;
    wc_metric_add(WC_M_CHANNELS, 1);
    return c;
}

/* ---- joins that wait ---- */

/* Ends the waiting with the reply. False: the channel is gone. `kept` is the caller's to hand over.
 */
static bool stop_waiting(struct wc_channel *c, struct wc_kept *kept)
{
    struct wc_wait *w = c->wait;
    struct wc_frame *reply = w->reply;
    struct wc_msg *permitted = w->permitted;
    struct wc_held_back *held = wc_permit_take_held(w);
    struct wc_session *s = c->session;
    w->reply = NULL;
    w->permitted = NULL;
    *kept = wc_wait_take(w);
    if (c->config.is_private) {
        c->known = (uint8_t)w->asked;
        c->may = (uint8_t)w->granted;
    }
    wc_wait_free(w);
    bool stands = complete(c, reply, permitted ? permitted->replay : NULL);
    wc_msg_unref(permitted);
    if (!stands) {
        wc_permit_drop_held(s->hub, held);
        return false;
    }
    wc_permit_release_held(c, held);
    return s->state == WC_SESSION_OPEN;
}

/* The reply comes before the request for changes, so that no change precedes it; when the join
 * waits for its changes, what they send until then is held back by the channel. */
void wc_join_permitted(struct wc_channel *c)
{
    struct wc_session *s = c->session;
    struct wc_kept kept;
    if (c->asked && c->wait->changes_ms) {
        wc_wait_turn(c->wait, WC_WAIT_CHANGES, c->wait->changes_ms);
        wc_subscription_ask(c);
        return;
    }
    if (stop_waiting(c, &kept))
        wc_subscription_ask(c);
    wc_kept_hand_over(s, &kept);
}

void wc_join_verdict(struct wc_channel *c, bool ok, struct wc_slice text)
{
    struct wc_session *s = c->session;
    struct wc_kept kept;
    if (!c->wait || c->wait->what != WC_WAIT_CHANGES) {
        wc_channel_push_system(c, "postgres_changes", ok, text);
    } else if (ok) {
        if (stop_waiting(c, &kept))
            wc_channel_push_system(c, "postgres_changes", true, text);
        wc_kept_hand_over(s, &kept);
    } else {
        refuse_about(c, "RealtimeDisabledForConfiguration: ", text);
    }
}

void wc_join_expired(struct wc_channel *c, struct wc_slice text)
{
    if (c->wait->what == WC_WAIT_CHANGES)
        wc_join_verdict(c, false, text);
    else
        refuse_about(c, "InvalidJWTToken: ", text);
}

void wc_join_time_out(struct wc_channel *c)
{
    struct wc_buf reason;
    wc_buf_init(&reason, REASON_CAP);
    wc_buf_printf(&reason,
                  "PostgresChangesSubscribeTimeout: Timed out after %" PRIu32
                  "ms waiting for the postgres_changes subscription",
                  c->wait->changes_ms);
    wc_join_refuse(c, wc_buf_view(&reason));
    wc_buf_release(&reason);
}

/* ---- the whole ---- */

/* In its room already: what comes while the rows are read is held back (permit.h). */
static bool prepare_replay(const struct join *j, struct wc_channel *c)
{
    const struct wc_replay_wish *replay = &j->config.replay;
    return !replay->is_wanted || !replay->is_valid ||
           wc_hub_enter_room(c->session->hub, c, true) == WC_OK;
}

static void wait(const struct join *j, struct wc_channel *c, struct wc_frame *reply)
{
    struct wc_wait *w =
        prepare_replay(j, c) ? wc_wait_begin(c, WC_WAIT_PERMISSIONS, WC_WAIT_ANSWER_MS) : NULL;
    if (!w) {
        wc_frame_unref(reply);
        wc_join_refuse(c, wc_slice_str(no_memory));
        return;
    }
    w->reply = reply;
    w->changes_ms = j->config.changes_ms;
    w->replay = j->config.replay;
    if (c->config.is_private)
        wc_permit_join(c);
    else
        wc_join_permitted(c);
}

static void answer(const struct join *j, struct wc_channel *c)
{
    struct wc_frame *reply = ok_reply(j, c);
    c->asked = j->config.nbindings ? build_request(j) : NULL;
    if (!reply || (j->config.nbindings && !c->asked)) {
        wc_frame_unref(reply);
        wc_join_refuse(c, wc_slice_str(no_memory));
    } else if (c->config.is_private || (c->asked && j->config.changes_ms)) {
        wait(j, c, reply);
    } else if (complete(c, reply, NULL)) {
        wc_subscription_ask(c);
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

static bool take_config(struct join *j)
{
    struct wc_join_config *c = &j->config;
    if (!wc_join_config_parse(c, j->m, j->arena, &j->reason))
        return false;
    c->channel.wants_presence |= wc_quota_limits(j->s->tenant->quota).presence_enabled;
    return true;
}

/* In the order of the reference's table, which decides what a client is told first. */
static bool check(struct join *j)
{
    const struct wc_tenant_view *tenant = j->s->tenant;
    if (j->sub.len == 0)
        return refuse(j, "TopicNameRequired: You must provide a topic name");
    if (j->s->hub->is_restarting)
        return refuse(j, "RealtimeRestarting: Realtime is restarting, please standby");
    if (tenant->private_only && !wc_join_config_is_private(j->m, j->arena))
        return refuse(j, "PrivateOnly: This project only allows private channels");
    if (!take_place(j) || !take_token(j))
        return false;
    if (tenant->is_suspended)
        return refuse(j, "RealtimeDisabledForTenant: Realtime disabled for this tenant");
    return take_config(j) && check_weight(j);
}

void wc_join(struct wc_session *s, const struct wc_phx_message *m)
{
    struct join j = {.s = s, .m = m, .arena = &s->hub->arena, .sub = wc_channel_subtopic(m->topic)};
    const struct wc_source *source = &s->hub->opt.source;
    wc_buf_init(&j.reason, REASON_CAP);
    if (!s->has_tried)
        s->alone_since = s->hub->now;
    s->has_tried = true;
    struct wc_channel *c = check(&j) ? open_channel(&j) : NULL;
    if (c) {
        source->touch(source->self, s->tenant);
        answer(&j, c);
    } else {
        send_refusal(&j);
    }
    wc_claims_unref(j.claims);
    wc_buf_release(&j.reason);
}

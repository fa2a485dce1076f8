/*
 * What a client message does (protocol reference, sections 3.1, 3.6 to 3.9, 3.12): heartbeat, join,
 * leave, and what is pushed on a joined topic.
 */
#include "base/clock.h"
#include "fanout/broadcast.h"
#include "fanout/hub.h"
#include "fanout/join.h"
#include "fanout/permit.h"
#include "fanout/phxbin.h"
#include "fanout/refresh.h"
#include "fanout/wait.h"

enum { MALFORMED_LOG_US = 10 * 1000000 };

static void reply(struct wc_session *s, const struct wc_phx_message *m, struct wc_slice join_ref,
                  const char *error)
{
    struct wc_phx_envelope e = {.topic = m->topic, .ref = m->ref, .join_ref = join_ref};
    struct wc_slice response = wc_slice_str(error ? error : "{}");
    wc_session_send(s, wc_phx_reply(s->serializer, &e, error == NULL, response));
}

static const char unmatched_topic[] = "{\"reason\":\"unmatched topic\"}";

static bool is_null(struct wc_slice json)
{
    return wc_slice_is(json, "null");
}

/* Strict about join_ref, unlike every other event (section 3.7). */
static void leave(struct wc_session *s, struct wc_channel *c, const struct wc_phx_message *m)
{
    if (!is_null(c->join_ref) && !wc_slice_eq(c->join_ref, m->join_ref))
        return;
    reply(s, m, wc_channel_join_ref(c), NULL);
    if (s->state != WC_SESSION_OPEN)
        return;
    wc_channel_push_close(c);
    if (s->state == WC_SESSION_OPEN)
        wc_hub_end_channel(s->hub, c);
}

/* The phx_close of a channel that a join replaces goes out after the join's reply (section 3.8), so
 * what it says is rendered before the channel ends. */
static void rejoin(struct wc_session *s, struct wc_channel *old, const struct wc_phx_message *m)
{
    struct wc_frame *close = wc_channel_close_frame(old);
    wc_hub_end_channel(s->hub, old);
    wc_join(s, m);
    wc_session_send(s, close);
}

/* On a joined topic, whatever its join_ref (section 3.9). Other events are nobody's and are not
 * answered (section 3.12). */
static void push(struct wc_channel *c, const struct wc_phx_message *m)
{
    if (wc_slice_is(m->event, "broadcast"))
        wc_broadcast_receive(c, m);
    else if (wc_slice_is(m->event, "presence"))
        wc_presence_receive(c, m);
    else if (!wc_slice_is(m->event, "access_token") || !wc_refresh_receive(c, m))
        wc_hub_count(c->session->hub, c->session->tenant, WC_QUOTA_EVENTS, 1);
}

static void dispatch(struct wc_session *s, struct wc_channel *c, const struct wc_phx_message *m)
{
    static const char prefix[] = "realtime:";
    bool is_ours =
        m->topic.len >= sizeof prefix - 1 && memcmp(m->topic.p, prefix, sizeof prefix - 1) == 0;
    if (wc_slice_is(m->topic, "phoenix") && wc_slice_is(m->event, "heartbeat"))
        reply(s, m, wc_slice(NULL, 0), NULL);
    else if (wc_slice_is(m->event, "phx_join") && c)
        rejoin(s, c, m);
    else if (wc_slice_is(m->event, "phx_join") && is_ours)
        wc_join(s, m);
    else if (wc_slice_is(m->event, "phx_leave") && c)
        leave(s, c, m);
    else if (wc_slice_is(m->event, "phx_leave"))
        reply(s, m, m->join_ref, NULL);
    else if (!c)
        reply(s, m, wc_slice(NULL, 0), unmatched_topic);
    else
        push(c, m);
}

/* Dropped without a reply; the connection goes on (section 1.6). */
static void drop_malformed(struct wc_session *s, size_t len, const char *why)
{
    unsigned long more = 0;
    wc_metric_add(WC_M_MALFORMED_IN, 1);
    wc_hub_count_error(s->hub, s->tenant, wc_slice_str("MalformedWebSocketMessage"));
    if (wc_log_limit(&s->hub->malformed_log, MALFORMED_LOG_US, &more))
        WC_LOG(WC_LOG_WARN, "session", "malformed_message",
               "code=MalformedWebSocketMessage tenant=%s session=%u.%llu bytes=%zu why=\"%s\" "
               "suppressed=%lu",
               s->tenant->external_id, s->hub->opt.thread, (unsigned long long)s->serial, len, why,
               more);
}

/* The channel waits for an answer: what is sent to it waits, too. */
static void keep(struct wc_channel *c, struct wc_slice message, bool is_binary)
{
    enum wc_status st = wc_wait_keep(c->wait, message, is_binary);
    if (st == WC_LIMIT)
        drop_malformed(c->session, message.len, "too much sent to a topic whose join waits");
    else if (st != WC_OK)
        wc_session_close(c->session, WC_CLOSE_NO_MEMORY);
}

void wc_session_receive(struct wc_session *s, struct wc_slice message, bool is_binary)
{
    WC_ON_THREAD(s->hub->owner);
    struct wc_err err = {0};
    struct wc_phx_message m;
    wc_hub_tally(s->hub, s->tenant, WC_T_BYTES_IN, (int64_t)message.len);
    /* V1 takes a binary frame for text (section 2.1). */
    enum wc_status st = is_binary && s->serializer != WC_PHX_V1
                            ? wc_phxbin_decode(message, &s->hub->arena, &m, &err)
                            : wc_phx_decode(s->serializer, message, &s->hub->arena, &m, &err);
    struct wc_channel *c =
        st == WC_OK ? wc_channel_find(&s->hub->channels, s->serial, m.topic) : NULL;
    unsigned lacks = c && !c->wait ? wc_permit_lacks(c, &m) : 0;
    if (c && c->wait)
        keep(c, message, is_binary);
    else if (lacks)
        wc_permit_ask_to_send(c, lacks, message, is_binary);
    else if (st == WC_OK)
        dispatch(s, c, &m);
    else
        drop_malformed(s, message.len, err.text);
    wc_arena_reset(&s->hub->arena);
}

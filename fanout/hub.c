#include "fanout/hub.h"

#include "base/assert.h"
#include "base/jsonw.h"
#include "fanout/phoenix.h"
#include "fanout/token.h"

#include <stdlib.h>

/* The nodes of the largest message take several times its bytes; beyond this it is dropped as
 * malformed. One such arena per socket thread. */
enum { ARENA_CAP = 64 << 20, PAYLOAD_CAP = 1 << 20 };

struct wc_hub *wc_hub_new(const struct wc_hub_options *opt)
{
    struct wc_hub *hub = calloc(1, sizeof *hub);
    if (!hub)
        return NULL;
    hub->opt = *opt;
    wc_list_init(&hub->sessions);
    wc_list_init(&hub->closing);
    wc_list_init(&hub->dirty);
    wc_list_init(&hub->holding);
    hub->patience = WC_CREDIT_MAX_US;
    wc_channels_init(&hub->channels, opt->thread);
    wc_audiences_init(&hub->audiences);
    wc_slab_init(&hub->session_slab, sizeof(struct wc_session));
    wc_slab_init(&hub->held_slab, sizeof(struct wc_held));
    wc_arena_init(&hub->arena, ARENA_CAP);
    return hub;
}

void wc_hub_free(struct wc_hub *hub)
{
    if (!hub)
        return;
    WC_ASSERT(wc_list_is_empty(&hub->sessions) && wc_list_is_empty(&hub->closing));
    wc_channels_release(&hub->channels);
    wc_audiences_release(&hub->audiences);
    wc_slab_release(&hub->session_slab);
    wc_slab_release(&hub->held_slab);
    wc_arena_release(&hub->arena);
    free(hub);
}

/* ---- channels ---- */

void wc_hub_end_channel(struct wc_hub *hub, struct wc_channel *c)
{
    if (c->is_subscribed)
        hub->opt.source.unsubscribe(hub->opt.source.self, c->session->tenant,
                                    wc_channel_handle(&hub->channels, c));
    c->session->nchannels--;
    c->session->weight -= c->weight;
    wc_metric_add(WC_M_CHANNELS, -1);
    wc_channel_free(&hub->channels, &hub->audiences, c);
}

/* The join's join_ref, or its ref when it had none; what V2 puts on a channel's own messages. */
static struct wc_slice join_ref_of(const struct wc_channel *c)
{
    return wc_slice_is(c->join_ref, "null") ? c->ref : c->join_ref;
}

struct wc_frame *wc_channel_close_frame(const struct wc_channel *c)
{
    const struct wc_session *s = c->session;
    struct wc_phx_envelope e = {
        .topic = c->topic, .event = wc_slice_str("phx_close"), .join_ref = join_ref_of(c)};
    e.ref = s->serializer == WC_PHX_V1 ? c->join_ref : e.join_ref;
    return wc_phx_encode(s->serializer, &e, wc_slice_str("{}"));
}

void wc_channel_push_close(struct wc_channel *c)
{
    wc_session_send(c->session, wc_channel_close_frame(c));
}

void wc_channel_push_system(struct wc_channel *c, const char *extension, bool ok,
                            struct wc_slice message)
{
    struct wc_session *s = c->session;
    struct wc_phx_envelope e = {
        .topic = c->topic, .event = wc_slice_str("system"), .join_ref = join_ref_of(c)};
    struct wc_buf payload;
    wc_buf_init(&payload, PAYLOAD_CAP);
    wc_buf_printf(&payload, "{\"extension\":\"%s\",\"status\":\"%s\",\"message\":", extension,
                  ok ? "ok" : "error");
    wc_jsonw_string(&payload, message);
    wc_buf_str(&payload, ",\"channel\":");
    wc_jsonw_string(&payload, wc_channel_subtopic(c->topic));
    wc_buf_byte(&payload, '}');
    wc_session_send(s, payload.status == WC_OK
                           ? wc_phx_encode(s->serializer, &e, wc_buf_view(&payload))
                           : NULL);
    wc_buf_release(&payload);
}

void wc_hub_expire(struct wc_hub *hub, int64_t wall_s)
{
    struct wc_channel *c;
    while ((c = wc_channel_next_to_expire(&hub->channels)) && c->claims->exp <= wall_s) {
        struct wc_buf text;
        wc_buf_init(&text, 64);
        wc_token_expired_text(&text, wall_s - c->claims->exp);
        struct wc_session *s = c->session;
        wc_channel_push_system(c, "system", false, wc_buf_view(&text));
        wc_buf_release(&text);
        /* Sending may have closed the session, and that has ended its channels. */
        if (s->state != WC_SESSION_OPEN)
            continue;
        wc_channel_push_close(c);
        if (s->state == WC_SESSION_OPEN)
            wc_hub_end_channel(hub, c);
    }
}

/* ---- delivery ---- */

/* One holder per serializer in use, made when the first channel asks for it. */
struct fanout {
    struct wc_hub *hub;
    const struct wc_msg *msg;
    struct wc_held *held[WC_PHX_COUNT];
};

static void send_to(struct fanout *f, struct wc_session *s)
{
    struct wc_frame *frame = f->msg->frame[s->serializer];
    struct wc_held **held = &f->held[s->serializer];
    if (!frame)
        return;
    if (!*held)
        *held = wc_held_new(&f->hub->held_slab, wc_frame_ref(frame), true);
    if (*held)
        wc_session_send_held(s, *held);
    else
        wc_session_close(s, WC_CLOSE_NO_MEMORY);
}

static void finish(struct fanout *f)
{
    for (unsigned i = 0; i < WC_PHX_COUNT; i++)
        wc_held_unref(&f->hub->held_slab, f->held[i]);
}

static void deliver_direct(struct wc_hub *hub, const struct wc_msg *m)
{
    struct wc_channel *c = wc_channel_by_handle(&hub->channels, m->handle);
    struct fanout f = {.hub = hub, .msg = m};
    if (!c) {
        wc_metric_add(WC_M_WITHHELD_STALE, 1);
        return;
    }
    send_to(&f, c->session);
    finish(&f);
}

/* From the last member to the first: sending may close a session, which takes its channel out of
 * the audience, and the place of one that leaves is filled from the end. */
static void deliver_audience(struct wc_hub *hub, const struct wc_msg *m)
{
    struct fanout f = {.hub = hub, .msg = m};
    struct wc_audience *a = wc_audience_find(&hub->audiences, m->audience);
    for (uint32_t i = a ? a->count : 0; i-- > 0;) {
        struct wc_session *s = a->member[i]->session;
        send_to(&f, s);
        if (s->state != WC_SESSION_OPEN && !wc_audience_find(&hub->audiences, m->audience))
            break; /* it was the last member */
    }
    finish(&f);
}

static void enlist(struct wc_hub *hub, const struct wc_msg *m)
{
    struct wc_channel *c = wc_channel_by_handle(&hub->channels, m->handle);
    if (c && wc_audience_join(&hub->audiences, m->audience, c) != WC_OK)
        wc_session_close(c->session, WC_CLOSE_NO_MEMORY); /* or it would miss changes unnoticed */
}

static void deliver_verdict(struct wc_hub *hub, const struct wc_msg *m)
{
    struct wc_channel *c = wc_channel_by_handle(&hub->channels, m->handle);
    if (c)
        wc_channel_push_system(c, "postgres_changes", m->ok, wc_slice(m->text, m->text_len));
}

void wc_hub_deliver(struct wc_hub *hub, const struct wc_msg *m)
{
    WC_ON_THREAD(hub->owner);
    switch (m->kind) {
    case WC_MSG_DIRECT: deliver_direct(hub, m); break;
    case WC_MSG_AUDIENCE: deliver_audience(hub, m); break;
    case WC_MSG_ENLIST: enlist(hub, m); break;
    case WC_MSG_VERDICT: deliver_verdict(hub, m); break;
    }
}

wc_us wc_hub_hold_time(struct wc_hub *hub)
{
    wc_us longest = 0;
    WC_LIST_EACH_SAFE (it, &hub->holding) {
        wc_us t = wc_session_hold_time(WC_CONTAINER(it, struct wc_session, holding));
        if (t > longest)
            longest = t;
    }
    return longest;
}

#include "fanout/hub.h"

#include "base/assert.h"
#include "base/jsonw.h"
#include "fanout/join.h"
#include "fanout/permit.h"
#include "fanout/phoenix.h"
#include "fanout/presence_home.h"
#include "fanout/ready.h"
#include "fanout/subscription.h"
#include "fanout/token.h"
#include "fanout/wait.h"

#include <stdlib.h>

/* The nodes of the largest message take several times its bytes; beyond this it is dropped as
 * malformed. One such arena per socket thread. */
enum { ARENA_CAP = 64 << 20, PAYLOAD_CAP = 1 << 20, RATE_LOG_US = 10 * 1000000 };

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
    wc_aside_init(&hub->aside, opt->thread);
    wc_list_init(&hub->waiting);
    wc_list_init(&hub->unready);
    wc_list_init(&hub->paused);
    hub->patience = WC_CREDIT_MAX_US;
    wc_roster_init(&hub->roster);
    wc_channels_init(&hub->channels, opt->thread);
    for (enum wc_group_kind k = WC_GROUP_AUDIENCE; k < WC_GROUP_KINDS; k++)
        wc_groups_init(&hub->groups[k], k);
    wc_slab_init(&hub->session_slab, sizeof(struct wc_session));
    wc_slab_init(&hub->held_slab, sizeof(struct wc_held));
    wc_arena_init(&hub->arena, ARENA_CAP);
    hub->calls = wc_calls_new(opt->thread);
    hub->producer = wc_mesh_producer_of_socket(opt->mesh, opt->thread);
    hub->publisher = wc_publisher_new(opt->mesh, hub->producer);
    if (hub->calls && hub->publisher)
        hub->presence_home =
            wc_presence_home_new(&(struct wc_presence_home_options){.thread = opt->thread,
                                                                    .node = opt->presence.node,
                                                                    .rooms = opt->rooms,
                                                                    .publisher = hub->publisher});
    if (hub->presence_home)
        return hub;
    wc_hub_free(hub);
    return NULL;
}

void wc_hub_free(struct wc_hub *hub)
{
    if (!hub)
        return;
    WC_ASSERT(wc_list_is_empty(&hub->sessions) && wc_list_is_empty(&hub->closing));
    wc_roster_release(&hub->roster);
    wc_channels_release(&hub->channels);
    for (enum wc_group_kind k = WC_GROUP_AUDIENCE; k < WC_GROUP_KINDS; k++)
        wc_groups_release(&hub->groups[k]);
    wc_presence_home_free(hub->presence_home);
    wc_msg_queue_clear(&hub->leaves);
    wc_calls_free(hub->calls);
    wc_publisher_free(hub->publisher);
    wc_slab_release(&hub->session_slab);
    wc_slab_release(&hub->held_slab);
    wc_arena_release(&hub->arena);
    free(hub);
}

/* ---- channels ---- */

static bool has_member(const struct wc_group *g, enum wc_serializer v)
{
    return g && g->users[v] > 0;
}

enum wc_status wc_hub_enter_room(struct wc_hub *hub, struct wc_channel *c, bool is_private)
{
    enum wc_serializer v = c->session->serializer;
    struct wc_room *room = wc_room_enter(hub->opt.rooms, c->session->tenant->id, is_private,
                                         wc_channel_subtopic(c->topic), hub->opt.thread, v);
    if (!room)
        return WC_NOMEM;
    struct wc_groups *groups = &hub->groups[WC_GROUP_ROOM];
    if (wc_group_join(groups, room->number, c) == WC_OK) {
        c->room = room;
        return WC_OK;
    }
    wc_room_leave(hub->opt.rooms, room, hub->opt.thread, v,
                  !has_member(wc_group_find(groups, room->number), v));
    return WC_NOMEM;
}

static void leave_room(struct wc_hub *hub, struct wc_channel *c)
{
    if (!c->room)
        return;
    enum wc_serializer v = c->session->serializer;
    struct wc_groups *groups = &hub->groups[WC_GROUP_ROOM];
    wc_group_leave(groups, c);
    wc_room_leave(hub->opt.rooms, c->room, hub->opt.thread, v,
                  !has_member(wc_group_find(groups, c->room->number), v));
    c->room = NULL;
}

void wc_hub_end_channel(struct wc_hub *hub, struct wc_channel *c)
{
    wc_subscription_end(c);
    wc_wait_free(c->wait);
    wc_ready_ended(c);
    if (--c->session->nchannels == 0)
        c->session->alone_since = hub->now;
    c->session->weight -= c->weight;
    wc_metric_add(WC_M_CHANNELS, -1);
    if (c->room)
        wc_presence_ended(c);
    leave_room(hub, c);
    wc_channel_free(&hub->channels, c);
}

struct wc_slice wc_channel_join_ref(const struct wc_channel *c)
{
    return wc_slice_is(c->join_ref, "null") ? c->ref : c->join_ref;
}

void wc_channel_reply(struct wc_channel *c, struct wc_slice ref, bool ok,
                      struct wc_slice response_json)
{
    struct wc_session *s = c->session;
    const struct wc_phx_envelope e = {
        .topic = c->topic, .ref = ref, .join_ref = wc_channel_join_ref(c)};
    wc_session_send(s, wc_phx_reply(s->serializer, &e, ok, response_json));
}

struct wc_frame *wc_channel_close_frame(const struct wc_channel *c)
{
    const struct wc_session *s = c->session;
    struct wc_phx_envelope e = {
        .topic = c->topic, .event = wc_slice_str("phx_close"), .join_ref = wc_channel_join_ref(c)};
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
        .topic = c->topic, .event = wc_slice_str("system"), .join_ref = wc_channel_join_ref(c)};
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

void wc_channel_push_disconnect(struct wc_channel *c)
{
    static const char payload[] = "{\"extension\":\"system\",\"status\":\"ok\","
                                  "\"message\":\"Server requested disconnect\"}";
    const struct wc_phx_envelope e = {.topic = c->topic, .event = wc_slice_str("system")};
    if (!wc_wait_is_join(c->wait))
        wc_session_send(c->session,
                        wc_phx_encode(c->session->serializer, &e, wc_slice_str(payload)));
}

void wc_hub_shut_channel(struct wc_hub *hub, struct wc_channel *c, struct wc_slice text)
{
    /* Sending may close the session, and that ends its channels. */
    struct wc_session *s = c->session;
    struct wc_kept kept = wc_wait_take(c->wait);
    wc_hub_count_error(hub, s->tenant, wc_slice_str("ChannelShutdown"));
    wc_channel_push_system(c, "system", false, text);
    if (s->state == WC_SESSION_OPEN)
        wc_channel_push_close(c);
    if (s->state == WC_SESSION_OPEN)
        wc_hub_end_channel(hub, c);
    wc_kept_hand_over(s, &kept);
}

void wc_hub_expire(struct wc_hub *hub, int64_t wall_s)
{
    struct wc_channel *c;
    while ((c = wc_channel_next_to_expire(&hub->channels)) && c->claims->exp <= wall_s) {
        struct wc_buf text;
        wc_buf_init(&text, 64);
        wc_token_expired_text(&text, wall_s - c->claims->exp);
        if (wc_wait_is_join(c->wait))
            wc_join_expired(c, wc_buf_view(&text));
        else
            wc_hub_shut_channel(hub, c, wc_buf_view(&text));
        wc_buf_release(&text);
    }
}

/* ---- delivery ---- */

/* One holder per serializer in use, made when the first channel asks for it. */
struct fanout {
    struct wc_hub *hub;
    const struct wc_msg *msg;
    struct wc_held *held[WC_PHX_COUNT];
};

static enum wc_book book_of(const struct wc_msg *m)
{
    if (m->is_change)
        return WC_BOOK_CHANGE;
    return m->kind == WC_MSG_ROOM && !m->is_presence ? WC_BOOK_BROADCAST : WC_BOOK_NONE;
}

static struct wc_held *hold(struct fanout *f, struct wc_frame *frame)
{
    struct wc_held *h = wc_held_new(&f->hub->held_slab, wc_frame_ref(frame), book_of(f->msg));
    if (h)
        h->committed_at = f->msg->committed_at;
    return h;
}

static void count_no_memory(const struct wc_msg *m)
{
    enum wc_book book = book_of(m);
    wc_metric_add(WC_M_WITHHELD_NO_MEMORY, book == WC_BOOK_CHANGE);
    wc_metric_add(WC_M_BROADCAST_NO_MEMORY, book == WC_BOOK_BROADCAST);
}

/* There is a frame for this session. NULL: no memory, and it is closed. */
static struct wc_held *held_for(struct fanout *f, struct wc_session *s)
{
    struct wc_frame *frame = f->msg->frame[s->serializer];
    struct wc_held **held = &f->held[s->serializer];
    if (!*held)
        *held = hold(f, frame);
    if (!*held) {
        wc_session_close(s, WC_CLOSE_NO_MEMORY);
        count_no_memory(f->msg);
    }
    return *held;
}

static void send_to(struct fanout *f, struct wc_session *s)
{
    struct wc_held *h = held_for(f, s);
    if (h)
        wc_session_send_held(s, h);
}

static void finish(struct fanout *f)
{
    for (unsigned i = 0; i < WC_PHX_COUNT; i++)
        wc_held_unref(&f->hub->held_slab, f->held[i]);
}

static uint32_t deliver_direct(struct wc_hub *hub, const struct wc_msg *m)
{
    struct wc_channel *c = wc_channel_by_handle(&hub->channels, m->handle);
    struct fanout f = {.hub = hub, .msg = m};
    if (!c || !m->frame[c->session->serializer])
        return 0;
    send_to(&f, c->session);
    finish(&f);
    return 1;
}

/* What a channel of its room must be permitted to get it. */
static unsigned needed(const struct wc_msg *m)
{
    if (m->kind != WC_MSG_ROOM)
        return 0;
    return m->is_presence ? WC_MAY_READ_PRESENCE : WC_MAY_READ_BROADCAST;
}

/* A diff that comes before the state is in it. It must be held back: it may have been under way
 * since before the channel joined, when this thread had no member, and the next one have passed
 * by. */
static bool is_in_state(const struct wc_channel *c, const struct wc_msg *m)
{
    return m->is_presence && c->presence.awaits_state;
}

static bool was_replayed(const struct wc_channel *c, const struct wc_msg *m)
{
    return m->has_id && wc_replay_holds(c->replayed, m->id);
}

/* It may not read this now. */
static void withhold(struct fanout *f, struct wc_channel *c, unsigned needs)
{
    struct wc_held *h = held_for(f, c->session);
    if (h && !wc_permit_hold_back(c, h, needs, f->msg->has_id ? f->msg->id : NULL))
        wc_metric_add(WC_M_BROADCAST_NOT_PERMITTED, h->book == WC_BOOK_BROADCAST);
}

/* Returns to how many. */
static uint32_t deliver_to(struct fanout *f, struct wc_channel *c, unsigned needs)
{
    struct wc_session *s = c->session;
    if (!f->msg->frame[s->serializer] || is_in_state(c, f->msg))
        return 0;
    if (was_replayed(c, f->msg)) {
        wc_metric_add(WC_M_BROADCAST_REPLAYED, 1);
        return 0;
    }
    if ((c->may & needs) != needs) {
        withhold(f, c, needs);
        return 0;
    }
    send_to(f, s);
    return 1;
}

/* From the last member to the first: sending may close a session, which takes its channels out of
 * the group, and the place of one that leaves is filled from the end. Returns to how many. */
static uint32_t deliver_group(struct wc_hub *hub, enum wc_group_kind kind, uint64_t number,
                              const struct wc_channel *except, const struct wc_msg *m)
{
    struct fanout f = {.hub = hub, .msg = m};
    struct wc_group *g = wc_group_find(&hub->groups[kind], number);
    unsigned needs = needed(m);
    uint32_t delivered = 0;
    for (uint32_t i = g ? g->count : 0; i-- > 0;) {
        struct wc_session *s = g->member[i]->session;
        if (g->member[i] != except)
            delivered += deliver_to(&f, g->member[i], needs);
        if (s->state != WC_SESSION_OPEN && !wc_group_find(&hub->groups[kind], number))
            break; /* it was the last member */
    }
    finish(&f);
    return delivered;
}

/* The tenant has more events than it may: whoever would get another one is shut instead. In the
 * same order, and for the same reasons, as above. */
static uint32_t shut_group(struct wc_hub *hub, const struct wc_msg *m,
                           const struct wc_channel *except)
{
    static const char text[] = "Too many messages per second";
    const struct wc_groups *rooms = &hub->groups[WC_GROUP_ROOM];
    const struct wc_group *g;
    uint32_t n = 0;
    for (uint32_t i = UINT32_MAX; (g = wc_group_find(rooms, m->room)) && i > 0;) {
        i = (i < g->count ? i : g->count) - 1;
        struct wc_channel *c = g->member[i];
        if (c == except || !m->frame[c->session->serializer])
            continue;
        if (!(c->may & needed(m))) {
            wc_metric_add(WC_M_BROADCAST_NOT_PERMITTED, 1);
            continue;
        }
        n++;
        wc_hub_shut_channel(hub, c, wc_slice_str(text));
    }
    return n;
}

static void log_over_rate(struct wc_hub *hub, const struct wc_tenant_view *tenant)
{
    unsigned long more = 0;
    if (wc_log_limit(&hub->rate_log, RATE_LOG_US, &more))
        WC_LOG(WC_LOG_WARN, "channel", "over_rate",
               "code=MessagePerSecondRateLimitReached tenant=%s suppressed=%lu",
               tenant->external_id, more);
}

/* Those it cannot be encoded for, too: they are members, and get nothing. */
static void count_members(const struct wc_group *g, const struct wc_channel *except,
                          const struct wc_msg *m)
{
    uint32_t members = g->count, without = 0;
    for (enum wc_serializer v = WC_PHX_V1; v < WC_PHX_COUNT; v++)
        without += m->frame[v] ? 0 : g->users[v];
    if (except && except->in[WC_GROUP_ROOM].group == g) {
        members--;
        without -= !m->frame[except->session->serializer];
    }
    wc_metric_add(WC_M_BROADCAST_PAIRS, members);
    wc_metric_add(WC_M_BROADCAST_NOT_ENCODED, without);
}

static void deliver_room(struct wc_hub *hub, const struct wc_msg *m)
{
    const struct wc_group *g = wc_group_find(&hub->groups[WC_GROUP_ROOM], m->room);
    if (!g)
        return;
    struct wc_tenant_view *tenant = wc_tenant_view_ref(g->member[0]->session->tenant);
    const struct wc_channel *except = wc_channel_by_handle(&hub->channels, m->handle);
    if (!m->is_presence)
        count_members(g, except, m);
    if (!m->is_presence && wc_quota_is_triggered(tenant->quota, WC_QUOTA_EVENTS)) {
        log_over_rate(hub, tenant);
        wc_metric_add(WC_M_BROADCAST_RATE, shut_group(hub, m, except));
        wc_hub_count_error(hub, tenant, wc_slice_str("MessagePerSecondRateLimitReached"));
    } else {
        uint32_t n = deliver_group(hub, WC_GROUP_ROOM, m->room, except, m);
        wc_hub_count(hub, tenant, m->is_presence ? WC_QUOTA_PRESENCE : WC_QUOTA_EVENTS, n);
    }
    wc_tenant_view_unref(tenant);
}

static void enlist(struct wc_hub *hub, const struct wc_msg *m)
{
    struct wc_channel *c = wc_channel_by_handle(&hub->channels, m->handle);
    if (c && wc_group_join(&hub->groups[WC_GROUP_AUDIENCE], m->audience, c) != WC_OK)
        wc_session_close(c->session, WC_CLOSE_NO_MEMORY); /* or it would miss changes unnoticed */
}

static void deliver_verdict(struct wc_hub *hub, const struct wc_msg *m)
{
    struct wc_channel *c = wc_channel_by_handle(&hub->channels, m->handle);
    if (c)
        wc_join_verdict(c, m->ok, wc_slice(m->text, m->text_len));
}

static void deliver_permissions(struct wc_hub *hub, struct wc_msg *m)
{
    if (m->is_call)
        wc_calls_deliver(hub, m);
    else
        wc_permit_answer(hub, m);
}

uint32_t wc_hub_deliver(struct wc_hub *hub, struct wc_msg *m)
{
    uint32_t pairs = 0;
    WC_ON_THREAD(hub->owner);
    switch (m->kind) {
    case WC_MSG_DIRECT: pairs = deliver_direct(hub, m); break;
    case WC_MSG_AUDIENCE:
        pairs = deliver_group(hub, WC_GROUP_AUDIENCE, m->audience, NULL, m);
        break;
    case WC_MSG_ROOM: deliver_room(hub, m); break;
    case WC_MSG_ENLIST: enlist(hub, m); break;
    case WC_MSG_VERDICT: deliver_verdict(hub, m); break;
    case WC_MSG_PRESENCE: wc_presence_home_take(hub->presence_home, m); break;
    case WC_MSG_PRESENCE_STATE: wc_presence_deliver_state(hub, m); break;
    case WC_MSG_PERMISSIONS: deliver_permissions(hub, m); break;
    case WC_MSG_CALL: wc_calls_deliver(hub, m); break;
    case WC_MSG_DISCONNECT: wc_roster_disconnect(hub, m->tenant); break;
    }
    return m->is_change ? pairs : 0;
}

static wc_us hold_time(struct wc_hub *hub, const uint64_t *tenant)
{
    wc_us longest = 0;
    WC_LIST_EACH_SAFE (it, &hub->holding) {
        struct wc_session *s = WC_CONTAINER(it, struct wc_session, holding);
        wc_us t = !tenant || s->tenant->id == *tenant ? wc_session_hold_time(s) : 0;
        if (t > longest)
            longest = t;
    }
    return longest;
}

wc_us wc_hub_hold_time(struct wc_hub *hub)
{
    return hold_time(hub, NULL);
}

wc_us wc_hub_hold_time_of(struct wc_hub *hub, uint64_t tenant)
{
    return hold_time(hub, &tenant);
}

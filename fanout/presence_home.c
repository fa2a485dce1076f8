#include "fanout/presence_home.h"

#include "base/assert.h"
#include "base/metrics.h"
#include "fanout/phoenix.h"
#include "fanout/presence_state.h"

#include <stdlib.h>

enum {
    MANY_MEMBERS = 200,
    PACE_US = 50000, /* between the diffs of a room with many members; also until a retry */
    REF_BYTES = 12,
    REF_LEN = 16,
};

struct room {
    struct wc_map_node by_number;
    struct wc_room *room; /* a reference */
    struct wc_presence_state state;
    uint64_t next_count;                 /* of its dots */
    struct wc_msg_queue queue;           /* requests */
    struct wc_list due;                  /* home->soon or home->paced */
    wc_us due_at;                        /* in paced */
    struct wc_frame *told[WC_PHX_COUNT]; /* the state as members know it; NULL: not made yet */
};

/* Who tracked which presence. */
struct owner {
    struct wc_map_node node;
    uint64_t name[2]; /* the channel's handle */
    struct wc_dot dot;
    char ref[REF_LEN], prev[REF_LEN];
    bool has_prev;
};

struct wc_presence_home {
    struct wc_presence_home_options opt;
    struct wc_map rooms, owners;
    struct wc_msg_queue inbox;
    struct wc_list soon, paced; /* rooms with work: for this turn; later, the earliest first */
    uint64_t next_ref;
    uint64_t next_count; /* where a new room begins: no dot is given twice */
    struct wc_buf scratch;
};

struct wc_presence_home *wc_presence_home_new(const struct wc_presence_home_options *opt)
{
    struct wc_presence_home *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->opt = *opt;
    h->next_count = 1;
    wc_map_init(&h->rooms);
    wc_map_init(&h->owners);
    wc_list_init(&h->soon);
    wc_list_init(&h->paced);
    wc_buf_init(&h->scratch, UINT32_MAX); /* what a frame can hold */
    return h;
}

unsigned wc_presence_home_of(const struct wc_room *r, unsigned n)
{
    return (unsigned)(wc_hash(r->node.key) % n);
}

/* ---- rooms ---- */

static struct room *find_room(const struct wc_presence_home *h, uint64_t number)
{
    struct wc_map_node *n = wc_map_get(&h->rooms, wc_slice(&number, sizeof number));
    return n ? WC_CONTAINER(n, struct room, by_number) : NULL;
}

static struct wc_slice sub_of(const struct wc_msg *m)
{
    return wc_slice(m->text, m->presence.sub_len);
}

/* *out is NULL when the room the message speaks of is no more: everybody has left it. */
static enum wc_status make_room(struct wc_presence_home *h, const struct wc_msg *m,
                                struct room **out)
{
    *out = NULL;
    struct wc_room *shared =
        wc_room_find(h->opt.rooms, m->presence.tenant, m->presence.is_private, sub_of(m));
    if (!shared || shared->number != m->room) {
        wc_room_release(h->opt.rooms, shared);
        return WC_OK;
    }
    struct room *r = calloc(1, sizeof *r);
    if (r) {
        r->by_number.key = wc_slice(&shared->number, sizeof shared->number);
        r->room = shared;
        r->next_count = h->next_count;
        wc_presence_state_init(&r->state);
        wc_list_init(&r->due);
    }
    if (!r || wc_map_insert(&h->rooms, &r->by_number) != WC_OK) {
        wc_room_release(h->opt.rooms, shared);
        free(r);
        return WC_NOMEM;
    }
    *out = r;
    return WC_OK;
}

static void forget_frames(struct room *r)
{
    for (size_t v = 0; v < WC_PHX_COUNT; v++) {
        wc_frame_unref(r->told[v]);
        r->told[v] = NULL;
    }
}

static void free_room(struct wc_presence_home *h, struct room *r)
{
    if (h->next_count < r->next_count)
        h->next_count = r->next_count;
    wc_map_remove(&h->rooms, &r->by_number);
    wc_list_remove(&r->due);
    wc_msg_queue_clear(&r->queue);
    forget_frames(r);
    wc_metric_add(WC_M_PRESENCES, -(int64_t)r->state.entries.count);
    wc_presence_state_release(&r->state);
    wc_room_release(h->opt.rooms, r->room);
    free(r);
}

void wc_presence_home_free(struct wc_presence_home *h)
{
    if (!h)
        return;
    for (struct wc_map_node *n; (n = wc_map_each(&h->rooms, NULL));)
        free_room(h, WC_CONTAINER(n, struct room, by_number));
    for (struct wc_map_node *n; (n = wc_map_each(&h->owners, NULL));) {
        wc_map_remove(&h->owners, n);
        free(WC_CONTAINER(n, struct owner, node));
    }
    wc_map_release(&h->rooms);
    wc_map_release(&h->owners);
    wc_msg_queue_clear(&h->inbox);
    wc_buf_release(&h->scratch);
    free(h);
}

/* ---- owners ---- */

static struct owner *find_owner(const struct wc_presence_home *h, struct wc_handle c)
{
    const uint64_t name[2] = {c.thread, (uint64_t)c.slot << 32 | c.generation};
    struct wc_map_node *n = wc_map_get(&h->owners, wc_slice(name, sizeof name));
    return n ? WC_CONTAINER(n, struct owner, node) : NULL;
}

static struct owner *make_owner(struct wc_presence_home *h, struct wc_handle c)
{
    struct owner *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->name[0] = c.thread;
    o->name[1] = (uint64_t)c.slot << 32 | c.generation;
    o->node.key = wc_slice(o->name, sizeof o->name);
    if (wc_map_insert(&h->owners, &o->node) == WC_OK)
        return o;
    free(o);
    return NULL;
}

static void free_owner(struct wc_presence_home *h, struct owner *o)
{
    wc_map_remove(&h->owners, &o->node);
    free(o);
}

/* ---- track, untrack ---- */

/* base64url of 12 bytes: four characters for each three */
static void write_ref(const struct wc_presence_home *h, char out[REF_LEN])
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t b[REF_BYTES] = {[4] = (uint8_t)h->opt.thread};
    for (unsigned i = 0; i < 4; i++)
        b[i] = (uint8_t)(h->opt.node >> (24 - 8 * i));
    for (unsigned i = 5; i < REF_BYTES; i++)
        b[i] = (uint8_t)(h->next_ref >> (8 * (REF_BYTES - 1 - i)));
    for (unsigned i = 0, o = 0; i < REF_BYTES; i += 3, o += 4) {
        uint32_t three = (uint32_t)b[i] << 16 | (uint32_t)b[i + 1] << 8 | b[i + 2];
        for (unsigned k = 0; k < 4; k++)
            out[o + k] = digit[three >> (18 - 6 * k) & 63];
    }
}

/* {"phx_ref":R[,"phx_ref_prev":P][,members]} */
static struct wc_slice render_meta(struct wc_buf *out, const struct owner *o,
                                   struct wc_slice members)
{
    wc_buf_reset(out);
    wc_buf_printf(out, "{\"phx_ref\":\"%.*s\"", REF_LEN, o->ref);
    if (o->has_prev)
        wc_buf_printf(out, ",\"phx_ref_prev\":\"%.*s\"", REF_LEN, o->prev);
    if (members.len)
        wc_buf_byte(out, ',');
    wc_buf_slice(out, members);
    wc_buf_byte(out, '}');
    return wc_buf_view(out);
}

/* What the owner's next presence is called. Its predecessor is the one members have heard of. */
static struct owner successor(const struct wc_presence_home *h, const struct room *r,
                              const struct owner *o)
{
    struct owner next = *o;
    const struct wc_presence_entry *before =
        o->dot.count ? wc_presence_state_get(&r->state, o->dot) : NULL;
    if (before && before->is_announced) {
        memcpy(next.prev, o->ref, REF_LEN);
        next.has_prev = true;
    }
    next.dot = (struct wc_dot){h->opt.node, r->next_count};
    write_ref(h, next.ref);
    return next;
}

static enum wc_status put(struct wc_presence_home *h, struct room *r, struct owner *o,
                          const struct wc_msg *m)
{
    const char *key = m->text + m->presence.sub_len, *members = key + m->presence.key_len;
    struct owner next = successor(h, r, o);
    struct wc_slice meta =
        render_meta(&h->scratch, &next,
                    wc_slice(members, m->text_len - m->presence.sub_len - m->presence.key_len));
    if (h->scratch.status != WC_OK)
        return WC_NOMEM;
    enum wc_status st =
        wc_presence_state_add(&r->state, next.dot, wc_slice(key, m->presence.key_len), meta);
    if (st != WC_OK)
        return st;
    if (o->dot.count)
        wc_presence_state_drop(&r->state, o->dot);
    else
        wc_metric_add(WC_M_PRESENCES, 1);
    memcpy(o->ref, next.ref, REF_LEN);
    memcpy(o->prev, next.prev, REF_LEN);
    o->has_prev = next.has_prev;
    o->dot = next.dot;
    r->next_count++;
    h->next_ref++;
    return WC_OK;
}

static enum wc_status track(struct wc_presence_home *h, struct room *r, const struct wc_msg *m)
{
    struct owner *o = find_owner(h, m->handle);
    if (!o)
        o = make_owner(h, m->handle);
    enum wc_status st = o ? put(h, r, o, m) : WC_NOMEM;
    if (o && !o->dot.count)
        free_owner(h, o);
    return st;
}

static void untrack(struct wc_presence_home *h, struct room *r, const struct wc_msg *m)
{
    struct owner *o = find_owner(h, m->handle);
    if (!o)
        return;
    wc_presence_state_drop(&r->state, o->dot);
    wc_metric_add(WC_M_PRESENCES, -1);
    free_owner(h, o);
}

/* ---- frames ---- */

static struct wc_frame *encode(const struct room *r, enum wc_serializer v, const char *event,
                               struct wc_slice payload)
{
    uint8_t topic[sizeof "realtime:" - 1 + WC_PHX_TOPIC_MAX];
    size_t prefix = sizeof "realtime:" - 1;
    WC_ASSERT(prefix + r->room->sub.len <= sizeof topic); /* it was a channel's */
    memcpy(topic, "realtime:", prefix);
    if (r->room->sub.len)
        memcpy(topic + prefix, r->room->sub.p, r->room->sub.len);
    const struct wc_phx_envelope e = {.topic = wc_slice(topic, prefix + r->room->sub.len),
                                      .event = wc_slice_str(event)};
    return wc_phx_encode(v, &e, payload);
}

/* V1: the whole message, the same for all. V2 messages begin with the channel's join_ref, so only
 * what follows is shared (presence.c writes the beginning). */
static struct wc_frame *state_frame(struct wc_presence_home *h, struct room *r,
                                    enum wc_serializer v)
{
    if (r->told[v])
        return r->told[v];
    wc_buf_reset(&h->scratch);
    wc_presence_state_render(&r->state, &h->scratch);
    if (v == WC_PHX_V2)
        wc_buf_byte(&h->scratch, ']');
    if (h->scratch.status != WC_OK)
        return NULL;
    struct wc_slice text = wc_buf_view(&h->scratch);
    r->told[v] = v == WC_PHX_V2 ? wc_frame_copy(WC_FRAME_CONTINUATION, text)
                                : encode(r, v, "presence_state", text);
    return r->told[v];
}

static enum wc_status send_state(struct wc_presence_home *h, struct room *r,
                                 const struct wc_msg *asked)
{
    struct wc_frame *f = state_frame(h, r, asked->presence.serializer);
    struct wc_msg *m = f ? wc_msg_new(WC_MSG_PRESENCE_STATE, wc_slice(NULL, 0)) : NULL;
    if (!m)
        return WC_NOMEM;
    m->handle = asked->handle;
    m->frame[asked->presence.serializer] = wc_frame_ref(f);
    return wc_publish(h->opt.publisher, WC_ORIGIN_CLIENT, m, UINT64_C(1) << asked->handle.thread);
}

/* Takes the requests for the state out of the queue, in order, and answers them. */
static enum wc_status send_states(struct wc_presence_home *h, struct room *r)
{
    struct wc_msg_queue todo = r->queue;
    enum wc_status st = WC_OK;
    r->queue = (struct wc_msg_queue){0};
    for (struct wc_msg *m; (m = wc_msg_queue_pop(&todo));) {
        if (m->presence.op == WC_PRESENCE_STATE && st == WC_OK)
            st = send_state(h, r, m);
        if (m->presence.op == WC_PRESENCE_STATE && st == WC_OK)
            wc_msg_unref(m);
        else
            wc_msg_queue_push(&r->queue, m);
    }
    return st;
}

/* To the threads with members. With none left nobody needs to be told. */
static enum wc_status send_diff(struct wc_presence_home *h, struct room *r)
{
    uint64_t threads = 0;
    struct wc_msg *m = wc_msg_new(WC_MSG_ROOM, wc_slice(NULL, 0));
    if (!m)
        return WC_NOMEM;
    wc_buf_reset(&h->scratch);
    wc_presence_state_render_diff(&r->state, &h->scratch);
    enum wc_status st = h->scratch.status;
    m->room = r->room->number;
    m->is_presence = true;
    for (enum wc_serializer v = WC_PHX_V1; v < WC_PHX_COUNT && st == WC_OK; v++) {
        uint64_t users = wc_room_threads(r->room, v);
        if (!users)
            continue;
        threads |= users;
        m->frame[v] = encode(r, v, "presence_diff", wc_buf_view(&h->scratch));
        st = m->frame[v] ? WC_OK : WC_NOMEM;
    }
    if (st == WC_OK)
        return wc_publish(h->opt.publisher, WC_ORIGIN_CLIENT, m, threads);
    wc_msg_unref(m);
    return st;
}

/* ---- turns ---- */

/* One after the other; the first that fails stays in front. */
static enum wc_status apply(struct wc_presence_home *h, struct room *r)
{
    while (r->queue.first) {
        const struct wc_msg *m = r->queue.first;
        enum wc_status st = WC_OK;
        switch (m->presence.op) {
        case WC_PRESENCE_TRACK: st = track(h, r, m); break;
        case WC_PRESENCE_UNTRACK: untrack(h, r, m); break;
        case WC_PRESENCE_STATE: break; /* answered before */
        }
        if (st != WC_OK)
            return st;
        wc_msg_unref(wc_msg_queue_pop(&r->queue));
    }
    return WC_OK;
}

static enum wc_status work(struct wc_presence_home *h, struct room *r)
{
    if (wc_publisher_is_full(h->opt.publisher))
        return WC_AGAIN;
    enum wc_status st = send_states(h, r);
    if (st != WC_OK)
        return st;
    st = apply(h, r);
    if (!wc_presence_state_has_diff(&r->state))
        return st;
    enum wc_status sent = send_diff(h, r);
    if (sent != WC_OK)
        return sent;
    wc_presence_state_announced(&r->state);
    forget_frames(r);
    return st;
}

static void put_off(struct wc_presence_home *h, struct room *r, wc_us now)
{
    r->due_at = now + PACE_US;
    wc_list_push(&h->paced, &r->due);
}

static void schedule(struct wc_presence_home *h, struct room *r, wc_us now)
{
    if (!wc_list_is_empty(&r->due))
        return;
    if (wc_room_members(h->opt.rooms, r->room) > MANY_MEMBERS)
        put_off(h, r, now);
    else
        wc_list_push(&h->soon, &r->due);
}

static void finish(struct wc_presence_home *h, struct room *r, wc_us now)
{
    wc_list_remove(&r->due);
    if (work(h, r) != WC_OK)
        put_off(h, r, now);
    else if (r->state.entries.count == 0)
        free_room(h, r);
}

/* Gives each request to its room. */
static enum wc_status sort(struct wc_presence_home *h, wc_us now)
{
    for (struct wc_msg *m; (m = h->inbox.first);) {
        struct room *r = find_room(h, m->room);
        enum wc_status st = WC_OK;
        if (!r && m->presence.op != WC_PRESENCE_UNTRACK)
            st = make_room(h, m, &r);
        if (st != WC_OK)
            return st;
        (void)wc_msg_queue_pop(&h->inbox); /* it is m */
        if (!r) {
            wc_msg_unref(m);
            continue;
        }
        wc_msg_queue_push(&r->queue, m);
        schedule(h, r, now);
    }
    return WC_OK;
}

void wc_presence_home_take(struct wc_presence_home *h, struct wc_msg *m)
{
    wc_msg_ref(m, 1);
    wc_msg_queue_push(&h->inbox, m);
}

wc_us wc_presence_home_turn(struct wc_presence_home *h, wc_us now)
{
    enum wc_status st = sort(h, now);
    WC_LIST_EACH_SAFE (it, &h->soon) {
        finish(h, WC_CONTAINER(it, struct room, due), now);
    }
    while (!wc_list_is_empty(&h->paced)) {
        struct room *r = WC_CONTAINER(h->paced.next, struct room, due);
        if (r->due_at > now)
            return r->due_at - now;
        finish(h, r, now);
    }
    return st == WC_OK ? 0 : PACE_US;
}

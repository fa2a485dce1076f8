#include "fanout/channel.h"

#include "base/assert.h"
#include "fanout/phoenix.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

void wc_channels_init(struct wc_channels *t, unsigned thread)
{
    *t = (struct wc_channels){.thread = thread, .first_free = UINT32_MAX};
    wc_map_init(&t->by_topic);
}

void wc_channels_release(struct wc_channels *t)
{
    WC_ASSERT(t->by_topic.count == 0 && t->nheap == 0);
    wc_map_release(&t->by_topic);
    free(t->slot);
    free(t->heap);
}

/* ---- the heap ---- */

static int64_t exp_at(const struct wc_channels *t, uint32_t i)
{
    return t->heap[i]->claims->exp;
}

static void place(struct wc_channels *t, uint32_t i, struct wc_channel *c)
{
    t->heap[i] = c;
    c->heap_index = i;
}

static void sift_up(struct wc_channels *t, uint32_t i)
{
    struct wc_channel *c = t->heap[i];
    for (; i && exp_at(t, (i - 1) / 2) > c->claims->exp; i = (i - 1) / 2)
        place(t, i, t->heap[(i - 1) / 2]);
    place(t, i, c);
}

static void sift_down(struct wc_channels *t, uint32_t i)
{
    struct wc_channel *c = t->heap[i];
    for (uint32_t child; (child = 2 * i + 1) < t->nheap; i = child) {
        if (child + 1 < t->nheap && exp_at(t, child + 1) < exp_at(t, child))
            child++;
        if (c->claims->exp <= exp_at(t, child))
            break;
        place(t, i, t->heap[child]);
    }
    place(t, i, c);
}

static void heap_insert(struct wc_channels *t, struct wc_channel *c)
{
    place(t, t->nheap++, c);
    sift_up(t, c->heap_index);
}

static void heap_remove(struct wc_channels *t, struct wc_channel *c)
{
    uint32_t i = c->heap_index;
    struct wc_channel *last = t->heap[--t->nheap];
    if (last == c)
        return;
    place(t, i, last);
    sift_up(t, i);
    sift_down(t, last->heap_index);
}

struct wc_channel *wc_channel_next_to_expire(const struct wc_channels *t)
{
    return t->nheap ? t->heap[0] : NULL;
}

/* ---- slots ---- */

static enum wc_status grow(struct wc_channels *t)
{
    uint32_t n = t->nslots ? t->nslots * 2 : FIRST_SLOTS;
    struct wc_channel **heap = realloc(t->heap, n * sizeof(struct wc_channel *));
    if (heap)
        t->heap = heap;
    struct wc_channel_slot *slot = heap ? realloc(t->slot, n * sizeof *slot) : NULL;
    if (!slot)
        return WC_NOMEM;
    t->slot = slot;
    for (uint32_t i = n; i-- > t->nslots;) {
        slot[i] = (struct wc_channel_slot){.generation = 1, .next_free = t->first_free};
        t->first_free = i;
    }
    t->nslots = n;
    return WC_OK;
}

static uint32_t take_slot(struct wc_channels *t, struct wc_channel *c)
{
    uint32_t at = t->first_free;
    t->first_free = t->slot[at].next_free;
    t->slot[at].channel = c;
    return at;
}

static void return_slot(struct wc_channels *t, uint32_t at)
{
    struct wc_channel_slot *s = &t->slot[at];
    s->channel = NULL;
    s->generation++;
    s->next_free = t->first_free;
    t->first_free = at;
}

struct wc_channel *wc_channel_by_handle(const struct wc_channels *t, struct wc_handle h)
{
    if (h.thread != t->thread || h.slot >= t->nslots || t->slot[h.slot].generation != h.generation)
        return NULL;
    return t->slot[h.slot].channel;
}

struct wc_handle wc_channel_handle(const struct wc_channels *t, const struct wc_channel *c)
{
    return (struct wc_handle){
        .thread = (uint16_t)t->thread, .slot = c->slot, .generation = c->generation};
}

enum wc_status wc_channel_subscription(struct wc_channels *t, struct wc_channel *c,
                                       struct wc_handle *out)
{
    if (c->subscription_slot == WC_CHANNEL_NO_SLOT) {
        if (t->first_free == UINT32_MAX && grow(t) != WC_OK)
            return WC_NOMEM;
        c->subscription_slot = take_slot(t, c);
    }
    *out = (struct wc_handle){.thread = (uint16_t)t->thread,
                              .slot = c->subscription_slot,
                              .generation = t->slot[c->subscription_slot].generation};
    return WC_OK;
}

void wc_channel_end_subscription(struct wc_channels *t, struct wc_channel *c)
{
    if (c->subscription_slot != WC_CHANNEL_NO_SLOT)
        t->slot[c->subscription_slot].generation++;
}

/* ---- life ---- */

static struct wc_slice copy_text(struct wc_channel *c, size_t *at, struct wc_slice from)
{
    struct wc_slice to = wc_slice(c->text + *at, from.len);
    if (from.len)
        memcpy(c->text + *at, from.p, from.len);
    *at += from.len;
    return to;
}

static struct wc_channel *build(const struct wc_channel_join *j)
{
    size_t len =
        sizeof j->serial + j->topic.len + j->join_ref.len + j->ref.len + j->config.presence_key.len;
    struct wc_channel *c = calloc(1, sizeof *c + len);
    if (!c)
        return NULL;
    size_t at = 0;
    (void)copy_text(c, &at, wc_slice(&j->serial, sizeof j->serial)); /* found through the key */
    c->topic = copy_text(c, &at, j->topic);
    c->join_ref = copy_text(c, &at, j->join_ref);
    c->ref = copy_text(c, &at, j->ref);
    c->config = j->config;
    c->config.presence_key = copy_text(c, &at, j->config.presence_key);
    c->node.key = wc_slice(c->text, sizeof j->serial + j->topic.len);
    c->session = j->session;
    c->subscription_slot = WC_CHANNEL_NO_SLOT;
    c->known = c->may = j->config.is_private ? 0 : WC_MAY_ALL;
    wc_list_init(&c->by_session);
    return c;
}

struct wc_channel *wc_channel_new(struct wc_channels *t, const struct wc_channel_join *j)
{
    WC_DASSERT(!wc_channel_find(t, j->serial, j->topic));
    if (t->first_free == UINT32_MAX && grow(t) != WC_OK)
        return NULL;
    struct wc_channel *c = build(j);
    if (!c)
        return NULL;
    if (wc_map_insert(&t->by_topic, &c->node) != WC_OK) {
        free(c);
        return NULL;
    }
    c->claims = wc_claims_ref(j->claims);
    c->slot = take_slot(t, c);
    c->generation = t->slot[c->slot].generation;
    heap_insert(t, c);
    return c;
}

void wc_channel_set_claims(struct wc_channels *t, struct wc_channel *c, struct wc_claims *claims)
{
    heap_remove(t, c);
    wc_claims_unref(c->claims);
    c->claims = wc_claims_ref(claims);
    heap_insert(t, c);
}

void wc_channel_free(struct wc_channels *t, struct wc_channel *c)
{
    WC_DASSERT(!c->in[WC_GROUP_AUDIENCE].group && !c->in[WC_GROUP_ROOM].group);
    wc_list_remove(&c->by_session);
    wc_map_remove(&t->by_topic, &c->node);
    heap_remove(t, c);
    return_slot(t, c->slot);
    if (c->subscription_slot != WC_CHANNEL_NO_SLOT)
        return_slot(t, c->subscription_slot);
    wc_claims_unref(c->claims);
    free(c->replayed);
    free(c);
}

struct wc_channel *wc_channel_find(const struct wc_channels *t, uint64_t serial,
                                   struct wc_slice topic)
{
    uint8_t key[sizeof serial + WC_PHX_TOPIC_MAX];
    WC_ASSERT(topic.len <= WC_PHX_TOPIC_MAX);
    memcpy(key, &serial, sizeof serial);
    if (topic.len)
        memcpy(key + sizeof serial, topic.p, topic.len);
    struct wc_map_node *n = wc_map_get(&t->by_topic, wc_slice(key, sizeof serial + topic.len));
    return n ? WC_CONTAINER(n, struct wc_channel, node) : NULL;
}

bool wc_channels_ok(const struct wc_channels *t)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < t->nslots; i++)
        used += t->slot[i].channel && t->slot[i].channel->slot == i;
    for (uint32_t i = 0; i < t->nheap; i++) {
        if (t->heap[i]->heap_index != i || (i && exp_at(t, (i - 1) / 2) > exp_at(t, i)))
            return false;
    }
    return used == t->nheap && used == t->by_topic.count;
}

#include "fanout/audience.h"

#include "base/assert.h"
#include "fanout/channel.h"

#include <stdlib.h>

void wc_audiences_init(struct wc_audiences *a)
{
    wc_map_init(&a->map);
}

void wc_audiences_release(struct wc_audiences *a)
{
    WC_ASSERT(a->map.count == 0);
    wc_map_release(&a->map);
}

static struct wc_audience *of_node(struct wc_map_node *n)
{
    return n ? WC_CONTAINER(n, struct wc_audience, node) : NULL;
}

struct wc_audience *wc_audience_find(const struct wc_audiences *a, uint64_t number)
{
    return of_node(wc_map_get(&a->map, wc_slice(&number, sizeof number)));
}

static struct wc_audience *add(struct wc_audiences *a, uint64_t number)
{
    struct wc_audience *found = calloc(1, sizeof *found);
    if (!found)
        return NULL;
    found->number = number;
    found->node.key = wc_slice(&found->number, sizeof found->number);
    if (wc_map_insert(&a->map, &found->node) != WC_OK) {
        free(found);
        return NULL;
    }
    return found;
}

static void remove_if_empty(struct wc_audiences *a, struct wc_audience *au)
{
    if (au->count)
        return;
    wc_map_remove(&a->map, &au->node);
    free(au->member);
    free(au);
}

static enum wc_status reserve(struct wc_audience *au)
{
    if (au->count < au->cap)
        return WC_OK;
    uint32_t cap = au->cap ? au->cap * 2 : 4;
    struct wc_channel **member = realloc(au->member, cap * sizeof(struct wc_channel *));
    if (!member)
        return WC_NOMEM;
    au->member = member;
    au->cap = cap;
    return WC_OK;
}

enum wc_status wc_audience_join(struct wc_audiences *a, uint64_t number, struct wc_channel *c)
{
    struct wc_audience *au = wc_audience_find(a, number);
    if (!au)
        au = add(a, number);
    if (!au)
        return WC_NOMEM;
    if (reserve(au) != WC_OK) {
        remove_if_empty(a, au);
        return WC_NOMEM;
    }
    wc_audience_leave(a, c);
    c->audience = au;
    c->audience_index = au->count;
    au->member[au->count++] = c;
    return WC_OK;
}

void wc_audience_leave(struct wc_audiences *a, struct wc_channel *c)
{
    struct wc_audience *au = c->audience;
    if (!au)
        return;
    WC_DASSERT(au->member[c->audience_index] == c);
    struct wc_channel *last = au->member[--au->count];
    au->member[c->audience_index] = last;
    last->audience_index = c->audience_index;
    c->audience = NULL;
    remove_if_empty(a, au);
}

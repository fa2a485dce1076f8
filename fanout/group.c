#include "fanout/group.h"

#include "base/assert.h"
#include "fanout/channel.h"
#include "fanout/session.h"

#include <stdlib.h>

void wc_groups_init(struct wc_groups *g, enum wc_group_kind kind)
{
    g->kind = kind;
    wc_map_init(&g->map);
}

void wc_groups_release(struct wc_groups *g)
{
    WC_ASSERT(g->map.count == 0);
    wc_map_release(&g->map);
}

struct wc_group *wc_group_find(const struct wc_groups *g, uint64_t number)
{
    struct wc_map_node *n = wc_map_get(&g->map, wc_slice(&number, sizeof number));
    return n ? WC_CONTAINER(n, struct wc_group, node) : NULL;
}

static struct wc_group *add(struct wc_groups *g, uint64_t number)
{
    struct wc_group *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->number = number;
    made->node.key = wc_slice(&made->number, sizeof made->number);
    if (wc_map_insert(&g->map, &made->node) != WC_OK) {
        free(made);
        return NULL;
    }
    return made;
}

static void remove_if_empty(struct wc_groups *g, struct wc_group *group)
{
    if (group->count)
        return;
    wc_map_remove(&g->map, &group->node);
    free(group->member);
    free(group);
}

static enum wc_status reserve(struct wc_group *group)
{
    if (group->count < group->cap)
        return WC_OK;
    uint32_t cap = group->cap ? group->cap * 2 : 4;
    struct wc_channel **member = realloc(group->member, cap * sizeof(struct wc_channel *));
    if (!member)
        return WC_NOMEM;
    group->member = member;
    group->cap = cap;
    return WC_OK;
}

enum wc_status wc_group_join(struct wc_groups *g, uint64_t number, struct wc_channel *c)
{
    struct wc_group *group = wc_group_find(g, number);
    if (!group)
        group = add(g, number);
    if (!group)
        return WC_NOMEM;
    if (reserve(group) != WC_OK) {
        remove_if_empty(g, group);
        return WC_NOMEM;
    }
    wc_group_leave(g, c);
    c->in[g->kind] = (struct wc_membership){.group = group, .index = group->count};
    group->member[group->count++] = c;
    group->users[c->session->serializer]++;
    return WC_OK;
}

void wc_group_leave(struct wc_groups *g, struct wc_channel *c)
{
    struct wc_membership *m = &c->in[g->kind];
    struct wc_group *group = m->group;
    if (!group)
        return;
    WC_DASSERT(group->member[m->index] == c);
    struct wc_channel *last = group->member[--group->count];
    group->member[m->index] = last;
    last->in[g->kind].index = m->index;
    m->group = NULL;
    group->users[c->session->serializer]--;
    remove_if_empty(g, group);
}

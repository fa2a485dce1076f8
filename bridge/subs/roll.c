#include "bridge/subs/roll.h"

#include "base/assert.h"

#include <stdlib.h>

struct relation {
    struct wc_map_node node; /* key: oid */
    wc_oid oid;
    struct wc_list rolls; /* a few: the roles of a database's tokens */
};

void wc_rolls_init(struct wc_rolls *g, struct wc_access_cache *cache)
{
    g->cache = cache;
    wc_map_init(&g->relations);
}

void wc_rolls_release(struct wc_rolls *g)
{
    WC_ASSERT(g->relations.count == 0);
    wc_map_release(&g->relations);
}

static struct relation *find_relation(const struct wc_rolls *g, wc_oid oid)
{
    if (g->relations.count == 0)
        return NULL;
    struct wc_map_node *n = wc_map_get(&g->relations, wc_slice(&oid, sizeof oid));
    return n ? WC_CONTAINER(n, struct relation, node) : NULL;
}

static struct relation *make_relation(struct wc_rolls *g, wc_oid oid)
{
    struct relation *rel = calloc(1, sizeof *rel);
    if (!rel)
        return NULL;
    rel->oid = oid;
    rel->node.key = wc_slice(&rel->oid, sizeof rel->oid);
    wc_list_init(&rel->rolls);
    if (wc_map_insert(&g->relations, &rel->node) == WC_OK)
        return rel;
    free(rel);
    return NULL;
}

static void drop_if_empty(struct wc_rolls *g, struct relation *rel)
{
    if (!wc_list_is_empty(&rel->rolls))
        return;
    wc_map_remove(&g->relations, &rel->node);
    free(rel);
}

struct wc_roll *wc_roll_among(const struct wc_list *rolls, struct wc_slice role)
{
    WC_LIST_EACH (it, rolls) {
        struct wc_roll *roll = WC_CONTAINER(it, struct wc_roll, link);
        if (wc_slice_eq(roll->role, role))
            return roll;
    }
    return NULL;
}

static struct wc_roll *make_roll(struct relation *rel, struct wc_slice role)
{
    struct wc_roll *roll = calloc(1, sizeof *roll + role.len);
    if (!roll)
        return NULL;
    if (role.len)
        memcpy(roll + 1, role.p, role.len);
    roll->role = wc_slice(roll + 1, role.len);
    roll->relation = rel;
    wc_list_init(&roll->entries);
    wc_list_push(&rel->rolls, &roll->link);
    return roll;
}

static void drop_roll_if_empty(struct wc_rolls *g, struct wc_roll *roll)
{
    struct relation *rel = roll->relation;
    if (!wc_list_is_empty(&roll->entries))
        return;
    wc_list_remove(&roll->link);
    wc_rules_unref(roll->rules);
    if (roll->access)
        wc_access_unpin(roll->access);
    free(roll);
    drop_if_empty(g, rel);
}

struct wc_roll *wc_roll_enter(struct wc_rolls *g, wc_oid oid, struct wc_slice role, bool is_named,
                              struct wc_list *entry)
{
    struct relation *rel = find_relation(g, oid);
    if (!rel)
        rel = make_relation(g, oid);
    if (!rel)
        return NULL;
    struct wc_roll *roll = wc_roll_among(&rel->rolls, role);
    if (!roll)
        roll = make_roll(rel, role);
    if (!roll) {
        drop_if_empty(g, rel);
        return NULL;
    }
    if (is_named && !roll->access)
        roll->access = wc_access_pin(g->cache, oid, role);
    if (is_named && !roll->access) {
        drop_roll_if_empty(g, roll);
        return NULL;
    }
    wc_list_push(&roll->entries, entry);
    roll->nentries++;
    return roll;
}

void wc_roll_leave(struct wc_rolls *g, struct wc_roll *roll, struct wc_list *entry)
{
    wc_list_remove(entry);
    roll->nentries--;
    drop_roll_if_empty(g, roll);
}

const struct wc_list *wc_rolls_of(const struct wc_rolls *g, wc_oid oid)
{
    const struct relation *rel = find_relation(g, oid);
    return rel ? &rel->rolls : NULL;
}

void wc_rolls_each(const struct wc_rolls *g, bool (*fn)(void *arg, struct wc_roll *), void *arg)
{
    for (struct wc_map_node *n = wc_map_each(&g->relations, NULL); n;
         n = wc_map_each(&g->relations, n)) {
        const struct relation *rel = WC_CONTAINER(n, struct relation, node);
        WC_LIST_EACH (it, &rel->rolls)
            if (!fn(arg, WC_CONTAINER(it, struct wc_roll, link)))
                return;
    }
}

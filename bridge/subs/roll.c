#include "bridge/subs/roll.h"

#include "base/assert.h"

#include <stdlib.h>

struct relation {
    struct wc_map_node node; /* key: oid */
    wc_oid oid;
    struct wc_list rolls; /* a few: the roles of a database's tokens */
};

void wc_rolls_init(struct wc_rolls *r)
{
    wc_map_init(&r->relations);
}

void wc_rolls_release(struct wc_rolls *r)
{
    WC_ASSERT(r->relations.count == 0);
    wc_map_release(&r->relations);
}

static struct relation *find_relation(const struct wc_rolls *r, wc_oid oid)
{
    if (r->relations.count == 0)
        return NULL;
    struct wc_map_node *n = wc_map_get(&r->relations, wc_slice(&oid, sizeof oid));
    return n ? WC_CONTAINER(n, struct relation, node) : NULL;
}

static struct relation *make_relation(struct wc_rolls *r, wc_oid oid)
{
    struct relation *rel = calloc(1, sizeof *rel);
    if (!rel)
        return NULL;
    rel->oid = oid;
    rel->node.key = wc_slice(&rel->oid, sizeof rel->oid);
    wc_list_init(&rel->rolls);
    if (wc_map_insert(&r->relations, &rel->node) == WC_OK)
        return rel;
    free(rel);
    return NULL;
}

static void drop_if_empty(struct wc_rolls *r, struct relation *rel)
{
    if (!wc_list_is_empty(&rel->rolls))
        return;
    wc_map_remove(&r->relations, &rel->node);
    free(rel);
}

static struct wc_roll *find_roll(const struct relation *rel, struct wc_slice role)
{
    WC_LIST_EACH (it, &rel->rolls) {
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
    wc_list_init(&roll->entries);
    wc_list_push(&rel->rolls, &roll->link);
    return roll;
}

enum wc_status wc_roll_enter(struct wc_rolls *r, wc_oid oid, struct wc_slice role,
                             struct wc_list *entry)
{
    struct relation *rel = find_relation(r, oid);
    if (!rel)
        rel = make_relation(r, oid);
    if (!rel)
        return WC_NOMEM;
    struct wc_roll *roll = find_roll(rel, role);
    if (!roll)
        roll = make_roll(rel, role);
    if (!roll) {
        drop_if_empty(r, rel);
        return WC_NOMEM;
    }
    wc_list_push(&roll->entries, entry);
    return WC_OK;
}

void wc_roll_leave(struct wc_rolls *r, wc_oid oid, struct wc_slice role, struct wc_list *entry)
{
    if (wc_list_is_empty(entry))
        return;
    wc_list_remove(entry);
    struct relation *rel = find_relation(r, oid);
    struct wc_roll *roll = rel ? find_roll(rel, role) : NULL;
    WC_ASSERT(roll);
    if (!wc_list_is_empty(&roll->entries))
        return;
    wc_list_remove(&roll->link);
    free(roll);
    drop_if_empty(r, rel);
}

const struct wc_list *wc_rolls_of(const struct wc_rolls *r, wc_oid oid)
{
    const struct relation *rel = find_relation(r, oid);
    return rel ? &rel->rolls : NULL;
}

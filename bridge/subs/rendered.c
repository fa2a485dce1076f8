/*
 * Renderings stay in the map with their memory, for the next change of the same table. Which change
 * one belongs to is a number, so an access entry or a set that is gone meanwhile, and another at
 * its address, do no harm.
 */
#include "bridge/subs/rendered.h"

#include <stdlib.h>

enum {
    JSON_CAP = INT32_MAX, /* Postgres itself holds a value below 1 GiB */
    KEEP = 1024,          /* renderings at most between changes */
    KEEP_BYTES = 1 << 20, /* of one rendering */
};

struct key {
    uintptr_t access, set; /* addresses */
    uint64_t shape;        /* what else makes a difference; 64 bits: no padding in a key */
};

struct wc_rendering {
    struct wc_map_node node;
    struct key key;
    uint64_t change;
    enum wc_status status;
    struct wc_buf json;
};

void wc_rendered_init(struct wc_rendered *r)
{
    *r = (struct wc_rendered){.change = 1};
    wc_map_init(&r->map);
}

void wc_rendered_release(struct wc_rendered *r)
{
    struct wc_map_node *n;
    while ((n = wc_map_each(&r->map, NULL))) {
        struct wc_rendering *it = WC_CONTAINER(n, struct wc_rendering, node);
        wc_map_remove(&r->map, n);
        wc_buf_release(&it->json);
        free(it);
    }
    wc_map_release(&r->map);
    r->last = NULL;
}

void wc_rendered_next(struct wc_rendered *r)
{
    if (r->map.count > KEEP) {
        wc_rendered_release(r);
        wc_map_init(&r->map);
    }
    r->change++;
}

static struct wc_rendering *make(struct wc_rendered *r, const struct key *key)
{
    struct wc_rendering *it = calloc(1, sizeof *it);
    if (!it)
        return NULL;
    it->key = *key;
    it->node.key = wc_slice(&it->key, sizeof it->key);
    wc_buf_init(&it->json, JSON_CAP);
    if (wc_map_insert(&r->map, &it->node) == WC_OK)
        return it;
    free(it);
    return NULL;
}

static struct key key_of(const struct wc_rendered_change *ch, const struct wc_view *view)
{
    return (struct key){.access = (uintptr_t)view->access,
                        .set = (uintptr_t)view->set,
                        .shape = (uint64_t)ch->change->op << 1 | view->old_key_only};
}

static struct wc_rendering *find(struct wc_rendered *r, const struct key key)
{
    const struct key *last = r->last ? &r->last->key : NULL;
    if (last && last->access == key.access && last->set == key.set && last->shape == key.shape)
        return r->last;
    struct wc_map_node *n = wc_map_get(&r->map, wc_slice(&key, sizeof key));
    r->last = n ? WC_CONTAINER(n, struct wc_rendering, node) : make(r, &key);
    return r->last;
}

/* The memory of an exceptional row is not kept. */
static void empty(struct wc_buf *json)
{
    if (json->alloc > KEEP_BYTES)
        wc_buf_release(json);
    wc_buf_reset(json);
}

enum wc_status wc_rendered_get(struct wc_rendered *r, const struct wc_rendered_change *ch,
                               const struct wc_view *view, struct wc_slice *out)
{
    struct wc_rendering *it = find(r, key_of(ch, view));
    if (!it)
        return WC_NOMEM;
    if (it->change != r->change) {
        it->change = r->change;
        empty(&it->json);
        it->status =
            wc_render_change(&it->json, ch->change, view, ch->commit_time, ch->max_record_bytes);
    }
    if (it->status == WC_OK)
        *out = wc_buf_view(&it->json);
    return it->status;
}

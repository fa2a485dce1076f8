/*
 * One allocation per relation: reference count and hash node in front, then what readers see, then
 * the columns, then a copy of the Relation message, which already holds every name with its NUL.
 */
#include "decoder/relcache_priv.h"

#include "base/assert.h"

#include <stdatomic.h>
#include <stdlib.h>

struct entry {
    _Atomic uint32_t refs;   /* any thread */
    struct wc_map_node node; /* owner of the cache; keyed by the bytes of rel.oid */
    struct wc_rel rel;       /* immutable once in the cache, like all that follows */
    struct wc_rel_col col[];
};

/* Through an integer: the entry was allocated mutable, only its face to readers is const. */
static struct entry *entry_of(const struct wc_rel *rel)
{
    return (struct entry *)((uintptr_t)rel - offsetof(struct entry, rel));
}

static struct entry *entry_of_node(struct wc_map_node *node)
{
    return (struct entry *)((uintptr_t)node - offsetof(struct entry, node));
}

static struct wc_slice oid_key(const wc_oid *oid)
{
    return wc_slice(oid, sizeof *oid);
}

enum wc_status wc_rel_new(uint16_t ncols, struct wc_slice bytes, struct wc_rel_draft *out)
{
    WC_ASSERT(ncols <= WC_REL_MAX_COLS);
    size_t fixed = sizeof(struct entry) + ncols * sizeof(struct wc_rel_col);
    if (bytes.len > SIZE_MAX - fixed)
        return WC_NOMEM;
    struct entry *e = malloc(fixed + bytes.len);
    if (!e)
        return WC_NOMEM;
    *e = (struct entry){.rel = {.ncols = ncols, .col = e->col}};
    atomic_init(&e->refs, 1);
    uint8_t *copy = (uint8_t *)(e->col + ncols);
    if (bytes.len)
        memcpy(copy, bytes.p, bytes.len);
    *out = (struct wc_rel_draft){.rel = &e->rel, .col = e->col, .bytes = copy};
    return WC_OK;
}

const struct wc_rel *wc_rel_ref(const struct wc_rel *rel)
{
    atomic_fetch_add_explicit(&entry_of(rel)->refs, 1, memory_order_relaxed); /* we hold one */
    return rel;
}

void wc_rel_unref(const struct wc_rel *rel)
{
    if (!rel)
        return;
    struct entry *e = entry_of(rel);
    /* acq_rel: every reader's last access happens before the free, whichever thread is the last */
    if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
        free(e);
}

void wc_relcache_init(struct wc_relcache *c, size_t max_rels)
{
    *c = (struct wc_relcache){.max_rels = max_rels};
    wc_map_init(&c->by_oid);
}

void wc_relcache_clear(struct wc_relcache *c)
{
    struct wc_map_node *node = wc_map_each(&c->by_oid, NULL);
    while (node) {
        struct wc_map_node *next = wc_map_each(&c->by_oid, node);
        wc_map_remove(&c->by_oid, node);
        wc_rel_unref(&entry_of_node(node)->rel);
        node = next;
    }
    wc_map_release(&c->by_oid);
    wc_relcache_init(c, c->max_rels);
}

const struct wc_rel *wc_relcache_get(const struct wc_relcache *c, wc_oid oid)
{
    if (c->last && c->last->oid == oid)
        return c->last;
    struct wc_map_node *node = wc_map_get(&c->by_oid, oid_key(&oid));
    return node ? &entry_of_node(node)->rel : NULL;
}

const struct wc_rel *wc_relcache_use(struct wc_relcache *c, wc_oid oid)
{
    const struct wc_rel *rel = wc_relcache_get(c, oid);
    c->last = rel;
    return rel;
}

enum wc_status wc_relcache_put(struct wc_relcache *c, const struct wc_rel *rel)
{
    struct entry *e = entry_of(rel);
    e->node.key = oid_key(&e->rel.oid);
    struct wc_map_node *old = wc_map_get(&c->by_oid, e->node.key);
    if (!old && c->by_oid.count >= c->max_rels) {
        wc_rel_unref(rel);
        return WC_LIMIT;
    }
    if (old) {
        wc_map_remove(&c->by_oid, old);
        wc_rel_unref(&entry_of_node(old)->rel);
    }
    c->last = NULL; /* may have been the old one */
    enum wc_status status = wc_map_insert(&c->by_oid, &e->node);
    if (status != WC_OK)
        wc_rel_unref(rel);
    return status;
}

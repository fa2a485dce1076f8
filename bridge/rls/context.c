#include "bridge/rls/context.h"

#include "base/assert.h"
#include "base/list.h"

#include <stdlib.h>

struct wc_contexts {
    struct wc_map contexts;
    uint64_t last_serial;
};

struct wc_contexts *wc_contexts_new(void)
{
    struct wc_contexts *t = calloc(1, sizeof *t);
    if (t)
        wc_map_init(&t->contexts);
    return t;
}

void wc_contexts_free(struct wc_contexts *t)
{
    if (!t)
        return;
    WC_ASSERT(t->contexts.count == 0);
    wc_map_release(&t->contexts);
    free(t);
}

/* Of "role NUL claims", with a NUL behind. */
static struct wc_context *make(struct wc_slice role, struct wc_slice claims)
{
    size_t len = role.len + 1 + claims.len;
    struct wc_context *c = calloc(1, sizeof *c + len + 1);
    if (!c)
        return NULL;
    uint8_t *text = (uint8_t *)(c + 1);
    if (role.len)
        memcpy(text, role.p, role.len);
    if (claims.len)
        memcpy(text + role.len + 1, claims.p, claims.len);
    c->node.key = wc_slice(text, len);
    c->role = wc_slice(text, role.len);
    c->claims = wc_slice(text + role.len + 1, claims.len);
    return c;
}

static bool add(struct wc_contexts *t, struct wc_context *c)
{
    c->table = t;
    c->refs = 1;
    c->serial = ++t->last_serial;
    return wc_map_insert(&t->contexts, &c->node) == WC_OK;
}

struct wc_context *wc_context_get(struct wc_contexts *t, struct wc_slice role,
                                  struct wc_slice claims)
{
    struct wc_context *c = make(role, claims);
    if (!c)
        return NULL;
    struct wc_map_node *known = wc_map_get(&t->contexts, c->node.key);
    if (!known && add(t, c))
        return c;
    free(c);
    return known ? wc_context_ref(WC_CONTAINER(known, struct wc_context, node)) : NULL;
}

struct wc_context *wc_context_ref(struct wc_context *c)
{
    c->refs++;
    return c;
}

void wc_context_unref(struct wc_context *c)
{
    if (!c || --c->refs > 0)
        return;
    wc_map_remove(&c->table->contexts, &c->node);
    free(c);
}

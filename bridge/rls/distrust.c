#include "bridge/rls/distrust.h"

#include "base/list.h"

#include <stdlib.h>

struct entry {
    struct wc_map_node node; /* key: source */
    char *source, *why;
};

void wc_distrust_init(struct wc_distrust *d)
{
    wc_map_init(&d->sources);
}

static void drop(struct entry *e)
{
    free(e->source);
    free(e->why);
    free(e);
}

void wc_distrust_release(struct wc_distrust *d)
{
    struct wc_map_node *n;
    while ((n = wc_map_each(&d->sources, NULL))) {
        wc_map_remove(&d->sources, n);
        drop(WC_CONTAINER(n, struct entry, node));
    }
    wc_map_release(&d->sources);
}

enum wc_status wc_distrust_add(struct wc_distrust *d, struct wc_slice source, const char *why)
{
    if (wc_distrust_why(d, source))
        return WC_OK;
    if (d->sources.count == WC_DISTRUST_MAX)
        return WC_LIMIT;
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        return WC_NOMEM;
    e->source = wc_slice_dup(source);
    e->why = wc_slice_dup(wc_slice_str(why));
    e->node.key = wc_slice(e->source, source.len);
    if (e->source && e->why && wc_map_insert(&d->sources, &e->node) == WC_OK)
        return WC_OK;
    drop(e);
    return WC_NOMEM;
}

const char *wc_distrust_why(const struct wc_distrust *d, struct wc_slice source)
{
    struct wc_map_node *n = wc_map_get(&d->sources, source);
    return n ? WC_CONTAINER(n, struct entry, node)->why : NULL;
}

#include "bridge/rls/changes.h"

#include "base/list.h"

#include <stdlib.h>

struct changed {
    struct wc_map_node node; /* key: rel */
    wc_oid rel;
    wc_xid by;
};

void wc_changes_init(struct wc_changes *c)
{
    wc_map_init(&c->of);
}

static void drop(struct wc_changes *c, struct changed *ch)
{
    wc_map_remove(&c->of, &ch->node);
    free(ch);
}

void wc_changes_forget(struct wc_changes *c)
{
    struct wc_map_node *n;
    while ((n = wc_map_each(&c->of, NULL)))
        drop(c, WC_CONTAINER(n, struct changed, node));
}

void wc_changes_release(struct wc_changes *c)
{
    wc_changes_forget(c);
    wc_map_release(&c->of);
}

static struct changed *find(const struct wc_changes *c, wc_oid rel)
{
    struct wc_map_node *n = wc_map_get(&c->of, wc_slice(&rel, sizeof rel));
    return n ? WC_CONTAINER(n, struct changed, node) : NULL;
}

enum wc_status wc_changes_note(struct wc_changes *c, wc_oid rel, wc_xid by)
{
    struct changed *ch = find(c, rel);
    if (!ch) {
        ch = calloc(1, sizeof *ch);
        if (!ch)
            return WC_NOMEM;
        ch->rel = rel;
        ch->node.key = wc_slice(&ch->rel, sizeof ch->rel);
        if (wc_map_insert(&c->of, &ch->node) != WC_OK) {
            free(ch);
            return WC_NOMEM;
        }
    }
    ch->by = by;
    return WC_OK;
}

static bool is_unseen(wc_xid by, const struct wc_snapshot *s)
{
    return !s || !wc_snapshot_sees(s, by);
}

bool wc_changes_is_early(const struct wc_changes *c, wc_oid rel, const struct wc_snapshot *s)
{
    const struct changed *ch = find(c, rel);
    return ch && is_unseen(ch->by, s);
}

void wc_changes_saw(struct wc_changes *c, const struct wc_snapshot *s)
{
    for (struct wc_map_node *n = wc_map_each(&c->of, NULL), *next; n; n = next) {
        next = wc_map_each(&c->of, n);
        struct changed *ch = WC_CONTAINER(n, struct changed, node);
        if (!is_unseen(ch->by, s))
            drop(c, ch);
    }
}

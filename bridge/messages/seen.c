#include "bridge/messages/seen.h"

#include <stdlib.h>

struct wc_seen_id {
    struct wc_map_node node; /* key: bytes */
    uint8_t bytes[16];
    bool is_used, is_immediate;
    int64_t time;
};

void wc_seen_init(struct wc_seen *s)
{
    *s = (struct wc_seen){.floor = INT64_MIN};
    wc_map_init(&s->by_id);
}

void wc_seen_release(struct wc_seen *s)
{
    wc_map_release(&s->by_id);
    free(s->id);
    s->id = NULL;
}

void wc_seen_not_before(struct wc_seen *s, int64_t time)
{
    if (time > s->floor)
        s->floor = time;
}

static bool is_timely(const struct wc_seen *s, const struct wc_signed *m,
                      const struct wc_seen_at *at)
{
    if (m->is_immediate)
        return !at->in_transaction && m->time > s->floor &&
               at->commit_time - m->time <= WC_SEEN_WINDOW_US;
    return at->in_transaction && (uint32_t)m->xid == at->xid &&
           at->commit_time - m->time <= WC_SEEN_DAY_US &&
           m->time - at->commit_time <= WC_SEEN_DAY_US;
}

static void forget(struct wc_seen *s, struct wc_seen_id *id)
{
    if (!id->is_used)
        return;
    wc_map_remove(&s->by_id, &id->node);
    id->is_used = false;
    if (id->is_immediate)
        wc_seen_not_before(s, id->time);
}

enum wc_status wc_seen_use(struct wc_seen *s, const struct wc_signed *m,
                           const struct wc_seen_at *at)
{
    if (!is_timely(s, m, at) || wc_map_get(&s->by_id, wc_slice(m->id, sizeof s->id->bytes)))
        return WC_LIMIT;
    if (!s->id)
        s->id = calloc(WC_SEEN_MAX, sizeof *s->id);
    if (!s->id)
        return WC_NOMEM;
    struct wc_seen_id *id = &s->id[s->next];
    forget(s, id);
    memcpy(id->bytes, m->id, sizeof id->bytes);
    id->node.key = wc_slice(id->bytes, sizeof id->bytes);
    if (wc_map_insert(&s->by_id, &id->node) != WC_OK)
        return WC_NOMEM;
    id->is_used = true;
    id->is_immediate = m->is_immediate;
    id->time = m->time;
    s->next = (s->next + 1) % WC_SEEN_MAX;
    return WC_OK;
}

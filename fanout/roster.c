#include "fanout/roster.h"

#include "base/assert.h"
#include "fanout/hub.h"

#include <stdlib.h>

enum { CLOCK_EVERY = 8 }; /* sessions, of up to some hundred channels, between looks at the clock */

struct wc_roster_entry {
    struct wc_map_node node;
    uint64_t tenant;
    uint32_t refs;       /* sessions, open or not */
    struct wc_list open; /* sessions, through in_roster: in the order of their serials */
    struct wc_list leaving;
    uint64_t leave_before; /* serials below it are sent away, while in roster->leaving */
};

void wc_roster_init(struct wc_roster *r)
{
    wc_map_init(&r->map);
    wc_list_init(&r->leaving);
}

void wc_roster_release(struct wc_roster *r)
{
    WC_ASSERT(r->map.count == 0);
    wc_map_release(&r->map);
}

static struct wc_roster_entry *find(const struct wc_roster *r, uint64_t tenant)
{
    struct wc_map_node *n = wc_map_get(&r->map, wc_slice(&tenant, sizeof tenant));
    return n ? WC_CONTAINER(n, struct wc_roster_entry, node) : NULL;
}

static struct wc_roster_entry *make(struct wc_roster *r, uint64_t tenant)
{
    struct wc_roster_entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->tenant = tenant;
    e->node.key = wc_slice(&e->tenant, sizeof e->tenant);
    wc_list_init(&e->open);
    wc_list_init(&e->leaving);
    if (wc_map_insert(&r->map, &e->node) == WC_OK)
        return e;
    free(e);
    return NULL;
}

enum wc_status wc_roster_add(struct wc_roster *r, struct wc_session *s)
{
    struct wc_roster_entry *e = find(r, s->tenant->id);
    if (!e)
        e = make(r, s->tenant->id);
    if (!e)
        return WC_NOMEM;
    e->refs++;
    s->roster = e;
    return WC_OK;
}

void wc_roster_remove(struct wc_roster *r, struct wc_session *s)
{
    struct wc_roster_entry *e = s->roster;
    if (!e)
        return;
    wc_list_remove(&s->in_roster);
    s->roster = NULL;
    if (--e->refs)
        return;
    wc_list_remove(&e->leaving);
    wc_map_remove(&r->map, &e->node);
    free(e);
}

void wc_roster_open(struct wc_session *s)
{
    wc_list_push(&s->roster->open, &s->in_roster);
}

void wc_roster_disconnect(struct wc_hub *hub, uint64_t tenant)
{
    struct wc_roster_entry *e = find(&hub->roster, tenant);
    if (!e)
        return;
    e->leave_before = hub->next_serial;
    wc_list_remove(&e->leaving);
    wc_list_push(&hub->roster.leaving, &e->leaving);
}

/* The next one to be sent away; NULL: the entry's are. */
static struct wc_session *next_of(const struct wc_roster_entry *e)
{
    if (wc_list_is_empty(&e->open))
        return NULL;
    struct wc_session *s = WC_CONTAINER(e->open.next, struct wc_session, in_roster);
    return s->serial < e->leave_before ? s : NULL;
}

bool wc_roster_turn(struct wc_hub *hub, wc_us until)
{
    struct wc_list *leaving = &hub->roster.leaving;
    unsigned n = 0;
    while (!wc_list_is_empty(leaving)) {
        struct wc_roster_entry *e = WC_CONTAINER(leaving->next, struct wc_roster_entry, leaving);
        struct wc_session *s = next_of(e);
        if (!s) {
            wc_list_remove(&e->leaving);
            continue;
        }
        wc_session_disconnect(s, WC_CLOSE_TENANT);
        if (++n % CLOCK_EVERY == 0 && wc_clock_mono() >= until)
            return true;
    }
    return false;
}

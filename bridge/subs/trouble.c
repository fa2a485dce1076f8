/*
 * When checks of a role on a table fail, whoever would get its changes is told once, and again when
 * it is over. What comes and goes is told at most once a minute.
 */
#include "bridge/subs/subs_priv.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

enum { QUIET_US = 60 * 1000000, MAX_TROUBLES = 4096 };

struct trouble {
    struct wc_map_node node; /* key: rel, role */
    wc_us told;
    bool is_on; /* members know of it */
    uint8_t key[sizeof(wc_oid) + WC_ROLE_MAX];
};

static struct trouble *find(struct wc_subs *s, wc_oid rel, struct wc_slice role)
{
    struct trouble *t = calloc(1, sizeof *t);
    if (!t || role.len > WC_ROLE_MAX) {
        free(t);
        return NULL;
    }
    memcpy(t->key, &rel, sizeof rel);
    if (role.len)
        memcpy(t->key + sizeof rel, role.p, role.len);
    t->node.key = wc_slice(t->key, sizeof rel + role.len);
    struct wc_map_node *known = wc_map_get(&s->troubles, t->node.key);
    if (known || s->troubles.count >= MAX_TROUBLES ||
        wc_map_insert(&s->troubles, &t->node) != WC_OK) {
        free(t);
        return known ? WC_CONTAINER(known, struct trouble, node) : NULL;
    }
    t->told = wc_clock_mono() - QUIET_US;
    return t;
}

static void drop(struct wc_subs *s, struct trouble *t)
{
    wc_map_remove(&s->troubles, &t->node);
    free(t);
}

void wc_subs_drop_troubles(struct wc_subs *s)
{
    struct wc_map_node *n;
    while ((n = wc_map_each(&s->troubles, NULL)))
        drop(s, WC_CONTAINER(n, struct trouble, node));
    wc_map_release(&s->troubles);
}

static bool is_about(const struct wc_target *t, wc_oid rel, struct wc_slice schema)
{
    switch (t->match.scope) {
    case WC_MATCH_TABLE: return t->match.rel == rel;
    case WC_MATCH_SCHEMA: return wc_slice_eq(t->match.schema, schema);
    case WC_MATCH_ALL: return true;
    }
    return true;
}

static bool is_concerned(const struct wc_audience *a, wc_oid rel, struct wc_slice schema,
                         struct wc_slice role)
{
    if (a->state != WC_AUDIENCE_STANDING || !wc_slice_eq(a->claims->role, role))
        return false;
    for (uint32_t i = 0; i < a->nbindings; i++)
        for (size_t k = 0; k < a->binding[i].ntargets; k++)
            if (is_about(&a->binding[i].target[k], rel, schema))
                return true;
    return false;
}

static void tell(struct wc_list *members, bool ok, struct wc_slice text)
{
    WC_LIST_EACH (it, members) {
        struct wc_member *m = WC_CONTAINER(it, struct wc_member, in_audience);
        if (wc_subs_tell(m, ok, text) != WC_OK)
            WC_LOG(WC_LOG_ERROR, "subs", "no_memory", "tenant=%s what=trouble",
                   m->audience->subs->opt.tenant);
    }
}

void wc_subs_on_trouble(void *self, wc_oid rel, struct wc_slice schema, struct wc_slice role,
                        bool is_over, const char *text)
{
    struct wc_subs *s = self;
    struct trouble *t = find(s, rel, role);
    wc_us now = wc_clock_mono();
    bool is_news = t && (is_over ? t->is_on : !t->is_on && now - t->told >= QUIET_US);
    if (!is_news)
        return;
    WC_LOG(is_over ? WC_LOG_INFO : WC_LOG_WARN, "subs", is_over ? "checks_work" : "checks_fail",
           "tenant=%s relation=%u role=%.*s why=\"%s\"", s->opt.tenant, rel, WC_SLICE_ARG(role),
           text);
    for (struct wc_map_node *n = wc_map_each(&s->audiences, NULL); n;
         n = wc_map_each(&s->audiences, n)) {
        struct wc_audience *a = WC_CONTAINER(n, struct wc_audience, node);
        if (!is_concerned(a, rel, schema, role))
            continue;
        tell(&a->enlisted, is_over, wc_slice_str(text));
        tell(&a->pending, is_over, wc_slice_str(text));
    }
    t->is_on = !is_over;
    t->told = now;
}

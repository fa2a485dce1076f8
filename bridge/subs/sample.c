#include "bridge/subs/sample.h"

#include "bridge/rls/version.h"
#include "bridge/subs/verdict.h"

enum { OTHERS = 2 }; /* of each role */

/* ---- what the shadow asks ---- */

static const struct wc_access *on_access(void *self, const struct wc_rel *rel, struct wc_slice role,
                                         wc_us since)
{
    const struct wc_subs *s = self;
    const struct wc_access *access = wc_access_find(s->access, rel, role);
    return access && access->asked > since ? access : NULL;
}

static void on_version(void *arg, const struct wc_pg_result *res)
{
    const struct wc_subs *s = arg;
    bool stands = res->ok && res->nrows == 1;
    wc_shadow_version(s->shadow, stands ? wc_pg_slice(res, 0, 0) : wc_slice(NULL, 0));
}

static bool on_ask_version(void *self, const struct wc_access *access, const struct wc_change *ch)
{
    struct wc_subs *s = self;
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    return pg && access->seen_by.len && wc_version_ask(pg, access, ch, on_version, s) == WC_OK;
}

static void on_distrust(void *self, const struct wc_rules *rules, const char *why)
{
    const struct wc_subs *s = self;
    wc_rules_distrust(s->access, rules, why);
}

struct wc_shadow *wc_subs_new_shadow(struct wc_subs *s)
{
    static const struct wc_shadow_hooks hooks = {
        .access = on_access, .ask_version = on_ask_version, .distrust = on_distrust};
    return wc_shadow_new(s->loop, &s->opt.judge, s->opt.shadow_permille, &hooks, s);
}

/* ---- whose verdicts ---- */

static void sample_touched(struct wc_subs *s)
{
    WC_LIST_EACH (it, &s->touched) {
        const struct wc_audience *a = WC_CONTAINER(it, struct wc_audience, touched);
        if (a->is_by_us)
            wc_shadow_add(s->shadow, a->access, a->context, a->verdict);
    }
}

/* The first entries, which are the last then. */
static void sample_others(struct wc_subs *s, struct wc_roll *roll, const struct wc_change *ch)
{
    for (int i = 0; i < OTHERS; i++) {
        struct wc_target *t = WC_CONTAINER(roll->entries.next, struct wc_target, in_roll);
        const struct wc_binding *b = t->match.owner;
        struct wc_audience *a = b->audience;
        wc_list_remove(&t->in_roll);
        wc_list_push(&roll->entries, &t->in_roll);
        if (a->touched_by == s->change)
            continue;
        enum wc_verdict verdict = wc_verdict_here(s, a, roll->now, ch);
        if (verdict != WC_VERDICT_NONE)
            wc_shadow_add(s->shadow, roll->now, a->context, verdict);
    }
}

void wc_subs_sample(struct wc_subs *s, const struct wc_change *ch)
{
    if (!wc_shadow_takes(s->shadow, ch, s->place.xid))
        return;
    const struct wc_list *rolls = wc_rolls_of(&s->rolls, ch->rel->oid);
    if (rolls)
        WC_LIST_EACH (it, rolls) {
            struct wc_roll *roll = WC_CONTAINER(it, struct wc_roll, link);
            if (roll->now->rls && !wc_render_is_refused(ch, roll->now))
                sample_others(s, roll, ch);
        }
    sample_touched(s);
}

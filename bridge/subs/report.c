#include "bridge/subs/report.h"

#include "base/log.h"
#include "base/metrics.h"
#include "bridge/subs/subs_priv.h"

#include <stdlib.h>

enum { TEXT_CAP = 1 << 20 };

struct maker {
    struct wc_report *report;
    bool lists_compiled; /* else the others */
    bool ok;
};

static bool add(struct maker *m, const struct wc_roll *roll)
{
    struct wc_report *r = m->report;
    const struct wc_rules *rules = roll->rules;
    const struct wc_access *a = roll->access;
    const char *why = rules->kind == WC_RULES_DELEGATED
                          ? wc_arena_strdup(&r->arena, wc_slice_str(rules->why))
                          : NULL;
    struct wc_report_pair *p = &r->pair[r->npairs];
    *p = (struct wc_report_pair){.relation = wc_arena_strdup(&r->arena, a->name),
                                 .role = wc_arena_strdup(&r->arena, a->role),
                                 .why = why,
                                 .nbindings = roll->nentries,
                                 .nwaiting = why ? 0 : roll->nentries - roll->ndecided};
    r->npairs++;
    return p->relation && p->role && (why || rules->kind == WC_RULES_COMPILED);
}

static bool on_roll(void *arg, struct wc_roll *roll)
{
    struct maker *m = arg;
    struct wc_report *r = m->report;
    if (!roll->rules || !roll->access || roll->rules->kind == WC_RULES_OPEN)
        return true;
    bool is_compiled = roll->rules->kind == WC_RULES_COMPILED;
    if (is_compiled != m->lists_compiled)
        return true;
    *(is_compiled ? &r->ncompiled : &r->ndelegated) += 1;
    if (r->npairs < WC_REPORT_PAIRS_MAX)
        m->ok = add(m, roll);
    return m->ok;
}

struct wc_report *wc_report_new(const struct wc_subs *s)
{
    struct wc_report *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    wc_arena_init(&r->arena, TEXT_CAP);
    struct maker m = {.report = r, .ok = true};
    wc_rolls_each(&s->rolls, on_roll, &m);
    m.lists_compiled = true;
    if (m.ok)
        wc_rolls_each(&s->rolls, on_roll, &m);
    if (m.ok)
        return r;
    wc_report_free(r);
    return NULL;
}

void wc_report_free(struct wc_report *r)
{
    if (!r)
        return;
    wc_arena_release(&r->arena);
    free(r);
}

/* ---- changes ---- */

static bool may_say(struct wc_report_lines *l)
{
    wc_us now = wc_clock_mono();
    if (l->count == 0 || now - l->since > WC_REPORT_WINDOW_US) {
        l->since = now;
        l->count = 0;
    }
    if (l->count < WC_REPORT_LINES) {
        l->count++;
        return true;
    }
    l->unsaid++;
    return false;
}

static const char *event_of(const struct wc_rules *rules)
{
    switch (rules->kind) {
    case WC_RULES_OPEN: return "rules_open";
    case WC_RULES_COMPILED: return "rules_compiled";
    case WC_RULES_DELEGATED: return "rules_delegated";
    }
    return "";
}

/* Tables without row security are no news, those that had it are; nor is that rules are not known,
 * or that policies are being read. */
void wc_report_change(struct wc_subs *s, const struct wc_roll *roll, const struct wc_rules *rules)
{
    const struct wc_access *a = roll->access ? roll->access : roll->now;
    if (!rules || rules->is_untold)
        return;
    if (roll->rules)
        wc_metric_add(WC_M_RULES_CHANGES, 1);
    if (!a || (!roll->rules && rules->kind == WC_RULES_OPEN) || !may_say(&s->rules_told))
        return;
    const char *why = rules->kind == WC_RULES_DELEGATED ? rules->why : NULL;
    WC_LOG(WC_LOG_INFO, "subs", event_of(rules),
           "tenant=%s table=%.*s role=\"%.*s\" unsaid=%lu%s%s%s", s->opt.tenant,
           WC_SLICE_ARG(a->name), WC_SLICE_ARG(a->role), s->rules_told.unsaid, why ? " why=\"" : "",
           why ? why : "", why ? "\"" : "");
    s->rules_told.unsaid = 0;
}

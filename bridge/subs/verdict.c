#include "bridge/subs/verdict.h"

#include <stdlib.h>

/* ---- outlooks ---- */

static struct wc_outlook *find(const struct wc_audience *a, wc_oid rel)
{
    struct wc_outlook *o = a->outlook;
    while (o && o->rel != rel)
        o = o->next;
    return o;
}

static void give_back(struct wc_outlook *o)
{
    wc_list_remove(&o->in_users);
    wc_given_unref(o->given);
    o->given = NULL;
}

static struct wc_outlook *make(struct wc_audience *a, wc_oid rel)
{
    struct wc_outlook *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    wc_list_init(&o->in_users);
    o->audience = a;
    o->rel = rel;
    o->next = a->outlook;
    a->outlook = o;
    return o;
}

struct wc_given *wc_outlook(struct wc_audience *a, wc_oid rel, struct wc_rules *rules)
{
    struct wc_outlook *o = find(a, rel);
    if (!o)
        o = make(a, rel);
    if (!o || (o->given && o->given->rules == rules))
        return o ? o->given : NULL;
    struct wc_given *given = wc_given_get(a->subs->givens, rules, a->context);
    give_back(o);
    o->given = given;
    if (given)
        wc_list_push(&given->users, &o->in_users);
    return given;
}

void wc_outlooks_release(struct wc_audience *a)
{
    for (struct wc_outlook *o = a->outlook, *next; o; o = next) {
        next = o->next;
        give_back(o);
        free(o);
    }
    a->outlook = NULL;
}

void wc_outlooks_adopt(struct wc_audience *a, struct wc_audience *from)
{
    wc_outlooks_release(a);
    a->outlook = from->outlook;
    from->outlook = NULL;
    for (struct wc_outlook *o = a->outlook; o; o = o->next)
        o->audience = a;
}

/* ---- verdicts ---- */

struct wc_fields *wc_fields_of(struct wc_subs *s, const struct wc_change *ch)
{
    if (s->fields_at != s->change || s->fields_op != ch->op)
        wc_fields_look_at(s->fields, ch);
    s->fields_at = s->change;
    s->fields_op = ch->op;
    return s->fields;
}

static enum wc_verdict decide(struct wc_subs *s, const struct wc_given *given,
                              const struct wc_change *ch)
{
    switch (wc_fields_decide(wc_fields_of(s, ch), given->where, NULL, NULL)) {
    case WC_TRUE: return WC_VERDICT_VISIBLE;
    case WC_FALSE:
    case WC_NULL: return WC_VERDICT_HIDDEN;
    case WC_UNDECIDED: break;
    }
    return WC_VERDICT_NONE;
}

enum wc_verdict wc_verdict_here(struct wc_subs *s, struct wc_audience *a,
                                const struct wc_access *access, const struct wc_change *ch)
{
    struct wc_rules *rules = access->rules;
    if (!rules || rules->kind != WC_RULES_COMPILED)
        return WC_VERDICT_NONE;
    const struct wc_given *given = wc_outlook(a, access->rel, rules);
    if (!given || given->state != WC_GIVEN_KNOWN)
        return WC_VERDICT_NONE;
    bool is_everybody = given->outcome == WC_POLICY_EVERYBODY;
    if (given->outcome == WC_POLICY_NOBODY)
        return WC_VERDICT_HIDDEN;
    if (is_everybody && s->place.commit_lsn >= access->rules_since)
        return WC_VERDICT_VISIBLE;
    if (is_everybody || !wc_access_can_judge(access, ch, s->place.commit_lsn))
        return WC_VERDICT_NONE;
    return decide(s, given, ch);
}

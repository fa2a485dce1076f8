#include "bridge/subs/filed.h"

#include "bridge/subs/report.h"
#include "bridge/subs/verdict.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdlib.h>

/* A binding filed under its filter and the policy, and its deletes apart. */
struct wc_joined {
    struct wc_given *given; /* referenced: the predicate lives in it */
    struct wc_predicate both, part[2];
    struct wc_match_binding deletes;
    bool has_deletes; /* `deletes` is in its index */
};

/* ---- one binding ---- */

static uint32_t events_of(const struct wc_target *t)
{
    const struct wc_binding *b = t->match.owner;
    return wc_spec_looked_at(&b->spec);
}

static bool insert(struct wc_subs *s, struct wc_target *t, uint32_t events,
                   const struct wc_predicate *where)
{
    t->match.events = events;
    t->match.where = where;
    t->is_in_index = wc_match_insert(s->match, &t->match) == WC_OK;
    return t->is_in_index;
}

static void set_decided(struct wc_target *t, bool is_decided)
{
    if (t->roll && is_decided != t->is_decided)
        t->roll->ndecided += is_decided ? 1 : (size_t)-1;
    t->is_decided = is_decided;
}

static void take_out(struct wc_subs *s, struct wc_target *t)
{
    set_decided(t, false);
    if (t->is_in_index)
        wc_match_remove(s->match, &t->match);
    t->is_in_index = false;
    struct wc_joined *j = t->joined;
    t->joined = NULL;
    if (!j)
        return;
    if (j->has_deletes)
        wc_match_remove(s->deletes, &j->deletes);
    wc_given_unref(j->given);
    free(j);
}

/* The less crowded first: thousands may share a filter and have a policy each, or the other way
 * round. */
static const struct wc_predicate *both(const struct wc_subs *s, struct wc_joined *j,
                                       const struct wc_target *t)
{
    const struct wc_predicate *policy = j->given->where, *filter = t->filter;
    if (!filter)
        return policy;
    bool filter_first = wc_match_crowd(s->match, t->match.rel, filter) <
                        wc_match_crowd(s->match, t->match.rel, policy);
    j->part[filter_first] = *policy;
    j->part[!filter_first] = *filter;
    j->both = (struct wc_predicate){.kind = WC_PREDICATE_AND, .nchildren = 2, .child = j->part};
    return &j->both;
}

/* Under filter and policy. */
static bool join(struct wc_subs *s, struct wc_target *t, struct wc_given *given)
{
    struct wc_joined *j = calloc(1, sizeof *j);
    if (!j)
        return false;
    t->joined = j;
    j->given = wc_given_ref(given);
    uint32_t apart = s->opt.deletes == WC_DELETES_JUDGED ? 0 : WC_OP_DELETE;
    uint32_t deletes = events_of(t) & apart, others = events_of(t) & ~deletes;
    if (given->outcome == WC_POLICY_SOME && others && !insert(s, t, others, both(s, j, t)))
        return false;
    j->deletes = t->match;
    j->deletes.events = deletes;
    j->deletes.where = t->filter;
    j->has_deletes = deletes && wc_match_insert(s->deletes, &j->deletes) == WC_OK;
    return j->has_deletes || !deletes;
}

static bool file(struct wc_audience *a, struct wc_target *t)
{
    struct wc_subs *s = a->subs;
    struct wc_rules *rules = t->roll ? t->roll->rules : NULL;
    struct wc_given *given = NULL;
    if (rules && rules->kind == WC_RULES_COMPILED)
        given = wc_outlook(a, t->match.rel, rules);
    bool is_decided = given && given->state == WC_GIVEN_KNOWN;
    bool is_joined = is_decided && given->outcome != WC_POLICY_EVERYBODY;
    bool ok = is_joined ? join(s, t, given) : insert(s, t, events_of(t), t->filter);
    if (ok)
        set_decided(t, is_decided);
    else
        take_out(s, t);
    return ok;
}

static bool is_of_one_table(const struct wc_target *t)
{
    return t->match.scope == WC_MATCH_TABLE;
}

bool wc_filed_enter(struct wc_audience *a, struct wc_target *t)
{
    struct wc_subs *s = a->subs;
    const struct wc_binding *b = t->match.owner;
    wc_list_init(&t->in_roll);
    if (is_of_one_table(t)) {
        bool is_named = wc_subs_name_or_any(b->spec.table).p != NULL;
        t->roll = wc_roll_enter(&s->rolls, t->match.rel, a->claims->role, is_named, &t->in_roll);
        if (!t->roll)
            return false;
        if (is_named && t->roll->nentries == 1)
            wc_subs_soon(s); /* for its rules */
    }
    s->nremovals += b->spec.removals;
    if (file(a, t))
        return true;
    wc_filed_leave(a, t);
    return false;
}

void wc_filed_leave(struct wc_audience *a, struct wc_target *t)
{
    const struct wc_binding *b = t->match.owner;
    take_out(a->subs, t);
    a->subs->nremovals -= b->spec.removals;
    if (t->roll)
        wc_roll_leave(&a->subs->rolls, t->roll, &t->in_roll);
    t->roll = NULL;
}

/* ---- what changes ---- */

static bool file_again(struct wc_target *t)
{
    const struct wc_binding *b = t->match.owner;
    take_out(b->audience->subs, t);
    return file(b->audience, t);
}

static void set_rules(struct wc_roll *roll, struct wc_rules *rules)
{
    struct wc_rules *before = roll->rules;
    roll->rules = rules ? wc_rules_ref(rules) : NULL;
    wc_rules_unref(before);
}

bool wc_filed_under(struct wc_subs *s, struct wc_roll *roll, struct wc_rules *rules)
{
    wc_report_change(s, roll, rules);
    set_rules(roll, rules);
    WC_LIST_EACH (it, &roll->entries) {
        if (file_again(WC_CONTAINER(it, struct wc_target, in_roll)))
            continue;
        WC_LOG(WC_LOG_ERROR, "subs", "no_memory", "tenant=%s what=index", s->opt.tenant);
        set_rules(roll, NULL);
        return false;
    }
    return true;
}

static bool renew(void *arg, struct wc_roll *roll)
{
    struct wc_rules *rules = roll->access ? roll->access->rules : NULL;
    return !rules || rules == roll->rules || wc_filed_under(arg, roll, rules);
}

void wc_filed_renew(struct wc_subs *s)
{
    wc_rolls_each(&s->rolls, renew, s);
}

/* The targets of one audience on the relation. */
static bool file_audience(struct wc_audience *a, wc_oid rel)
{
    for (uint32_t i = 0; i < a->nbindings; i++) {
        for (size_t k = 0; k < a->binding[i].ntargets; k++) {
            struct wc_target *t = &a->binding[i].target[k];
            if (t->roll && t->match.rel == rel && !file_again(t)) {
                set_rules(t->roll, NULL);
                return false;
            }
        }
    }
    return true;
}

void wc_filed_on_known(void *arg, struct wc_given *given)
{
    struct wc_subs *s = arg;
    if (given->state != WC_GIVEN_KNOWN)
        return;
    WC_LIST_EACH (it, &given->users) {
        const struct wc_outlook *o = WC_CONTAINER(it, struct wc_outlook, in_users);
        if (o->audience->indexed && !file_audience(o->audience, o->rel))
            WC_LOG(WC_LOG_ERROR, "subs", "no_memory", "tenant=%s what=index", s->opt.tenant);
    }
    wc_subs_go_on(s);
}

/*
 * The first look at a change: whom does it concern, and what has to be known before it can be
 * delivered to them? Nothing is published here, so a change can be looked at as often as needed,
 * the first time as it comes from the stream, then as it stands in the queue with what Postgres has
 * said of it so far.
 */
#include "bridge/subs/filed.h"
#include "bridge/subs/verdict.h"

#include "base/log.h"

enum { MAX_KEPT = 4096 };

static enum wc_need more(enum wc_need a, enum wc_need b)
{
    return a > b ? a : b;
}

void wc_subs_pass(struct wc_subs *s)
{
    while (!wc_list_is_empty(&s->touched))
        wc_list_remove(s->touched.next);
}

/* ---- whom it concerns ---- */

static void touch_audience(struct wc_subs *s, struct wc_audience *a)
{
    if (a->touched_by == s->change)
        return;
    a->touched_by = s->change;
    a->undecided = a->is_wanted = a->may_lose_row = false;
    wc_list_push(&s->touched, &a->touched);
}

/* What it matches but does not want counts for removals (oldrow.h). */
static void touch(struct wc_subs *s, struct wc_binding *b, bool undecided)
{
    struct wc_audience *a = b->audience;
    b->touched = s->change;
    b->undecided = undecided;
    if (!(b->spec.events & s->op))
        return;
    touch_audience(s, a);
    a->is_wanted = true;
    a->undecided |= undecided;
}

static void on_hit(void *arg, struct wc_match_binding *match, bool undecided)
{
    touch(arg, match->owner, undecided);
}

static void on_old_hit(void *arg, struct wc_match_binding *match, bool undecided)
{
    struct wc_subs *s = arg;
    struct wc_binding *b = match->owner;
    if (undecided)
        return;
    b->had_row = s->change;
    touch_audience(s, b->audience);
    b->audience->may_lose_row = true;
}

static enum wc_truth on_ask(void *arg, const struct wc_leaf *leaf)
{
    const struct wc_subs *s = arg;
    return s->known ? wc_queued_truth(s->known, leaf->asked) : WC_UNDECIDED;
}

/* A member whose snapshot sees the transaction has the row already. */
static bool has_recipient(const struct wc_subs *s, const struct wc_audience *a)
{
    if (a->nenlisted)
        return true;
    WC_LIST_EACH (it, &a->pending) {
        const struct wc_member *m = WC_CONTAINER(it, struct wc_member, in_audience);
        if (m->state != WC_MEMBER_DIRECT || !wc_snapshot_sees(m->fence, s->place.xid))
            return true;
    }
    return false;
}

/* ---- what has to be known ---- */

/* Mostly somebody of the role has a roll of the relation, which has been looked at. */
static const struct wc_access *find_access(struct wc_subs *s, const struct wc_rel *rel,
                                           struct wc_slice role)
{
    const struct wc_list *rolls = wc_rolls_of(&s->rolls, rel->oid);
    const struct wc_roll *roll = rolls ? wc_roll_among(rolls, role) : NULL;
    return roll ? roll->now : wc_access_find(s->access, rel, role);
}

static enum wc_need look_at(struct wc_subs *s, struct wc_audience *a, const struct wc_change *ch)
{
    const struct wc_access *access = find_access(s, ch->rel, a->claims->role);
    a->access = access;
    a->is_judged = a->is_fenced = a->is_by_us = false;
    if (!access)
        return WC_NEED_PATIENCE;
    a->is_refused = wc_render_is_refused(ch, access);
    if (!access->usable || !access->exists || a->is_refused) {
        a->undecided = false;
        return WC_NEED_NOTHING;
    }
    a->is_judged = access->rls && access->has_policy && ch->op != WC_OP_DELETE && a->is_wanted;
    if (!a->is_judged && !a->undecided)
        return WC_NEED_NOTHING;
    a->is_fenced = !has_recipient(s, a);
    if (a->is_fenced)
        return WC_NEED_NOTHING;
    a->verdict = a->is_judged ? wc_verdict_here(s, a, access, ch) : WC_VERDICT_NONE;
    a->is_by_us = a->verdict != WC_VERDICT_NONE;
    if (a->is_judged && !a->is_by_us && s->known)
        a->verdict = wc_queued_verdict(s->known, a->context);
    bool is_known = !a->undecided && (!a->is_judged || a->verdict != WC_VERDICT_NONE);
    return is_known ? WC_NEED_NOTHING : WC_NEED_ANSWERS;
}

static void refresh_access(struct wc_subs *s)
{
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    if (!pg)
        wc_catalog_want(s->catalog);
    else if (wc_access_refresh(s->access, pg) == WC_NOMEM)
        WC_LOG(WC_LOG_ERROR, "subs", "no_memory", "tenant=%s what=access", s->opt.tenant);
}

/* Are the bindings filed under the rules of today? PATIENCE: that is not known, or not done. */
static enum wc_need look_at_rolls(struct wc_subs *s, const struct wc_list *rolls,
                                  const struct wc_rel *rel)
{
    enum wc_need need = WC_NEED_NOTHING;
    WC_LIST_EACH (it, rolls) {
        struct wc_roll *roll = WC_CONTAINER(it, struct wc_roll, link);
        const struct wc_access *access = wc_access_find(s->access, rel, roll->role);
        roll->now = access;
        if (!access || (access->rules != roll->rules && !wc_filed_under(s, roll, access->rules)))
            need = WC_NEED_PATIENCE;
    }
    return need;
}

/* Errors 400 and 401 are for all bindings of the role, filtered ones too. */
static void touch_all(struct wc_subs *s, const struct wc_roll *roll)
{
    WC_LIST_EACH (entry, &roll->entries) {
        struct wc_binding *b = WC_CONTAINER(entry, struct wc_target, in_roll)->match.owner;
        if (b->spec.events & s->op)
            touch(s, b, false);
    }
}

/* The row lacks a column of the policy, by which it would have been found, or does not count. */
static void touch_unjudged(struct wc_subs *s, const struct wc_roll *roll,
                           const struct wc_change *ch)
{
    WC_LIST_EACH (entry, &roll->entries) {
        const struct wc_target *t = WC_CONTAINER(entry, struct wc_target, in_roll);
        struct wc_binding *b = t->match.owner;
        if (!wc_filed_is_joined(t) || !(wc_spec_looked_at(&b->spec) & s->op))
            continue;
        enum wc_truth passes = WC_TRUE;
        if (t->filter)
            passes = wc_fields_decide(wc_fields_of(s, ch), t->filter, on_ask, s);
        if (passes == WC_TRUE || passes == WC_UNDECIDED)
            touch(s, b, passes == WC_UNDECIDED);
    }
}

/* Of a DELETE only a full old row is judged (oldrow.h). */
static bool can_judge(const struct wc_subs *s, const struct wc_access *access,
                      const struct wc_change *ch)
{
    return wc_access_can_judge(access, ch, s->place.commit_lsn) &&
           (ch->op != WC_OP_DELETE || ch->old_kind == WC_OLD_FULL);
}

/* Those whom the index does not bring up. */
static void touch_others(struct wc_subs *s, const struct wc_list *rolls, const struct wc_change *ch)
{
    WC_LIST_EACH (it, rolls) {
        const struct wc_roll *roll = WC_CONTAINER(it, struct wc_roll, link);
        if (wc_render_is_refused(ch, roll->now))
            touch_all(s, roll);
        else if (roll->rules && roll->rules->kind == WC_RULES_COMPILED &&
                 !can_judge(s, roll->now, ch))
            touch_unjudged(s, roll, ch);
    }
}

/* Bindings with removals that an UPDATE's old row matched. What Postgres would have to be asked
 * about it is not asked. */
static enum wc_need find_old_rows(struct wc_subs *s, const struct wc_change *ch)
{
    if (s->nremovals == 0 || ch->op != WC_OP_UPDATE || ch->old_kind != WC_OLD_FULL)
        return WC_NEED_NOTHING;
    const struct wc_change before = wc_change_of_old_row(ch);
    const struct wc_match_caller caller = {.hit = on_old_hit, .arg = s, .event = WC_SPEC_OLD_ROW};
    return wc_match_change(s->match, &before, &caller) == WC_OK ? WC_NEED_NOTHING
                                                                : WC_NEED_PATIENCE;
}

/* Collects them in subs->touched. */
static enum wc_need find_audiences(struct wc_subs *s, const struct wc_change *ch)
{
    const struct wc_list *rolls = wc_rolls_of(&s->rolls, ch->rel->oid);
    if (rolls && look_at_rolls(s, rolls, ch->rel) != WC_NEED_NOTHING)
        return WC_NEED_PATIENCE;
    const struct wc_match_caller caller = {.hit = on_hit, .ask = on_ask, .arg = s};
    enum wc_status st = wc_match_change(s->match, ch, &caller);
    if (st == WC_OK && ch->op == WC_OP_DELETE)
        st = wc_match_change(s->deletes, ch, &caller);
    if (st != WC_OK)
        return WC_NEED_PATIENCE; /* out of memory */
    bool by_filter = ch->op == WC_OP_DELETE && s->opt.deletes != WC_DELETES_JUDGED;
    if (rolls && !by_filter)
        touch_others(s, rolls, ch);
    return find_old_rows(s, ch);
}

enum wc_need wc_subs_look(struct wc_subs *s, const struct wc_change *ch,
                          const struct wc_place *place, const struct wc_queued *known)
{
    wc_subs_pass(s); /* what was looked at before, and not delivered */
    s->change++;
    s->op = ch->op;
    s->place = *place;
    s->known = known;
    wc_access_judge_since(s->access, &place->since);
    enum wc_need need = find_audiences(s, ch);
    WC_LIST_EACH (it, &s->touched)
        need = more(need, look_at(s, WC_CONTAINER(it, struct wc_audience, touched), ch));
    if (need == WC_NEED_PATIENCE)
        refresh_access(s);
    if (s->nkept >= MAX_KEPT)
        wc_subs_begin_later(s);
    return s->nkept >= MAX_KEPT ? WC_NEED_PATIENCE : need;
}

/* ---- asking for it ---- */

static const struct wc_col *value_of(const struct wc_change *ch, struct wc_slice column)
{
    for (uint16_t i = 0; i < ch->rel->ncols; i++)
        if (wc_slice_eq(ch->rel->col[i].name, column))
            return wc_change_value(ch, i);
    return NULL;
}

/* The comparisons below this node that are not decided in process. As deep as filters nest. */
static enum wc_status compare_below(struct wc_subs *s, struct wc_queued *c,
                                    const struct wc_predicate *p)
{
    enum wc_status st = WC_OK;
    for (size_t i = 0; p->kind != WC_PREDICATE_LEAF && i < p->nchildren && st == WC_OK; i++)
        st = compare_below(s, c, &p->child[i]);
    if (p->kind != WC_PREDICATE_LEAF || p->leaf->kind != WC_KEY_NONE || !p->leaf->asked)
        return st;
    const struct wc_col *value = value_of(&c->change, p->leaf->column);
    if (!value || value->kind != WC_COL_TEXT)
        return WC_OK; /* NULL, or not there: that decides */
    /* shared, and counted by who holds it */
    struct wc_shared_comparison *asked = (void *)(uintptr_t)p->leaf->asked;
    return wc_queue_compare(s->queue, c, asked, value->val);
}

static enum wc_status compare_for(struct wc_subs *s, struct wc_queued *c,
                                  const struct wc_audience *a)
{
    enum wc_status st = WC_OK;
    for (uint32_t i = 0; i < a->nbindings && st == WC_OK; i++) {
        const struct wc_binding *b = &a->binding[i];
        if (b->touched != s->change || !b->undecided || !(b->spec.events & s->op))
            continue;
        for (size_t t = 0; t < b->ntargets && st == WC_OK; t++)
            if (b->target[t].filter && b->target[t].match.rel == c->change.rel->oid)
                st = compare_below(s, c, b->target[t].filter);
    }
    return st;
}

enum wc_status wc_subs_ask(struct wc_subs *s, struct wc_queued *c)
{
    enum wc_status st = WC_OK;
    WC_LIST_EACH (it, &s->touched) {
        const struct wc_audience *a = WC_CONTAINER(it, struct wc_audience, touched);
        if (st == WC_OK && a->is_judged && !a->is_by_us && !a->is_fenced)
            st = wc_queue_want(s->queue, c, a->access, a->context);
        if (st == WC_OK && a->undecided && !a->is_fenced)
            st = compare_for(s, c, a);
    }
    wc_subs_pass(s);
    return st;
}

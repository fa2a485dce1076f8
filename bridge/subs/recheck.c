/*
 * An audience whose tables may have changed is checked again beside itself: a second audience with
 * the same bindings and no members takes the usual way through check.c, while the first one goes on
 * delivering. When the second one stands, its bindings take the place of the first one's.
 *
 *   STANDING ──refused──▸ RESTING    members are told why, stay, and get nothing
 *      ▲──────stands─────────┘       members are told "Subscribed" again
 *
 * A change of the catalog that the stream shows is acted upon at that point of the log: the stream
 * is held at the Relation message until everybody concerned has been checked again, by answers that
 * see the transaction it came in (watch.h finds out who that is).
 *
 * Why no new fence: what an audience newly gets is in the index before the stream goes on, and a
 * member is told only when a snapshot sees every transaction that went by before. So a SELECT made
 * after "Subscribed" sees what the stream did not bring.
 */
#include "bridge/subs/recheck.h"

#include "bridge/subs/explain.h"
#include "bridge/subs/verdict.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdlib.h>

/* ---- the audience beside the audience ---- */

static struct wc_slice moved(struct wc_slice text, const void *from, const void *to)
{
    return wc_slice((const char *)to + ((const char *)text.p - (const char *)from), text.len);
}

static bool copy_request(const struct wc_audience *a, struct wc_audience *fresh)
{
    const void *from = a->node.key.p;
    char *key = wc_arena_strdup(&fresh->arena, a->node.key);
    fresh->binding = wc_arena_calloc(&fresh->arena, a->nbindings + 1u, sizeof *fresh->binding);
    if (!key || !fresh->binding)
        return false;
    fresh->node.key = wc_slice(key, a->node.key.len);
    fresh->topic = moved(a->topic, from, key);
    for (uint32_t i = 0; i < a->nbindings; i++) {
        fresh->binding[i].id = a->binding[i].id;
        fresh->binding[i].audience = fresh;
        fresh->binding[i].json = moved(a->binding[i].json, from, key);
    }
    fresh->nbindings = a->nbindings;
    fresh->is_legacy = a->is_legacy;
    return true;
}

static struct wc_audience *make_fresh(struct wc_audience *a)
{
    struct wc_audience *fresh =
        wc_subs_new_audience(a->subs, a->claims, a->node.key.len, a->nbindings);
    if (!fresh)
        return NULL;
    fresh->lane = a->lane;
    fresh->replaces = a;
    if (copy_request(a, fresh))
        return fresh;
    wc_subs_free_audience(fresh);
    return NULL;
}

void wc_subs_drop_fresh(struct wc_audience *a)
{
    struct wc_audience *fresh = a->fresh;
    a->fresh = NULL;
    if (fresh)
        wc_subs_free_audience(fresh);
}

/* ---- the stream waits, and goes on at the end of the callback that let go last ---- */

static void hold(struct wc_audience *a)
{
    a->subs->nholding += !a->holds;
    a->holds = true;
}

void wc_subs_let_go(struct wc_audience *a)
{
    a->subs->nholding -= a->holds;
    a->holds = false;
}

/* ---- announcing ---- */

static void announce_to(struct wc_list *members)
{
    WC_LIST_EACH (it, members) {
        struct wc_member *m = WC_CONTAINER(it, struct wc_member, in_audience);
        if (m->to_announce)
            wc_subs_announce(m);
        m->to_announce = false;
    }
}

void wc_subs_announce_due(struct wc_subs *s)
{
    bool is_known = s->stream == WC_SUBS_STREAM_UP && s->seen_epoch == s->epoch;
    WC_LIST_EACH_SAFE (it, &s->to_announce) {
        struct wc_audience *a = WC_CONTAINER(it, struct wc_audience, to_announce);
        bool is_due = (is_known && a->passed <= s->seen) || s->stream == WC_SUBS_STREAM_WAITING;
        if (!is_due)
            continue;
        wc_list_remove(&a->to_announce);
        announce_to(&a->enlisted);
        announce_to(&a->pending);
        wc_subs_let_go(a);
    }
    wc_publisher_flush(s->publisher);
}

static bool is_told(const struct wc_member *m)
{
    return m->state == WC_MEMBER_DIRECT || m->state == WC_MEMBER_ENLISTED;
}

static void mark_told(struct wc_list *members)
{
    WC_LIST_EACH (it, members) {
        struct wc_member *m = WC_CONTAINER(it, struct wc_member, in_audience);
        m->to_announce |= is_told(m);
    }
}

static void announce_later(struct wc_audience *a)
{
    struct wc_subs *s = a->subs;
    a->passed = s->passed.count;
    wc_list_remove(&a->to_announce);
    wc_list_push(&s->to_announce, &a->to_announce);
}

/* "Subscribed" again to those who have it, once what went by is visible to everybody. */
void wc_subs_announce_again(struct wc_audience *a)
{
    mark_told(&a->enlisted);
    mark_told(&a->pending);
    announce_later(a);
}

void wc_subs_announce_later(struct wc_member *m)
{
    m->to_announce = true;
    announce_later(m->audience);
}

/* ---- taking the place ---- */

static bool same_tables(const struct wc_audience *a, const struct wc_audience *b)
{
    for (uint32_t i = 0; i < a->nbindings; i++) {
        if (a->binding[i].ntargets != b->binding[i].ntargets)
            return false;
        for (size_t t = 0; t < a->binding[i].ntargets; t++)
            if (a->binding[i].target[t].match.rel != b->binding[i].target[t].match.rel)
                return false;
    }
    return true;
}

static void adopt(struct wc_audience *a, struct wc_audience *fresh)
{
    struct wc_map *audiences = &a->subs->audiences;
    struct wc_audience old = *a;
    wc_map_remove(audiences, &a->node);
    a->arena = fresh->arena;
    a->topic = fresh->topic;
    a->binding = fresh->binding;
    a->asked = fresh->asked;
    a->indexed = fresh->indexed;
    wc_outlooks_adopt(a, fresh);
    a->node.key = fresh->node.key;
    fresh->arena = old.arena;
    fresh->binding = old.binding;
    fresh->asked = old.asked;
    fresh->indexed = false;
    for (uint32_t i = 0; i < a->nbindings; i++) {
        a->binding[i].audience = a;
        fresh->binding[i].audience = fresh;
    }
    WC_ASSERT(wc_map_insert(audiences, &a->node) == WC_OK); /* the place it had is free */
}

static void wake_members(struct wc_audience *a)
{
    WC_LIST_EACH_SAFE (it, &a->pending) {
        struct wc_member *m = WC_CONTAINER(it, struct wc_member, in_audience);
        m->is_resting = false;
        if (m->state == WC_MEMBER_CHECKING)
            wc_subs_member_stands(m);
    }
    WC_LIST_EACH (it, &a->enlisted)
        WC_CONTAINER(it, struct wc_member, in_audience)->is_resting = false;
}

void wc_subs_replace(struct wc_audience *fresh)
{
    struct wc_audience *a = fresh->replaces;
    struct wc_subs *s = a->subs;
    if (a->again) { /* its answers may be from before the latest news */
        a->again = false;
        wc_audience_set_state(fresh, WC_AUDIENCE_NEW);
        return;
    }
    if (!wc_audience_index(fresh)) {
        wc_subs_rest(a, wc_slice_str("out of memory"));
        return;
    }
    bool is_news = a->state == WC_AUDIENCE_RESTING || a->has_news || !same_tables(a, fresh);
    wc_audience_unindex(a);
    adopt(a, fresh);
    wc_subs_drop_fresh(a);
    a->has_news = false;
    wc_audience_set_state(a, WC_AUDIENCE_STANDING);
    wake_members(a);
    if (is_news) {
        WC_LOG(WC_LOG_DEBUG, "subs", "tables_changed", "tenant=%s topic=\"%.*s\"", s->opt.tenant,
               WC_SLICE_ARG(a->topic));
        wc_subs_announce_again(a);
        wc_subs_announce_due(s);
    } else {
        wc_subs_let_go(a);
    }
    wc_subs_take_fences(s);
}

/* ---- resting ---- */

static void rest_member(struct wc_member *m, struct wc_slice text)
{
    m->to_announce = false;
    if (!m->is_resting) {
        wc_subs_tell_or_log(m, false, text);
        wc_explain(m);
    }
    m->is_resting = true;
    if (m->state == WC_MEMBER_CHECKING)
        wc_subs_member_stands(m);
}

void wc_subs_rest(struct wc_audience *a, struct wc_slice text)
{
    struct wc_subs *s = a->subs;
    if (a->replaces)
        a = a->replaces;
    a->has_news = false;
    wc_list_remove(&a->to_announce);
    WC_LIST_EACH_SAFE (it, &a->pending)
        rest_member(WC_CONTAINER(it, struct wc_member, in_audience), text);
    WC_LIST_EACH (it, &a->enlisted)
        rest_member(WC_CONTAINER(it, struct wc_member, in_audience), text);
    wc_subs_drop_fresh(a);
    wc_audience_unindex(a);
    wc_audience_set_state(a, WC_AUDIENCE_RESTING);
    wc_subs_take_fences(s);
    wc_publisher_flush(s->publisher);
    if (a->again) {
        a->again = false;
        wc_subs_recheck(a, false);
    }
    wc_subs_let_go(a);
}

/* ---- news ---- */

void wc_subs_recheck(struct wc_audience *a, bool in_stream)
{
    struct wc_subs *s = a->subs;
    bool is_first = a->state == WC_AUDIENCE_NEW || a->state == WC_AUDIENCE_CHECKING;
    if (in_stream && !is_first)
        hold(a);
    a->again |= a->fresh || a->state == WC_AUDIENCE_CHECKING;
    if (is_first || a->fresh)
        return;
    a->fresh = make_fresh(a);
    if (a->fresh) {
        wc_audience_set_state(a->fresh, WC_AUDIENCE_NEW);
        return;
    }
    WC_LOG(WC_LOG_ERROR, "subs", "no_memory", "tenant=%s what=audience", s->opt.tenant);
    wc_subs_let_go(a);
}

static bool is_wildcard(const struct wc_binding *b)
{
    return b->ntargets && b->target[0].match.scope != WC_MATCH_TABLE;
}

static bool may_bear(struct wc_slice asked, struct wc_slice name)
{
    return wc_slice_is(asked, "*") || wc_slice_eq(asked, name);
}

static uint64_t types_of(const struct wc_binding *b, const struct wc_rel *rel)
{
    uint64_t h = 0;
    for (size_t i = 0; i < b->spec.nfilters; i++) {
        uint16_t c = 0;
        while (c < rel->ncols && !wc_slice_eq(rel->col[c].name, b->spec.filter[i].column))
            c++;
        h = wc_subs_mix_type(h, c < rel->ncols ? rel->col[c].type : 0);
    }
    return h;
}

/* Does what the stream says of the relation leave the binding as it is? A wildcard covers what
 * comes by name, and what it rests on is one table at least, which the catalog watches. */
static bool is_unchanged(const struct wc_binding *b, const struct wc_rel *rel)
{
    bool bears = may_bear(b->spec.schema, rel->schema) && may_bear(b->spec.table, rel->name);
    if (is_wildcard(b))
        return true;
    for (size_t t = 0; t < b->ntargets; t++)
        if (b->target[t].match.rel == rel->oid)
            return bears && types_of(b, rel) == b->target[t].filtered_types;
    return !bears;
}

void wc_subs_on_described(void *arg, struct wc_interest *i, const struct wc_rel *rel)
{
    struct wc_audience *a = i->owner;
    const struct wc_binding *b = &a->binding[i - a->interest];
    (void)arg;
    if (a->state != WC_AUDIENCE_STANDING || !is_unchanged(b, rel))
        wc_subs_recheck(a, true);
}

bool wc_subs_on_published(void *arg, struct wc_interest *i, bool is_reached)
{
    struct wc_audience *a = i->owner;
    (void)arg;
    if (a->state == WC_AUDIENCE_STANDING && !is_reached)
        return false;
    a->has_news |= a->state == WC_AUDIENCE_STANDING && is_wildcard(&a->binding[i - a->interest]);
    wc_subs_recheck(a, false);
    return true;
}

void wc_subs_on_outdated(void *arg)
{
    struct wc_subs *s = arg;
    wc_resolver_forget(s->resolver);
    wc_subs_check(s);
}

void wc_subs_found(const struct wc_audience *a)
{
    for (uint32_t i = 0; i < a->nbindings; i++) {
        const struct wc_binding *b = &a->binding[i];
        bool is_named = !wc_slice_is(b->spec.schema, "*") && !wc_slice_is(b->spec.table, "*");
        if (is_named && b->ntargets)
            wc_watch_found(a->subs->watch, b->target[0].match.rel, b->spec.schema, b->spec.table);
    }
}

bool wc_subs_watch_audience(struct wc_audience *a)
{
    struct wc_subs *s = a->subs;
    if (a->interest || a->replaces)
        return true;
    a->interest = calloc(a->nbindings, sizeof *a->interest);
    for (uint32_t i = 0; a->interest && i < a->nbindings; i++) {
        const struct wc_spec *spec = &a->binding[i].spec;
        a->interest[i].owner = a;
        if (wc_watch_add(s->watch, &a->interest[i], wc_subs_name_or_any(spec->schema),
                         wc_subs_name_or_any(spec->table)) != WC_OK) {
            wc_subs_unwatch_audience(a);
            break;
        }
    }
    return a->interest;
}

void wc_subs_unwatch_audience(struct wc_audience *a)
{
    for (uint32_t i = 0; a->interest && i < a->nbindings; i++)
        wc_watch_remove(a->subs->watch, &a->interest[i]);
    free(a->interest);
    a->interest = NULL;
}

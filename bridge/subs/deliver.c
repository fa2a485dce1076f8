/*
 * The path of one change. First look, then deliver: everything that may have to wait (privileges
 * not fresh, too much kept aside) is found out before the first frame is published, so that a
 * change answered AGAIN can be offered again from the start.
 */
#include "bridge/subs/subs_priv.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bridge/subs/render.h"
#include "fanout/phoenix.h"

#include <stdlib.h>

enum { MAX_KEPT = 4096, MAX_IDS = 256 };

bool wc_subs_wants(const struct wc_subs *s, const struct wc_rel *rel)
{
    return wc_match_wants(s->match, rel);
}

enum wc_status wc_subs_relation(struct wc_subs *s, const struct wc_rel *rel)
{
    return wc_access_invalidate(s->access, rel->oid, s->xid);
}

static void on_hit(void *arg, struct wc_match_binding *match, bool undecided)
{
    struct wc_subs *s = arg;
    struct wc_binding *b = match->owner;
    struct wc_audience *a = b->audience;
    WC_ASSERT(!undecided); /* no condition has a comparison that is asked */
    b->touched = s->change;
    if (a->touched_by == s->change)
        return;
    a->touched_by = s->change;
    wc_list_push(&s->touched, &a->touched);
}

static void forget_touched(struct wc_subs *s)
{
    while (!wc_list_is_empty(&s->touched))
        wc_list_remove(s->touched.next);
}

static size_t recipients(const struct wc_audience *a)
{
    return a->nenlisted + a->npending;
}

/* ---- first look ---- */

static bool must_wait(struct wc_subs *s, const struct wc_change *ch)
{
    bool unknown = false;
    WC_LIST_EACH (it, &s->touched) {
        struct wc_audience *a = WC_CONTAINER(it, struct wc_audience, touched);
        a->access = wc_access_find(s->access, ch->rel, a->claims->role);
        unknown |= a->access == NULL;
    }
    if (unknown) {
        struct wc_pg *pg = wc_catalog_pg(s->catalog);
        if (!pg)
            wc_catalog_want(s->catalog);
        else if (wc_access_refresh(s->access, pg) == WC_NOMEM)
            WC_LOG(WC_LOG_ERROR, "subs", "no_memory", "tenant=%s what=access", s->opt.tenant);
    }
    if (s->nkept >= MAX_KEPT)
        wc_subs_begin_later(s);
    return unknown || s->nkept >= MAX_KEPT;
}

/* ---- delivery ---- */

static bool render_once(struct wc_subs *s, const struct wc_change *ch, struct wc_access *acc)
{
    if (acc->json_seq == s->change)
        return acc->json.len > 0;
    acc->json_seq = s->change;
    wc_buf_reset(&acc->json);
    const struct wc_view view = {.access = acc, .set = &wc_column_set_all};
    enum wc_status st =
        wc_render_change(&acc->json, ch, &view, s->commit_time, s->opt.max_record_bytes);
    if (st == WC_OK)
        return true;
    wc_buf_reset(&acc->json);
    WC_LOG(WC_LOG_ERROR, "subs", "change_not_rendered",
           "tenant=%s table=\"%.*s.%.*s\" error=\"%s\"", s->opt.tenant,
           WC_SLICE_ARG(ch->rel->schema), WC_SLICE_ARG(ch->rel->name), wc_status_text(st));
    return false;
}

/* Ids of the bindings this change matched, last binding first. A filter on a column the role may no
 * longer read would tell its value, so it selects nothing. */
static size_t matched_ids(const struct wc_subs *s, const struct wc_audience *a, uint32_t ids[])
{
    size_t n = 0;
    for (uint32_t i = a->nbindings; i-- > 0 && n < MAX_IDS;) {
        const struct wc_binding *b = &a->binding[i];
        if (b->touched != s->change)
            continue;
        if (b->spec.nfilters && !wc_access_can_read(a->access, b->spec.filter[0].column))
            continue;
        ids[n++] = b->id;
    }
    return n;
}

/* A client of the v1 server: the type is the event, the data its payload (protocol reference, 7.2).
 */
static struct wc_frame *legacy_frame(const struct wc_audience *a, enum wc_serializer v)
{
    const struct wc_phx_envelope e = {.topic = a->topic,
                                      .event = wc_slice_str(wc_render_type(a->subs->op))};
    return wc_phx_encode(v, &e, wc_buf_view(&a->access->json));
}

/* The frame for one serializer, made when first asked for. */
static struct wc_frame *frame_for(struct wc_frame *frame[WC_PHX_COUNT], enum wc_serializer v,
                                  const struct wc_audience *a, const uint32_t *ids, size_t nids)
{
    if (!frame[v])
        frame[v] = a->is_legacy
                       ? legacy_frame(a, v)
                       : wc_phx_change(v, a->topic, ids, nids, wc_buf_view(&a->access->json));
    return frame[v];
}

static struct wc_msg *direct_msg(const struct wc_member *m, struct wc_frame *f)
{
    struct wc_msg *msg = f ? wc_msg_new(WC_MSG_DIRECT, wc_slice(NULL, 0)) : NULL;
    if (!msg)
        return NULL;
    msg->handle = m->handle;
    msg->frame[m->serializer] = wc_frame_ref(f);
    return msg;
}

static enum wc_status keep(struct wc_subs *s, struct wc_member *m, struct wc_msg *msg)
{
    struct wc_kept *k = calloc(1, sizeof *k);
    if (!k) {
        wc_msg_unref(msg);
        return WC_NOMEM;
    }
    k->msg = msg;
    k->xid = s->xid;
    wc_list_push(&m->kept, &k->link);
    s->nkept++;
    return WC_OK;
}

static enum wc_status deliver_pending(struct wc_subs *s, struct wc_audience *a,
                                      struct wc_frame *frame[], const uint32_t *ids, size_t nids)
{
    WC_LIST_EACH (it, &a->pending) {
        struct wc_member *m = WC_CONTAINER(it, struct wc_member, in_audience);
        if (m->state == WC_MEMBER_DIRECT && wc_snapshot_sees(m->fence, s->xid)) {
            wc_metric_add(WC_M_WITHHELD_FENCE, 1);
            continue;
        }
        struct wc_msg *msg = direct_msg(m, frame_for(frame, m->serializer, a, ids, nids));
        if (!msg)
            return WC_NOMEM;
        enum wc_status st = WC_OK;
        if (m->state == WC_MEMBER_FENCING)
            st = keep(s, m, msg);
        else
            st = wc_publish(s->publisher, WC_ORIGIN_BRIDGE, msg, 1ull << m->handle.thread);
        if (st != WC_OK)
            return st;
        if (m->state == WC_MEMBER_DIRECT)
            wc_metric_add(WC_M_CHANGES_OUT, 1);
    }
    return WC_OK;
}

static bool is_used(const struct wc_audience *a, enum wc_serializer v)
{
    for (uint64_t left = a->threads; left; left &= left - 1)
        if (a->count[(size_t)__builtin_ctzll(left) * WC_PHX_COUNT + v])
            return true;
    return false;
}

static enum wc_status deliver_enlisted(struct wc_subs *s, struct wc_audience *a,
                                       struct wc_frame *frame[], const uint32_t *ids, size_t nids)
{
    if (a->nenlisted == 0)
        return WC_OK;
    struct wc_msg *msg = wc_msg_new(WC_MSG_AUDIENCE, wc_slice(NULL, 0));
    if (!msg)
        return WC_NOMEM;
    msg->audience = a->number;
    for (enum wc_serializer v = WC_PHX_V1; v < WC_PHX_COUNT; v++) {
        if (!is_used(a, v))
            continue;
        msg->frame[v] = wc_frame_ref(frame_for(frame, v, a, ids, nids));
        if (!msg->frame[v]) {
            wc_msg_unref(msg);
            return WC_NOMEM;
        }
    }
    wc_metric_add(WC_M_CHANGES_OUT, (int64_t)a->nenlisted);
    return wc_publish(s->publisher, WC_ORIGIN_BRIDGE, msg, a->threads);
}

static void tell_of(struct wc_list *members)
{
    static const char text[] =
        "Too many messages per second: changes are withheld until the rate falls";
    WC_LIST_EACH (it, members) {
        struct wc_member *m = WC_CONTAINER(it, struct wc_member, in_audience);
        if (m->was_told || wc_subs_tell(m, false, wc_slice_str(text)) != WC_OK)
            continue; /* what memory does not allow now is told with another change */
        m->was_told = true;
        m->audience->nuntold--;
    }
}

/* The tenant gets more changes than it may. */
static void withhold(struct wc_audience *a)
{
    wc_metric_add(WC_M_WITHHELD_RATE, (int64_t)recipients(a));
    if (!a->nuntold)
        return;
    tell_of(&a->enlisted);
    tell_of(&a->pending);
}

static enum wc_status deliver_to(struct wc_subs *s, struct wc_audience *a,
                                 const struct wc_change *ch)
{
    uint32_t ids[MAX_IDS];
    wc_metric_add(WC_M_CHANGES_MATCHED, (int64_t)recipients(a));
    size_t nids = matched_ids(s, a, ids);
    if (!a->access->usable || a->access->rls || !a->access->exists || nids == 0 ||
        !render_once(s, ch, a->access)) {
        wc_metric_add(WC_M_WITHHELD_RLS, (int64_t)recipients(a));
        return WC_OK;
    }
    if (wc_quota_is_triggered(s->opt.quota, WC_QUOTA_DB_EVENTS)) {
        withhold(a);
        return WC_OK;
    }
    wc_quota_count(s->opt.quota, wc_publisher_producer(s->publisher), WC_QUOTA_DB_EVENTS,
                   nids * recipients(a));
    struct wc_frame *frame[WC_PHX_COUNT] = {NULL};
    enum wc_status st = deliver_enlisted(s, a, frame, ids, nids);
    if (st == WC_OK)
        st = deliver_pending(s, a, frame, ids, nids);
    for (enum wc_serializer v = WC_PHX_V1; v < WC_PHX_COUNT; v++)
        wc_frame_unref(frame[v]);
    return st;
}

enum wc_status wc_subs_change(struct wc_subs *s, const struct wc_change *ch)
{
    s->change++;
    s->op = ch->op;
    const struct wc_match_caller caller = {.hit = on_hit, .arg = s};
    if (wc_match_change(s->match, ch, &caller) != WC_OK) {
        forget_touched(s);
        return WC_NOMEM;
    }
    if (must_wait(s, ch)) {
        forget_touched(s);
        s->holding = true;
        return WC_AGAIN;
    }
    enum wc_status st = WC_OK;
    while (!wc_list_is_empty(&s->touched) && st == WC_OK) {
        struct wc_audience *a = WC_CONTAINER(s->touched.next, struct wc_audience, touched);
        wc_list_remove(&a->touched);
        st = deliver_to(s, a, ch);
    }
    forget_touched(s);
    return st;
}

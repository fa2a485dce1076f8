/*
 * A change that was looked at (look.c) becomes messages: for each audience it concerns one for each
 * column set of the bindings it matched. Each message is counted as matched, and then once: as
 * published, or as withheld for one reason.
 */
#include "bridge/subs/oldrow.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/metrics.h"
#include "decoder/copyboth.h"
#include "fanout/phoenix.h"

#include <stdlib.h>

enum { MAX_BINDINGS = 256 }; /* of one channel; the setting allows 200 */

static size_t recipients(const struct wc_audience *a)
{
    return a->nenlisted + a->npending;
}

/* What an audience gets of the change for the bindings of one column set. */
struct message {
    struct wc_audience *audience;
    const struct wc_change *change; /* or, for a removal, that as a DELETE of its old row */
    const struct wc_binding *const *binding;
    size_t nbindings;
    uint32_t ids[MAX_BINDINGS];
    size_t nids;
    struct wc_slice json;
    struct wc_frame *frame[WC_PHX_COUNT];
};

static void count_withheld(enum wc_metric reason, const struct message *m)
{
    wc_metric_add(reason, (int64_t)recipients(m->audience));
}

/* ---- rendering ---- */

/* Of the change itself, or of the removal that it is for somebody? */
static bool is_removal(const struct wc_subs *s, const struct message *m)
{
    return m->change->op != s->op;
}

static bool is_rendered(struct wc_subs *s, struct message *m)
{
    const struct wc_change *ch = m->change;
    const struct wc_rendered_change what = {ch, s->place.commit_time, s->opt.max_record_bytes};
    const struct wc_view view = {.access = m->audience->access,
                                 .set = m->binding[0]->set,
                                 .old_key_only =
                                     !is_removal(s, m) && wc_old_row_is_cut(m->audience, ch)};
    enum wc_status st = wc_rendered_get(&s->rendered, &what, &view, &m->json);
    if (st == WC_OK)
        return true;
    WC_LOG(WC_LOG_ERROR, "subs", "change_not_rendered",
           "tenant=%s table=\"%.*s.%.*s\" error=\"%s\"", s->opt.tenant,
           WC_SLICE_ARG(ch->rel->schema), WC_SLICE_ARG(ch->rel->name), wc_status_text(st));
    return false;
}

/* ---- frames ---- */

/* A client of the v1 server: the type is the event, the data its payload (protocol reference, 7.2).
 */
static struct wc_frame *legacy_frame(const struct message *m, enum wc_serializer v)
{
    const struct wc_audience *a = m->audience;
    const struct wc_phx_envelope e = {.topic = a->topic,
                                      .event = wc_slice_str(wc_render_type(m->change->op))};
    return wc_phx_encode(v, &e, m->json);
}

/* The frame for one serializer, made when first asked for. */
static struct wc_frame *frame_for(struct message *m, enum wc_serializer v)
{
    const struct wc_audience *a = m->audience;
    if (!m->frame[v])
        m->frame[v] = a->is_legacy ? legacy_frame(m, v)
                                   : wc_phx_change(v, a->topic, m->ids, m->nids, m->json);
    return m->frame[v];
}

/* NULL: out of memory. */
static struct wc_msg *change_msg(const struct wc_subs *s, enum wc_msg_kind kind)
{
    struct wc_msg *msg = wc_msg_new(kind, wc_slice(NULL, 0));
    if (!msg)
        return NULL;
    msg->share = s->opt.share;
    msg->committed_at = s->place.commit_time + WC_PG_EPOCH_US;
    return msg;
}

static struct wc_msg *direct_msg(const struct wc_subs *s, const struct wc_member *member,
                                 struct wc_frame *f)
{
    struct wc_msg *msg = f ? change_msg(s, WC_MSG_DIRECT) : NULL;
    if (!msg)
        return NULL;
    msg->handle = member->handle;
    msg->frame[member->serializer] = wc_frame_ref(f);
    return msg;
}

static enum wc_status keep(struct wc_subs *s, struct wc_member *member, struct wc_msg *msg)
{
    struct wc_kept *k = calloc(1, sizeof *k);
    if (!k) {
        wc_msg_unref(msg);
        return WC_NOMEM;
    }
    k->msg = msg;
    k->xid = s->place.xid;
    wc_list_push(&member->kept, &k->link);
    s->nkept++;
    return WC_OK;
}

static enum wc_status deliver_direct(struct wc_subs *s, struct wc_member *member, struct message *m)
{
    if (member->state == WC_MEMBER_DIRECT && wc_snapshot_sees(member->fence, s->place.xid)) {
        wc_metric_add(WC_M_WITHHELD_FENCE, 1);
        return WC_OK;
    }
    struct wc_msg *msg = direct_msg(s, member, frame_for(m, member->serializer));
    if (!msg)
        return WC_NOMEM;
    if (member->state == WC_MEMBER_FENCING)
        return keep(s, member, msg);
    return wc_publish_change(s->publisher, msg, 1ull << member->handle.thread, 1);
}

/* Each for itself; whom memory does not allow it for goes without, and the stream begins again. */
static enum wc_status deliver_pending(struct wc_subs *s, struct message *m)
{
    enum wc_status st = WC_OK;
    WC_LIST_EACH (it, &m->audience->pending) {
        struct wc_member *member = WC_CONTAINER(it, struct wc_member, in_audience);
        enum wc_status one = deliver_direct(s, member, m);
        if (one == WC_OK)
            continue;
        wc_metric_add(WC_M_WITHHELD_NO_MEMORY, 1);
        st = one;
    }
    return st;
}

static bool is_used(const struct wc_audience *a, enum wc_serializer v)
{
    for (uint64_t left = a->threads; left; left &= left - 1)
        if (a->count[(size_t)__builtin_ctzll(left) * WC_PHX_COUNT + v])
            return true;
    return false;
}

/* NULL: out of memory. */
static struct wc_msg *audience_msg(const struct wc_subs *s, struct message *m)
{
    struct wc_msg *msg = change_msg(s, WC_MSG_AUDIENCE);
    if (!msg)
        return NULL;
    msg->audience = m->audience->number;
    for (enum wc_serializer v = WC_PHX_V1; v < WC_PHX_COUNT; v++) {
        if (!is_used(m->audience, v))
            continue;
        struct wc_frame *f = frame_for(m, v);
        if (!f) {
            wc_msg_unref(msg);
            return NULL;
        }
        msg->frame[v] = wc_frame_ref(f);
    }
    return msg;
}

static enum wc_status deliver_enlisted(struct wc_subs *s, struct message *m)
{
    const struct wc_audience *a = m->audience;
    if (a->nenlisted == 0)
        return WC_OK;
    struct wc_msg *msg = audience_msg(s, m);
    enum wc_status st =
        msg ? wc_publish_change(s->publisher, msg, a->threads, a->nenlisted) : WC_NOMEM;
    if (st != WC_OK)
        wc_metric_add(WC_M_WITHHELD_NO_MEMORY, (int64_t)a->nenlisted);
    return st;
}

static void tell_of(const struct wc_list *members)
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
static void withhold_for_rate(const struct message *m)
{
    count_withheld(WC_M_WITHHELD_RATE, m);
    if (!m->audience->nuntold)
        return;
    tell_of(&m->audience->enlisted);
    tell_of(&m->audience->pending);
}

/* A filter on a column the role may no longer read would tell its value, so it selects nothing. */
static bool may_filter(const struct wc_audience *a, const struct wc_binding *b)
{
    for (size_t i = 0; i < b->spec.nfilters; i++)
        if (!wc_access_can_read(a->access, b->spec.filter[i].column))
            return false;
    return true;
}

static void collect_ids(struct message *m)
{
    for (size_t i = 0; i < m->nbindings; i++)
        if (m->audience->is_refused || may_filter(m->audience, m->binding[i]))
            m->ids[m->nids++] = m->binding[i]->id;
}

static enum wc_metric reason_of(enum wc_verdict verdict)
{
    switch (verdict) {
    case WC_VERDICT_VISIBLE: return WC_METRIC_COUNT;
    case WC_VERDICT_NONE:
    case WC_VERDICT_HIDDEN: return WC_M_WITHHELD_RLS;
    case WC_VERDICT_GONE: return WC_M_WITHHELD_GONE;
    case WC_VERDICT_SUPERSEDED: return WC_M_WITHHELD_SUPERSEDED;
    case WC_VERDICT_FAILED: return WC_M_WITHHELD_CHECK_FAILED;
    case WC_VERDICT_SUSPENDED: return WC_M_WITHHELD_SUSPENDED;
    }
    return WC_M_WITHHELD_RLS;
}

/* Under row security. */
static enum wc_metric objection_to_delete(struct message *m)
{
    struct wc_audience *a = m->audience;
    switch (a->subs->opt.deletes) {
    case WC_DELETES_COMPATIBLE: return WC_METRIC_COUNT;
    case WC_DELETES_NONE: return WC_M_WITHHELD_DELETE;
    case WC_DELETES_JUDGED: break;
    }
    if (!a->access->has_policy)
        return WC_M_WITHHELD_RLS;
    enum wc_verdict verdict = wc_old_row_verdict(a, m->change);
    return verdict == WC_VERDICT_NONE ? WC_M_WITHHELD_DELETE : reason_of(verdict);
}

/* Why the audience gets nothing of the change; WC_METRIC_COUNT: it does get it. */
static enum wc_metric objection(const struct wc_subs *s, struct message *m)
{
    struct wc_audience *a = m->audience;
    const struct wc_access *access = a->access;
    if (!access->exists)
        return WC_M_WITHHELD_NO_TABLE;
    if (!access->usable)
        return WC_M_WITHHELD_PRIVILEGES;
    if (a->is_fenced)
        return WC_M_WITHHELD_FENCE;
    if (is_removal(s, m))
        return WC_METRIC_COUNT; /* it is one for those alone who may see it */
    if (a->is_judged)
        return reason_of(a->verdict);
    if (!access->rls || a->is_refused)
        return WC_METRIC_COUNT;
    if (s->op == WC_OP_DELETE)
        return objection_to_delete(m);
    return WC_M_WITHHELD_RLS; /* no policy is for the role */
}

/* As objection, once there is a message; fills in what it needs. */
static enum wc_metric prepare(struct wc_subs *s, struct message *m)
{
    enum wc_metric reason = objection(s, m);
    if (reason != WC_METRIC_COUNT)
        return reason;
    collect_ids(m);
    if (m->nids == 0)
        return WC_M_WITHHELD_PRIVILEGES;
    return is_rendered(s, m) ? WC_METRIC_COUNT : WC_M_WITHHELD_NOT_RENDERED;
}

static enum wc_status deliver_message(struct wc_subs *s, struct message *m)
{
    const struct wc_audience *a = m->audience;
    wc_metric_add(WC_M_CHANGES_MATCHED, (int64_t)recipients(a));
    enum wc_metric reason = prepare(s, m);
    if (reason != WC_METRIC_COUNT) {
        count_withheld(reason, m);
        return WC_OK;
    }
    if (wc_quota_is_triggered(s->opt.quota, WC_QUOTA_DB_EVENTS)) {
        s->was_skipped = true;
        withhold_for_rate(m);
        return WC_OK;
    }
    s->was_dispatched = true;
    wc_quota_count(s->opt.quota, wc_publisher_producer(s->publisher), WC_QUOTA_DB_EVENTS,
                   m->nids * recipients(a));
    wc_tenant_metric_observe(wc_quota_metrics(s->opt.quota), wc_publisher_producer(s->publisher),
                             WC_TH_PAYLOAD_CHANGES, m->json.len);
    enum wc_status enlisted = deliver_enlisted(s, m);
    enum wc_status pending = deliver_pending(s, m);
    for (enum wc_serializer v = WC_PHX_V1; v < WC_PHX_COUNT; v++)
        wc_frame_unref(m->frame[v]);
    return enlisted == WC_OK ? pending : enlisted;
}

/* Some of an audience's bindings, by set; within one the last binding first. */
struct bindings {
    const struct wc_binding *at[MAX_BINDINGS];
    size_t n;
};

static void add_binding(struct bindings *some, const struct wc_binding *b)
{
    size_t at = some->n++;
    for (; at > 0 && wc_column_set_order(some->at[at - 1]->set, b->set) > 0; at--)
        some->at[at] = some->at[at - 1];
    some->at[at] = b;
}

/* Those the change matched. */
static void find_matched(const struct wc_subs *s, const struct wc_audience *a, struct bindings *out)
{
    out->n = 0;
    for (uint32_t i = a->nbindings; i-- > 0 && out->n < MAX_BINDINGS;) {
        const struct wc_binding *b = &a->binding[i];
        if (b->touched == s->change && !b->undecided && b->spec.events & s->op)
            add_binding(out, b);
    }
}

/* Those it takes the row from. */
static void find_removed(const struct wc_audience *a, const struct wc_change *ch,
                         struct bindings *out)
{
    out->n = 0;
    for (uint32_t i = a->nbindings; i-- > 0 && out->n < MAX_BINDINGS;)
        if (wc_old_row_is_removed(&a->binding[i], ch))
            add_binding(out, &a->binding[i]);
}

static enum wc_status deliver_for(struct wc_audience *a, const struct bindings *some,
                                  const struct wc_change *ch)
{
    enum wc_status st = WC_OK;
    for (size_t i = 0, count; i < some->n; i += count) {
        for (count = 1; i + count < some->n && some->at[i + count]->set == some->at[i]->set;)
            count++;
        struct message m;
        m.audience = a;
        m.change = ch;
        m.binding = &some->at[i];
        m.nbindings = count;
        m.nids = 0;
        memset(m.frame, 0, sizeof m.frame);
        enum wc_status one = deliver_message(a->subs, &m);
        if (one != WC_OK)
            st = one;
    }
    return st;
}

static enum wc_status deliver_to(struct wc_subs *s, struct wc_audience *a,
                                 const struct wc_change *ch)
{
    struct bindings some;
    wc_metric_add(WC_M_RLS_COMPILED, a->is_by_us);
    find_matched(s, a, &some);
    enum wc_status st = deliver_for(a, &some, ch);
    if (!a->may_lose_row)
        return st;
    const struct wc_change before = wc_change_of_old_row(ch);
    find_removed(a, ch, &some);
    enum wc_status removed = deliver_for(a, &some, &before);
    return st == WC_OK ? removed : st;
}

enum wc_status wc_subs_deliver(struct wc_subs *s, const struct wc_change *ch)
{
    wc_rendered_next(&s->rendered);
    enum wc_status st = WC_OK;
    s->was_dispatched = s->was_skipped = false;
    while (!wc_list_is_empty(&s->touched)) {
        struct wc_audience *a = WC_CONTAINER(s->touched.next, struct wc_audience, touched);
        wc_list_remove(&a->touched);
        enum wc_status one = deliver_to(s, a, ch);
        if (one != WC_OK)
            st = one;
    }
    wc_subs_tally(s, WC_T_CHANGES_DISPATCHED, s->was_dispatched);
    wc_subs_tally(s, WC_T_CHANGES_SKIPPED, s->was_skipped);
    return st;
}

/*
 * From which point in the log a member gets changes: its fence, and its way from there to the
 * audience's common stream.
 *
 * One fence query at a time: who needs one while it is under way waits for the next, because a
 * snapshot must be taken after the member's bindings are in the index.
 */
#include "bridge/subs/recheck.h"

#include "base/log.h"
#include "base/metrics.h"
#include "sql/sql.h"

#include <stdlib.h>
#include <string.h>

/* ---- fences ---- */

void wc_subs_release_kept(struct wc_member *m, const struct wc_snapshot *fence)
{
    struct wc_subs *s = m->audience->subs;
    while (!wc_list_is_empty(&m->kept)) {
        struct wc_kept *k = WC_CONTAINER(m->kept.next, struct wc_kept, link);
        wc_list_remove(&k->link);
        s->nkept--;
        if (!fence || wc_snapshot_sees(fence, k->xid)) {
            wc_metric_add(WC_M_WITHHELD_FENCE, 1);
            wc_msg_unref(k->msg);
        } else if (wc_publish_change(s->publisher, k->msg, 1ull << m->handle.thread, 1) != WC_OK) {
            wc_metric_add(WC_M_WITHHELD_NO_MEMORY, 1); /* publishing has dropped it */
            WC_LOG(WC_LOG_ERROR, "subs", "no_memory", "tenant=%s what=kept_change", s->opt.tenant);
        }
        free(k);
    }
}

/* Room for members of this thread: one audience rarely has members on many. */
static bool reserve_count(struct wc_audience *a, unsigned thread)
{
    if (thread < a->nthreads)
        return true;
    uint32_t *more = realloc(a->count, (thread + 1) * WC_PHX_COUNT * sizeof *more);
    if (!more)
        return false;
    memset(more + (size_t)a->nthreads * WC_PHX_COUNT, 0,
           (thread + 1 - a->nthreads) * WC_PHX_COUNT * sizeof *more);
    a->count = more;
    a->nthreads = thread + 1;
    return true;
}

/* From its own fence to the audience's common stream. */
static void enlist(struct wc_member *m)
{
    struct wc_audience *a = m->audience;
    struct wc_msg *msg =
        reserve_count(a, m->handle.thread) ? wc_msg_new(WC_MSG_ENLIST, wc_slice(NULL, 0)) : NULL;
    if (!msg)
        return; /* stays DIRECT, which is only slower */
    msg->share = a->subs->opt.share;
    msg->handle = m->handle;
    msg->audience = a->number;
    if (wc_publish(a->subs->publisher, WC_ORIGIN_BRIDGE, msg, 1ull << m->handle.thread) != WC_OK)
        return;
    m->state = WC_MEMBER_ENLISTED;
    wc_snapshot_unref(m->fence);
    m->fence = NULL;
    wc_list_remove(&m->in_queue);
    wc_list_remove(&m->in_audience);
    wc_list_push(&a->enlisted, &m->in_audience);
    a->npending--;
    a->nenlisted++;
    a->count[(size_t)m->handle.thread * WC_PHX_COUNT + m->serializer]++;
    a->threads |= 1ull << m->handle.thread;
}

static void enlist_passed(struct wc_subs *s, wc_lsn position)
{
    while (!wc_list_is_empty(&s->direct)) {
        struct wc_member *m = WC_CONTAINER(s->direct.next, struct wc_member, in_queue);
        if (m->fenced_at > position)
            return;
        enlist(m);
        if (m->state != WC_MEMBER_ENLISTED)
            return; /* out of memory: another time */
    }
}

/* Who was told why it gets nothing is fenced too, so that it misses nothing when that is over. */
static void greet(struct wc_member *m)
{
    if (!m->is_resting)
        wc_subs_announce(m);
}

static void fence_known(struct wc_member *m, struct wc_snapshot *fence, wc_lsn position)
{
    greet(m);
    wc_subs_release_kept(m, fence);
    m->state = WC_MEMBER_DIRECT;
    m->fence = wc_snapshot_ref(fence);
    m->fenced_at = position;
    wc_list_push(&m->audience->subs->direct, &m->in_queue);
}

bool wc_subs_may_ask_tables(struct wc_subs *s)
{
    if (!wc_passed_awaits_description(&s->passed))
        return true;
    s->settling = true;
    wc_subs_take_fences(s);
    return false;
}

void wc_subs_begin_later(struct wc_subs *s)
{
    WC_LIST_EACH (it, &s->fence_next) {
        struct wc_member *m = WC_CONTAINER(it, struct wc_member, in_queue);
        wc_subs_release_kept(m, NULL);
        m->passed = s->passed.count;
    }
}

/* Everybody the snapshot is late enough for; the others soon try another. */
static void fence_members(struct wc_subs *s, struct wc_snapshot *fence, wc_lsn position)
{
    struct wc_list now;
    wc_list_init(&now);
    wc_list_move_all(&s->fence_now, &now);
    bool early = false;
    while (!wc_list_is_empty(&now)) {
        struct wc_member *m = WC_CONTAINER(now.next, struct wc_member, in_queue);
        wc_list_remove(&m->in_queue);
        if (m->passed <= s->seen) {
            fence_known(m, fence, position);
        } else {
            wc_list_push(&s->fence_next, &m->in_queue);
            early = true;
        }
    }
    if (early)
        wc_subs_soon(s);
    else
        wc_subs_take_fences(s);
}

/* What else waits for a snapshot. */
static void settle(struct wc_subs *s, const struct wc_snapshot *fence)
{
    bool awaited = wc_passed_awaits_description(&s->passed);
    s->seen = wc_passed_settle(&s->passed, fence);
    s->seen_epoch = s->epoch;
    s->settled_at = wc_clock_mono();
    wc_access_saw(s->access, fence);
    bool early = wc_passed_awaits_description(&s->passed);
    if (awaited && !early)
        wc_resolver_forget(s->resolver);
    wc_subs_announce_due(s);
    if (early || !wc_list_is_empty(&s->to_announce))
        wc_subs_soon(s);
    if (!early)
        wc_subs_check(s);
}

static void on_fence(void *arg, const struct wc_pg_result *res)
{
    struct wc_subs *s = arg;
    s->fencing = false;
    wc_lsn position = 0;
    struct wc_snapshot *f = NULL;
    if (res->ok && wc_lsn_parse(wc_pg_slice(res, 0, 1), &position) == WC_OK)
        f = wc_snapshot_parse(wc_pg_value(res, 0, 0));
    if (!f && (res->ok || res->sqlstate[0]))
        WC_LOG(WC_LOG_ERROR, "subs", "fence_failed", "tenant=%s sqlstate=%s error=\"%s\"",
               s->opt.tenant, res->sqlstate, res->message);
    bool is_of_now = f && s->fence_epoch == s->epoch;
    if (is_of_now)
        settle(s, f);
    if (is_of_now && s->stream == WC_SUBS_STREAM_UP) {
        fence_members(s, f, position);
    } else {
        wc_list_move_all(&s->fence_now, &s->fence_next); /* when stream and catalog are back */
        if (f)
            wc_subs_take_fences(s);
    }
    wc_snapshot_unref(f);
    wc_publisher_flush(s->publisher);
    wc_subs_go_on(s);
}

void wc_subs_take_fences(struct wc_subs *s)
{
    bool is_up = s->stream == WC_SUBS_STREAM_UP;
    bool wanted = !wc_list_is_empty(&s->fence_next) || !wc_list_is_empty(&s->to_announce);
    if (s->fencing || !(s->settling || (is_up && wanted)))
        return;
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    if (!pg) {
        wc_catalog_want(s->catalog);
        return;
    }
    if (wc_pg_query(pg, wc_sql_fence, 0, NULL, on_fence, s) != WC_OK)
        return; /* the connection is gone; on_catalog_up comes back here */
    s->fencing = true;
    s->settling = false;
    s->fence_epoch = s->epoch;
    if (is_up)
        wc_list_move_all(&s->fence_next, &s->fence_now);
}

/* ---- standing ---- */

/* False: out of memory. */
static bool take_place(struct wc_member *m)
{
    struct wc_member *old = m->heir_of;
    if (old->state == WC_MEMBER_DIRECT) {
        m->state = WC_MEMBER_DIRECT;
        m->fence = wc_snapshot_ref(old->fence);
        m->fenced_at = old->fenced_at;
        wc_list_push(&old->in_queue, &m->in_queue); /* before it: by rising position */
    } else {
        enlist(m);
    }
    bool taken = m->state != WC_MEMBER_CHECKING;
    (void)wc_subs_end_member(old); /* others may be left in its audience */
    if (taken && !m->is_resting)
        wc_subs_announce_later(m);
    return taken;
}

void wc_subs_member_stands(struct wc_member *m)
{
    struct wc_subs *s = m->audience->subs;
    if (m->heir_of && take_place(m))
        return;
    m->state = WC_MEMBER_FENCING;
    m->passed = s->passed.count;
    if (s->stream == WC_SUBS_STREAM_WAITING) { /* what the slot holds is theirs: no fence */
        greet(m);
        enlist(m);
        if (m->state == WC_MEMBER_ENLISTED)
            return;
    }
    wc_list_push(&s->fence_next, &m->in_queue);
}

void wc_subs_stands(struct wc_audience *a)
{
    struct wc_subs *s = a->subs;
    WC_LIST_EACH_SAFE (it, &a->pending)
        wc_subs_member_stands(WC_CONTAINER(it, struct wc_member, in_audience));
    wc_subs_take_fences(s);
    wc_publisher_flush(s->publisher);
    s->hooks.standing(s->self);
}

/* ---- how far the log was delivered ---- */

void wc_subs_reached(struct wc_subs *s, wc_lsn position)
{
    enlist_passed(s, position);
    wc_watch_reached(s->watch, position);
    wc_subs_check(s);
}

void wc_subs_note_passed(struct wc_subs *s, wc_xid xid)
{
    wc_passed_add(&s->passed, xid);
    if (s->passed.len == WC_PASSED / 2) {
        s->settling = true;
        wc_subs_take_fences(s);
    }
}

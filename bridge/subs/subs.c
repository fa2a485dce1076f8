/*
 * Members, audiences and fences. check.c resolves bindings, deliver.c takes changes.
 *
 * One fence query at a time: who needs one while it is under way waits for the next, because a
 * snapshot must be taken after the member's bindings are in the index.
 */
#include "bridge/subs/explain.h"
#include "bridge/subs/recheck.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bridge/pg/array.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum {
    AUDIENCE_CAP = 1 << 20, /* bindings are at most one client message, parsed */
    /* What one block holds in most cases: the first for the audience, beside its key; the other for
     * each binding with one target. */
    AUDIENCE_FIRST = 64 + sizeof(struct wc_binding),
    BINDING_FIRST = sizeof(struct wc_binding) + sizeof(struct wc_target) + sizeof(struct wc_leaf) +
                    2 * sizeof(struct wc_predicate) + 192,
    SPEC_CAP = 16 << 20, /* a parsed binding, many times the length of its JSON */
    ARRAY_CAP = 64 << 10,
    POSITION_US = 1000000,
    TELL_WHY_US = 1000000,
    PATIENCE_US = 5000000,    /* a slot that need not wait is there long before */
    SETTLE_US = 60 * 1000000, /* ids are compared as 32 bits: not even the busiest server wraps */
    RETAKE_MS = 5,            /* until the next snapshot when one was too early */
};

static void on_refresh(uv_timer_t *t);

static uint32_t refresh_ms(const struct wc_subs *s)
{
    return s->opt.freshness_ms / 4 + 1;
}

/* An answer was too early to see what the stream has shown already: on_refresh asks again. */
void wc_subs_soon(struct wc_subs *s)
{
    (void)uv_timer_start(s->refresh, on_refresh, RETAKE_MS, refresh_ms(s)); /* valid handle */
}

/* ---- telling members ---- */

enum wc_status wc_subs_tell(struct wc_member *m, bool ok, struct wc_slice text)
{
    struct wc_msg *msg = wc_msg_new(WC_MSG_VERDICT, text);
    if (!msg)
        return WC_NOMEM;
    msg->handle = m->handle;
    msg->ok = ok;
    return wc_publish(m->audience->subs->publisher, WC_ORIGIN_BRIDGE, msg,
                      1ull << m->handle.thread);
}

void wc_subs_tell_or_log(struct wc_member *m, bool ok, struct wc_slice text)
{
    if (wc_subs_tell(m, ok, text) != WC_OK)
        WC_LOG(WC_LOG_ERROR, "subs", "no_memory", "tenant=%s what=verdict",
               m->audience->subs->opt.tenant);
}

void wc_subs_announce(struct wc_member *m)
{
    wc_subs_tell_or_log(m, true, wc_slice_str("Subscribed to PostgreSQL"));
    wc_explain(m);
}

/* ---- fences ---- */

static void release_kept(struct wc_member *m, const struct wc_snapshot *fence)
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
    release_kept(m, fence);
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
        release_kept(m, NULL);
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

/* ---- members ---- */

/* The member's place in the map, which is its heir's then. */
static void leave_place(struct wc_subs *s, struct wc_member *m)
{
    wc_map_remove(&s->members, &m->node);
    if (!m->heir)
        return;
    m->heir->heir_of = NULL;
    WC_ASSERT(wc_map_insert(&s->members, &m->heir->node) == WC_OK); /* there is room */
}

static void free_member(struct wc_member *m)
{
    struct wc_audience *a = m->audience;
    struct wc_subs *s = a->subs;
    release_kept(m, NULL);
    wc_snapshot_unref(m->fence);
    if (m->heir_of)
        m->heir_of->heir = NULL;
    else
        leave_place(s, m);
    wc_list_remove(&m->in_queue);
    wc_list_remove(&m->in_audience);
    if (m->state == WC_MEMBER_ENLISTED) {
        size_t at = (size_t)m->handle.thread * WC_PHX_COUNT;
        a->count[at + m->serializer]--;
        if (!a->count[at + WC_PHX_V1] && !a->count[at + WC_PHX_V2])
            a->threads &= ~(1ull << m->handle.thread);
        a->nenlisted--;
    } else {
        a->npending--;
    }
    a->nuntold -= !m->was_told;
    free(m);
}

/* True: its audience had no other. */
static bool end_member(struct wc_member *m)
{
    struct wc_audience *a = m->audience;
    free_member(m);
    return wc_audience_drop_if_unused(a);
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
    (void)end_member(old); /* others may be left in its audience */
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

/* ---- members and audiences end ---- */

void wc_subs_refuse(struct wc_audience *a, struct wc_slice text)
{
    struct wc_subs *s = a->subs;
    if (a->replaces) {
        wc_subs_rest(a, text);
        return;
    }
    while (!wc_list_is_empty(&a->pending)) {
        struct wc_member *m = WC_CONTAINER(a->pending.next, struct wc_member, in_audience);
        struct wc_member *old = m->heir_of;
        wc_subs_tell_or_log(m, false, text);
        free_member(m);
        if (old) /* of another audience: this one never stood */
            (void)end_member(old);
    }
    (void)wc_audience_drop_if_unused(a); /* it is: nobody is left */
    wc_publisher_flush(s->publisher);
}

void wc_subs_free_audience(struct wc_audience *a)
{
    wc_audience_set_state(a, WC_AUDIENCE_NONE);
    wc_subs_drop_fresh(a);
    wc_subs_unwatch_audience(a);
    wc_subs_let_go(a);
    wc_list_remove(&a->to_announce);
    wc_list_remove(&a->touched);
    wc_audience_release(a);
    if (!a->replaces)
        wc_map_remove(&a->subs->audiences, &a->node);
    wc_context_unref(a->context);
    wc_claims_unref(a->claims);
    wc_arena_release(&a->arena);
    free(a->count);
    free(a);
}

/* A handle without the padding a struct may have. */
static struct wc_member_key key_of(struct wc_handle h)
{
    return (struct wc_member_key){(uint64_t)h.thread << 32 | h.slot, h.generation};
}

struct wc_member *wc_subs_find_member(const struct wc_subs *s, struct wc_handle h)
{
    struct wc_member_key key = key_of(h);
    struct wc_map_node *n = wc_map_get(&s->members, wc_slice(&key, sizeof key));
    return n ? WC_CONTAINER(n, struct wc_member, node) : NULL;
}

/* Shape; topic, claims and bindings, each behind its length. */
static struct wc_slice audience_key(const struct wc_subscribe *req, struct wc_buf *out)
{
    wc_buf_printf(out, "%c%zu:", req->is_legacy ? 'l' : 'c', req->topic.len);
    wc_buf_slice(out, req->topic);
    wc_buf_printf(out, "%zu:", req->claims->json.len);
    wc_buf_slice(out, req->claims->json);
    for (uint32_t i = 0; i < req->nbindings; i++) {
        wc_buf_printf(out, "%u:%zu:", req->binding[i].id, req->binding[i].json.len);
        wc_buf_slice(out, req->binding[i].json);
    }
    return wc_buf_view(out);
}

/* The text behind the next ':' at *at, which moves behind it. */
static struct wc_slice text_in_key(const char **at, size_t len)
{
    struct wc_slice text = wc_slice(strchr(*at, ':') + 1, len);
    *at = (const char *)text.p + len;
    return text;
}

static bool fill_audience(struct wc_audience *a, const struct wc_subscribe *req,
                          struct wc_slice key)
{
    a->binding = wc_arena_calloc(&a->arena, req->nbindings + 1u, sizeof *a->binding);
    const char *at = wc_arena_strdup(&a->arena, key);
    if (!a->binding || !at)
        return false;
    a->node.key = wc_slice(at, key.len);
    a->topic = text_in_key(&at, req->topic.len);
    (void)text_in_key(&at, req->claims->json.len);
    for (uint32_t i = 0; i < req->nbindings; i++) {
        struct wc_binding *b = &a->binding[i];
        b->id = req->binding[i].id;
        b->audience = a;
        at = strchr(at, ':') + 1; /* behind the id */
        b->json = text_in_key(&at, req->binding[i].json.len);
    }
    a->nbindings = req->nbindings;
    a->is_legacy = req->is_legacy;
    return true;
}

struct wc_audience *wc_subs_new_audience(struct wc_subs *s, struct wc_claims *claims,
                                         size_t key_len, uint32_t nbindings)
{
    struct wc_audience *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->subs = s;
    a->number = s->next_audience++;
    a->context = wc_context_get(s->contexts, claims->role, claims->json);
    if (!a->context) {
        free(a);
        return NULL;
    }
    a->claims = wc_claims_ref(claims);
    wc_list_init(&a->in_line);
    wc_list_init(&a->touched);
    wc_list_init(&a->to_announce);
    wc_list_init(&a->enlisted);
    wc_list_init(&a->pending);
    wc_arena_init_sized(&a->arena, AUDIENCE_CAP + key_len * 4,
                        key_len + AUDIENCE_FIRST + nbindings * BINDING_FIRST);
    return a;
}

static struct wc_audience *make_audience(struct wc_subs *s, const struct wc_subscribe *req,
                                         struct wc_slice key)
{
    struct wc_audience *a = wc_subs_new_audience(s, req->claims, key.len, req->nbindings);
    if (!a)
        return NULL;
    a->lane = (unsigned)(wc_hash(wc_slice(&req->session, sizeof req->session)) % WC_LANES);
    if (fill_audience(a, req, key) && wc_map_insert(&s->audiences, &a->node) == WC_OK) {
        wc_audience_set_state(a, WC_AUDIENCE_NEW);
        return a;
    }
    wc_context_unref(a->context);
    wc_claims_unref(a->claims);
    wc_arena_release(&a->arena);
    free(a);
    return NULL;
}

/* old: whose heir it will be, or NULL. */
static struct wc_member *make_member(struct wc_subs *s, const struct wc_subscribe *req,
                                     struct wc_audience *a, struct wc_member *old)
{
    struct wc_member *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->handle = req->handle;
    m->serializer = req->serializer;
    m->audience = a;
    m->state = WC_MEMBER_CHECKING;
    m->since = wc_clock_mono();
    m->key = key_of(m->handle);
    m->node.key = wc_slice(&m->key, sizeof m->key);
    wc_list_init(&m->in_audience);
    wc_list_init(&m->in_queue);
    wc_list_init(&m->kept);
    m->heir_of = old;
    if (old) {
        old->heir = m;
    } else if (wc_map_insert(&s->members, &m->node) != WC_OK) {
        free(m);
        return NULL;
    }
    wc_list_push(&a->pending, &m->in_audience);
    a->npending++;
    a->nuntold++;
    return m;
}

/* A refusal of one channel that has no member yet. */
static void refuse_request(struct wc_subs *s, const struct wc_subscribe *req, const char *text)
{
    struct wc_msg *msg = wc_msg_new(WC_MSG_VERDICT, wc_slice_str(text));
    if (!msg)
        return;
    msg->handle = req->handle;
    if (wc_publish(s->publisher, WC_ORIGIN_BRIDGE, msg, 1ull << req->handle.thread) != WC_OK)
        WC_LOG(WC_LOG_ERROR, "subs", "no_memory", "tenant=%s what=verdict", s->opt.tenant);
    wc_publisher_flush(s->publisher);
}

static const char *objection(const struct wc_subs *s, const struct wc_subscribe *req)
{
    struct wc_slice role = req->claims->role;
    if (role.len == 0 || role.len > WC_ROLE_MAX || memchr(role.p, 0, role.len))
        return "Unable to subscribe to changes: the token's role cannot be a role of Postgres";
    if (req->nbindings > s->opt.max_bindings)
        return "Unable to subscribe to changes: too many postgres_changes bindings";
    return NULL;
}

/* The audience the request belongs to; NULL when out of memory. */
static struct wc_audience *audience_for(struct wc_subs *s, const struct wc_subscribe *req)
{
    struct wc_buf key;
    wc_buf_init(&key, AUDIENCE_CAP * 16);
    struct wc_slice k = audience_key(req, &key);
    struct wc_map_node *n = key.status == WC_OK ? wc_map_get(&s->audiences, k) : NULL;
    struct wc_audience *a = n ? WC_CONTAINER(n, struct wc_audience, node) : NULL;
    if (!a && key.status == WC_OK)
        a = make_audience(s, req, k);
    wc_buf_release(&key);
    return a;
}

/* The channel's member with its old token, if it had "Subscribed"; others just end. */
static struct wc_member *find_old(struct wc_subs *s, struct wc_handle h)
{
    struct wc_member *old = wc_subs_find_member(s, h);
    if (old && old->heir)
        (void)end_member(old->heir);
    if (!old || old->state == WC_MEMBER_DIRECT || old->state == WC_MEMBER_ENLISTED)
        return old;
    (void)end_member(old);
    return NULL;
}

void wc_subs_add(struct wc_subs *s, struct wc_subscribe *req)
{
    struct wc_member *old = find_old(s, req->handle);
    const char *no = objection(s, req);
    struct wc_audience *a = no ? NULL : audience_for(s, req);
    struct wc_member *m = a ? make_member(s, req, a, old) : NULL;
    if (!m) {
        refuse_request(s, req, no ? no : "Unable to subscribe to changes: out of memory");
        if (a)
            (void)wc_audience_drop_if_unused(a); /* made for nobody, or used by others */
        if (old)
            (void)end_member(old);
    }
    wc_subscribe_free(req);
    if (m && a->state == WC_AUDIENCE_STANDING) {
        wc_subs_member_stands(m);
        wc_subs_take_fences(s);
        wc_publisher_flush(s->publisher);
    } else if (m && a->state == WC_AUDIENCE_RESTING) {
        wc_subs_recheck(a, false);
    }
    wc_subs_check(s);
}

void wc_subs_drop(struct wc_subs *s, struct wc_handle h)
{
    struct wc_member *m = wc_subs_find_member(s, h);
    if (!m)
        return;
    bool was_last = m->heir && end_member(m->heir);
    was_last |= end_member(m);
    if (was_last) /* there may be room for others */
        wc_subs_check(s);
    wc_subs_go_on(s);
}

/* ---- the stream ---- */

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

/* Looked at once, however often it is offered: the catalog may be ahead of the log, and know the
 * name as another table's already. */
enum wc_status wc_subs_relation(struct wc_subs *s, const struct wc_rel *rel)
{
    if (!wc_queue_is_empty(s->queue)) { /* what waits is still about the relation as it was */
        s->holding = true;
        return WC_AGAIN;
    }
    bool is_new = !s->was_described;
    s->was_described = true;
    if (is_new && wc_watch_relation(s->watch, rel)) {
        wc_passed_describes(&s->passed, s->open.xid);
        wc_resolver_forget(s->resolver);
    }
    if (s->nholding) {
        s->settling = true; /* and then they are checked */
        wc_subs_take_fences(s);
        s->holding = true;
        return WC_AGAIN;
    }
    s->was_described = false;
    return wc_access_invalidate(s->access, rel->oid, s->open.xid);
}

static void tell_missed(struct wc_member *m)
{
    static const char text[] = "Changes may have been missed: the stream of changes begins anew, "
                               "fetch what you show after the next \"Subscribed\"";
    wc_subs_tell_or_log(m, false, wc_slice_str(text));
}

/* A new slot begins here: whoever had "Subscribed" may have missed changes, is told so, and gets it
 * again; what was kept or fenced belongs to a log that is gone. */
static void begin_epoch(struct wc_subs *s)
{
    s->epoch++;
    wc_passed_forget(&s->passed);
    s->seen = 0;
    wc_access_forget_changes(s->access);
    wc_subs_reached(s, UINT64_MAX);
    for (struct wc_map_node *n = wc_map_each(&s->members, NULL); n;
         n = wc_map_each(&s->members, n)) {
        struct wc_member *m = WC_CONTAINER(n, struct wc_member, node);
        bool is_told = m->state == WC_MEMBER_ENLISTED || m->state == WC_MEMBER_DIRECT;
        if (!is_told)
            release_kept(m, NULL);
        else if (m->audience->state == WC_AUDIENCE_STANDING)
            tell_missed(m);
        m->passed = 0;
    }
    for (struct wc_map_node *n = wc_map_each(&s->audiences, NULL); n;
         n = wc_map_each(&s->audiences, n)) {
        struct wc_audience *a = WC_CONTAINER(n, struct wc_audience, node);
        if (a->state == WC_AUDIENCE_STANDING)
            wc_subs_announce_again(a);
    }
}

void wc_subs_stream(struct wc_subs *s, enum wc_subs_stream stream, bool new_epoch)
{
    s->stream = stream;
    s->holding = s->was_described = false;
    if (stream == WC_SUBS_STREAM_DOWN) {
        wc_subs_take_back(s);
        return;
    }
    if (stream == WC_SUBS_STREAM_UP && new_epoch && s->had_stream)
        begin_epoch(s);
    s->had_stream |= stream == WC_SUBS_STREAM_UP;
    wc_catalog_server_is_up(s->catalog);
    if (stream == WC_SUBS_STREAM_WAITING) {
        struct wc_list waiting;
        wc_list_init(&waiting);
        wc_list_move_all(&s->fence_next, &waiting);
        while (!wc_list_is_empty(&waiting)) {
            struct wc_member *m = WC_CONTAINER(waiting.next, struct wc_member, in_queue);
            wc_list_remove(&m->in_queue);
            wc_subs_member_stands(m);
            s->hooks.standing(s->self);
        }
    }
    wc_subs_take_fences(s);
    wc_publisher_flush(s->publisher);
}

void wc_subs_stream_waits(struct wc_subs *s, struct wc_slice why)
{
    wc_us now = wc_clock_mono();
    if (now - s->told_why < TELL_WHY_US)
        return;
    s->told_why = now;
    for (struct wc_map_node *n = wc_map_each(&s->members, NULL); n;
         n = wc_map_each(&s->members, n)) {
        struct wc_member *m = WC_CONTAINER(n, struct wc_member, node);
        bool waits = m->state == WC_MEMBER_FENCING && !m->is_resting;
        if (!waits || m->knows_why_it_waits || now - m->since < PATIENCE_US)
            continue;
        m->knows_why_it_waits = true;
        wc_subs_tell_or_log(m, false, why);
    }
    wc_publisher_flush(s->publisher);
}

/* ---- life cycle ---- */

static void on_catalog_up(void *arg)
{
    struct wc_subs *s = arg;
    wc_watch_ask(s->watch, wc_catalog_pg(s->catalog), true);
    wc_subs_check(s);
    wc_subs_take_fences(s);
    wc_subs_go_on(s);
}

static void on_access_answer(void *arg, bool early)
{
    struct wc_subs *s = arg;
    if (early)
        wc_subs_soon(s);
    else
        wc_subs_go_on(s);
}

static void on_position(void *arg, const struct wc_pg_result *res)
{
    struct wc_subs *s = arg;
    wc_lsn at;
    s->asking_position = false;
    if (res->ok && wc_lsn_parse(wc_pg_slice(res, 0, 0), &at) == WC_OK)
        s->hooks.server_at(s->self, at);
}

static void ask_position(struct wc_subs *s)
{
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    wc_us now = wc_clock_mono();
    if (!pg || s->asking_position || now - s->position_asked < POSITION_US)
        return;
    s->position_asked = now;
    s->asking_position = wc_pg_query(pg, wc_sql_position, 0, NULL, on_position, s) == WC_OK;
}

/* Keeps the answers in use fresh, so that the stream need not wait for them, and tries again what
 * failed for a reason that may have passed. */
static void on_refresh(uv_timer_t *t)
{
    struct wc_subs *s = t->data;
    if (s->passed.len && wc_clock_mono() - s->settled_at > SETTLE_US)
        s->settling = true;
    bool waits = s->holding || !wc_queue_is_empty(s->queue);
    if (waits && wc_catalog_is_turned_away(s->catalog))
        s->hooks.give_up(s->self);
    wc_resolver_sweep(s->resolver);
    wc_filter_types_sweep(s->types);
    wc_subs_check(s);
    wc_subs_take_fences(s);
    wc_subs_go_on(s);
    ask_position(s);
    struct wc_pg *pg = wc_catalog_pg(s->catalog);
    if (pg)
        wc_watch_ask(s->watch, pg, false);
    if (pg && wc_access_refresh(s->access, pg) == WC_NOMEM)
        WC_LOG(WC_LOG_ERROR, "subs", "no_memory", "tenant=%s what=access", s->opt.tenant);
}

static char *array_of(const char *list)
{
    struct wc_buf b;
    wc_buf_init(&b, ARRAY_CAP);
    wc_pg_array_of_names(&b, list);
    char *array = b.status == WC_OK ? wc_slice_dup(wc_buf_view(&b)) : NULL;
    wc_buf_release(&b);
    return array;
}

static void on_refresh_closed(uv_handle_t *h)
{
    free(h);
}

struct wc_subs *wc_subs_new(uv_loop_t *loop, const struct wc_subs_options *options,
                            struct wc_publisher *publisher, const struct wc_subs_hooks *hooks,
                            void *self)
{
    static const struct wc_watch_events events = {.described = wc_subs_on_described,
                                                  .published = wc_subs_on_published,
                                                  .outdated = wc_subs_on_outdated};
    struct wc_subs *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->loop = loop;
    s->opt = *options;
    s->publisher = publisher;
    s->hooks = *hooks;
    s->self = self;
    s->next_audience = options->first_audience;
    wc_map_init(&s->members);
    wc_map_init(&s->audiences);
    for (size_t i = 0; i < WC_LANES; i++)
        wc_list_init(&s->todo[i]);
    wc_arena_init(&s->scratch, SPEC_CAP);
    wc_list_init(&s->fence_next);
    wc_list_init(&s->fence_now);
    wc_list_init(&s->direct);
    wc_list_init(&s->touched);
    wc_rendered_init(&s->rendered);
    wc_rolls_init(&s->rolls);
    wc_list_init(&s->to_announce);
    wc_list_init(&s->explaining);
    s->publications = array_of(options->publications);
    s->catalog = wc_catalog_new(loop, &options->pg, options->tenant, on_catalog_up, s);
    s->access = wc_access_cache_new(options->freshness_ms, on_access_answer, s);
    s->match = wc_match_new();
    s->contexts = wc_contexts_new();
    s->comparisons = wc_comparisons_new();
    s->queue = wc_subs_new_queue(s);
    s->resolver = s->publications ? wc_resolver_new(s->publications, options->freshness_ms,
                                                    wc_subs_on_resolved, s)
                                  : NULL;
    s->types = wc_filter_types_new(options->freshness_ms, wc_subs_on_type, s);
    s->watch =
        s->publications ? wc_watch_new(s->publications, options->freshness_ms, &events, s) : NULL;
    s->caster = wc_caster_new(wc_subs_on_cast, s);
    s->sets = wc_column_sets_new();
    s->refresh = malloc(sizeof *s->refresh);
    if (s->refresh) {
        (void)uv_timer_init(loop, s->refresh); /* cannot fail */
        s->refresh->data = s;
        (void)uv_timer_start(s->refresh, on_refresh, refresh_ms(s), refresh_ms(s)); /* valid */
    }
    bool can_check = s->resolver && s->types && s->caster && s->sets && s->comparisons &&
                     s->watch && s->contexts && s->queue;
    if (can_check && s->catalog && s->access && s->match && s->refresh)
        return s;
    wc_subs_free(s);
    return NULL;
}

void wc_subs_free(struct wc_subs *s)
{
    if (!s)
        return;
    wc_catalog_free(s->catalog); /* first: no answer comes after this */
    wc_explain_forget(s);
    wc_queue_free(s->queue);
    if (s->refresh)
        uv_close((uv_handle_t *)s->refresh, on_refresh_closed);
    struct wc_map_node *n;
    while ((n = wc_map_each(&s->members, NULL))) {
        (void)end_member(WC_CONTAINER(n, struct wc_member, node)); /* or others are left in it */
    }
    WC_ASSERT(s->audiences.count == 0);
    wc_resolver_free(s->resolver);
    wc_filter_types_free(s->types);
    wc_watch_free(s->watch);
    wc_caster_free(s->caster);
    wc_column_sets_free(s->sets);
    wc_comparisons_free(s->comparisons);
    wc_arena_release(&s->scratch);
    wc_rendered_release(&s->rendered);
    wc_rolls_release(&s->rolls);
    wc_map_release(&s->members);
    wc_map_release(&s->audiences);
    wc_match_free(s->match);
    wc_contexts_free(s->contexts);
    wc_access_cache_free(s->access);
    free(s->publications);
    free(s);
}

/*
 * Members and the audiences they form: how they come to be, what they are told, how they end.
 */
#include "bridge/subs/explain.h"
#include "bridge/subs/recheck.h"
#include "bridge/subs/verdict.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    AUDIENCE_CAP = 1 << 20, /* bindings are at most one client message, parsed */
    /* What one block holds in most cases: the first for the audience, beside its key; the other for
     * each binding with one target. */
    AUDIENCE_FIRST = 64 + sizeof(struct wc_binding),
    BINDING_FIRST = sizeof(struct wc_binding) + sizeof(struct wc_target) + sizeof(struct wc_leaf) +
                    2 * sizeof(struct wc_predicate) + 192,
};

/* ---- telling members ---- */

enum wc_status wc_subs_tell(struct wc_member *m, bool ok, struct wc_slice text)
{
    struct wc_msg *msg = wc_msg_new(WC_MSG_VERDICT, text);
    if (!msg)
        return WC_NOMEM;
    msg->share = m->audience->subs->opt.share;
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

/* ---- members and audiences end ---- */

/* The member's place in the map, which is its heir's then. */
static void leave_place(struct wc_subs *s, struct wc_member *m)
{
    wc_map_remove(&s->members, &m->node);
    if (!m->heir) {
        wc_subs_tally(s, WC_T_SUBSCRIBERS, -1);
        return;
    }
    m->heir->heir_of = NULL;
    WC_ASSERT(wc_map_insert(&s->members, &m->heir->node) == WC_OK); /* there is room */
}

static void free_member(struct wc_member *m)
{
    struct wc_audience *a = m->audience;
    struct wc_subs *s = a->subs;
    wc_subs_release_kept(m, NULL);
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
bool wc_subs_end_member(struct wc_member *m)
{
    struct wc_audience *a = m->audience;
    free_member(m);
    return wc_audience_drop_if_unused(a);
}

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
            (void)wc_subs_end_member(old);
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
    wc_outlooks_release(a);
    if (!a->replaces)
        wc_map_remove(&a->subs->audiences, &a->node);
    wc_context_unref(a->context);
    wc_claims_unref(a->claims);
    wc_arena_release(&a->arena);
    free(a->count);
    free(a);
}

/* ---- members and audiences begin ---- */

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
    if (!old)
        wc_subs_tally(s, WC_T_SUBSCRIBERS, 1);
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
    msg->share = s->opt.share;
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
        (void)wc_subs_end_member(old->heir);
    if (!old || old->state == WC_MEMBER_DIRECT || old->state == WC_MEMBER_ENLISTED)
        return old;
    (void)wc_subs_end_member(old);
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
            (void)wc_subs_end_member(old);
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
    bool was_last = m->heir && wc_subs_end_member(m->heir);
    was_last |= wc_subs_end_member(m);
    if (was_last) /* there may be room for others */
        wc_subs_check(s);
    wc_subs_go_on(s);
}

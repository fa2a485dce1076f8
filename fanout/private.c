/*
 * What waits is packed into one buffer: the request's headers, then the topics,
 *
 *   struct topic_head, topic, count times { struct message_head, event, id, payload }
 *
 * each with its messages in the order of the batch.
 */
#include "fanout/private.h"

#include "base/map.h"
#include "fanout/call.h"

#include <stdlib.h>

enum { ASKED_AT_ONCE = 8, PACKED_CAP = WC_INTAKE_MAX };

struct topic_head {
    size_t bytes; /* of topic and messages */
    uint32_t topic_len, count;
};

struct message_head {
    enum wc_broadcast_form form;
    uint32_t event_len, id_len, payload_len;
    bool has_id;
};

/* The state of a call. */
struct outbox {
    struct wc_hub *hub;
    struct wc_tenant_view *tenant; /* references */
    struct wc_claims *claims;
    struct wc_handle handle;
    bool is_single;
    struct wc_buf packed;
    size_t headers_len;
    size_t next; /* the first topic that was not asked about */
    uint32_t questions;
    struct asked {
        uint32_t question;
        size_t at; /* its topic */
    } asked[ASKED_AT_ONCE];
    unsigned nasked;
};

/* ---- packing ---- */

struct group {
    struct wc_map_node node; /* by topic */
    struct member *first, *last;
    uint32_t count;
};

struct member {
    const struct wc_private_message *message;
    struct member *next;
};

static void put(struct outbox *o, enum wc_status *st, const void *p, size_t len)
{
    if (*st == WC_OK && len)
        *st = wc_intake_add(&o->hub->intake, &o->packed, wc_slice(p, len));
}

static size_t packed_size(const struct wc_broadcast *b)
{
    return sizeof(struct message_head) + b->event.len + b->id.len + b->payload.len;
}

static void put_message(struct outbox *o, enum wc_status *st, const struct wc_broadcast *b)
{
    struct message_head head;
    memset(&head, 0, sizeof head); /* its padding is copied, too */
    head.form = b->form;
    head.event_len = (uint32_t)b->event.len; /* parts of a body (http.h) */
    head.id_len = (uint32_t)b->id.len;
    head.payload_len = (uint32_t)b->payload.len;
    head.has_id = b->id.p != NULL;
    put(o, st, &head, sizeof head);
    put(o, st, b->event.p, b->event.len);
    put(o, st, b->id.p, b->id.len);
    put(o, st, b->payload.p, b->payload.len);
}

static void put_group(struct outbox *o, enum wc_status *st, const struct group *g)
{
    struct wc_slice topic = g->first->message->topic;
    struct topic_head head;
    memset(&head, 0, sizeof head);
    head.bytes = topic.len;
    head.topic_len = (uint32_t)topic.len;
    head.count = g->count;
    for (const struct member *m = g->first; m; m = m->next)
        head.bytes += packed_size(&m->message->broadcast);
    put(o, st, &head, sizeof head);
    put(o, st, topic.p, topic.len);
    for (const struct member *m = g->first; m; m = m->next)
        put_message(o, st, &m->message->broadcast);
}

/* Scratch, in the arena. */
struct grouping {
    struct wc_map map;
    struct group *group; /* in the order in which their topics come first */
    uint32_t ngroups;
    struct member *member;
};

static enum wc_status add_to_group(struct grouping *g, struct member *m)
{
    struct wc_map_node *n = wc_map_get(&g->map, m->message->topic);
    struct group *group = n ? WC_CONTAINER(n, struct group, node) : &g->group[g->ngroups];
    if (!n) {
        group->node.key = m->message->topic;
        if (wc_map_insert(&g->map, &group->node) != WC_OK)
            return WC_NOMEM;
        g->ngroups++;
    }
    if (group->last)
        group->last->next = m;
    else
        group->first = m;
    group->last = m;
    group->count++;
    return WC_OK;
}

static enum wc_status pack(struct outbox *o, const struct wc_http_request *req,
                           const struct wc_private_message *message, uint32_t count)
{
    struct wc_arena *arena = &o->hub->arena;
    struct grouping g = {.group = wc_arena_calloc(arena, count, sizeof(struct group)),
                         .member = wc_arena_calloc(arena, count, sizeof(struct member))};
    struct wc_slice headers = wc_request_headers(req);
    enum wc_status st = g.group && g.member && headers.p ? WC_OK : WC_NOMEM;
    wc_map_init(&g.map);
    for (uint32_t i = 0; st == WC_OK && i < count; i++) {
        g.member[i].message = &message[i];
        st = add_to_group(&g, &g.member[i]);
    }
    put(o, &st, headers.p, headers.len);
    o->headers_len = o->next = headers.len;
    for (uint32_t i = 0; st == WC_OK && i < g.ngroups; i++)
        put_group(o, &st, &g.group[i]);
    wc_map_release(&g.map);
    return st;
}

/* ---- unpacking ---- */

struct reader {
    const uint8_t *p;
};

static struct wc_slice take(struct reader *r, size_t len)
{
    struct wc_slice s = wc_slice(r->p, len);
    r->p += len;
    return s;
}

static struct topic_head take_topic(struct reader *r, struct wc_slice *topic)
{
    struct topic_head head;
    memcpy(&head, take(r, sizeof head).p, sizeof head);
    *topic = take(r, head.topic_len);
    return head;
}

static struct wc_broadcast take_message(struct reader *r)
{
    struct message_head head;
    memcpy(&head, take(r, sizeof head).p, sizeof head);
    struct wc_broadcast b = {.form = head.form};
    b.event = take(r, head.event_len);
    b.id = take(r, head.id_len);
    b.payload = take(r, head.payload_len);
    if (!head.has_id)
        b.id = wc_slice(NULL, 0);
    return b;
}

/* ---- asking ---- */

static enum wc_status ask(struct outbox *o, struct wc_slice topic, uint32_t question)
{
    const struct wc_source *source = &o->hub->opt.source;
    struct wc_authorize *a =
        wc_authorize_new(&(struct wc_authorize){.handle = o->handle,
                                                .question = question,
                                                .is_call = true,
                                                .tenant = o->tenant,
                                                .claims = o->claims,
                                                .topic = topic,
                                                .headers = wc_slice(o->packed.p, o->headers_len),
                                                .ask = WC_MAY_WRITE_BROADCAST});
    enum wc_status st = a ? source->authorize(source->self, a) : WC_NOMEM;
    if (st != WC_OK)
        wc_authorize_free(a);
    return st;
}

/* As many as may wait at once. Those that cannot be asked about are skipped; returns the last such
 * failure. */
static enum wc_status ask_more(struct outbox *o)
{
    enum wc_status failure = WC_OK;
    while (o->nasked < ASKED_AT_ONCE && o->next < o->packed.len) {
        struct reader r = {.p = o->packed.p + o->next};
        struct wc_slice topic;
        struct topic_head head = take_topic(&r, &topic);
        enum wc_status st = ask(o, topic, ++o->questions);
        if (st == WC_OK)
            o->asked[o->nasked++] = (struct asked){.question = o->questions, .at = o->next};
        else
            failure = st;
        o->next += sizeof head + head.bytes;
    }
    return failure;
}

/* ---- answering ---- */

static void answer_failure(struct wc_http_response *res, enum wc_authorize_error error)
{
    static const struct {
        unsigned status;
        const char *text;
    } table[] = {
        [WC_AUTHORIZE_OK] = {403, "Unauthorized"},
        [WC_AUTHORIZE_POLICY] = {422, "RLS policy error"},
        [WC_AUTHORIZE_CANCELED] = {422, "Query canceled"},
        [WC_AUTHORIZE_NO_PARTITION] = {422, "Missing messages partition"},
        [WC_AUTHORIZE_POOL] = {429, "Connection pool exhausted"},
        [WC_AUTHORIZE_UNAVAILABLE] = {422, "Tenant database unavailable"},
        [WC_AUTHORIZE_CONNECTIONS] = {422, "Tenant database has too many connections"},
        [WC_AUTHORIZE_CONNECT_RATE] = {422, "Connect rate limit reached"},
        [WC_AUTHORIZE_REPLAY] = {500, "Unable to authorize broadcast"}, /* none was wanted */
    };
    unsigned i = (unsigned)error < sizeof table / sizeof *table ? error : WC_AUTHORIZE_REPLAY;
    wc_response_message(res, table[i].status, table[i].text);
}

static enum wc_status send_topic(struct outbox *o, size_t at)
{
    struct reader r = {.p = o->packed.p + at};
    struct wc_slice topic;
    struct topic_head head = take_topic(&r, &topic);
    enum wc_status st = WC_OK;
    for (uint32_t i = 0; st == WC_OK && i < head.count; i++) {
        struct wc_broadcast b = take_message(&r);
        wc_hub_count(o->hub, o->tenant, WC_QUOTA_EVENTS, 1);
        st = wc_broadcast_send(o->hub, o->tenant, true, topic, &b);
    }
    wc_arena_reset(&o->hub->arena);
    return st;
}

/* Takes it off the list; false: nothing of the kind was asked. */
static bool was_asked(struct outbox *o, uint32_t question, size_t *at)
{
    for (unsigned i = 0; i < o->nasked; i++) {
        if (o->asked[i].question != question)
            continue;
        *at = o->asked[i].at;
        o->asked[i] = o->asked[--o->nasked];
        return true;
    }
    return false;
}

static bool on_message(void *state, struct wc_hub *hub, const struct wc_msg *m,
                       struct wc_http_response *res)
{
    struct outbox *o = state;
    size_t at;
    (void)hub; /* it is ours */
    if (m->kind != WC_MSG_PERMISSIONS || !was_asked(o, m->question, &at))
        return false;
    bool may = m->error == WC_AUTHORIZE_OK && (m->permissions & WC_MAY_WRITE_BROADCAST);
    enum wc_status st = may ? send_topic(o, at) : WC_OK;
    if (!may && o->is_single) {
        answer_failure(res, (enum wc_authorize_error)m->error);
        return true;
    }
    if (st != WC_OK) {
        wc_response_unsent(res, st);
        return true;
    }
    (void)ask_more(o); /* what it cannot ask about is skipped */
    wc_response_empty(res, 202);
    return o->nasked == 0;
}

static void free_outbox(void *state)
{
    struct outbox *o = state;
    wc_intake_release(&o->hub->intake, &o->packed);
    wc_tenant_view_unref(o->tenant);
    wc_claims_unref(o->claims);
    free(o);
}

/* ---- beginning ---- */

static struct outbox *new_outbox(struct wc_hub *hub, const struct wc_private_sender *sender)
{
    struct outbox *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->hub = hub;
    o->tenant = wc_tenant_view_ref(sender->tenant);
    o->claims = wc_claims_ref(sender->claims);
    wc_buf_init(&o->packed, PACKED_CAP);
    return o;
}

/* Nothing could be asked. */
static void give_up(const struct wc_http_request *req, struct wc_http_response *res,
                    const struct outbox *o, enum wc_status why)
{
    bool is_single = o->is_single;
    wc_call_unpark(req, res, o->handle);
    if (is_single)
        answer_failure(res, why == WC_AGAIN ? WC_AUTHORIZE_POOL : WC_AUTHORIZE_REPLAY);
    else
        wc_response_empty(res, 202);
}

static void begin(const struct wc_http_request *req, struct wc_http_response *res,
                  struct outbox *taken)
{
    static const struct wc_call_hooks hooks = {.on_message = on_message, .free = free_outbox};
    struct outbox *o = taken;
    struct wc_handle handle;
    if (!wc_call_park(req, res, &hooks, o, &handle))
        return;
    o->handle = handle;
    o->hub->opt.source.touch(o->hub->opt.source.self, o->tenant);
    enum wc_status st = ask_more(o);
    if (o->nasked == 0)
        give_up(req, res, o, st);
}

static void send_all(const struct wc_http_request *req, struct wc_http_response *res,
                     struct outbox *taken, const struct wc_private_message *message, uint32_t count)
{
    enum wc_status st = taken ? pack(taken, req, message, count) : WC_NOMEM;
    if (st == WC_OK) {
        begin(req, res, taken);
        return;
    }
    if (taken)
        free_outbox(taken);
    wc_response_unsent(res, st);
}

void wc_private_send(const struct wc_http_request *req, struct wc_http_response *res,
                     const struct wc_private_sender *sender,
                     const struct wc_private_message *message)
{
    struct outbox *o = new_outbox(req->hub, sender);
    if (o)
        o->is_single = true;
    send_all(req, res, o, message, 1);
}

void wc_private_send_batch(const struct wc_http_request *req, struct wc_http_response *res,
                           const struct wc_private_sender *sender,
                           const struct wc_private_message *message, uint32_t count)
{
    send_all(req, res, new_outbox(req->hub, sender), message, count);
}

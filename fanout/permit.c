#include "fanout/permit.h"

#include "fanout/join.h"
#include "fanout/subscription.h"
#include "fanout/wait.h"

#include <stdlib.h>

enum {
    TEXT_CAP = 16 << 10, /* the longest holds a topic */
    HELD_MAX = 256,
    HELD_BYTES_MAX = 1 << 20,
    LOG_US = 1000000,
};

static const char may_not[] = "You do not have permissions to read from this Channel topic: ";
static const char no_longer[] = "You no longer have permission to read from this Channel topic: ";

/* What the reference says when there is no answer. */
struct failure {
    const char *code;    /* in the log, and before `join` */
    const char *join;    /* NULL: as if it were not permitted */
    const char *refresh; /* likewise */
};

static const struct failure *failure_of(unsigned error)
{
    static const char down[] = "Realtime was unable to connect to the project database";
    static const char canceled[] = "Query was cancelled, please try again";
    static const char partition[] = "Realtime was unable to find the expected messages partition";
    static const char pool[] = "Please increase your connection pool size";
    static const char lack[] = "Database can't accept more connections, Realtime won't connect";
    static const char rate[] = "Too many database connections attempts per second";
    static const char replay[] = "Realtime was unable to replay messages";
    static const struct failure table[] = {
        [WC_AUTHORIZE_POLICY] = {"RlsPolicyError", NULL, NULL},
        [WC_AUTHORIZE_CANCELED] = {"QueryCanceled", canceled, canceled},
        [WC_AUTHORIZE_NO_PARTITION] = {"MissingPartition", partition, partition},
        [WC_AUTHORIZE_POOL] = {"IncreaseConnectionPool", pool, pool},
        [WC_AUTHORIZE_UNAVAILABLE] = {"UnableToConnectToProject", down, down},
        [WC_AUTHORIZE_CONNECTIONS] = {"DatabaseLackOfConnections", lack, down},
        [WC_AUTHORIZE_CONNECT_RATE] = {"DatabaseConnectionRateLimitReached", rate, down},
        [WC_AUTHORIZE_REPLAY] = {"UnableToReplayMessages", replay, NULL},
    };
    return &table[error < sizeof table / sizeof *table ? error : WC_AUTHORIZE_UNAVAILABLE];
}

/* ---- questions ---- */

/* msg NULL: it could not be asked, or was not answered. */
struct answer {
    unsigned error;
    unsigned granted;
    struct wc_msg *msg;
};

static void settle(struct wc_channel *c, const struct answer *a);

/* The channel waits; the question may be settled before this returns. */
static void ask(struct wc_channel *c, unsigned what)
{
    struct wc_session *s = c->session;
    const struct wc_source *source = &s->hub->opt.source;
    const struct wc_replay_wish *replay = &c->wait->replay;
    struct wc_authorize *q = wc_authorize_new(
        &(struct wc_authorize){.handle = wc_channel_handle(&s->hub->channels, c),
                               .question = ++c->question,
                               .tenant = s->tenant,
                               .claims = c->claims,
                               .topic = wc_channel_subtopic(c->topic),
                               .headers = wc_session_headers(s),
                               .ask = what,
                               .wants_replay = replay->is_wanted && replay->is_valid,
                               .replay_since_ms = replay->since_ms,
                               .replay_limit = replay->limit});
    c->wait->asked = what;
    enum wc_status st = q ? source->authorize(source->self, q) : WC_NOMEM;
    if (st == WC_OK)
        return;
    wc_authorize_free(q);
    settle(c, &(struct answer){.error =
                                   st == WC_AGAIN ? WC_AUTHORIZE_POOL : WC_AUTHORIZE_UNAVAILABLE});
}

void wc_permit_join(struct wc_channel *c)
{
    ask(c, WC_MAY_READ_BROADCAST | (c->config.wants_presence ? WC_MAY_READ_PRESENCE : 0));
}

void wc_permit_refresh(struct wc_channel *c)
{
    unsigned presence = c->config.wants_presence ? WC_MAY_READ_PRESENCE : 0;
    unsigned what = WC_MAY_READ_BROADCAST | presence | (c->known & WC_MAY_READ_PRESENCE);
    struct wc_wait *w = wc_wait_begin(c, WC_WAIT_REFRESH, WC_WAIT_ANSWER_MS);
    if (!w) {
        wc_session_close(c->session, WC_CLOSE_NO_MEMORY);
        return;
    }
    w->had = c->may & WC_MAY_READ;
    c->may = c->known = 0;
    ask(c, what);
}

unsigned wc_permit_lacks(const struct wc_channel *c, const struct wc_phx_message *m)
{
    unsigned needs = 0;
    if (c->known == WC_MAY_ALL)
        return 0;
    if (wc_slice_is(m->event, "broadcast"))
        needs = WC_MAY_WRITE;
    else if (wc_slice_is(m->event, "presence") && wc_presence_is_track(c, m))
        needs = WC_MAY_WRITE | WC_MAY_READ_PRESENCE;
    return needs & ~(unsigned)c->known;
}

void wc_permit_ask_to_send(struct wc_channel *c, unsigned lacks, struct wc_slice message,
                           bool is_binary)
{
    struct wc_wait *w = wc_wait_begin(c, WC_WAIT_WRITE, WC_WAIT_ANSWER_MS);
    if (w && wc_wait_keep(w, message, is_binary) == WC_OK)
        ask(c, lacks);
    else
        wc_session_close(c->session, WC_CLOSE_NO_MEMORY);
}

/* ---- what is held back ---- */

struct wc_held_back {
    struct wc_held_back *next;
    struct wc_held *held;
    bool has_id;
    uint8_t id[16];
};

/* Could the answer permit it? */
static bool is_open(const struct wc_wait *w, unsigned needs)
{
    if (!w || w->what == WC_WAIT_WRITE)
        return false;
    if (w->what == WC_WAIT_REFRESH)
        return (w->had & needs) != 0;
    return needs == WC_MAY_READ_BROADCAST; /* it is in its room for a replay */
}

static struct wc_held_back *free_held(struct wc_hub *hub, struct wc_held_back *b)
{
    struct wc_held_back *next = b->next;
    wc_held_unref(&hub->held_slab, b->held);
    free(b);
    return next;
}

static bool is_full(const struct wc_wait *w, const struct wc_held *h)
{
    return w->nheld == HELD_MAX || w->held_bytes + h->frame->len > HELD_BYTES_MAX;
}

/* The oldest ones have the best chance to be replayed. */
static void make_room(struct wc_channel *c, const struct wc_held *h)
{
    struct wc_wait *w = c->wait;
    while (w->first_held && is_full(w, h)) {
        const struct wc_held *oldest = w->first_held->held;
        wc_metric_add(WC_M_BROADCAST_HELD, oldest->book == WC_BOOK_BROADCAST);
        w->nheld--;
        w->held_bytes -= oldest->frame->len;
        w->first_held = free_held(c->session->hub, w->first_held);
        if (!w->first_held)
            w->end_held = &w->first_held;
    }
}

static struct wc_held_back *new_held_back(struct wc_channel *c, const struct wc_held *h)
{
    if (c->wait->what != WC_WAIT_REFRESH)
        make_room(c, h);
    return is_full(c->wait, h) ? NULL : calloc(1, sizeof(struct wc_held_back));
}

bool wc_permit_hold_back(struct wc_channel *c, struct wc_held *h, unsigned needs, const uint8_t *id)
{
    struct wc_wait *w = c->wait;
    if (!is_open(w, needs))
        return false;
    struct wc_held_back *b = new_held_back(c, h);
    if (!b) {
        wc_metric_add(WC_M_BROADCAST_HELD, h->book == WC_BOOK_BROADCAST);
        /* without this diff the others make no sense: it gets the state again */
        c->presence.awaits_state |= (needs & WC_MAY_READ_PRESENCE) != 0;
        return true;
    }
    b->held = wc_held_ref(h);
    b->has_id = id != NULL;
    if (id)
        memcpy(b->id, id, sizeof b->id);
    *w->end_held = b;
    w->end_held = &b->next;
    w->nheld++;
    w->held_bytes += h->frame->len;
    return true;
}

struct wc_held_back *wc_permit_take_held(struct wc_wait *w)
{
    struct wc_held_back *first = w->first_held;
    w->first_held = NULL;
    w->end_held = &w->first_held;
    w->nheld = 0;
    w->held_bytes = 0;
    return first;
}

void wc_permit_drop_held(struct wc_hub *hub, struct wc_held_back *b)
{
    for (; b; b = free_held(hub, b))
        wc_metric_add(WC_M_BROADCAST_NOT_PERMITTED, b->held->book == WC_BOOK_BROADCAST);
}

static void release(struct wc_channel *c, const struct wc_held_back *b)
{
    struct wc_session *s = c->session;
    bool is_broadcast = b->held->book == WC_BOOK_BROADCAST;
    if (b->has_id && wc_replay_holds(c->replayed, b->id)) {
        wc_metric_add(WC_M_BROADCAST_REPLAYED, is_broadcast);
        return;
    }
    wc_hub_count(s->hub, s->tenant, is_broadcast ? WC_QUOTA_EVENTS : WC_QUOTA_PRESENCE, 1);
    wc_session_send_held(s, b->held);
}

/* With the session the channel is gone; what is left is accounted for as other frames of it. */
void wc_permit_release_held(struct wc_channel *c, struct wc_held_back *b)
{
    struct wc_session *s = c->session;
    for (; b; b = free_held(s->hub, b)) {
        if (s->state == WC_SESSION_OPEN)
            release(c, b);
        else
            wc_session_send_held(s, b->held);
    }
}

/* ---- answers ---- */

/* A join that is refused logs its reason itself, which names all but this one. */
static void log_failure(struct wc_channel *c, unsigned error)
{
    const struct failure *f = failure_of(error);
    unsigned long more = 0;
    if ((c->wait->what == WC_WAIT_PERMISSIONS && f->join) ||
        !wc_log_limit(&c->session->hub->permit_log, LOG_US, &more))
        return;
    WC_LOG(WC_LOG_WARN, "channel", "not_authorized",
           "code=%s tenant=%s topic=\"%.*s\" suppressed=%lu", f->code,
           c->session->tenant->external_id, WC_SLICE_ARG(wc_channel_subtopic(c->topic)), more);
}

static void put_about(struct wc_buf *out, const char *text, const struct wc_channel *c)
{
    wc_buf_str(out, text);
    wc_buf_slice(out, wc_channel_subtopic(c->topic));
}

static void put_refusal(struct wc_buf *out, const char *code, const char *text)
{
    wc_buf_printf(out, "%s: %s", code, text);
}

/* Row by row as the reference; false: nothing is to be said against it. */
static bool put_join_refusal(struct wc_buf *out, const struct wc_channel *c, const struct answer *a)
{
    const struct failure *f = failure_of(a->error);
    const struct wc_replay_wish *replay = &c->wait->replay;
    unsigned needs = replay->is_wanted ? WC_MAY_READ_BROADCAST : WC_MAY_READ;
    bool is_decided = a->error == WC_AUTHORIZE_OK || a->error == WC_AUTHORIZE_REPLAY;
    if (!is_decided && f->join) {
        put_refusal(out, f->code, f->join);
    } else if (!is_decided || !(a->granted & needs)) {
        wc_buf_str(out, "Unauthorized: ");
        put_about(out, may_not, c);
    } else if (replay->is_wanted && !replay->is_valid) {
        put_refusal(out, "UnableToReplayMessages", "Replay params are not valid");
    } else if (a->error == WC_AUTHORIZE_REPLAY) {
        put_refusal(out, f->code, f->join);
    }
    return out->len != 0 || out->status != WC_OK;
}

static void settle_join(struct wc_channel *c, const struct answer *a)
{
    struct wc_buf reason;
    wc_buf_init(&reason, TEXT_CAP);
    if (put_join_refusal(&reason, c, a)) {
        wc_join_refuse(c, wc_buf_view(&reason));
    } else {
        c->wait->granted = a->granted;
        if (a->msg)
            wc_msg_ref(a->msg, 1);
        c->wait->permitted = a->msg;
        wc_join_permitted(c);
    }
    wc_buf_release(&reason);
}

/* What was kept is dealt with as the answer says, and refused without one: a database that fails
 * slowly is not asked once for each message. Only then is what has no answer unknown again. */
static void settle_write(struct wc_channel *c, const struct answer *a)
{
    struct wc_session *s = c->session;
    struct wc_handle handle = wc_channel_handle(&s->hub->channels, c);
    bool is_answer = a->error == WC_AUTHORIZE_OK;
    uint8_t known = (uint8_t)(c->known | (is_answer ? c->wait->asked : 0));
    uint32_t question = c->question;
    struct wc_kept kept = wc_wait_take(c->wait);
    wc_wait_free(c->wait);
    c->may |= (uint8_t)a->granted;
    c->known = is_answer ? known : WC_MAY_ALL;
    wc_kept_hand_over(s, &kept);
    c = wc_channel_by_handle(&s->hub->channels, handle);
    if (c && c->question == question)
        c->known = known;
}

static bool put_refresh_refusal(struct wc_buf *out, const struct wc_channel *c,
                                const struct answer *a)
{
    const struct failure *f = failure_of(a->error);
    if (a->error != WC_AUTHORIZE_OK && f->refresh)
        wc_buf_str(out, f->refresh);
    else if (!(a->granted & WC_MAY_READ))
        put_about(out, may_not, c);
    else if (c->wait->had & ~a->granted)
        put_about(out, no_longer, c);
    return out->len != 0 || out->status != WC_OK;
}

static void go_on(struct wc_channel *c, const struct answer *a)
{
    struct wc_session *s = c->session;
    bool needs_state = (a->granted & ~c->wait->had & WC_MAY_READ_PRESENCE) != 0;
    c->known = (uint8_t)c->wait->asked;
    c->may = (uint8_t)a->granted;
    wc_permit_release_held(c, wc_permit_take_held(c->wait));
    if (s->state != WC_SESSION_OPEN)
        return;
    struct wc_kept kept = wc_wait_take(c->wait);
    wc_wait_free(c->wait);
    if (!(needs_state || c->presence.awaits_state) || wc_presence_joined(c))
        wc_subscription_ask(c);
    wc_kept_hand_over(s, &kept);
}

static void settle_refresh(struct wc_channel *c, const struct answer *a)
{
    struct wc_buf text;
    wc_buf_init(&text, TEXT_CAP);
    if (put_refresh_refusal(&text, c, a))
        wc_hub_shut_channel(c->session->hub, c, wc_buf_view(&text));
    else
        go_on(c, a);
    wc_buf_release(&text);
}

static void settle(struct wc_channel *c, const struct answer *a)
{
    enum wc_wait_for what = c->wait->what;
    bool is_answer = a->error == WC_AUTHORIZE_OK ||
                     (a->error == WC_AUTHORIZE_REPLAY && what == WC_WAIT_PERMISSIONS);
    const struct answer fair = {
        .error = a->error, .granted = is_answer ? a->granted & c->wait->asked : 0, .msg = a->msg};
    if (!is_answer)
        log_failure(c, a->error);
    switch (what) {
    case WC_WAIT_PERMISSIONS: settle_join(c, &fair); break;
    case WC_WAIT_WRITE: settle_write(c, &fair); break;
    case WC_WAIT_REFRESH: settle_refresh(c, &fair); break;
    case WC_WAIT_CHANGES: break; /* not an answer to this */
    }
}

void wc_permit_answer(struct wc_hub *hub, struct wc_msg *m)
{
    struct wc_channel *c = wc_channel_by_handle(&hub->channels, m->handle);
    if (c && c->wait && c->question == m->question)
        settle(c, &(struct answer){.error = m->error, .granted = m->permissions, .msg = m});
}

void wc_permit_time_out(struct wc_channel *c)
{
    settle(c, &(struct answer){.error = WC_AUTHORIZE_UNAVAILABLE});
}

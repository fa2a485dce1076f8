/*
 * The stream's changes on their way: at once to the rings when nothing has to be asked and nobody
 * waits, else through the queue. What was read is not yet delivered then, so everything that
 * depends on how far the log has been read (members' fences, the position that may be confirmed)
 * follows what has left the queue. And what becomes of the members when the stream comes and goes.
 */
#include "bridge/subs/recheck.h"
#include "bridge/subs/sample.h"

#include "base/log.h"

enum {
    MAX_WAITING = 1024, /* four batches: one under way, and enough for the next while it is */
    MAX_WAITING_BYTES = 16 << 20,
    TELL_WHY_US = 1000000,
    KEPT_US = 1000000, /* answers about a change that waits: they were asked after it was read */
    PATIENCE_US = 5000000, /* a slot that need not wait is there long before */
};

/* ---- how far the log was delivered ---- */

static void read_up_to(struct wc_subs *s, wc_lsn position)
{
    if (position > s->read)
        s->read = position;
    if (wc_queue_is_empty(s->queue))
        wc_subs_reached(s, s->read);
}

wc_lsn wc_subs_delivered(const struct wc_subs *s)
{
    const struct wc_queued *head = wc_queue_head(s->queue);
    return head ? head->place.passed : s->open.passed;
}

/* ---- the queue's hooks ---- */

static enum wc_need on_look(void *self, const struct wc_queued *c)
{
    struct wc_subs *s = self;
    if (c == wc_queue_head(s->queue)) {
        wc_subs_reached(s, c->place.commit_lsn);
        if (wc_publisher_is_backlogged(s->publisher) ||
            (s->opt.share && wc_share_is_full(s->opt.share)))
            return WC_NEED_PATIENCE;
    }
    return wc_subs_look(s, &c->change, &c->place, c);
}

static enum wc_status on_deliver(void *self, const struct wc_queued *c)
{
    wc_subs_sample(self, &c->change);
    return wc_subs_deliver(self, &c->change);
}

static enum wc_status on_ask(void *self, struct wc_queued *c)
{
    return wc_subs_ask(self, c);
}

/* What the stream was held at. */
static void offer_again(struct wc_subs *s)
{
    if (!s->holding || s->nholding)
        return;
    s->holding = false;
    s->hooks.resume(s->self);
}

static void on_moved(void *self)
{
    struct wc_subs *s = self;
    if (wc_queue_is_empty(s->queue))
        wc_subs_reached(s, s->read);
    wc_publisher_flush(s->publisher);
    s->hooks.moved(s->self);
    offer_again(s);
}

static void on_later(void *self)
{
    wc_subs_soon(self);
}

static void on_failed(void *self, enum wc_status st)
{
    struct wc_subs *s = self;
    s->hooks.failed(s->self, st);
}

struct wc_queue *wc_subs_new_queue(struct wc_subs *s)
{
    static const struct wc_queue_hooks hooks = {.look = on_look,
                                                .deliver = on_deliver,
                                                .ask = on_ask,
                                                .moved = on_moved,
                                                .later = on_later,
                                                .failed = on_failed,
                                                .trouble = wc_subs_on_trouble};
    wc_us freshness = (wc_us)s->opt.freshness_ms * 1000;
    const struct wc_queue_limits limits = {.changes = MAX_WAITING,
                                           .bytes = MAX_WAITING_BYTES,
                                           .freshness = freshness > KEPT_US ? freshness : KEPT_US};
    return wc_queue_new(s->loop, &s->opt.judge, &limits, &hooks, s);
}

/* ---- the stream's events ---- */

bool wc_subs_wants(const struct wc_subs *s, const struct wc_rel *rel)
{
    return wc_match_wants(s->match, rel) || wc_rolls_of(&s->rolls, rel->oid);
}

bool wc_subs_publishes(const struct wc_subs *s, wc_oid oid)
{
    return wc_watch_is_published(s->watch, oid);
}

static enum wc_status hold(struct wc_subs *s)
{
    s->holding = true;
    return WC_AGAIN;
}

static enum wc_status change_rules(struct wc_subs *s, wc_xid xid, wc_lsn commit_lsn)
{
    enum wc_status st = wc_access_invalidate_all(s->access, xid, commit_lsn);
    if (st != WC_LIMIT)
        return st;
    wc_subs_soon(s);
    return hold(s);
}

enum wc_status wc_subs_rules_changed(struct wc_subs *s)
{
    return change_rules(s, s->open.xid, s->open.commit_lsn);
}

void wc_subs_rules_will_change(struct wc_subs *s, struct wc_slice xid)
{
    wc_announced_add(&s->announced, xid, wc_clock_mono());
}

enum wc_status wc_subs_begin(struct wc_subs *s, wc_lsn commit_lsn, wc_xid xid, int64_t commit_time)
{
    if (wc_announced_has(&s->announced, xid, wc_clock_mono())) {
        enum wc_status st = change_rules(s, xid, commit_lsn);
        if (st != WC_OK)
            return st;
        wc_announced_came(&s->announced, xid);
    }
    s->open.xid = xid;
    s->open.commit_time = commit_time;
    s->open.commit_lsn = commit_lsn;
    wc_subs_note_passed(s, xid);
    read_up_to(s, commit_lsn);
    return WC_OK;
}

void wc_subs_progress(struct wc_subs *s, wc_lsn position)
{
    s->open.passed = position;
    read_up_to(s, position);
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

/* It goes behind what waits, unless it concerns nobody. */
static enum wc_status append(struct wc_subs *s, const struct wc_change *ch,
                             const struct wc_place *place)
{
    enum wc_status st = wc_queue_append(s->queue, ch, place);
    if (wc_queue_is_ripe(s->queue))
        wc_queue_go_on(s->queue);
    return st == WC_AGAIN ? hold(s) : st;
}

/* What the stream was held at was read when it was offered first. */
static struct wc_place place_of(struct wc_subs *s, uint64_t ordinal)
{
    struct wc_place place = s->open;
    place.ordinal = ordinal;
    bool is_again = s->offered.ordinal == ordinal && s->offered.commit_lsn == s->open.commit_lsn;
    place.since = is_again ? s->offered.since : wc_access_now(s->access);
    s->offered = place;
    return place;
}

enum wc_status wc_subs_change(struct wc_subs *s, const struct wc_change *ch, uint64_t ordinal)
{
    struct wc_place place = place_of(s, ordinal);
    enum wc_need need = wc_subs_look(s, ch, &place, NULL);
    if (wc_queue_is_empty(s->queue) && need == WC_NEED_NOTHING)
        wc_subs_sample(s, ch);
    bool concerns_nobody = wc_list_is_empty(&s->touched) && need == WC_NEED_NOTHING;
    if (concerns_nobody)
        return WC_OK;
    if (wc_queue_is_empty(s->queue) && need == WC_NEED_NOTHING)
        return wc_subs_deliver(s, ch);
    wc_subs_pass(s);
    bool is_asked_for_all = s->opt.freshness_ms == 0; /* with the ones behind it, that wait too */
    if (wc_queue_is_empty(s->queue) && need == WC_NEED_PATIENCE && !is_asked_for_all)
        return hold(s);
    return append(s, ch, &place);
}

void wc_subs_batch_end(struct wc_subs *s)
{
    wc_queue_go_on(s->queue);
    wc_shadow_send(s->shadow);
}

void wc_subs_go_on(struct wc_subs *s)
{
    if (!wc_queue_is_empty(s->queue) && !wc_catalog_pg(s->catalog))
        wc_catalog_want(s->catalog); /* it says when the server shuts down */
    wc_queue_go_on(s->queue);
    offer_again(s);
}

void wc_subs_drain(struct wc_subs *s)
{
    wc_queue_stop(s->queue);
}

/* The stream is down: what waits comes again, or is lost with its slot. */
static void take_back(struct wc_subs *s)
{
    const struct wc_queued *head = wc_queue_head(s->queue);
    if (head)
        s->hooks.taken_back(s->self, head->place.commit_lsn, head->place.ordinal,
                            head->place.passed);
    wc_queue_forget(s->queue);
    wc_shadow_forget(s->shadow);
    wc_subs_pass(s);
    s->open = s->offered = (struct wc_place){0};
    s->read = 0;
}

/* ---- it comes and goes ---- */

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
    wc_announced_forget(&s->announced);
    s->seen = 0;
    wc_access_forget_changes(s->access);
    wc_subs_reached(s, UINT64_MAX);
    for (struct wc_map_node *n = wc_map_each(&s->members, NULL); n;
         n = wc_map_each(&s->members, n)) {
        struct wc_member *m = WC_CONTAINER(n, struct wc_member, node);
        bool is_told = m->state == WC_MEMBER_ENLISTED || m->state == WC_MEMBER_DIRECT;
        if (!is_told)
            wc_subs_release_kept(m, NULL);
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
        take_back(s);
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

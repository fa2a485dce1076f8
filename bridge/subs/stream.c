/*
 * The stream's changes on their way: at once to the rings when nothing has to be asked and nobody
 * waits, else through the queue. What was read is not yet delivered then, so everything that
 * depends on how far the log has been read (members' fences, the position that may be confirmed)
 * follows what has left the queue.
 */
#include "bridge/subs/subs_priv.h"

#include "base/log.h"

enum {
    MAX_WAITING = 1024, /* four batches: one under way, and enough for the next while it is */
    MAX_WAITING_BYTES = 16 << 20,
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
        if (wc_publisher_is_backlogged(s->publisher))
            return WC_NEED_PATIENCE;
    }
    return wc_subs_look(s, &c->change, &c->place, c);
}

static enum wc_status on_deliver(void *self, const struct wc_queued *c)
{
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
    const struct wc_queue_limits limits = {.changes = MAX_WAITING,
                                           .bytes = MAX_WAITING_BYTES,
                                           .freshness = (wc_us)s->opt.freshness_ms * 1000};
    return wc_queue_new(s->loop, &s->opt.judge, &limits, &hooks, s);
}

/* ---- the stream's events ---- */

bool wc_subs_wants(const struct wc_subs *s, const struct wc_rel *rel)
{
    return wc_match_wants(s->match, rel);
}

void wc_subs_begin(struct wc_subs *s, wc_lsn commit_lsn, wc_xid xid, int64_t commit_time)
{
    s->open.xid = xid;
    s->open.commit_time = commit_time;
    s->open.commit_lsn = commit_lsn;
    wc_subs_note_passed(s, xid);
    read_up_to(s, commit_lsn);
}

void wc_subs_progress(struct wc_subs *s, wc_lsn position)
{
    s->open.passed = position;
    read_up_to(s, position);
}

static enum wc_status hold(struct wc_subs *s)
{
    s->holding = true;
    return WC_AGAIN;
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

enum wc_status wc_subs_change(struct wc_subs *s, const struct wc_change *ch, uint64_t ordinal)
{
    struct wc_place place = s->open;
    place.ordinal = ordinal;
    enum wc_need need = wc_subs_look(s, ch, &place, NULL);
    bool concerns_nobody = wc_list_is_empty(&s->touched) && need == WC_NEED_NOTHING;
    if (concerns_nobody)
        return WC_OK;
    if (wc_queue_is_empty(s->queue) && need == WC_NEED_NOTHING)
        return wc_subs_deliver(s, ch);
    wc_subs_pass(s);
    if (wc_queue_is_empty(s->queue) && need == WC_NEED_PATIENCE)
        return hold(s);
    return append(s, ch, &place);
}

void wc_subs_batch_end(struct wc_subs *s)
{
    wc_queue_go_on(s->queue);
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
void wc_subs_take_back(struct wc_subs *s)
{
    const struct wc_queued *head = wc_queue_head(s->queue);
    if (head)
        s->hooks.taken_back(s->self, head->place.commit_lsn, head->place.ordinal,
                            head->place.passed);
    wc_queue_forget(s->queue);
    wc_subs_pass(s);
    s->open = (struct wc_place){0};
    s->read = 0;
}

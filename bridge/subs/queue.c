/*
 * A waiting change is one block: the struct, the columns of both rows, the bytes of their values.
 * What is known of it grows beside it, and only when it was asked about.
 */
#include "bridge/subs/queue.h"

#include "base/assert.h"
#include "base/metrics.h"
#include "bridge/subs/copied.h"

#include <stdlib.h>

struct wc_queue {
    struct wc_judge *judge;
    struct wc_queue_hooks hooks;
    void *self;
    struct wc_queue_limits limits;
    struct wc_list waiting; /* wc_queued, as in the log */
    size_t count, bytes;
    bool is_walking, is_stopped;
    bool is_again; /* the batch of before was not answered in full, and is to be dropped */
    /* the batch */
    struct wc_queued *batch[WC_JUDGE_MAX];
    size_t nbatch, nfacts;
    struct wc_shared_comparison **held; /* comparisons asked for */
    size_t nheld, held_cap;
};

static const uint32_t NOT_ASKED = UINT32_MAX;
enum { FACTS_MIN = 8, HELD_MIN = 64 };

/* ---- what is known of a change ---- */

static uint64_t context_key(const struct wc_context *c)
{
    return c->serial << 1;
}

static uint64_t comparison_key(const struct wc_shared_comparison *c)
{
    return c->serial << 1 | 1;
}

/* The fact's place, or the free one where it belongs. Serials count up, so their low bits, mixed a
 * little, spread well. */
static struct wc_queued_fact *place_of(struct wc_queued_fact *fact, size_t cap, uint64_t key)
{
    uint64_t at = key * 0x9e3779b97f4a7c15u >> 32; /* 2^64 / golden ratio */
    while (fact[at & (cap - 1)].key && fact[at & (cap - 1)].key != key)
        at++;
    return &fact[at & (cap - 1)];
}

static uint8_t known(const struct wc_queued *c, uint64_t key, uint8_t otherwise)
{
    if (!c->nfacts)
        return otherwise;
    const struct wc_queued_fact *f = place_of(c->fact, c->facts_cap, key);
    return f->key ? f->value : otherwise;
}

/* Room for one more. Half of the places stay free. */
static bool reserve_fact(struct wc_queued *c)
{
    if ((c->nfacts + 1) * 2 <= c->facts_cap)
        return true;
    size_t cap = c->facts_cap ? c->facts_cap * 2 : FACTS_MIN;
    struct wc_queued_fact *more = calloc(cap, sizeof *more);
    if (!more)
        return false;
    for (size_t i = 0; i < c->facts_cap; i++)
        if (c->fact[i].key)
            *place_of(more, cap, c->fact[i].key) = c->fact[i];
    free(c->fact);
    c->fact = more;
    c->facts_cap = cap;
    return true;
}

/* What memory does not allow to remember is asked again. */
static void remember(struct wc_queued *c, uint64_t key, uint8_t value)
{
    if (!reserve_fact(c))
        return;
    struct wc_queued_fact *f = place_of(c->fact, c->facts_cap, key);
    c->nfacts += f->key == 0;
    *f = (struct wc_queued_fact){.key = key, .value = value};
}

static void forget_facts(struct wc_queued *c)
{
    free(c->fact);
    c->fact = NULL;
    c->nfacts = c->facts_cap = 0;
    c->answered = 0;
}

enum wc_verdict wc_queued_verdict(const struct wc_queued *c, const struct wc_context *context)
{
    return (enum wc_verdict)known(c, context_key(context), WC_VERDICT_NONE);
}

enum wc_truth wc_queued_truth(const struct wc_queued *c, const struct wc_shared_comparison *asked)
{
    return (enum wc_truth)known(c, comparison_key(asked), WC_UNDECIDED);
}

/* ---- copies ---- */

static struct wc_queued *copy_change(const struct wc_change *ch, const struct wc_place *place)
{
    size_t bytes = sizeof(struct wc_queued) + wc_copied_bytes(ch);
    struct wc_queued *c = malloc(bytes);
    if (!c)
        return NULL;
    *c = (struct wc_queued){.place = *place, .bytes = bytes, .asked = NOT_ASKED};
    wc_list_init(&c->link);
    wc_copied(&c->change, ch, c + 1);
    return c;
}

static void drop(struct wc_queue *q, struct wc_queued *c)
{
    wc_list_remove(&c->link);
    q->count--;
    q->bytes -= c->bytes;
    wc_metric_add(WC_M_CHANGES_WAITING, -1);
    wc_rel_unref(c->change.rel);
    free(c->fact);
    free(c);
}

enum wc_status wc_queue_append(struct wc_queue *q, const struct wc_change *ch,
                               const struct wc_place *place)
{
    size_t bytes = sizeof(struct wc_queued) + wc_copied_bytes(ch);
    if (q->count && (q->count >= q->limits.changes || q->bytes + bytes > q->limits.bytes))
        return WC_AGAIN;
    struct wc_queued *c = copy_change(ch, place);
    if (!c)
        return WC_NOMEM;
    wc_list_push(&q->waiting, &c->link);
    q->count++;
    q->bytes += c->bytes;
    wc_metric_add(WC_M_CHANGES_WAITING, 1);
    return WC_OK;
}

/* ---- asking ---- */

static void forget_batch(struct wc_queue *q)
{
    for (size_t i = 0; i < q->nbatch; i++)
        q->batch[i]->asked = NOT_ASKED;
    for (size_t i = 0; i < q->nheld; i++)
        wc_comparison_unref(q->held[i]);
    q->nbatch = q->nheld = q->nfacts = 0;
}

static bool hold(struct wc_queue *q, struct wc_shared_comparison *c)
{
    if (q->nheld == q->held_cap) {
        size_t cap = q->held_cap ? q->held_cap * 2 : HELD_MIN;
        struct wc_shared_comparison **more = realloc(q->held, cap * sizeof(void *));
        if (!more)
            return false;
        q->held = more;
        q->held_cap = cap;
    }
    q->held[q->nheld++] = wc_comparison_ref(c);
    return true;
}

/* The change's number in the batch, which it joins with its first question. */
static unsigned number_in_batch(struct wc_queue *q, struct wc_queued *c)
{
    if (c->asked == NOT_ASKED) {
        c->asked = wc_judge_add(q->judge, &c->change, c->place.xid);
        WC_ASSERT(c->asked == q->nbatch);
        q->batch[q->nbatch++] = c;
    }
    return c->asked;
}

enum wc_status wc_queue_want(struct wc_queue *q, struct wc_queued *c,
                             const struct wc_access *access, struct wc_context *context)
{
    if (wc_queued_verdict(c, context) != WC_VERDICT_NONE)
        return WC_OK;
    q->nfacts++;
    return wc_judge_want(q->judge, number_in_batch(q, c), access, context);
}

enum wc_status wc_queue_compare(struct wc_queue *q, struct wc_queued *c,
                                struct wc_shared_comparison *asked, struct wc_slice value)
{
    if (wc_queued_truth(c, asked) != WC_UNDECIDED)
        return WC_OK;
    if (!hold(q, asked))
        return WC_NOMEM;
    q->nfacts++;
    return wc_judge_compare(q->judge, number_in_batch(q, c), &asked->is, value);
}

static void drop_batch(struct wc_queue *q)
{
    wc_judge_forget(q->judge);
    forget_batch(q);
}

/* now: of the walk, which is when the answers came that began it, so that these count however
 * many there are. */
static enum wc_need look(struct wc_queue *q, struct wc_queued *c, wc_us now)
{
    if (c->nfacts && now - c->answered > q->limits.freshness)
        forget_facts(c);
    return q->hooks.look(q->self, c);
}

/* The head was just looked at and needs answers; what is behind it is looked at now. */
static void ask(struct wc_queue *q, wc_us now)
{
    enum wc_status st = WC_OK;
    WC_LIST_EACH (it, &q->waiting) {
        struct wc_queued *c = WC_CONTAINER(it, struct wc_queued, link);
        if (st != WC_OK || q->nbatch == WC_JUDGE_MAX || q->nfacts >= WC_QUEUE_FACTS_MAX)
            break;
        if (it == q->waiting.next || look(q, c, now) == WC_NEED_ANSWERS)
            st = q->hooks.ask(q->self, c);
    }
    if (st == WC_OK && q->nbatch) {
        wc_judge_send(q->judge);
        return;
    }
    drop_batch(q); /* out of memory: when there may be some again */
    q->hooks.later(q->self);
}

/* ---- delivering ---- */

/* Returns what the head needs, or NOTHING when there is none left or its delivery failed. */
static enum wc_need deliver(struct wc_queue *q, wc_us now, bool *moved)
{
    while (!wc_list_is_empty(&q->waiting)) {
        struct wc_queued *head = WC_CONTAINER(q->waiting.next, struct wc_queued, link);
        enum wc_need need = look(q, head, now);
        if (need != WC_NEED_NOTHING)
            return need;
        enum wc_status st = q->hooks.deliver(q->self, head);
        if (st != WC_OK) {
            q->hooks.failed(q->self, st);
            return WC_NEED_NOTHING;
        }
        *moved = true;
        drop(q, head);
    }
    return WC_NEED_NOTHING;
}

static void walk(struct wc_queue *q, wc_us now)
{
    if (q->is_walking || q->is_stopped || wc_list_is_empty(&q->waiting) ||
        wc_judge_is_busy(q->judge))
        return;
    q->is_walking = true;
    if (q->is_again)
        drop_batch(q);
    q->is_again = false;
    bool moved = false;
    if (deliver(q, now, &moved) == WC_NEED_ANSWERS)
        ask(q, now);
    q->is_walking = false;
    if (moved)
        q->hooks.moved(q->self);
}

void wc_queue_go_on(struct wc_queue *q)
{
    walk(q, wc_clock_mono());
}

/* ---- answers ---- */

static void on_verdict(void *arg, unsigned number, const struct wc_context *context,
                       enum wc_verdict verdict)
{
    struct wc_queue *q = arg;
    WC_ASSERT(number < q->nbatch);
    if (verdict != WC_VERDICT_NONE)
        remember(q->batch[number], context_key(context), (uint8_t)verdict);
}

static void on_truth(void *arg, unsigned number, const struct wc_comparison *is,
                     enum wc_truth truth)
{
    struct wc_queue *q = arg;
    WC_ASSERT(number < q->nbatch);
    const struct wc_shared_comparison *c =
        (const struct wc_shared_comparison *)(const void *)((const char *)is -
                                                            offsetof(struct wc_shared_comparison,
                                                                     is));
    if (truth != WC_UNDECIDED)
        remember(q->batch[number], comparison_key(c), (uint8_t)truth);
}

/* Facts that no earlier batch began. */
static void note_answered(struct wc_queue *q, wc_us now)
{
    for (size_t i = 0; i < q->nbatch; i++)
        if (q->batch[i]->nfacts && !q->batch[i]->answered)
            q->batch[i]->answered = now;
}

static void on_answered(void *arg, bool ok)
{
    struct wc_queue *q = arg;
    wc_us now = wc_clock_mono();
    note_answered(q, now);
    q->is_again = !ok;
    if (ok) {
        forget_batch(q);
        walk(q, now);
    } else {
        q->hooks.later(q->self);
    }
}

static void on_trouble(void *arg, wc_oid rel, struct wc_slice role, bool is_over, const char *text)
{
    struct wc_queue *q = arg;
    struct wc_slice schema = wc_slice(NULL, 0);
    for (size_t i = 0; i < q->nbatch; i++)
        if (q->batch[i]->change.rel->oid == rel)
            schema = q->batch[i]->change.rel->schema;
    q->hooks.trouble(q->self, rel, schema, role, is_over, text);
}

/* ---- life cycle ---- */

struct wc_queue *wc_queue_new(struct uv_loop_s *loop, const struct wc_judge_options *options,
                              const struct wc_queue_limits *limits,
                              const struct wc_queue_hooks *hooks, void *self)
{
    static const struct wc_judge_events events = {
        .verdict = on_verdict, .truth = on_truth, .answered = on_answered, .trouble = on_trouble};
    struct wc_queue *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->hooks = *hooks;
    q->self = self;
    q->limits = *limits;
    wc_list_init(&q->waiting);
    q->judge = wc_judge_new(loop, options, &events, q);
    if (q->judge)
        return q;
    free(q);
    return NULL;
}

void wc_queue_forget(struct wc_queue *q)
{
    drop_batch(q);
    q->is_again = false;
    while (!wc_list_is_empty(&q->waiting))
        drop(q, WC_CONTAINER(q->waiting.next, struct wc_queued, link));
}

void wc_queue_free(struct wc_queue *q)
{
    if (!q)
        return;
    wc_queue_forget(q);
    wc_judge_free(q->judge);
    free(q->held);
    free(q);
}

void wc_queue_stop(struct wc_queue *q)
{
    q->is_stopped = true;
}

bool wc_queue_is_empty(const struct wc_queue *q)
{
    return q->count == 0;
}

bool wc_queue_is_ripe(const struct wc_queue *q)
{
    return q->count >= WC_JUDGE_MAX && !wc_judge_is_busy(q->judge);
}

const struct wc_queued *wc_queue_head(const struct wc_queue *q)
{
    return q->count ? WC_CONTAINER(q->waiting.next, struct wc_queued, link) : NULL;
}

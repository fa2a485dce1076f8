#include "bridge/subs/shadow.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bridge/subs/copied.h"

#include <stdlib.h>

enum {
    CHECKS = WC_SHADOW_ROWS * WC_SHADOW_OF_A_ROW,
    VERSION_MAX = 64,     /* an oid, a place and a transaction, as text */
    SETTLE_US = 20000000, /* for all contradictions of a batch: several answers of the catalog */
    TIMES = 5,            /* that it is found to be one */
};

enum state { GATHERING, ASKING, VERSION, AGAIN, VERSION_AGAIN, RULES };

struct row {
    struct wc_change change;
    void *room; /* of its columns */
    wc_xid xid;
    unsigned nchecks;
    unsigned number; /* in the judge's batch, once it has a check */
};

struct check {
    const struct row *row;
    struct wc_rules *rules;
    uint64_t version; /* hash of the access entry's */
    struct wc_context *context;
    enum wc_verdict here, there;
};

struct wc_shadow {
    struct wc_judge *judge;
    const char *tenant;
    uint32_t permille;
    struct wc_shadow_hooks hooks;
    void *self;
    uint64_t random;
    enum state state;
    struct row row[WC_SHADOW_ROWS];
    unsigned nrows;
    struct check check[CHECKS];
    size_t nchecks;
    /* contradictions */
    size_t at;      /* the check at hand */
    unsigned times; /* the one at hand was found to be a contradiction, by the same rules */
    wc_us since;    /* when Postgres had answered about it */
    wc_us deadline; /* of all of them */
    char version[VERSION_MAX];
    unsigned nstale; /* versions that nobody waits for any more */
};

static void set_state(struct wc_shadow *s, enum state state)
{
    s->state = state;
}

static void drop_batch(struct wc_shadow *s)
{
    wc_judge_forget(s->judge);
    for (unsigned i = 0; i < s->nrows; i++) {
        wc_rel_unref(s->row[i].change.rel);
        free(s->row[i].room);
    }
    for (size_t i = 0; i < s->nchecks; i++) {
        wc_rules_unref(s->check[i].rules);
        wc_context_unref(s->check[i].context);
    }
    s->nrows = 0;
    s->nchecks = 0;
    set_state(s, GATHERING);
}

void wc_shadow_forget(struct wc_shadow *s)
{
    if (!s)
        return;
    s->nstale += s->state == VERSION || s->state == VERSION_AGAIN;
    drop_batch(s);
}

/* ---- gathering ---- */

/* xorshift64: evenly spread, and not in step with what a client writes */
static uint32_t draw(struct wc_shadow *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return (uint32_t)(s->random % 1000);
}

bool wc_shadow_takes(struct wc_shadow *s, const struct wc_change *ch, wc_xid xid)
{
    if (!s || ch->op == WC_OP_DELETE || draw(s) >= s->permille)
        return false;
    bool has_room = s->state == GATHERING && s->nrows < WC_SHADOW_ROWS;
    size_t bytes = wc_copied_bytes(ch);
    struct row *r = &s->row[s->nrows];
    void *room = has_room && bytes <= WC_SHADOW_ROW_BYTES ? malloc(bytes + 1) : NULL;
    if (!room) {
        wc_metric_add(WC_M_SHADOW_SKIPPED_BUSY, 1);
        return false;
    }
    *r = (struct row){.room = room, .xid = xid};
    wc_copied(&r->change, ch, room);
    s->nrows++;
    return true;
}

static bool has_context(const struct wc_shadow *s, const struct row *r,
                        const struct wc_context *context)
{
    for (size_t i = s->nchecks - r->nchecks; i < s->nchecks; i++)
        if (s->check[i].context == context)
            return true;
    return false;
}

static enum wc_status want(struct wc_shadow *s, struct row *r, const struct wc_access *access,
                           struct wc_context *context)
{
    if (r->nchecks == 0)
        r->number = wc_judge_add(s->judge, &r->change, r->xid);
    return wc_judge_want(s->judge, r->number, access, context);
}

void wc_shadow_add(struct wc_shadow *s, const struct wc_access *access, struct wc_context *context,
                   enum wc_verdict here)
{
    struct row *r = s->nrows ? &s->row[s->nrows - 1] : NULL; /* memory was short before */
    if (!r || r->nchecks == WC_SHADOW_OF_A_ROW || has_context(s, r, context))
        return;
    if (want(s, r, access, context) != WC_OK) {
        drop_batch(s);
        return;
    }
    r->nchecks++;
    s->check[s->nchecks++] = (struct check){.row = r,
                                            .rules = wc_rules_ref(access->rules),
                                            .version = wc_hash(access->version),
                                            .context = wc_context_ref(context),
                                            .here = here};
}

void wc_shadow_send(struct wc_shadow *s)
{
    if (!s || s->state != GATHERING || s->nrows == 0)
        return;
    if (s->nchecks == 0) {
        drop_batch(s);
        return;
    }
    set_state(s, ASKING);
    wc_judge_send(s->judge);
}

/* ---- contradictions ---- */

static bool is_contradicted(const struct check *c)
{
    return (c->here == WC_VERDICT_HIDDEN && c->there == WC_VERDICT_VISIBLE) ||
           (c->here == WC_VERDICT_VISIBLE && c->there == WC_VERDICT_HIDDEN);
}

static const struct wc_access *access_since(const struct wc_shadow *s, wc_us since)
{
    const struct check *c = &s->check[s->at];
    return s->hooks.access(s->self, c->row->change.rel, c->context->role, since);
}

/* False: it cannot be told. */
static bool ask_version(struct wc_shadow *s)
{
    const struct wc_access *access = access_since(s, 0);
    return access && s->hooks.ask_version(s->self, access, &s->check[s->at].row->change);
}

/* Begins with the next contradiction; without one, or without time, the batch is over. */
static void next(struct wc_shadow *s)
{
    for (; s->at < s->nchecks; s->at++) {
        const struct check *c = &s->check[s->at];
        if (!is_contradicted(c))
            continue;
        bool is_late = wc_clock_mono() > s->deadline;
        if (!is_late && c->there == WC_VERDICT_VISIBLE) {
            set_state(s, RULES);
            return;
        }
        if (!is_late && ask_version(s)) {
            set_state(s, VERSION);
            return;
        }
        wc_metric_add(WC_M_SHADOW_SKIPPED_UNSETTLED, 1);
    }
    drop_batch(s);
}

static void settle(struct wc_shadow *s)
{
    s->times = 0;
    s->at++;
    next(s);
}

static void let_go(struct wc_shadow *s)
{
    wc_metric_add(WC_M_SHADOW_SKIPPED_UNSETTLED, 1);
    settle(s);
}

static void alarm_about(struct wc_shadow *s, const struct check *c)
{
    const struct wc_rel *rel = c->row->change.rel;
    wc_metric_add(WC_M_SHADOW_DISAGREEMENTS, 1);
    WC_LOG(WC_LOG_ERROR, "rls", "shadow_disagreement",
           "tenant=%s table=\"%.*s.%.*s\" role=\"%.*s\" rules=%llu here=%s postgres=%s "
           "hint=\"its policies are judged by Postgres from now on\"",
           s->tenant, WC_SLICE_ARG(rel->schema), WC_SLICE_ARG(rel->name),
           WC_SLICE_ARG(c->context->role), (unsigned long long)c->rules->number,
           c->here == WC_VERDICT_VISIBLE ? "visible" : "hidden",
           c->there == WC_VERDICT_VISIBLE ? "visible" : "hidden");
    s->hooks.distrust(s->self, c->rules, "Postgres was seen to judge a row otherwise");
}

/* What else was decided by rules that are distrusted now is no news. */
static void clear_checks_of(struct wc_shadow *s, const struct wc_rules *rules)
{
    for (size_t i = s->at; i < s->nchecks; i++)
        if (s->check[i].rules == rules)
            s->check[i].there = WC_VERDICT_NONE;
}

static void ask_again(struct wc_shadow *s)
{
    struct check *c = &s->check[s->at];
    const struct wc_access *access = access_since(s, 0);
    c->there = WC_VERDICT_NONE;
    wc_judge_forget(s->judge);
    bool ok = access && wc_judge_add(s->judge, &c->row->change, c->row->xid) == 0 &&
              wc_judge_want(s->judge, 0, access, c->context) == WC_OK;
    if (!ok) {
        wc_judge_forget(s->judge);
        let_go(s);
        return;
    }
    set_state(s, AGAIN);
    wc_judge_send(s->judge);
}

/* False: it is too early. */
static bool compare_rules(struct wc_shadow *s)
{
    const struct check *c = &s->check[s->at];
    const struct wc_access *access = access_since(s, s->since);
    if (!access && wc_clock_mono() <= s->deadline)
        return false;
    if (!access) {
        let_go(s);
        return true;
    }
    bool is_same = access->rules && access->rules->number == c->rules->number &&
                   wc_hash(access->version) == c->version;
    if (is_same && ++s->times < TIMES) {
        ask_again(s);
        return true;
    }
    if (is_same) {
        alarm_about(s, c);
        clear_checks_of(s, c->rules);
    }
    settle(s);
    return true;
}

void wc_shadow_go_on(struct wc_shadow *s)
{
    while (s && s->state == RULES && compare_rules(s))
        ;
}

void wc_shadow_version(struct wc_shadow *s, struct wc_slice version)
{
    if (s->nstale) {
        s->nstale--;
        return;
    }
    bool is_first = s->state == VERSION;
    if (!version.p || version.len >= VERSION_MAX) {
        settle(s); /* it changed, which is no contradiction */
    } else if (is_first) {
        memcpy(s->version, version.p, version.len);
        s->version[version.len] = '\0';
        ask_again(s);
    } else if (wc_slice_is(version, s->version)) {
        set_state(s, RULES);
    } else {
        settle(s);
    }
}

/* ---- answers ---- */

static void on_verdict(void *arg, unsigned number, const struct wc_context *context,
                       enum wc_verdict verdict)
{
    struct wc_shadow *s = arg;
    if (s->state == AGAIN) {
        s->check[s->at].there = verdict;
        return;
    }
    for (size_t i = 0; i < s->nchecks; i++)
        if (s->check[i].row->number == number && s->check[i].context == context)
            s->check[i].there = verdict;
}

static void on_truth(void *arg, unsigned number, const struct wc_comparison *comparison,
                     enum wc_truth truth)
{
    (void)arg; /* none is asked for */
    (void)number;
    (void)comparison;
    (void)truth;
}

static void on_answered_first(struct wc_shadow *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->nchecks; i++)
        n += s->check[i].there == WC_VERDICT_VISIBLE || s->check[i].there == WC_VERDICT_HIDDEN;
    wc_metric_add(WC_M_SHADOW_CHECKS, (int64_t)n);
    s->at = 0;
    s->times = 0;
    s->deadline = s->since + SETTLE_US;
    next(s);
}

static void on_answered(void *arg, bool ok)
{
    struct wc_shadow *s = arg;
    s->since = wc_clock_mono();
    if (!ok) {
        drop_batch(s);
    } else if (s->state == ASKING) {
        on_answered_first(s);
    } else if (!is_contradicted(&s->check[s->at])) {
        settle(s);
    } else if (s->check[s->at].there == WC_VERDICT_VISIBLE) {
        set_state(s, RULES);
    } else if (ask_version(s)) {
        set_state(s, VERSION_AGAIN);
    } else {
        let_go(s);
    }
}

/* Its checks are nobody's changes: whom they trouble is told by those of the stream. */
static void on_trouble(void *arg, wc_oid rel, struct wc_slice role, bool is_over, const char *text)
{
    (void)arg;
    (void)rel;
    (void)role;
    (void)is_over;
    (void)text;
}

/* ---- life cycle ---- */

struct wc_shadow *wc_shadow_new(struct uv_loop_s *loop, const struct wc_judge_options *options,
                                uint32_t permille, const struct wc_shadow_hooks *hooks, void *self)
{
    static const struct wc_judge_events events = {
        .verdict = on_verdict, .truth = on_truth, .answered = on_answered, .trouble = on_trouble};
    struct wc_shadow *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->tenant = options->tenant;
    s->permille = permille;
    s->hooks = *hooks;
    s->self = self;
    s->random = (uint64_t)wc_clock_mono() | 1; /* anything but 0 */
    s->judge = wc_judge_new(loop, options, &events, s);
    if (s->judge)
        return s;
    free(s);
    return NULL;
}

void wc_shadow_free(struct wc_shadow *s)
{
    if (!s)
        return;
    drop_batch(s);
    wc_judge_free(s->judge);
    free(s);
}

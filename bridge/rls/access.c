/* When to ask, and what answers are good for. */
#include "base/assert.h"
#include "base/log.h"
#include "bridge/pg/array.h"
#include "bridge/rls/access_priv.h"
#include "bridge/rls/barriers.h"
#include "bridge/rls/changes.h"
#include "bridge/rls/distrust.h"
#include "bridge/rls/rules_priv.h"
#include "bridge/rls/types.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ENTRY_CAP = 1 << 20, /* 1,600 columns with names of 63 bytes, rendered */
    JUDGE_US = 2000,     /* an answer slower than `freshness` still judges what waited for it */
    FORGET_US = 60 * 1000000, /* not used for a minute: forgotten */
    TEXTS_US = 1000000,       /* how long policies of a locked relation are left unread */
    TYPES_US = 100000,        /* types are asked for behind each question anyway */
    SOURCE_CAP = 4 << 20,     /* of rules: beyond, as when memory is out, there are none */
};

/* Texts as on the stream, names always qualified, strings as standard SQL has them (ours, and those
 * of policies, which are printed as the setting says), and no statement that waits for ever. Nor
 * one that is compiled: recursive look-ups look dear to the planner, and took 1 ms without and 300
 * ms with JIT. */
const char wc_access_session[] =
    "-c TimeZone=UTC -c DateStyle=ISO,MDY -c IntervalStyle=postgres -c extra_float_digits=1 "
    "-c bytea_output=hex -c standard_conforming_strings=on -c array_nulls=on -c "
    "search_path=pg_catalog "
    "-c statement_timeout=10000 "
    "-c lock_timeout=5000 -c default_transaction_read_only=on -c jit=off "
    "-c plan_cache_mode=force_generic_plan"; /* planning wc_sql_access takes 12 ms, its answer 1 */

static const char missing_statement[] = "26000", lock_not_available[] = "55P03";

struct wc_access_cache {
    wc_us freshness;
    const char *why_not; /* nothing is compiled, for this reason; or NULL */
    wc_access_answer_fn on_answer;
    void *arg;
    struct wc_map entries; /* key: oid bytes, then role */
    struct wc_changes changes;
    struct wc_barriers barriers;
    struct wc_access_since since; /* what is looked at now was read then */
    struct wc_distrust distrust;
    struct wc_types *types;
    uint64_t answers, questions, rules; /* numbers given out */
    uint64_t types_since; /* number of the first question about types behind the one under way */
    const struct wc_pg
        *prepared_on; /* where the question is a prepared statement; never followed */
    bool sent_sql;    /* with the question under way */
    size_t in_flight;
    struct wc_access **asking; /* in the order of the question */
    wc_us asked;
    struct wc_log_limit complaint;
};

/* What waits for types can go on. */
static void on_types(void *arg)
{
    struct wc_access_cache *c = arg;
    c->on_answer(c->arg, false);
}

struct wc_access_cache *wc_access_cache_new(const struct wc_access_options *options,
                                            wc_access_answer_fn on_answer, void *arg)
{
    struct wc_access_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->freshness = (wc_us)options->freshness_ms * 1000;
    c->why_not = options->no_compiling ? "policies are not compiled: it is switched off" : NULL;
    c->on_answer = on_answer;
    c->arg = arg;
    wc_map_init(&c->entries);
    wc_changes_init(&c->changes);
    wc_distrust_init(&c->distrust);
    c->types = wc_types_new(c->freshness > TYPES_US ? c->freshness : TYPES_US, on_types, c);
    if (c->types)
        return c;
    free(c);
    return NULL;
}

static void drop(struct wc_access_cache *c, struct wc_access *a)
{
    wc_map_remove(&c->entries, &a->node);
    wc_rules_unref(a->rules);
    wc_arena_release(&a->arena);
    wc_arena_release(&a->map_arena);
    free(a);
}

void wc_access_cache_free(struct wc_access_cache *c)
{
    if (!c)
        return;
    struct wc_map_node *n;
    while ((n = wc_map_each(&c->entries, NULL)))
        drop(c, WC_CONTAINER(n, struct wc_access, node));
    wc_changes_release(&c->changes);
    wc_distrust_release(&c->distrust);
    wc_map_release(&c->entries);
    wc_types_free(c->types);
    free(c->asking);
    free(c);
}

static struct wc_access *make(struct wc_access_cache *c, struct wc_slice key)
{
    struct wc_access *a = calloc(1, sizeof *a + key.len);
    if (!a)
        return NULL;
    uint8_t *copy = (uint8_t *)(a + 1);
    memcpy(copy, key.p, key.len);
    a->node.key = wc_slice(copy, key.len);
    memcpy(&a->rel, copy, sizeof a->rel);
    a->role = wc_slice(copy + sizeof a->rel, key.len - sizeof a->rel);
    wc_arena_init(&a->arena, ENTRY_CAP);
    wc_arena_init(&a->map_arena, ENTRY_CAP);
    a->is_new = true;
    if (wc_map_insert(&c->entries, &a->node) == WC_OK)
        return a;
    free(a);
    return NULL;
}

/* The entry, made when there is none; NULL when out of memory. */
static struct wc_access *entry_of(struct wc_access_cache *c, wc_oid rel, struct wc_slice role)
{
    uint8_t bytes[sizeof(wc_oid) + WC_ROLE_MAX];
    WC_ASSERT(role.len <= WC_ROLE_MAX);
    memcpy(bytes, &rel, sizeof rel);
    memcpy(bytes + sizeof rel, role.p, role.len);
    struct wc_slice key = wc_slice(bytes, sizeof rel + role.len);
    struct wc_map_node *n = wc_map_get(&c->entries, key);
    return n ? WC_CONTAINER(n, struct wc_access, node) : make(c, key);
}

/* For what is looked at, now. */
static bool is_good(const struct wc_access_cache *c, const struct wc_access *a)
{
    if (a->is_new || a->barriers < c->since.barriers)
        return false;
    return c->freshness ? a->used < a->fresh_until : a->question > c->since.questions;
}

struct wc_access *wc_access_find(struct wc_access_cache *c, const struct wc_rel *rel,
                                 struct wc_slice role)
{
    struct wc_access *a = entry_of(c, rel->oid, role);
    if (!a)
        return NULL;
    a->used = wc_clock_mono();
    if (!is_good(c, a)) {
        a->is_wanted = true;
        wc_access_want_types(c->types, a, rel);
        return NULL;
    }
    return wc_access_map(c->types, a, rel) ? a : NULL;
}

struct wc_access *wc_access_pin(struct wc_access_cache *c, wc_oid rel, struct wc_slice role)
{
    struct wc_access *a = entry_of(c, rel, role);
    if (!a)
        return NULL;
    a->pins++;
    a->is_wanted |= !a->rules;
    a->used = wc_clock_mono();
    return a;
}

/* Its age counts from here on. */
void wc_access_unpin(struct wc_access *a)
{
    WC_ASSERT(a->pins > 0);
    a->pins--;
    a->used = wc_clock_mono();
}

/* ---- changes ---- */

/* What is pinned is asked for again at once, since its rules may be in use. */
static void expire(struct wc_access *a)
{
    a->fresh_until = 0;
    a->is_new = true;
    a->is_wanted |= a->pins > 0;
}

enum wc_status wc_access_invalidate(struct wc_access_cache *c, wc_oid oid, wc_xid by)
{
    for (struct wc_map_node *n = wc_map_each(&c->entries, NULL); n;
         n = wc_map_each(&c->entries, n)) {
        struct wc_access *a = WC_CONTAINER(n, struct wc_access, node);
        if (a->rel == oid)
            expire(a);
    }
    return wc_changes_note(&c->changes, oid, by);
}

enum wc_status wc_access_invalidate_all(struct wc_access_cache *c, wc_xid by, wc_lsn commit_lsn)
{
    return wc_barriers_add(&c->barriers, by, commit_lsn);
}

struct wc_access_since wc_access_now(const struct wc_access_cache *c)
{
    return (struct wc_access_since){.barriers = c->barriers.last, .questions = c->questions};
}

void wc_access_judge_since(struct wc_access_cache *c, const struct wc_access_since *since)
{
    c->since = *since;
}

void wc_access_saw(struct wc_access_cache *c, const struct wc_snapshot *s)
{
    wc_changes_saw(&c->changes, s);
}

void wc_access_forget_changes(struct wc_access_cache *c)
{
    wc_changes_forget(&c->changes);
    wc_barriers_forget(&c->barriers);
}

/* ---- rules ---- */

/* NULL: they may be compiled. */
static const char *why_not(const struct wc_access_cache *c, struct wc_slice source)
{
    const char *why = wc_distrust_why(&c->distrust, source);
    return why ? why : c->why_not;
}

/* The old ones live as long as anybody refers to them. */
static void make_rules(struct wc_access_cache *c, struct wc_access *a, struct wc_slice source,
                       struct wc_slice told)
{
    struct wc_rules *old = a->rules;
    a->rules = wc_rules_make(source, told, ++c->rules, why_not(c, source));
    wc_rules_unref(old);
}

/* Without memory there are none, until the next answer. */
static void renew_rules(struct wc_access_cache *c, struct wc_access *a, const struct wc_buf *source,
                        const struct wc_buf *told)
{
    if (source->status != WC_OK || told->status != WC_OK) {
        wc_rules_unref(a->rules);
        a->rules = NULL;
    } else if (!a->rules || (a->rules->is_untold && a->asks_texts) ||
               !wc_slice_eq(a->rules->source, wc_buf_view(source))) {
        make_rules(c, a, wc_buf_view(source), wc_buf_view(told));
    }
}

void wc_rules_distrust(struct wc_access_cache *c, const struct wc_rules *rules, const char *why)
{
    bool is_noted = wc_distrust_add(&c->distrust, rules->source, why) == WC_OK;
    if (!is_noted)
        c->why_not = "policies are not compiled: too many were compiled wrongly";
    for (struct wc_map_node *n = wc_map_each(&c->entries, NULL); n;
         n = wc_map_each(&c->entries, n)) {
        struct wc_access *a = WC_CONTAINER(n, struct wc_access, node);
        if (a->rules && a->rules->kind == WC_RULES_COMPILED &&
            (!is_noted || wc_slice_eq(a->rules->source, rules->source)))
            make_rules(c, a, a->rules->source, a->rules->source);
    }
}

/* ---- asking ---- */

static void take_entry(struct wc_access_cache *c, const struct wc_pg_result *res, int row, int end,
                       struct wc_access *a)
{
    struct wc_buf source, told;
    wc_buf_init(&source, SOURCE_CAP);
    wc_buf_init(&told, SOURCE_CAP);
    wc_answer_read(res, row, end, a);
    wc_answer_source(res, row, end, a, &source, &told);
    uint64_t before = a->rules ? a->rules->number : 0;
    renew_rules(c, a, &source, &told);
    if (a->rules && a->rules->number != before)
        a->rules_since = wc_answer_since(res, row, before == 0);
    wc_buf_release(&source);
    wc_buf_release(&told);
    wc_us now = wc_clock_mono();
    a->answer = ++c->answers;
    a->asked = c->asked;
    a->fresh_until = c->asked + c->freshness;
    if (a->fresh_until < now + JUDGE_US)
        a->fresh_until = now + JUDGE_US;
    if (a->is_new || a->barriers < wc_barriers_settled(&c->barriers))
        a->types_since = c->types_since;
    a->barriers = wc_barriers_settled(&c->barriers);
    a->question = c->questions;
    a->is_new = a->is_wanted = false;
}

/* Returns whether some of it had to be put aside as too early. */
static bool read_answer(struct wc_access_cache *c, const struct wc_pg_result *res)
{
    bool early = wc_barriers_settled(&c->barriers) < c->since.barriers;
    int row = 0;
    const char *snapshot = wc_answer_snapshot(res);
    struct wc_snapshot *s = snapshot ? wc_snapshot_parse(snapshot) : NULL;
    for (size_t i = 0; i < c->in_flight; i++) {
        struct wc_access *a = c->asking[i];
        int end = wc_answer_end(res, row, i + 1);
        if (wc_changes_is_early(&c->changes, a->rel, s) || wc_answer_is_torn(res, row, end))
            early = true;
        else if (end > row)
            take_entry(c, res, row, end, a);
        row = end;
    }
    if (s)
        wc_access_saw(c, s);
    wc_snapshot_unref(s);
    return early;
}

static void complain(struct wc_access_cache *c, const struct wc_pg_result *res)
{
    unsigned long repeated = 0;
    if (wc_log_limit(&c->complaint, 60 * 1000000, &repeated))
        WC_LOG(WC_LOG_ERROR, "rls", "access_query_failed",
               "sqlstate=%s error=\"%s\" repeated=%lu hint=\"%s\"", res->sqlstate, res->message,
               repeated, "changes are held back until the catalog can be read");
}

/* The statement outlives an error of its execution. Returns whether it is worth asking again now:
 * then a lock was in the way of texts, and it goes without them for a while. */
static bool note_failure(struct wc_access_cache *c, const struct wc_pg_result *res)
{
    bool asked_texts = false;
    bool is_missing = strcmp(res->sqlstate, missing_statement) == 0;
    if (!res->sqlstate[0] || is_missing || (c->sent_sql && res->parsed == 0))
        c->prepared_on = NULL;
    for (size_t i = 0; i < c->in_flight; i++) {
        asked_texts |= c->asking[i]->asks_texts;
        if (c->asking[i]->asks_texts)
            c->asking[i]->texts_after = wc_clock_mono() + TEXTS_US;
    }
    if (asked_texts && strcmp(res->sqlstate, lock_not_available) == 0)
        return true;
    if (res->sqlstate[0] && !is_missing)
        complain(c, res);
    return false;
}

static void on_result(void *arg, const struct wc_pg_result *res)
{
    struct wc_access_cache *c = arg;
    bool early = false, is_told = res->ok;
    if (res->ok)
        early = read_answer(c, res);
    else
        is_told = note_failure(c, res);
    c->in_flight = 0;
    if (is_told)
        c->on_answer(c->arg, early);
}

static bool is_in_use(const struct wc_access_cache *c, const struct wc_access *a, wc_us now)
{
    return now - a->used < c->freshness * 2;
}

static bool wants_texts(const struct wc_access_cache *c, const struct wc_access *a, wc_us now)
{
    return !c->why_not && (!a->rules || a->rules->is_untold) && now >= a->texts_after;
}

static bool is_due(const struct wc_access_cache *c, const struct wc_access *a, wc_us now)
{
    bool is_used = is_in_use(c, a, now);
    return a->is_wanted || (is_used && a->fresh_until - now <= c->freshness / 2) ||
           ((is_used || a->pins) && wants_texts(c, a, now));
}

struct question {
    struct wc_buf oids, roles, texts;
    bool asks_texts;
};

static void add(struct question *q, const struct wc_access *a)
{
    char digits[12];
    (void)snprintf(digits, sizeof digits, "%u", a->rel);
    wc_pg_array_add(&q->oids, wc_slice_str(digits));
    wc_pg_array_add(&q->roles, a->role);
    wc_pg_array_add(&q->texts, wc_slice_str(a->asks_texts ? "t" : "f"));
    q->asks_texts |= a->asks_texts;
}

static bool collect(struct wc_access_cache *c, wc_us now, struct question *q)
{
    struct wc_access **asking = realloc(c->asking, (c->entries.count + 1) * sizeof *asking);
    if (!asking)
        return false;
    c->asking = asking;
    for (struct wc_map_node *n = wc_map_each(&c->entries, NULL), *next; n; n = next) {
        next = wc_map_each(&c->entries, n);
        struct wc_access *a = WC_CONTAINER(n, struct wc_access, node);
        if (now - a->used > FORGET_US && a->pins == 0) {
            drop(c, a);
        } else if (is_due(c, a, now)) {
            a->asks_texts = wants_texts(c, a, now);
            add(q, a);
            c->asking[c->in_flight++] = a;
        }
    }
    wc_pg_array_end(&q->oids);
    wc_pg_array_end(&q->roles);
    wc_pg_array_end(&q->texts);
    return q->oids.status == WC_OK && q->roles.status == WC_OK && q->texts.status == WC_OK;
}

/* Prepared, because it takes longer to plan than to answer. A connection at the address of one that
 * is gone does not know the statement: then the next question brings the text along again. */
static enum wc_status send_question(struct wc_access_cache *c, struct wc_pg *pg,
                                    const struct question *q)
{
    const char *const params[] = {(const char *)q->oids.p, (const char *)q->roles.p,
                                  (const char *)q->texts.p};
    c->sent_sql = c->prepared_on != pg;
    const struct wc_pg_statement s[] = {{.sql = wc_sql_brief_locks},
                                        {.name = "walcast_access",
                                         .sql = c->sent_sql ? wc_sql_access : NULL,
                                         .nparams = 3,
                                         .params = params}};
    enum wc_status st = wc_barriers_ask(&c->barriers, pg);
    if (st == WC_OK)
        st = q->asks_texts ? wc_pg_segment(pg, s, 2, on_result, c)
                           : wc_pg_segment(pg, s + 1, 1, on_result, c);
    if (st == WC_OK)
        c->prepared_on = pg;
    return st;
}

static enum wc_status ask(struct wc_access_cache *c, struct wc_pg *pg)
{
    struct question q = {.asks_texts = false};
    wc_buf_init(&q.oids, ENTRY_CAP);
    wc_buf_init(&q.roles, (size_t)ENTRY_CAP * 16);
    wc_buf_init(&q.texts, ENTRY_CAP);
    c->asked = wc_clock_mono();
    c->questions++;
    c->types_since = wc_types_next(c->types);
    enum wc_status st = WC_NOMEM;
    if (collect(c, c->asked, &q))
        st = c->in_flight ? send_question(c, pg, &q) : WC_OK;
    if (st != WC_OK)
        c->in_flight = 0;
    wc_buf_release(&q.oids);
    wc_buf_release(&q.roles);
    wc_buf_release(&q.texts);
    return st;
}

enum wc_status wc_access_refresh(struct wc_access_cache *c, struct wc_pg *pg)
{
    if (c->in_flight || c->barriers.is_asking || wc_types_is_asking(c->types))
        return WC_AGAIN;
    enum wc_status st = ask(c, pg);
    if (st == WC_OK && !c->in_flight && c->barriers.count == WC_BARRIERS)
        st = wc_barriers_ask(&c->barriers, pg);
    return st == WC_OK ? wc_types_refresh(c->types, pg, c->in_flight > 0) : st;
}

bool wc_access_can_judge(const struct wc_access *a, const struct wc_change *ch, wc_lsn commit_lsn)
{
    return a->rules && commit_lsn >= a->rules_since && wc_rules_can_judge(a->rules, ch);
}

bool wc_access_can_read(const struct wc_access *a, struct wc_slice column)
{
    for (uint16_t i = 0; i < a->ncols; i++)
        if (wc_slice_eq(a->col[i].name, column))
            return a->col[i].readable;
    return false;
}

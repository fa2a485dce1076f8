/*
 * Every answer is about all types in use, and its trees replace those of the one before: one arena,
 * no references to count, and nodes shared by all who refer to them.
 */
#include "bridge/rls/types.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/jsonw.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "bridge/pg/array.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TREES_CAP = 64 << 20, /* 1,000 row types of 1,000 columns */
    OIDS_CAP = 16 << 20,
    KEY_CAP = 1024,           /* a name of 63 bytes, each six as JSON */
    JUDGE_US = 2000,          /* as in access.c */
    FORGET_US = 60 * 1000000, /* not used for a minute: forgotten */
    COL_OID = 0,
    COL_KIND,
    COL_REFERS_TO,
    COL_DELIMITER,
    COL_ATTRIBUTE,
};

/* A type somebody asked for. */
struct wanted {
    struct wc_map_node node; /* key: oid */
    wc_oid oid;
    uint64_t asked, answered; /* in the question, the answer of this number */
    const struct wc_type *type;
    wc_us used;
};

struct wc_types {
    wc_us freshness;
    wc_types_answer_fn on_answer;
    void *arg;
    struct wc_map wanted;
    struct wc_arena trees;
    uint64_t asked, answered; /* numbers */
    bool asking, missing;     /* missing: something was wanted that no answer tells */
    wc_us asked_at, fresh_until;
    struct wc_log_limit complaint;
};

/* A type in an answer: its rows and its node, in the arena of the trees. */
struct made {
    wc_oid oid;
    int row, nrows;
    char kind;
    struct wc_type type; /* for what is neither a domain nor a string */
};

/* An answer being read. */
struct reading {
    const struct wc_pg_result *res;
    struct wc_arena trees;
    struct made *made; /* by rising oid */
    size_t nmade;
};

static const struct wc_type string = {.value_class = WC_VALUE_STRING};

struct wc_types *wc_types_new(wc_us freshness, wc_types_answer_fn on_answer, void *arg)
{
    struct wc_types *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->freshness = freshness;
    t->on_answer = on_answer;
    t->arg = arg;
    wc_map_init(&t->wanted);
    wc_arena_init(&t->trees, TREES_CAP);
    return t;
}

static void drop(struct wc_types *t, struct wanted *w)
{
    wc_map_remove(&t->wanted, &w->node);
    free(w);
}

void wc_types_free(struct wc_types *t)
{
    if (!t)
        return;
    struct wc_map_node *n;
    while ((n = wc_map_each(&t->wanted, NULL)))
        drop(t, WC_CONTAINER(n, struct wanted, node));
    wc_map_release(&t->wanted);
    wc_arena_release(&t->trees);
    free(t);
}

uint64_t wc_types_number(const struct wc_types *t, wc_us now)
{
    return now < t->fresh_until ? t->answered : 0;
}

uint64_t wc_types_next(const struct wc_types *t)
{
    return t->asked + 1;
}

bool wc_types_is_asking(const struct wc_types *t)
{
    return t->asking;
}

static struct wanted *want(struct wc_types *t, wc_oid oid)
{
    struct wc_map_node *n = wc_map_get(&t->wanted, wc_slice(&oid, sizeof oid));
    if (n)
        return WC_CONTAINER(n, struct wanted, node);
    struct wanted *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->oid = oid;
    w->node.key = wc_slice(&w->oid, sizeof w->oid);
    if (wc_map_insert(&t->wanted, &w->node) == WC_OK)
        return w;
    free(w);
    return NULL;
}

bool wc_types_find(struct wc_types *t, wc_oid oid, uint64_t since, wc_us now,
                   const struct wc_type **out)
{
    struct wanted *w = want(t, oid);
    if (!w)
        return false; /* out of memory: asked again when the change is offered again */
    w->used = now;
    if (now < t->fresh_until && t->answered >= since && w->answered == t->answered) {
        *out = w->type;
        return true;
    }
    t->missing = true;
    return false;
}

/* ---- reading an answer ---- */

static bool list_made(struct reading *r)
{
    r->made = wc_arena_calloc(&r->trees, (size_t)r->res->nrows + 1, sizeof *r->made);
    if (!r->made)
        return false;
    for (int row = 0; row < r->res->nrows; row++) {
        wc_oid oid = wc_pg_oid(r->res, row, COL_OID);
        if (r->nmade == 0 || r->made[r->nmade - 1].oid != oid)
            r->made[r->nmade++] = (struct made){
                .oid = oid, .row = row, .kind = wc_pg_value(r->res, row, COL_KIND)[0]};
        r->made[r->nmade - 1].nrows++;
    }
    return true;
}

static int by_oid(const void *a, const void *b)
{
    const struct made *x = a, *y = b;
    return (x->oid > y->oid) - (x->oid < y->oid);
}

static struct made *find_made(const struct reading *r, wc_oid oid)
{
    const struct made key = {.oid = oid};
    return bsearch(&key, r->made, r->nmade, sizeof key, by_oid);
}

/* What a value of this type looks like; NULL when the answer does not say. */
static const struct wc_type *resolve(const struct reading *r, wc_oid oid)
{
    for (size_t domains = 0; domains <= r->nmade; domains++) {
        const struct wc_type *builtin = wc_type_builtin(oid);
        if (builtin)
            return builtin;
        const struct made *m = find_made(r, oid);
        if (!m)
            return NULL;
        if (m->kind != 'd')
            return m->kind == 'o' ? &string : &m->type;
        oid = wc_pg_oid(r->res, m->row, COL_REFERS_TO);
    }
    return NULL;
}

static bool copy_key(struct wc_arena *arena, struct wc_slice name, struct wc_slice *out)
{
    struct wc_buf key;
    wc_buf_init(&key, KEY_CAP);
    wc_jsonw_string(&key, name);
    wc_buf_byte(&key, ':');
    char *copy = key.status == WC_OK ? wc_arena_strdup(arena, wc_buf_view(&key)) : NULL;
    *out = wc_slice(copy, copy ? key.len : 0);
    wc_buf_release(&key);
    return copy != NULL;
}

static bool fill_composite(struct reading *r, struct made *m)
{
    bool has_any = wc_pg_value(r->res, m->row, COL_ATTRIBUTE) != NULL;
    uint16_t nattrs = has_any ? (uint16_t)m->nrows : 0;
    struct wc_attr *attr = wc_arena_calloc(&r->trees, nattrs + 1u, sizeof *attr);
    bool ok = attr != NULL;
    for (uint16_t i = 0; i < nattrs && ok; i++) {
        attr[i].type = resolve(r, wc_pg_oid(r->res, m->row + i, COL_REFERS_TO));
        ok = copy_key(&r->trees, wc_pg_slice(r->res, m->row + i, COL_ATTRIBUTE), &attr[i].json_key);
    }
    m->type = (struct wc_type){.value_class = WC_VALUE_COMPOSITE, .nattrs = nattrs, .attr = attr};
    return ok;
}

static bool fill(struct reading *r, struct made *m)
{
    const char *delimiter = wc_pg_value(r->res, m->row, COL_DELIMITER);
    switch (m->kind) {
    case 'a':
    case 'v':
        m->type = (struct wc_type){.value_class = m->kind == 'a' ? WC_VALUE_ARRAY : WC_VALUE_VECTOR,
                                   .delimiter = delimiter ? delimiter[0] : ',',
                                   .element = resolve(r, wc_pg_oid(r->res, m->row, COL_REFERS_TO))};
        return true;
    case 'h': m->type = (struct wc_type){.value_class = WC_VALUE_HSTORE}; return true;
    case 'c': return fill_composite(r, m);
    default: return true; /* domains and strings have no node */
    }
}

static bool read_trees(struct reading *r)
{
    if (!list_made(r))
        return false;
    for (size_t i = 0; i < r->nmade; i++)
        if (!fill(r, &r->made[i]))
            return false;
    return true;
}

static bool take_answer(struct wc_types *t, const struct wc_pg_result *res)
{
    struct reading r = {.res = res};
    wc_arena_init(&r.trees, TREES_CAP);
    if (!read_trees(&r)) {
        wc_arena_release(&r.trees);
        return false;
    }
    for (struct wc_map_node *n = wc_map_each(&t->wanted, NULL); n; n = wc_map_each(&t->wanted, n)) {
        struct wanted *w = WC_CONTAINER(n, struct wanted, node);
        w->type = NULL;
        if (w->asked == t->asked) {
            w->type = resolve(&r, w->oid);
            w->answered = t->asked;
        }
    }
    wc_arena_release(&t->trees);
    t->trees = r.trees;
    t->answered = t->asked;
    wc_us now = wc_clock_mono();
    t->fresh_until = t->asked_at + t->freshness;
    if (t->fresh_until < now + JUDGE_US)
        t->fresh_until = now + JUDGE_US;
    return true;
}

static void complain(struct wc_types *t, const char *sqlstate, const char *error)
{
    unsigned long repeated = 0;
    if (wc_log_limit(&t->complaint, 60 * 1000000, &repeated))
        WC_LOG(WC_LOG_ERROR, "rls", "types_query_failed",
               "sqlstate=%s error=\"%s\" repeated=%lu hint=\"%s\"", sqlstate, error, repeated,
               "changes of tables with types of their own are held back until the catalog can be "
               "read");
}

static void on_result(void *arg, const struct wc_pg_result *res)
{
    struct wc_types *t = arg;
    t->asking = false;
    if (!res->ok) {
        t->missing = true;
        if (res->sqlstate[0])
            complain(t, res->sqlstate, res->message);
    } else if (take_answer(t, res)) {
        t->on_answer(t->arg);
    } else {
        t->missing = true;
        complain(t, "-", "too many types, or out of memory");
    }
}

/* ---- asking ---- */

/* Counts what is to be asked for. */
static size_t collect(struct wc_types *t, wc_us now, struct wc_buf *oids)
{
    size_t count = 0;
    for (struct wc_map_node *n = wc_map_each(&t->wanted, NULL), *next; n; n = next) {
        next = wc_map_each(&t->wanted, n);
        struct wanted *w = WC_CONTAINER(n, struct wanted, node);
        if (now - w->used > FORGET_US) {
            drop(t, w);
        } else if (now - w->used < t->freshness * 2) {
            char digits[12];
            (void)snprintf(digits, sizeof digits, "%u", w->oid);
            wc_pg_array_add(oids, wc_slice_str(digits));
            w->asked = t->asked + 1;
            count++;
        }
    }
    wc_pg_array_end(oids);
    return count;
}

enum wc_status wc_types_refresh(struct wc_types *t, struct wc_pg *pg, bool renew)
{
    WC_ASSERT(!t->asking);
    wc_us now = wc_clock_mono();
    if (!renew && !t->missing && t->fresh_until - now > t->freshness / 2)
        return WC_OK;
    struct wc_buf oids;
    wc_buf_init(&oids, OIDS_CAP);
    size_t count = collect(t, now, &oids);
    enum wc_status st = oids.status;
    if (st == WC_OK && count) {
        const char *const params[] = {(const char *)oids.p};
        st = wc_pg_query(pg, wc_sql_types, 1, params, on_result, t);
    }
    if (st == WC_OK && count) {
        t->asked++;
        t->asked_at = now;
        t->asking = true;
        t->missing = false;
    }
    wc_buf_release(&oids);
    return st;
}

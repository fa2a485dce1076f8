#include "bridge/rls/access.h"

#include "base/assert.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "bridge/pg/array.h"
#include "bridge/rls/snapshot.h"
#include "bridge/rls/types.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ENTRY_CAP = 1 << 20, /* 1,600 columns with names of 63 bytes, rendered */
    COLUMN_CAP = 1024,   /* two names of 63 bytes, each six as JSON */
    JUDGE_US = 2000,     /* an answer slower than `freshness` still judges what waited for it */
    FORGET_US = 60 * 1000000, /* not used for a minute: forgotten */
};

/* A relation described anew by a transaction that no answer is known to have seen. */
struct changed {
    struct wc_map_node node; /* key: rel */
    wc_oid rel;
    wc_xid by;
};

/* Columns of sql/q_access.sql. */
enum answer_col {
    COL_POSITION,
    COL_USABLE,
    COL_RLS,
    COL_RELATION,
    COL_SETTLED,
    COL_PARTITIONED,
    COL_HAS_POLICY,
    COL_OWNERS,
    COL_RUNS_CODE,
    COL_SEEN_BY,
    COL_NAME,
    COL_TYPE,
    COL_READABLE,
    COL_IN_POLICY,
    COL_GENERATED,
    COL_KEY_PLACE,
    COL_KEY_TYPE,
    COL_KEY_OP,
    COL_ABOVE,
    COL_ABOVE_HAS_KEY,
    COL_SNAPSHOT,
};

static const char missing_statement[] = "26000";

struct wc_access_cache {
    wc_us freshness;
    wc_access_answer_fn on_answer;
    void *arg;
    struct wc_map entries; /* key: oid bytes, then role */
    struct wc_map changed;
    struct wc_types *types;
    uint64_t answers;
    uint64_t types_since; /* number of the first question about types behind the one under way */
    const struct wc_pg
        *prepared_on; /* where the question is a prepared statement; never followed */
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
    c->on_answer = on_answer;
    c->arg = arg;
    wc_map_init(&c->entries);
    wc_map_init(&c->changed);
    c->types = wc_types_new(c->freshness, on_types, c);
    if (c->types)
        return c;
    free(c);
    return NULL;
}

static void drop(struct wc_access_cache *c, struct wc_access *a)
{
    wc_map_remove(&c->entries, &a->node);
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
    wc_access_forget_changes(c);
    wc_map_release(&c->changed);
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

/* ---- the column map ---- */

/* Among the catalog's columns; -1: not there any more. */
static int16_t find_column(const struct wc_access *a, struct wc_slice name)
{
    for (uint16_t j = 0; j < a->ncols; j++)
        if (wc_slice_eq(name, a->col[j].name))
            return (int16_t)j;
    return -1;
}

/* False: the type is not known yet. */
static bool map_type(struct wc_access_cache *c, struct wc_access *a, wc_oid type,
                     const struct wc_type **out)
{
    *out = wc_type_builtin(type);
    if (*out)
        return true;
    a->types_number = wc_types_number(c->types, a->used);
    return wc_types_find(c->types, type, a->types_since, a->used, out);
}

static bool map_columns(struct wc_access_cache *c, struct wc_access *a, const struct wc_rel *rel)
{
    a->map = NULL;
    a->types_number = 0;
    wc_arena_reset(&a->map_arena);
    struct wc_access_map *map = wc_arena_calloc(&a->map_arena, rel->ncols + 1u, sizeof *map);
    bool known = map != NULL;
    for (uint16_t i = 0; map && i < rel->ncols; i++) {
        map[i].col = find_column(a, rel->col[i].name);
        if (map[i].col >= 0 && a->col[map[i].col].readable)
            known &= map_type(c, a, rel->col[i].type, &map[i].type);
    }
    if (!known)
        return false;
    a->map = map;
    a->generation = rel->generation;
    return true;
}

static bool is_mapped(const struct wc_access_cache *c, const struct wc_access *a,
                      const struct wc_rel *rel)
{
    return a->map && a->generation == rel->generation &&
           (a->types_number == 0 || a->types_number == wc_types_number(c->types, a->used));
}

/* So that types are asked for behind the question that an entry is missing for. */
static void want_types(struct wc_access_cache *c, const struct wc_access *a,
                       const struct wc_rel *rel)
{
    const struct wc_type *ignored;
    for (uint16_t i = 0; i < rel->ncols; i++)
        if (!wc_type_builtin(rel->col[i].type))
            (void)wc_types_find(c->types, rel->col[i].type, 0, a->used, &ignored);
}

struct wc_access *wc_access_find(struct wc_access_cache *c, const struct wc_rel *rel,
                                 struct wc_slice role)
{
    uint8_t bytes[sizeof(wc_oid) + WC_ROLE_MAX];
    WC_ASSERT(role.len <= WC_ROLE_MAX);
    memcpy(bytes, &rel->oid, sizeof rel->oid);
    memcpy(bytes + sizeof rel->oid, role.p, role.len);
    struct wc_slice key = wc_slice(bytes, sizeof rel->oid + role.len);
    struct wc_map_node *n = wc_map_get(&c->entries, key);
    struct wc_access *a = n ? WC_CONTAINER(n, struct wc_access, node) : make(c, key);
    if (!a)
        return NULL;
    a->used = wc_clock_mono();
    if (a->used >= a->fresh_until) {
        want_types(c, a, rel);
        return NULL;
    }
    return is_mapped(c, a, rel) || map_columns(c, a, rel) ? a : NULL;
}

/* ---- changes of relations ---- */

static struct changed *find_changed(const struct wc_access_cache *c, wc_oid rel)
{
    struct wc_map_node *n = wc_map_get(&c->changed, wc_slice(&rel, sizeof rel));
    return n ? WC_CONTAINER(n, struct changed, node) : NULL;
}

static void drop_changed(struct wc_access_cache *c, struct changed *ch)
{
    wc_map_remove(&c->changed, &ch->node);
    free(ch);
}

void wc_access_forget_changes(struct wc_access_cache *c)
{
    struct wc_map_node *n;
    while ((n = wc_map_each(&c->changed, NULL)))
        drop_changed(c, WC_CONTAINER(n, struct changed, node));
}

static enum wc_status note_change(struct wc_access_cache *c, wc_oid rel, wc_xid by)
{
    struct changed *ch = find_changed(c, rel);
    if (!ch) {
        ch = calloc(1, sizeof *ch);
        if (!ch)
            return WC_NOMEM;
        ch->rel = rel;
        ch->node.key = wc_slice(&ch->rel, sizeof ch->rel);
        if (wc_map_insert(&c->changed, &ch->node) != WC_OK) {
            free(ch);
            return WC_NOMEM;
        }
    }
    ch->by = by;
    return WC_OK;
}

enum wc_status wc_access_invalidate(struct wc_access_cache *c, wc_oid oid, wc_xid by)
{
    for (struct wc_map_node *n = wc_map_each(&c->entries, NULL); n;
         n = wc_map_each(&c->entries, n)) {
        struct wc_access *a = WC_CONTAINER(n, struct wc_access, node);
        if (a->rel == oid) {
            a->fresh_until = 0;
            a->is_new = true;
        }
    }
    return note_change(c, oid, by);
}

/* ---- asking ---- */

static bool keep(struct wc_arena *arena, struct wc_slice s, struct wc_slice *out)
{
    char *copy = wc_arena_strdup(arena, s);
    *out = wc_slice(copy, copy ? s.len : 0);
    return copy != NULL;
}

static unsigned long key_place(const struct wc_pg_result *res, int row) /* 0: not of the key */
{
    const char *digits = wc_pg_value(res, row, COL_KEY_PLACE);
    return digits ? strtoul(digits, NULL, 10) : 0;
}

static bool read_column(const struct wc_pg_result *res, int row, struct wc_access *a,
                        struct wc_access_col *out)
{
    struct wc_slice name = wc_pg_slice(res, row, COL_NAME);
    out->in_pk = key_place(res, row) > 0;
    out->readable = wc_pg_is_true(res, row, COL_READABLE);
    out->in_policy = wc_pg_is_true(res, row, COL_IN_POLICY);
    out->is_generated = wc_pg_is_true(res, row, COL_GENERATED);
    struct wc_buf json;
    wc_buf_init(&json, COLUMN_CAP);
    wc_jsonw_string(&json, name);
    wc_buf_byte(&json, ':');
    bool ok = json.status == WC_OK && keep(&a->arena, name, &out->name) &&
              keep(&a->arena, wc_buf_view(&json), &out->json_key);
    wc_buf_reset(&json);
    wc_buf_str(&json, "{\"name\":");
    wc_jsonw_string(&json, name);
    wc_buf_str(&json, ",\"type\":");
    wc_jsonw_string(&json, wc_pg_slice(res, row, COL_TYPE));
    wc_buf_byte(&json, '}');
    ok = ok && json.status == WC_OK && keep(&a->arena, wc_buf_view(&json), &out->column_json);
    wc_buf_release(&json);
    return ok;
}

static bool read_columns(const struct wc_pg_result *res, int row, size_t count, struct wc_access *a)
{
    struct wc_access_col *col = wc_arena_calloc(&a->arena, count + 1, sizeof *col);
    bool ok = col != NULL;
    for (size_t i = 0; i < count && ok; i++) {
        ok = read_column(res, row + (int)i, a, &col[i]);
        a->nkeys = (uint16_t)(a->nkeys + col[i].in_pk);
        a->pk_readable &= !col[i].in_pk || col[i].readable;
    }
    a->col = col;
    a->ncols = (uint16_t)count;
    a->has_pk = a->nkeys > 0;
    return ok;
}

static bool read_key(const struct wc_pg_result *res, int row, struct wc_access *a)
{
    struct wc_access_key *key = wc_arena_calloc(&a->arena, a->nkeys + 1u, sizeof *key);
    a->key = key;
    bool ok = key != NULL;
    for (uint16_t i = 0; i < a->ncols && ok; i++) {
        unsigned long place = key_place(res, row + i);
        if (place == 0)
            continue;
        ok = place <= a->nkeys;
        if (!ok)
            break;
        struct wc_access_key *k = &key[place - 1];
        k->col = i;
        ok = keep(&a->arena, wc_pg_slice(res, row + i, COL_KEY_TYPE), &k->type) &&
             keep(&a->arena, wc_pg_slice(res, row + i, COL_KEY_OP), &k->op);
    }
    return ok;
}

static bool read_above(const struct wc_pg_result *res, int row, size_t count, struct wc_access *a)
{
    struct wc_access_above *above = wc_arena_calloc(&a->arena, count + 1, sizeof *above);
    bool ok = above != NULL;
    for (size_t i = 0; i < count && ok; i++) {
        above[i].has_key = wc_pg_is_true(res, row + (int)i, COL_ABOVE_HAS_KEY);
        ok = keep(&a->arena, wc_pg_slice(res, row + (int)i, COL_ABOVE), &above[i].name);
    }
    a->above = above;
    a->nabove = (uint16_t)count;
    return ok;
}

/* What is said once of the pair, in each of its rows. */
static bool read_pair(const struct wc_pg_result *res, int row, struct wc_access *a)
{
    a->usable = wc_pg_is_true(res, row, COL_USABLE);
    a->rls = !wc_slice_is(wc_pg_slice(res, row, COL_RLS), "f");
    a->exists = wc_pg_value(res, row, COL_RELATION) != NULL;
    a->is_partitioned = wc_pg_is_true(res, row, COL_PARTITIONED);
    a->has_policy = wc_pg_is_true(res, row, COL_HAS_POLICY);
    a->runs_code = wc_pg_is_true(res, row, COL_RUNS_CODE);
    return keep(&a->arena, wc_pg_slice(res, row, COL_RELATION), &a->name) &&
           keep(&a->arena, wc_pg_slice(res, row, COL_OWNERS), &a->owners) &&
           keep(&a->arena, wc_pg_slice(res, row, COL_SEEN_BY), &a->seen_by);
}

/* Rows [row, end) are this entry's. */
static void read_entry(const struct wc_pg_result *res, int row, int end, struct wc_access *a)
{
    a->nkeys = a->ncols = a->nabove = 0;
    a->has_pk = false;
    a->pk_readable = true;
    a->map = NULL;
    wc_arena_reset(&a->arena);
    int above = row;
    while (above < end && wc_pg_value(res, above, COL_NAME))
        above++;
    bool ok = read_pair(res, row, a) && read_columns(res, row, (size_t)(above - row), a) &&
              read_key(res, row, a);
    while (above < end && !wc_pg_value(res, above, COL_ABOVE)) /* of a relation without columns */
        above++;
    ok = ok && read_above(res, above, (size_t)(end - above), a);
    if (!ok) { /* out of memory: fail closed until the next answer */
        a->usable = false;
        a->ncols = a->nkeys = a->nabove = 0;
    }
}

/* True when a change of the relation is not visible to the answer yet. */
static bool is_early(const struct wc_access_cache *c, wc_oid rel, const struct wc_snapshot *s)
{
    const struct changed *ch = find_changed(c, rel);
    return ch && !(s && wc_snapshot_sees(s, ch->by));
}

/* Was the relation made or dropped while rows [row, end) were put together? */
static bool is_torn(const struct wc_pg_result *res, int row, int end)
{
    for (; row < end; row++)
        if (!wc_pg_is_true(res, row, COL_SETTLED))
            return true;
    return false;
}

void wc_access_saw(struct wc_access_cache *c, const struct wc_snapshot *s)
{
    for (struct wc_map_node *n = wc_map_each(&c->changed, NULL), *next; n; n = next) {
        next = wc_map_each(&c->changed, n);
        struct changed *ch = WC_CONTAINER(n, struct changed, node);
        if (wc_snapshot_sees(s, ch->by))
            drop_changed(c, ch);
    }
}

/* Returns whether some of it had to be put aside as too early. */
static bool read_answer(struct wc_access_cache *c, const struct wc_pg_result *res)
{
    bool early = false;
    int row = 0;
    wc_us now = wc_clock_mono();
    struct wc_snapshot *s =
        res->nrows ? wc_snapshot_parse(wc_pg_value(res, 0, COL_SNAPSHOT)) : NULL;
    for (size_t i = 0; i < c->in_flight; i++) {
        struct wc_access *a = c->asking[i];
        int end = row;
        while (end < res->nrows && strtoul(wc_pg_value(res, end, COL_POSITION), NULL, 10) == i + 1)
            end++;
        if (is_early(c, a->rel, s) || is_torn(res, row, end)) {
            early = true;
        } else if (end > row) {
            read_entry(res, row, end, a);
            a->answer = ++c->answers;
            a->fresh_until = c->asked + c->freshness;
            if (a->fresh_until < now + JUDGE_US)
                a->fresh_until = now + JUDGE_US;
            if (a->is_new)
                a->types_since = c->types_since;
            a->is_new = false;
        }
        row = end;
    }
    if (s)
        wc_access_saw(c, s);
    wc_snapshot_unref(s);
    return early;
}

static void note_failure(struct wc_access_cache *c, const struct wc_pg_result *res)
{
    unsigned long repeated = 0;
    c->prepared_on = NULL;
    if (!res->sqlstate[0] || strcmp(res->sqlstate, missing_statement) == 0)
        return;
    if (wc_log_limit(&c->complaint, 60 * 1000000, &repeated))
        WC_LOG(WC_LOG_ERROR, "rls", "access_query_failed",
               "sqlstate=%s error=\"%s\" repeated=%lu hint=\"%s\"", res->sqlstate, res->message,
               repeated, "changes are held back until the catalog can be read");
}

static void on_result(void *arg, const struct wc_pg_result *res)
{
    struct wc_access_cache *c = arg;
    bool early = false;
    if (res->ok)
        early = read_answer(c, res);
    else
        note_failure(c, res);
    c->in_flight = 0;
    if (res->ok)
        c->on_answer(c->arg, early);
}

static bool collect(struct wc_access_cache *c, wc_us now, struct wc_buf *oids, struct wc_buf *roles)
{
    struct wc_access **asking = realloc(c->asking, (c->entries.count + 1) * sizeof *asking);
    if (!asking)
        return false;
    c->asking = asking;
    for (struct wc_map_node *n = wc_map_each(&c->entries, NULL), *next; n; n = next) {
        next = wc_map_each(&c->entries, n);
        struct wc_access *a = WC_CONTAINER(n, struct wc_access, node);
        if (now - a->used > FORGET_US) {
            drop(c, a);
        } else if (now - a->used < c->freshness * 2 && a->fresh_until - now <= c->freshness / 2) {
            char digits[12];
            (void)snprintf(digits, sizeof digits, "%u", a->rel);
            wc_pg_array_add(oids, wc_slice_str(digits));
            wc_pg_array_add(roles, a->role);
            c->asking[c->in_flight++] = a;
        }
    }
    wc_pg_array_end(oids);
    wc_pg_array_end(roles);
    return oids->status == WC_OK && roles->status == WC_OK;
}

/* Prepared, because it takes longer to plan than to answer. A connection at the address of one that
 * is gone does not know the statement: then the next question brings the text along again. */
static enum wc_status send_question(struct wc_access_cache *c, struct wc_pg *pg,
                                    const char *const params[2])
{
    const struct wc_pg_statement s = {.name = "walcast_access",
                                      .sql = c->prepared_on == pg ? NULL : wc_sql_access,
                                      .nparams = 2,
                                      .params = params};
    enum wc_status st = wc_pg_segment(pg, &s, 1, on_result, c);
    if (st == WC_OK)
        c->prepared_on = pg;
    return st;
}

static enum wc_status ask(struct wc_access_cache *c, struct wc_pg *pg)
{
    struct wc_buf oids, roles;
    wc_buf_init(&oids, ENTRY_CAP);
    wc_buf_init(&roles, (size_t)ENTRY_CAP * 16);
    c->asked = wc_clock_mono();
    c->types_since = wc_types_next(c->types);
    enum wc_status st = WC_NOMEM;
    if (collect(c, c->asked, &oids, &roles)) {
        const char *const params[] = {(const char *)oids.p, (const char *)roles.p};
        st = c->in_flight ? send_question(c, pg, params) : WC_OK;
    }
    if (st != WC_OK)
        c->in_flight = 0;
    wc_buf_release(&oids);
    wc_buf_release(&roles);
    return st;
}

enum wc_status wc_access_refresh(struct wc_access_cache *c, struct wc_pg *pg)
{
    if (c->in_flight || wc_types_is_asking(c->types))
        return WC_AGAIN;
    enum wc_status st = ask(c, pg);
    return st == WC_OK ? wc_types_refresh(c->types, pg, c->in_flight > 0) : st;
}

bool wc_access_can_read(const struct wc_access *a, struct wc_slice column)
{
    for (uint16_t i = 0; i < a->ncols; i++)
        if (wc_slice_eq(a->col[i].name, column))
            return a->col[i].readable;
    return false;
}

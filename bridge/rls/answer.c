/* One pair's rows of the answer to sql/q_access.sql. */
#include "base/jsonw.h"
#include "bridge/rls/access_priv.h"
#include "bridge/rls/rules_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum { COLUMN_CAP = 1024 /* two names of 63 bytes, each six as JSON */ };

enum answer_col {
    COL_POSITION,
    COL_USABLE,
    COL_USES_SCHEMA,
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
    COL_LSN,
    COL_SETTLED_LONG,
    COL_VERSION,
    COL_FACT, /* kind; what it says follows */
};

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
    a->uses_schema = wc_pg_is_true(res, row, COL_USES_SCHEMA);
    a->rls = !wc_slice_is(wc_pg_slice(res, row, COL_RLS), "f");
    a->exists = wc_pg_value(res, row, COL_RELATION) != NULL;
    a->is_partitioned = wc_pg_is_true(res, row, COL_PARTITIONED);
    a->has_policy = wc_pg_is_true(res, row, COL_HAS_POLICY);
    a->runs_code = wc_pg_is_true(res, row, COL_RUNS_CODE);
    return keep(&a->arena, wc_pg_slice(res, row, COL_RELATION), &a->name) &&
           keep(&a->arena, wc_pg_slice(res, row, COL_OWNERS), &a->owners) &&
           keep(&a->arena, wc_pg_slice(res, row, COL_SEEN_BY), &a->seen_by) &&
           keep(&a->arena, wc_pg_slice(res, row, COL_VERSION), &a->version);
}

static int first_fact(const struct wc_pg_result *res, int row, int end)
{
    while (row < end && !wc_pg_value(res, row, COL_FACT))
        row++;
    return row;
}

void wc_answer_read(const struct wc_pg_result *res, int row, int end, struct wc_access *a)
{
    a->nkeys = a->ncols = a->nabove = 0;
    a->has_pk = false;
    a->pk_readable = true;
    a->map = NULL;
    wc_arena_reset(&a->arena);
    int above = row;
    end = first_fact(res, row, end);
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

bool wc_answer_is_torn(const struct wc_pg_result *res, int row, int end)
{
    for (; row < end; row++)
        if (!wc_pg_is_true(res, row, COL_SETTLED))
            return true;
    return false;
}

/* ---- what rules are made of ---- */

static const char *state_of(const struct wc_access *a)
{
    if (!a->exists)
        return "there is no such relation";
    if (!a->usable)
        return "there is no such role, or our login is no member of it";
    if (!a->rls)
        return "open";
    if (a->nabove)
        return "row security of a relation above it applies";
    return a->uses_schema ? "policies" : "the role may not use its schema";
}

static void put_fact(const struct wc_pg_result *res, int row, struct wc_buf *source,
                     struct wc_buf *told)
{
    struct wc_slice field[WC_RULES_FIELDS];
    for (int i = 0; i < WC_RULES_FIELDS; i++)
        field[i] = wc_pg_value(res, row, COL_FACT + i) ? wc_pg_slice(res, row, COL_FACT + i)
                                                       : wc_slice(NULL, 0);
    wc_rules_put(told, field);
    if (wc_slice_is(field[0], "policy"))
        field[WC_RULES_POLICY_TEXT] = wc_slice(NULL, 0);
    wc_rules_put(source, field);
}

void wc_answer_source(const struct wc_pg_result *res, int row, int end, const struct wc_access *a,
                      struct wc_buf *source, struct wc_buf *told)
{
    char oid[12];
    (void)snprintf(oid, sizeof oid, "%u", a->rel);
    const struct wc_slice relation[WC_RULES_FIELDS] = {wc_slice_str("relation"), wc_slice_str(oid),
                                                       wc_slice_str(state_of(a))};
    wc_rules_put(source, relation);
    wc_rules_put(told, relation);
    for (int r = first_fact(res, row, end); r < end; r++)
        put_fact(res, r, source, told);
}

/* ---- the whole ---- */

int wc_answer_end(const struct wc_pg_result *res, int row, size_t position)
{
    while (row < res->nrows && strtoul(wc_pg_value(res, row, COL_POSITION), NULL, 10) == position)
        row++;
    return row;
}

const char *wc_answer_snapshot(const struct wc_pg_result *res)
{
    return res->nrows ? wc_pg_value(res, 0, COL_SNAPSHOT) : NULL;
}

wc_lsn wc_answer_since(const struct wc_pg_result *res, int row, bool is_first)
{
    wc_lsn lsn;
    if (is_first && wc_pg_is_true(res, row, COL_SETTLED_LONG))
        return 0;
    return wc_lsn_parse(wc_pg_slice(res, row, COL_LSN), &lsn) == WC_OK ? lsn : UINT64_MAX;
}

#include "bridge/subs/resolve.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/map.h"
#include "bridge/pg/array.h"
#include "bridge/rls/access.h"
#include "sql/sql.h"

#include <stdlib.h>

enum {
    BATCH_MAX = 256,
    MAX_AGE_US = 100000,
    KEPT_MAX = 4 << 20,
    ANSWER_CAP = 16 << 20,   /* of one binding: 1,000 tables, 32 conditions on each */
    ANSWER_FIRST = 256,      /* one table fits */
    KEY_CAP = 1 << 18,       /* 2,000 names of 63 bytes */
    LARGE_KEY = 4096,        /* is asked alone */
    PARAMETER_CAP = 8 << 20, /* a batch of those below it, twice escaped */
    PLACES = 3,              /* schema, table, role: in the order of the parameters */
    NO_NAME = 255,           /* length of a place that stands for any */
};

enum {
    COL_NUMBER,
    COL_OID,
    COL_ROLE_EXISTS,
    COL_ROLE_USABLE,
    COL_COLUMN_OK,
    COL_TYPE,
    COL_COLLATION,
    COL_COLLATE,
    COL_DETERMINISTIC,
    COL_IS_C
};

enum entry_state { IDLE, WANTED, ASKED };

struct entry {
    struct wc_map_node node; /* key: key_bytes */
    enum entry_state state;
    struct wc_list in_line; /* resolver->wanted or ->asked */
    struct wc_list waiters;
    struct wc_slice place[PLACES]; /* in key_bytes; p NULL: any */
    struct wc_slice columns;       /* in key_bytes: each behind its length */
    size_t ncolumns;
    struct wc_resolution *answer; /* NULL: none yet */
    wc_us fresh_until;
    size_t kept; /* what of resolver->kept is its own */
    uint8_t key_bytes[];
};

struct wc_resolver {
    const char *publications;
    wc_us max_age;
    wc_resolve_fn on_answer;
    void *arg;
    struct wc_map entries;
    struct wc_list wanted, asked; /* entries; `asked` in the order of the question under way */
    struct wc_pg *pg;             /* which is under way there; NULL: none is */
    size_t batch_cap;
    wc_us asked_at;
    size_t kept;       /* bytes */
    struct wc_buf key; /* scratch */
};

static void on_result(void *arg, const struct wc_pg_result *res);

struct wc_resolver *wc_resolver_new(const char *publications, uint32_t freshness_ms,
                                    wc_resolve_fn on_answer, void *arg)
{
    struct wc_resolver *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->publications = publications;
    r->max_age = (wc_us)freshness_ms * 1000 < MAX_AGE_US ? (wc_us)freshness_ms * 1000 : MAX_AGE_US;
    r->on_answer = on_answer;
    r->arg = arg;
    r->batch_cap = BATCH_MAX;
    wc_map_init(&r->entries);
    wc_list_init(&r->wanted);
    wc_list_init(&r->asked);
    wc_buf_init(&r->key, KEY_CAP);
    return r;
}

/* ---- answers are shared ---- */

struct wc_resolution *wc_resolution_ref(struct wc_resolution *r)
{
    r->refs++;
    return r;
}

void wc_resolution_unref(struct wc_resolution *r)
{
    if (!r || --r->refs > 0)
        return;
    wc_arena_release(&r->arena);
    free(r);
}

static struct wc_resolution *make_resolution(void)
{
    struct wc_resolution *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->refs = 1;
    wc_arena_init_sized(&r->arena, ANSWER_CAP, ANSWER_FIRST);
    return r;
}

/* ---- entries ---- */

static void drop(struct wc_resolver *r, struct entry *e)
{
    while (!wc_list_is_empty(&e->waiters))
        wc_list_remove(e->waiters.next);
    wc_list_remove(&e->in_line);
    wc_map_remove(&r->entries, &e->node);
    wc_resolution_unref(e->answer);
    r->kept -= e->kept;
    free(e);
}

void wc_resolver_free(struct wc_resolver *r)
{
    if (!r)
        return;
    struct wc_map_node *n;
    while ((n = wc_map_each(&r->entries, NULL)))
        drop(r, WC_CONTAINER(n, struct entry, node));
    wc_map_release(&r->entries);
    wc_buf_release(&r->key);
    free(r);
}

/* Those nobody waits for that were fresh until `then` at the latest. */
static void forget(struct wc_resolver *r, wc_us then)
{
    for (struct wc_map_node *n = wc_map_each(&r->entries, NULL), *next; n; n = next) {
        next = wc_map_each(&r->entries, n);
        struct entry *e = WC_CONTAINER(n, struct entry, node);
        if (e->state == IDLE && e->fresh_until <= then)
            drop(r, e);
    }
}

void wc_resolver_forget(struct wc_resolver *r)
{
    forget(r, INT64_MAX);
}

void wc_resolver_sweep(struct wc_resolver *r)
{
    forget(r, wc_clock_mono());
}

static void count_kept(struct wc_resolver *r, struct entry *e)
{
    r->kept -= e->kept;
    e->kept = sizeof *e + e->node.key.len;
    if (e->answer)
        e->kept += sizeof *e->answer + ANSWER_FIRST + e->answer->arena.used;
    r->kept += e->kept;
}

/* Longer names travel as the empty one, which nothing has either. */
static void put_name(struct wc_buf *out, struct wc_slice name)
{
    size_t len = name.len > WC_ROLE_MAX ? 0 : name.len;
    wc_buf_byte(out, (char)(name.p ? len : NO_NAME));
    wc_buf_append(out, name.p, len);
}

static struct wc_slice take_name(const uint8_t **at)
{
    uint8_t len = *(*at)++;
    struct wc_slice name = len == NO_NAME ? wc_slice(NULL, 0) : wc_slice(*at, len);
    *at += name.len;
    return name;
}

/* False: out of memory. */
static bool write_key(const struct wc_resolve_key *key, struct wc_buf *out)
{
    wc_buf_reset(out);
    put_name(out, key->schema);
    put_name(out, key->table);
    put_name(out, key->role);
    for (size_t i = 0; i < key->ncolumns; i++)
        put_name(out, key->column[i]);
    return out->status == WC_OK;
}

static void read_key(struct entry *e)
{
    const uint8_t *at = e->key_bytes, *end = at + e->node.key.len;
    for (size_t i = 0; i < PLACES; i++)
        e->place[i] = take_name(&at);
    e->columns = wc_slice(at, (size_t)(end - at));
    for (; at < end; e->ncolumns++)
        (void)take_name(&at);
}

static struct entry *make(struct wc_resolver *r, struct wc_slice key)
{
    if (r->kept > KEPT_MAX)
        forget(r, INT64_MAX);
    struct entry *e = calloc(1, sizeof *e + key.len);
    if (!e)
        return NULL;
    memcpy(e->key_bytes, key.p, key.len);
    e->node.key = wc_slice(e->key_bytes, key.len);
    read_key(e);
    wc_list_init(&e->in_line);
    wc_list_init(&e->waiters);
    if (wc_map_insert(&r->entries, &e->node) != WC_OK) {
        free(e);
        return NULL;
    }
    count_kept(r, e);
    return e;
}

static bool any_table_will_do(const struct entry *e)
{
    return !e->place[1].p && e->ncolumns == 0;
}

/* ---- asking ---- */

static void move(struct entry *e, struct wc_list *to, enum entry_state state)
{
    wc_list_remove(&e->in_line);
    if (to)
        wc_list_push(to, &e->in_line);
    e->state = state;
}

/* The columns as an array literal, which is an element of the last parameter. False: out of memory.
 */
static bool add_columns(struct wc_buf *parameter, const struct entry *e)
{
    struct wc_buf columns;
    wc_buf_init(&columns, PARAMETER_CAP);
    const uint8_t *at = e->columns.p, *end = at + e->columns.len;
    while (at < end)
        wc_pg_array_add(&columns, take_name(&at));
    wc_pg_array_end(&columns);
    bool ok = columns.status == WC_OK;
    if (e->ncolumns == 0)
        wc_pg_array_add_null(parameter);
    else if (ok)
        wc_pg_array_add(parameter, wc_slice_str((const char *)columns.p));
    wc_buf_release(&columns);
    return ok;
}

static bool is_asked_alone(const struct entry *e)
{
    return !e->place[1].p || e->node.key.len > LARGE_KEY; /* many rows, or many names */
}

/* As many as one question takes. False: out of memory. */
static bool collect(struct wc_resolver *r, struct wc_buf parameter[PLACES + 1])
{
    bool alone = false, ok = true;
    size_t n = 0;
    while (!wc_list_is_empty(&r->wanted) && n < r->batch_cap && !alone) {
        struct entry *e = WC_CONTAINER(r->wanted.next, struct entry, in_line);
        alone = is_asked_alone(e);
        if (alone && n > 0)
            break;
        move(e, &r->asked, ASKED);
        n++;
        for (size_t i = 0; i < PLACES; i++) {
            if (e->place[i].p)
                wc_pg_array_add(&parameter[i], e->place[i]);
            else
                wc_pg_array_add_null(&parameter[i]);
        }
        ok = add_columns(&parameter[PLACES], e) && ok;
    }
    return ok;
}

/* On failure everything asked is wanted again. */
static enum wc_status send_question(struct wc_resolver *r, struct wc_pg *pg)
{
    enum { N = PLACES + 1 };
    struct wc_buf parameter[N];
    const char *params[1 + N] = {r->publications};
    for (size_t i = 0; i < N; i++)
        wc_buf_init(&parameter[i], PARAMETER_CAP);
    enum wc_status st = collect(r, parameter) ? WC_OK : WC_NOMEM;
    for (size_t i = 0; i < N; i++) {
        wc_pg_array_end(&parameter[i]);
        if (parameter[i].status != WC_OK)
            st = WC_NOMEM;
        params[1 + i] = (const char *)parameter[i].p;
    }
    if (st == WC_OK)
        st = wc_pg_query(pg, wc_sql_binding, 1 + N, params, on_result, r);
    for (size_t i = 0; i < N; i++)
        wc_buf_release(&parameter[i]);
    r->asked_at = wc_clock_mono();
    r->pg = st == WC_OK ? pg : NULL;
    while (st != WC_OK && !wc_list_is_empty(&r->asked))
        move(WC_CONTAINER(r->asked.next, struct entry, in_line), &r->wanted, WANTED);
    return st;
}

enum wc_status wc_resolver_ask(struct wc_resolver *r, struct wc_pg *pg,
                               const struct wc_resolve_key *key, struct wc_list *waiter,
                               struct wc_resolution **out)
{
    if (!write_key(key, &r->key))
        return WC_NOMEM;
    struct wc_map_node *n = wc_map_get(&r->entries, wc_buf_view(&r->key));
    struct entry *e = n ? WC_CONTAINER(n, struct entry, node) : make(r, wc_buf_view(&r->key));
    if (!e)
        return WC_NOMEM;
    if (wc_clock_mono() < e->fresh_until) {
        *out = e->answer;
        return WC_OK;
    }
    if (e->state == IDLE)
        move(e, &r->wanted, WANTED);
    if (!r->pg) { /* so nobody else waits, and it is the only one wanted */
        enum wc_status st = send_question(r, pg);
        if (st != WC_OK) {
            move(e, NULL, IDLE);
            return st;
        }
    }
    wc_list_push(&e->waiters, waiter);
    return WC_AGAIN;
}

/* ---- answers ---- */

/* before: the same column of another table; most of what is read again and again is one text. */
static bool read_column(const struct wc_pg_result *res, int row, struct wc_arena *arena,
                        const struct wc_resolved_column *before, struct wc_resolved_column *out)
{
    struct wc_slice collate = wc_pg_slice(res, row, COL_COLLATE);
    if (!wc_pg_is_true(res, row, COL_COLUMN_OK))
        return true;
    out->type = wc_pg_oid(res, row, COL_TYPE);
    out->collation = wc_pg_oid(res, row, COL_COLLATION);
    out->is_deterministic = wc_pg_is_true(res, row, COL_DETERMINISTIC);
    out->is_c = wc_pg_is_true(res, row, COL_IS_C);
    if (before && wc_slice_eq(before->collate, collate)) {
        out->collate = before->collate;
        return true;
    }
    char *copy = wc_arena_strdup(arena, collate);
    out->collate = wc_slice(copy, collate.len);
    return copy != NULL;
}

/* Rows from this one on are the table's, one for each column. */
static bool read_table(const struct wc_pg_result *res, int row, const struct entry *e,
                       struct wc_arena *arena, const struct wc_resolved_table *before,
                       struct wc_resolved_table *out)
{
    struct wc_resolved_column *column = wc_arena_calloc(arena, e->ncolumns, sizeof *column);
    bool ok = column != NULL;
    for (size_t i = 0; i < e->ncolumns && ok; i++)
        ok = read_column(res, row + (int)i, arena, before ? &before->column[i] : NULL, &column[i]);
    *out = (struct wc_resolved_table){.rel = wc_pg_oid(res, row, COL_OID), .column = column};
    return ok;
}

/* Rows [row, end) are this entry's. */
static struct wc_resolution *read_answer(const struct wc_pg_result *res, int row, int end,
                                         const struct entry *e)
{
    struct wc_resolution *a = make_resolution();
    if (!a || row == end)
        return a;
    size_t step = e->ncolumns ? e->ncolumns : 1;
    size_t count = any_table_will_do(e) ? 1 : (size_t)(end - row) / step;
    struct wc_resolved_table *table = wc_arena_calloc(&a->arena, count, sizeof *table);
    bool ok = table != NULL;
    for (size_t i = 0; i < count && ok; i++)
        ok = read_table(res, row + (int)(i * step), e, &a->arena, i ? &table[i - 1] : NULL,
                        &table[i]);
    if (!ok) {
        wc_resolution_unref(a);
        return NULL;
    }
    a->role_exists = wc_pg_is_true(res, row, COL_ROLE_EXISTS);
    a->role_usable = wc_pg_is_true(res, row, COL_ROLE_USABLE);
    a->ntables = count;
    a->table = table;
    return a;
}

static bool is_refusal(const struct entry *e)
{
    const struct wc_resolution *a = e->answer;
    if (!a->ntables || !a->role_exists || !a->role_usable)
        return true;
    for (size_t i = 0; i < a->ntables; i++)
        for (size_t k = 0; k < e->ncolumns; k++)
            if (!a->table[i].column[k].type)
                return true;
    return false;
}

/* Tells everybody, and those who come while this goes on. */
static void tell(struct wc_resolver *r, struct entry *e, struct wc_resolution *answer,
                 const struct wc_resolve_failure *failure)
{
    while (!wc_list_is_empty(&e->waiters)) {
        struct wc_list *waiter = e->waiters.next;
        wc_list_remove(waiter);
        r->on_answer(r->arg, waiter, answer, failure);
    }
    move(e, NULL, IDLE);
}

static void tell_failure(struct wc_resolver *r, struct wc_list *entries,
                         const struct wc_resolve_failure *failure)
{
    struct wc_list now;
    wc_list_init(&now);
    wc_list_move_all(entries, &now);
    while (!wc_list_is_empty(&now))
        tell(r, WC_CONTAINER(now.next, struct entry, in_line), NULL, failure);
}

static void tell_answers(struct wc_resolver *r, const struct wc_pg_result *res)
{
    static const struct wc_resolve_failure no_memory = {"53200", "out of memory"};
    unsigned long number = 0;
    int row = 0;
    while (!wc_list_is_empty(&r->asked)) {
        struct entry *e = WC_CONTAINER(r->asked.next, struct entry, in_line);
        int end = row;
        number++;
        while (end < res->nrows && strtoul(wc_pg_value(res, end, COL_NUMBER), NULL, 10) == number)
            end++;
        wc_resolution_unref(e->answer);
        e->answer = read_answer(res, row, end, e);
        count_kept(r, e);
        e->fresh_until = e->answer && !is_refusal(e) ? r->asked_at + r->max_age : 0;
        tell(r, e, e->answer, e->answer ? NULL : &no_memory);
        row = end;
    }
    r->batch_cap = r->batch_cap * 2 < BATCH_MAX ? r->batch_cap * 2 : BATCH_MAX;
}

static size_t length(const struct wc_list *l)
{
    size_t n = 0;
    WC_LIST_EACH (it, l)
        n++;
    return n;
}

/* One of many may have spoiled it: they are asked again, in smaller questions. */
static void split(struct wc_resolver *r, size_t n)
{
    r->batch_cap = n / 2;
    struct wc_list later;
    wc_list_init(&later);
    wc_list_move_all(&r->wanted, &later);
    while (!wc_list_is_empty(&r->asked))
        move(WC_CONTAINER(r->asked.next, struct entry, in_line), &r->wanted, WANTED);
    wc_list_move_all(&later, &r->wanted);
}

static void on_result(void *arg, const struct wc_pg_result *res)
{
    struct wc_resolver *r = arg;
    static const struct wc_resolve_failure lost = {"", "connection lost"};
    const struct wc_resolve_failure failure = {res->sqlstate, res->message};
    bool is_lost = !res->ok && !res->sqlstate[0];
    size_t n = length(&r->asked);
    if (res->ok)
        tell_answers(r, res);
    else if (is_lost || n == 1)
        tell_failure(r, &r->asked, &failure);
    else
        split(r, n);
    struct wc_pg *pg = r->pg;
    r->pg = NULL;
    if (!wc_list_is_empty(&r->wanted) && (is_lost || send_question(r, pg) != WC_OK))
        tell_failure(r, &r->wanted, &lost);
}

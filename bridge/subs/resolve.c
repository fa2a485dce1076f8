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
    ANSWER_CAP = 1 << 20,    /* of one binding: 1,000 tables with names of types */
    ANSWER_FIRST = 256,      /* one table fits */
    PARAMETER_CAP = 1 << 18, /* 256 names, each byte escaped, with quotes and comma: 33 KB */
    FIELDS = 4,              /* schema, table, role, column: in the order of the parameters */
    KEY_MAX = FIELDS * (1 + WC_ROLE_MAX),
    NO_NAME = 255, /* length of a field that stands for any, or none */
};

enum {
    COL_NUMBER,
    COL_OID,
    COL_ROLE_EXISTS,
    COL_ROLE_USABLE,
    COL_WITHHELD,
    COL_COLUMN_OK,
    COL_BASE_OID,
    COL_CAST_NAME,
    COL_TYPE_NAME,
    COL_IS_ENUM,
    COL_DETERMINISTIC
};

enum entry_state { IDLE, WANTED, ASKED };

struct entry {
    struct wc_map_node node; /* key: key_bytes */
    enum entry_state state;
    struct wc_list in_line; /* resolver->wanted or ->asked */
    struct wc_list waiters;
    struct wc_slice field[FIELDS]; /* in key_bytes; p NULL: any, none */
    struct wc_arena arena;         /* the answer's */
    struct wc_resolution answer;
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
    size_t kept; /* bytes */
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
    return r;
}

/* ---- entries ---- */

static void drop(struct wc_resolver *r, struct entry *e)
{
    while (!wc_list_is_empty(&e->waiters))
        wc_list_remove(e->waiters.next);
    wc_list_remove(&e->in_line);
    wc_map_remove(&r->entries, &e->node);
    wc_arena_release(&e->arena);
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

void wc_resolver_sweep(struct wc_resolver *r)
{
    forget(r, wc_clock_mono());
}

static void count_kept(struct wc_resolver *r, struct entry *e)
{
    r->kept -= e->kept;
    e->kept = sizeof *e + KEY_MAX + ANSWER_FIRST + e->arena.used;
    r->kept += e->kept;
}

/* Longer names travel as the empty one, which nothing has either. */
static struct wc_slice existing(struct wc_slice name)
{
    return name.p && name.len > WC_ROLE_MAX ? wc_slice_str("") : name;
}

static struct wc_slice write_key(const struct wc_resolve_key *key, uint8_t out[KEY_MAX])
{
    const struct wc_slice field[FIELDS] = {existing(key->schema), existing(key->table),
                                           existing(key->role), existing(key->column)};
    size_t len = 0;
    for (size_t i = 0; i < FIELDS; i++) {
        out[len++] = field[i].p ? (uint8_t)field[i].len : NO_NAME;
        if (field[i].len)
            memcpy(out + len, field[i].p, field[i].len);
        len += field[i].len;
    }
    return wc_slice(out, len);
}

static void read_key(struct entry *e)
{
    const uint8_t *p = e->key_bytes;
    for (size_t i = 0; i < FIELDS; i++) {
        uint8_t len = *p++;
        e->field[i] = len == NO_NAME ? wc_slice(NULL, 0) : wc_slice(p, len);
        p += e->field[i].len;
    }
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
    wc_arena_init_sized(&e->arena, ANSWER_CAP, ANSWER_FIRST);
    if (wc_map_insert(&r->entries, &e->node) != WC_OK) {
        free(e);
        return NULL;
    }
    count_kept(r, e);
    return e;
}

static bool any_table_will_do(const struct entry *e)
{
    return !e->field[1].p && !e->field[3].p;
}

/* ---- asking ---- */

static void move(struct entry *e, struct wc_list *to, enum entry_state state)
{
    wc_list_remove(&e->in_line);
    if (to)
        wc_list_push(to, &e->in_line);
    e->state = state;
}

/* As many as one question takes; what may have many rows is asked alone. */
static void collect(struct wc_resolver *r, struct wc_buf parameter[FIELDS])
{
    bool alone = false;
    size_t n = 0;
    while (!wc_list_is_empty(&r->wanted) && n < r->batch_cap && !alone) {
        struct entry *e = WC_CONTAINER(r->wanted.next, struct entry, in_line);
        alone = !e->field[1].p;
        if (alone && n > 0)
            break;
        move(e, &r->asked, ASKED);
        n++;
        for (size_t i = 0; i < FIELDS; i++) {
            if (e->field[i].p)
                wc_pg_array_add(&parameter[i], e->field[i]);
            else
                wc_pg_array_add_null(&parameter[i]);
        }
    }
}

/* On failure everything asked is wanted again. */
static enum wc_status send_question(struct wc_resolver *r, struct wc_pg *pg)
{
    struct wc_buf parameter[FIELDS];
    const char *params[1 + FIELDS] = {r->publications};
    enum wc_status st = WC_OK;
    for (size_t i = 0; i < FIELDS; i++)
        wc_buf_init(&parameter[i], PARAMETER_CAP);
    collect(r, parameter);
    for (size_t i = 0; i < FIELDS; i++) {
        wc_pg_array_end(&parameter[i]);
        if (parameter[i].status != WC_OK)
            st = WC_NOMEM;
        params[1 + i] = (const char *)parameter[i].p;
    }
    if (st == WC_OK)
        st = wc_pg_query(pg, wc_sql_binding, 1 + FIELDS, params, on_result, r);
    for (size_t i = 0; i < FIELDS; i++)
        wc_buf_release(&parameter[i]);
    r->asked_at = wc_clock_mono();
    r->pg = st == WC_OK ? pg : NULL;
    while (st != WC_OK && !wc_list_is_empty(&r->asked))
        move(WC_CONTAINER(r->asked.next, struct entry, in_line), &r->wanted, WANTED);
    return st;
}

enum wc_status wc_resolver_ask(struct wc_resolver *r, struct wc_pg *pg,
                               const struct wc_resolve_key *key, struct wc_list *waiter,
                               const struct wc_resolution **out)
{
    uint8_t bytes[KEY_MAX];
    struct wc_slice k = write_key(key, bytes);
    struct wc_map_node *n = wc_map_get(&r->entries, k);
    struct entry *e = n ? WC_CONTAINER(n, struct entry, node) : make(r, k);
    if (!e)
        return WC_NOMEM;
    if (wc_clock_mono() < e->fresh_until) {
        *out = &e->answer;
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

static bool is_yes(const struct wc_pg_result *res, int row, int col)
{
    return wc_slice_is(wc_pg_slice(res, row, col), "t");
}

static bool keep(struct wc_arena *arena, struct wc_slice s, struct wc_slice *out)
{
    char *copy = wc_arena_strdup(arena, s);
    *out = wc_slice(copy, copy ? s.len : 0);
    return copy != NULL;
}

static bool read_table(const struct wc_pg_result *res, int row, struct entry *e,
                       struct wc_resolved_table *out)
{
    const char *base = wc_pg_value(res, row, COL_BASE_OID);
    out->rel = (wc_oid)strtoul(wc_pg_value(res, row, COL_OID), NULL, 10);
    out->withheld = is_yes(res, row, COL_WITHHELD);
    out->column_ok = base && is_yes(res, row, COL_COLUMN_OK);
    if (!out->column_ok)
        return true;
    out->base_type = (wc_oid)strtoul(base, NULL, 10);
    out->is_enum = is_yes(res, row, COL_IS_ENUM);
    out->is_deterministic = is_yes(res, row, COL_DETERMINISTIC);
    return keep(&e->arena, wc_pg_slice(res, row, COL_CAST_NAME), &out->cast_name) &&
           keep(&e->arena, wc_pg_slice(res, row, COL_TYPE_NAME), &out->type_name);
}

/* Rows [row, end) are this entry's. */
static bool read_answer(const struct wc_pg_result *res, int row, int end, struct entry *e)
{
    wc_arena_reset(&e->arena);
    e->answer = (struct wc_resolution){0};
    if (row == end)
        return true;
    size_t count = any_table_will_do(e) ? 1 : (size_t)(end - row);
    struct wc_resolved_table *table = wc_arena_calloc(&e->arena, count, sizeof *table);
    bool ok = table != NULL;
    for (size_t i = 0; i < count && ok; i++)
        ok = read_table(res, row + (int)i, e, &table[i]);
    for (int i = row; any_table_will_do(e) && ok && i < end; i++)
        table[0].withheld |= is_yes(res, i, COL_WITHHELD);
    if (!ok)
        return false;
    e->answer = (struct wc_resolution){.role_exists = is_yes(res, row, COL_ROLE_EXISTS),
                                       .role_usable = is_yes(res, row, COL_ROLE_USABLE),
                                       .ntables = count,
                                       .table = table};
    return true;
}

static bool is_refusal(const struct entry *e)
{
    const struct wc_resolution *a = &e->answer;
    if (!a->ntables || !a->role_exists || !a->role_usable)
        return true;
    for (size_t i = 0; e->field[3].p && i < a->ntables; i++)
        if (!a->table[i].column_ok)
            return true;
    return false;
}

/* Tells everybody, and those who come while this goes on. */
static void tell(struct wc_resolver *r, struct entry *e, const struct wc_resolution *answer,
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
        bool ok = read_answer(res, row, end, e);
        count_kept(r, e);
        e->fresh_until = ok && !is_refusal(e) ? r->asked_at + r->max_age : 0;
        tell(r, e, ok ? &e->answer : NULL, ok ? NULL : &no_memory);
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

#include "bridge/subs/filtertype.h"

#include "base/map.h"
#include "bridge/pg/array.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FIRST_USER_OID = 16384, /* FirstNormalObjectId */
    PARAMETER_CAP = 1 << 20,
    LEAST_US = 2000, /* an answer slower than `freshness` is still given to who waited for it */
};

enum {
    COL_OID,
    COL_NAME,
    COL_CORE,
    COL_CAST,
    COL_ARRAY,
    COL_IS_ENUM,
    COL_COLLATION,
    COL_SCHEMA,
    COL_PATTERNS,
    COL_HOLDS_DOMAIN
};

struct entry {
    struct wc_map_node node; /* key: oid */
    wc_oid oid;
    bool is_wanted, is_asked;
    struct wc_list waiters;
    struct wc_filter_type *type; /* NULL: there is none, or no answer yet */
    wc_us fresh_until;
};

struct wc_filter_types {
    wc_us freshness;
    wc_filter_type_fn on_answer;
    void *arg;
    struct wc_map entries;
    struct wc_pg *pg; /* where a question is under way; NULL: none is */
    wc_us asked_at;
};

static void on_result(void *arg, const struct wc_pg_result *res);

/* ---- types ---- */

struct wc_filter_type *wc_filter_type_ref(struct wc_filter_type *t)
{
    t->refs++;
    return t;
}

void wc_filter_type_unref(struct wc_filter_type *t)
{
    if (t && --t->refs == 0)
        free(t);
}

/* Operators parted by blanks. */
static uint32_t patterns_of(const char *text)
{
    static const struct {
        const char *name;
        enum wc_filter_op op;
    } table[] = {{"~~", WC_FILTER_LIKE},
                 {"~~*", WC_FILTER_ILIKE},
                 {"~", WC_FILTER_MATCH},
                 {"~*", WC_FILTER_IMATCH}};
    uint32_t patterns = 0;
    while (*text) {
        size_t len = strcspn(text, " ");
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
            if (wc_slice_is(wc_slice(text, len), table[i].name))
                patterns |= 1u << table[i].op;
        text += len + (text[len] == ' ');
    }
    return patterns;
}

/* The text and a NUL at *at, which moves behind it. */
static struct wc_slice put(uint8_t **at, struct wc_slice text)
{
    uint8_t *start = *at;
    if (text.len)
        memcpy(start, text.p, text.len);
    start[text.len] = '\0';
    *at += text.len + 1;
    return wc_slice(start, text.len);
}

static struct wc_filter_type *read_type(const struct wc_pg_result *res, int row)
{
    static const int texts[] = {COL_NAME, COL_CAST, COL_ARRAY, COL_SCHEMA};
    size_t len = 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        len += wc_pg_slice(res, row, texts[i]).len + 1;
    struct wc_filter_type *t = calloc(1, sizeof *t + len);
    if (!t)
        return NULL;
    uint8_t *at = (uint8_t *)(t + 1);
    *t = (struct wc_filter_type){.refs = 1,
                                 .oid = wc_pg_oid(res, row, COL_OID),
                                 .core = wc_pg_oid(res, row, COL_CORE),
                                 .collation = wc_pg_oid(res, row, COL_COLLATION),
                                 .is_enum = wc_pg_is_true(res, row, COL_IS_ENUM),
                                 .holds_domain = wc_pg_is_true(res, row, COL_HOLDS_DOMAIN),
                                 .patterns = patterns_of(wc_pg_value(res, row, COL_PATTERNS))};
    t->name = put(&at, wc_pg_slice(res, row, COL_NAME));
    t->cast = put(&at, wc_pg_slice(res, row, COL_CAST));
    t->array = put(&at, wc_pg_slice(res, row, COL_ARRAY));
    t->schema = put(&at, wc_pg_slice(res, row, COL_SCHEMA));
    return t;
}

/* ---- entries ---- */

struct wc_filter_types *wc_filter_types_new(uint32_t freshness_ms, wc_filter_type_fn on_answer,
                                            void *arg)
{
    struct wc_filter_types *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->freshness = (wc_us)freshness_ms * 1000;
    t->on_answer = on_answer;
    t->arg = arg;
    wc_map_init(&t->entries);
    return t;
}

static void drop(struct wc_filter_types *t, struct entry *e)
{
    while (!wc_list_is_empty(&e->waiters))
        wc_list_remove(e->waiters.next);
    wc_map_remove(&t->entries, &e->node);
    wc_filter_type_unref(e->type);
    free(e);
}

void wc_filter_types_free(struct wc_filter_types *t)
{
    if (!t)
        return;
    struct wc_map_node *n;
    while ((n = wc_map_each(&t->entries, NULL)))
        drop(t, WC_CONTAINER(n, struct entry, node));
    wc_map_release(&t->entries);
    free(t);
}

void wc_filter_types_sweep(struct wc_filter_types *t)
{
    wc_us now = wc_clock_mono();
    for (struct wc_map_node *n = wc_map_each(&t->entries, NULL), *next; n; n = next) {
        next = wc_map_each(&t->entries, n);
        struct entry *e = WC_CONTAINER(n, struct entry, node);
        if (!e->is_wanted && !e->is_asked && e->fresh_until <= now)
            drop(t, e);
    }
}

static struct entry *make(struct wc_filter_types *t, wc_oid oid)
{
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->oid = oid;
    e->node.key = wc_slice(&e->oid, sizeof e->oid);
    wc_list_init(&e->waiters);
    if (wc_map_insert(&t->entries, &e->node) == WC_OK)
        return e;
    free(e);
    return NULL;
}

static struct entry *find(const struct wc_filter_types *t, wc_oid oid)
{
    struct wc_map_node *n = wc_map_get(&t->entries, wc_slice(&oid, sizeof oid));
    return n ? WC_CONTAINER(n, struct entry, node) : NULL;
}

/* ---- asking ---- */

/* Moves all that are wanted to asked, or back. */
static void mark_asked(struct wc_filter_types *t, bool is_asked)
{
    for (struct wc_map_node *n = wc_map_each(&t->entries, NULL); n;
         n = wc_map_each(&t->entries, n)) {
        struct entry *e = WC_CONTAINER(n, struct entry, node);
        if (is_asked ? e->is_wanted : e->is_asked) {
            e->is_asked = is_asked;
            e->is_wanted = !is_asked;
        }
    }
}

static enum wc_status send_question(struct wc_filter_types *t, struct wc_pg *pg)
{
    struct wc_buf oids;
    wc_buf_init(&oids, PARAMETER_CAP);
    mark_asked(t, true);
    for (struct wc_map_node *n = wc_map_each(&t->entries, NULL); n;
         n = wc_map_each(&t->entries, n)) {
        const struct entry *e = WC_CONTAINER(n, struct entry, node);
        char digits[12];
        (void)snprintf(digits, sizeof digits, "%u", e->oid);
        if (e->is_asked)
            wc_pg_array_add(&oids, wc_slice_str(digits));
    }
    wc_pg_array_end(&oids);
    const char *const params[] = {(const char *)oids.p};
    enum wc_status st = WC_NOMEM;
    if (oids.status == WC_OK)
        st = wc_pg_query(pg, wc_sql_filter_types, 1, params, on_result, t);
    wc_buf_release(&oids);
    t->asked_at = wc_clock_mono();
    t->pg = st == WC_OK ? pg : NULL;
    if (st != WC_OK)
        mark_asked(t, false);
    return st;
}

enum wc_status wc_filter_types_ask(struct wc_filter_types *t, struct wc_pg *pg, wc_oid oid,
                                   struct wc_list *waiter, struct wc_filter_type **out)
{
    struct entry *e = find(t, oid);
    if (!e)
        e = make(t, oid);
    if (!e)
        return WC_NOMEM;
    if (wc_clock_mono() < e->fresh_until) {
        *out = e->type;
        return WC_OK;
    }
    e->is_wanted = !e->is_asked;
    if (!t->pg) {
        enum wc_status st = send_question(t, pg);
        if (st != WC_OK) {
            e->is_wanted = false;
            return st;
        }
    }
    wc_list_push(&e->waiters, waiter);
    return WC_AGAIN;
}

/* ---- answers ---- */

static void take(struct wc_filter_types *t, struct entry *e, struct wc_filter_type *type)
{
    wc_us now = wc_clock_mono();
    wc_filter_type_unref(e->type);
    e->type = type;
    e->fresh_until = t->asked_at + t->freshness;
    if (e->fresh_until < now + LEAST_US)
        e->fresh_until = now + LEAST_US;
    if (type && e->oid < FIRST_USER_OID)
        e->fresh_until = INT64_MAX;
}

/* What is asked is as if there were none. */
static void take_none(struct wc_filter_types *t)
{
    for (struct wc_map_node *n = wc_map_each(&t->entries, NULL); n;
         n = wc_map_each(&t->entries, n)) {
        struct entry *e = WC_CONTAINER(n, struct entry, node);
        if (e->is_asked)
            take(t, e, NULL);
    }
}

static void forget_answer(struct wc_filter_types *t)
{
    for (struct wc_map_node *n = wc_map_each(&t->entries, NULL); n;
         n = wc_map_each(&t->entries, n)) {
        struct entry *e = WC_CONTAINER(n, struct entry, node);
        if (e->is_asked)
            e->fresh_until = 0;
    }
}

/* False: out of memory. */
static bool read_answer(struct wc_filter_types *t, const struct wc_pg_result *res)
{
    take_none(t); /* a row may say otherwise */
    for (int row = 0; row < res->nrows; row++) {
        struct entry *e = find(t, wc_pg_oid(res, row, COL_OID));
        struct wc_filter_type *type = e ? read_type(res, row) : NULL;
        if (e && !type) {
            forget_answer(t);
            return false;
        }
        if (e)
            take(t, e, type);
    }
    return true;
}

/* Those who waited for what was asked, and those who wait for what comes next if `all`. */
static void collect_waiters(struct wc_filter_types *t, bool all, struct wc_list *out)
{
    for (struct wc_map_node *n = wc_map_each(&t->entries, NULL); n;
         n = wc_map_each(&t->entries, n)) {
        struct entry *e = WC_CONTAINER(n, struct entry, node);
        if (!e->is_asked && !all)
            continue;
        wc_list_move_all(&e->waiters, out);
        e->is_asked = false;
        e->is_wanted = e->is_wanted && !all;
    }
}

static bool is_wanted_still(const struct wc_filter_types *t)
{
    for (struct wc_map_node *n = wc_map_each(&t->entries, NULL); n; n = wc_map_each(&t->entries, n))
        if (WC_CONTAINER(n, struct entry, node)->is_wanted)
            return true;
    return false;
}

static void tell(struct wc_filter_types *t, struct wc_list *waiters, const char *sqlstate,
                 const char *message)
{
    while (!wc_list_is_empty(waiters)) {
        struct wc_list *waiter = waiters->next;
        wc_list_remove(waiter);
        t->on_answer(t->arg, waiter, sqlstate, message);
    }
}

static void on_result(void *arg, const struct wc_pg_result *res)
{
    struct wc_filter_types *t = arg;
    struct wc_pg *pg = t->pg;
    struct wc_list waiters;
    wc_list_init(&waiters);
    bool is_lost = !res->ok && !res->sqlstate[0];
    bool is_read = res->ok && read_answer(t, res);
    t->pg = NULL;
    collect_waiters(t, is_lost, &waiters);
    if (is_wanted_still(t) && send_question(t, pg) != WC_OK)
        collect_waiters(t, true, &waiters); /* they ask again, and learn why */
    if (is_read)
        tell(t, &waiters, NULL, NULL);
    else if (res->ok)
        tell(t, &waiters, "53200", "out of memory");
    else
        tell(t, &waiters, res->sqlstate, res->message);
}

#include "bridge/subs/watch.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "sql/sql.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NAME_MAX_BYTES = 63, /* NAMEDATALEN - 1 */
    ANY = 255,           /* length of a name that stands for any */
    KEY_MAX = 2 * (1 + NAME_MAX_BYTES),
    MAX_RELATIONS = 1 << 17,
    SOONEST_US = 100000,
    ON_DISK_US = 700000, /* a visible commit is by then: three times wal_writer_delay, and some */
    LATE_PAUSE_US = 250000,
    PRINT_MAX = 64, /* count and sum of the tables */
};

enum { COL_PRINT, COL_END, COL_ON_DISK, COL_OID, COL_SCHEMA, COL_NAME };

struct name {
    struct wc_map_node node; /* key: key_bytes */
    struct wc_list interests;
    uint8_t key_bytes[];
};

struct relation {
    struct wc_map_node node; /* key: oid */
    wc_oid oid;
    bool is_published, is_listed;  /* as was heard last; in the answer being read */
    uint64_t asked;                /* questions sent when it was heard */
    bool is_described;             /* by the stream */
    uint64_t description;          /* hash of it */
    struct wc_slice schema, table; /* follow the struct */
    uint8_t bytes[];
};

struct wc_watch {
    const char *publications;
    wc_us pause;
    struct wc_watch_events events;
    void *arg;
    struct wc_map names, relations;
    struct wc_list late; /* interests, by rising news_at */
    wc_lsn reached;
    char print[PRINT_MAX];
    uint64_t asked; /* questions sent */
    wc_us asked_at;
    bool is_asking;
};

struct wc_watch *wc_watch_new(const char *publications, uint32_t freshness_ms,
                              const struct wc_watch_events *events, void *arg)
{
    struct wc_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->publications = publications;
    w->pause = (wc_us)freshness_ms * 1000 > SOONEST_US ? (wc_us)freshness_ms * 1000 : SOONEST_US;
    w->events = *events;
    w->arg = arg;
    wc_map_init(&w->names);
    wc_map_init(&w->relations);
    wc_list_init(&w->late);
    return w;
}

static void drop_relation(struct wc_watch *w, struct relation *r)
{
    wc_map_remove(&w->relations, &r->node);
    free(r);
}

void wc_watch_free(struct wc_watch *w)
{
    if (!w)
        return;
    WC_ASSERT(w->names.count == 0);
    struct wc_map_node *n;
    while ((n = wc_map_each(&w->relations, NULL)))
        drop_relation(w, WC_CONTAINER(n, struct relation, node));
    wc_map_release(&w->relations);
    wc_map_release(&w->names);
    free(w);
}

/* ---- names ---- */

static size_t put_name(uint8_t *out, struct wc_slice name)
{
    size_t len = name.len > NAME_MAX_BYTES ? 0 : name.len; /* longer ones are nobody's */
    out[0] = name.p ? (uint8_t)len : ANY;
    if (name.p && len)
        memcpy(out + 1, name.p, len);
    return 1 + len;
}

static struct wc_slice key_of(struct wc_slice schema, struct wc_slice table, uint8_t out[KEY_MAX])
{
    size_t len = put_name(out, schema);
    return wc_slice(out, len + put_name(out + len, table));
}

static struct name *find_name(const struct wc_watch *w, struct wc_slice schema,
                              struct wc_slice table)
{
    uint8_t bytes[KEY_MAX];
    struct wc_map_node *n = wc_map_get(&w->names, key_of(schema, table, bytes));
    return n ? WC_CONTAINER(n, struct name, node) : NULL;
}

static struct name *make_name(struct wc_watch *w, struct wc_slice schema, struct wc_slice table)
{
    uint8_t bytes[KEY_MAX];
    struct wc_slice key = key_of(schema, table, bytes);
    struct name *n = calloc(1, sizeof *n + key.len);
    if (!n)
        return NULL;
    memcpy(n->key_bytes, key.p, key.len);
    n->node.key = wc_slice(n->key_bytes, key.len);
    wc_list_init(&n->interests);
    if (wc_map_insert(&w->names, &n->node) == WC_OK)
        return n;
    free(n);
    return NULL;
}

enum wc_status wc_watch_add(struct wc_watch *w, struct wc_interest *i, struct wc_slice schema,
                            struct wc_slice table)
{
    struct name *n = find_name(w, schema, table);
    if (!n)
        n = make_name(w, schema, table);
    if (!n)
        return WC_NOMEM;
    wc_list_init(&i->late);
    wc_list_push(&n->interests, &i->of_name);
    i->asked = w->asked;
    return WC_OK;
}

void wc_watch_remove(struct wc_watch *w, struct wc_interest *i)
{
    if (!i->of_name.next)
        return;
    wc_list_remove(&i->late);
    struct wc_list *rest = i->of_name.next;
    wc_list_remove(&i->of_name);
    i->of_name.next = NULL;
    if (!wc_list_is_empty(rest))
        return;
    struct name *n = WC_CONTAINER(rest, struct name, interests); /* nobody else: it is the head */
    wc_map_remove(&w->names, &n->node);
    free(n);
}

typedef void (*visit_fn)(struct wc_watch *, struct wc_interest *, const void *news);

static void visit_name(struct wc_watch *w, struct name *n, visit_fn visit, const void *news)
{
    if (n)
        WC_LIST_EACH (it, &n->interests)
            visit(w, WC_CONTAINER(it, struct wc_interest, of_name), news);
}

/* Everybody to whom a table of this name matters. */
static void visit(struct wc_watch *w, struct wc_slice schema, struct wc_slice table, visit_fn fn,
                  const void *news)
{
    const struct wc_slice any = wc_slice(NULL, 0);
    visit_name(w, find_name(w, schema, table), fn, news);
    visit_name(w, find_name(w, any, table), fn, news);
    visit_name(w, find_name(w, schema, any), fn, news);
    visit_name(w, find_name(w, any, any), fn, news);
}

/* ---- relations ---- */

static struct relation *find_relation(const struct wc_watch *w, wc_oid oid)
{
    struct wc_map_node *n = wc_map_get(&w->relations, wc_slice(&oid, sizeof oid));
    return n ? WC_CONTAINER(n, struct relation, node) : NULL;
}

bool wc_watch_is_published(const struct wc_watch *w, wc_oid oid)
{
    const struct relation *r = find_relation(w, oid);
    return r && r->is_published;
}

/* NULL when out of memory, or too many are known: then it will be news again. */
static struct relation *make_relation(struct wc_watch *w, wc_oid oid, struct wc_slice schema,
                                      struct wc_slice table)
{
    if (w->relations.count >= MAX_RELATIONS)
        return NULL;
    struct relation *r = calloc(1, sizeof *r + schema.len + table.len);
    if (!r)
        return NULL;
    r->oid = oid;
    r->node.key = wc_slice(&r->oid, sizeof r->oid);
    memcpy(r->bytes, schema.p, schema.len);
    memcpy(r->bytes + schema.len, table.p, table.len);
    r->schema = wc_slice(r->bytes, schema.len);
    r->table = wc_slice(r->bytes + schema.len, table.len);
    if (wc_map_insert(&w->relations, &r->node) == WC_OK)
        return r;
    free(r);
    return NULL;
}

static bool bears(const struct relation *r, struct wc_slice schema, struct wc_slice table)
{
    return wc_slice_eq(r->schema, schema) && wc_slice_eq(r->table, table);
}

/* The relation under its present name; NULL as above. */
static struct relation *renamed(struct wc_watch *w, struct relation *old, wc_oid oid,
                                struct wc_slice schema, struct wc_slice table)
{
    bool is_published = old && old->is_published;
    if (old)
        drop_relation(w, old);
    struct relation *r = make_relation(w, oid, schema, table);
    if (r)
        r->is_published = is_published;
    return r;
}

/* An answer to an earlier question says nothing about it, and the next one is to: it may be gone by
 * then, and the print be the old one. */
static void is_found(struct wc_watch *w, struct relation *r)
{
    if (!r->is_published)
        w->print[0] = '\0';
    r->is_published = true;
    r->asked = w->asked;
}

void wc_watch_found(struct wc_watch *w, wc_oid oid, struct wc_slice schema, struct wc_slice table)
{
    struct relation *r = find_relation(w, oid);
    if (!r)
        r = make_relation(w, oid, schema, table);
    if (r)
        is_found(w, r);
}

/* ---- from the stream ---- */

static void tell_described(struct wc_watch *w, struct wc_interest *i, const void *news)
{
    w->events.described(w->arg, i, news);
}

/* Names of columns and their types: what a resolved binding rests on. */
static uint64_t describe(const struct wc_rel *rel)
{
    uint64_t h = rel->ncols;
    for (uint16_t i = 0; i < rel->ncols; i++) {
        const struct wc_rel_col *c = &rel->col[i];
        const uint64_t part[] = {h, wc_hash(c->name), c->type, (uint64_t)(int64_t)c->typmod};
        h = wc_hash(wc_slice(part, sizeof part));
    }
    return h;
}

bool wc_watch_relation(struct wc_watch *w, const struct wc_rel *rel)
{
    struct relation *r = find_relation(w, rel->oid);
    bool is_news = true;
    uint64_t now = describe(rel);
    if (r && !bears(r, rel->schema, rel->name)) {
        visit(w, r->schema, r->table, tell_described, rel);
        r = renamed(w, r, rel->oid, rel->schema, rel->name);
    } else if (r) {
        is_news = !r->is_described || r->description != now;
    } else {
        r = make_relation(w, rel->oid, rel->schema, rel->name);
    }
    if (r) {
        is_found(w, r);
        r->is_described = true;
        r->description = now;
    }
    visit(w, rel->schema, rel->name, tell_described, rel);
    return is_news;
}

/* ---- from the catalog ---- */

void wc_watch_reached(struct wc_watch *w, wc_lsn position)
{
    w->reached = position;
    while (!wc_list_is_empty(&w->late)) {
        struct wc_interest *i = WC_CONTAINER(w->late.next, struct wc_interest, late);
        if (i->news_at > position)
            return;
        wc_list_remove(&i->late);
        (void)w->events.published(w->arg, i, true); /* it has no reason to wait any more */
    }
}

struct answer {
    uint64_t number; /* of the question */
    wc_lsn end, on_disk;
};

static void tell_late(struct wc_watch *w, struct wc_interest *i, const void *news)
{
    const struct answer *a = news;
    if (i->asked >= a->number)
        return;
    wc_list_remove(&i->late);
    if (w->events.published(w->arg, i, false))
        return;
    i->news_at = a->end;
    i->news_since = w->asked_at;
    wc_list_push(&w->late, &i->late);
}

/* What was visible a while ago is on disk now: what is written behind it need not be waited for. */
static void hasten(struct wc_watch *w, wc_lsn on_disk)
{
    WC_LIST_EACH (it, &w->late) {
        struct wc_interest *i = WC_CONTAINER(it, struct wc_interest, late);
        if (w->asked_at - i->news_since < ON_DISK_US)
            return;
        if (i->news_at > on_disk)
            i->news_at = on_disk;
    }
}

static void read_row(struct wc_watch *w, const struct wc_pg_result *res, int row,
                     const struct answer *a)
{
    struct wc_slice schema = wc_pg_slice(res, row, COL_SCHEMA);
    struct wc_slice table = wc_pg_slice(res, row, COL_NAME);
    wc_oid oid = (wc_oid)strtoul(wc_pg_value(res, row, COL_OID), NULL, 10);
    struct relation *r = find_relation(w, oid);
    bool is_same = r && bears(r, schema, table);
    if (r && !is_same && r->is_published)
        visit(w, r->schema, r->table, tell_late, a);
    if (!is_same || !r->is_published)
        visit(w, schema, table, tell_late, a);
    if (!is_same)
        r = renamed(w, r, oid, schema, table);
    if (r)
        r->is_published = r->is_listed = true;
}

static void drop_unlisted(struct wc_watch *w, const struct answer *a)
{
    for (struct wc_map_node *n = wc_map_each(&w->relations, NULL), *next; n; n = next) {
        next = wc_map_each(&w->relations, n);
        struct relation *r = WC_CONTAINER(n, struct relation, node);
        if (r->is_published && !r->is_listed && r->asked < a->number) {
            visit(w, r->schema, r->table, tell_late, a);
            drop_relation(w, r);
        } else {
            r->is_listed = false;
        }
    }
}

static void take_news(struct wc_watch *w, const struct wc_pg_result *res, const struct answer *a)
{
    (void)snprintf(w->print, sizeof w->print, "%s", wc_pg_value(res, 0, COL_PRINT));
    for (int i = 0; i < res->nrows; i++)
        if (wc_pg_value(res, i, COL_OID))
            read_row(w, res, i, a);
    drop_unlisted(w, a);
}

static void on_answer(void *arg, const struct wc_pg_result *res)
{
    struct wc_watch *w = arg;
    struct answer a = {.number = w->asked};
    w->is_asking = false;
    if (!res->ok || wc_lsn_parse(wc_pg_slice(res, 0, COL_END), &a.end) != WC_OK ||
        wc_lsn_parse(wc_pg_slice(res, 0, COL_ON_DISK), &a.on_disk) != WC_OK)
        return;
    a.end = wc_lsn_end_of_record(a.end);
    hasten(w, wc_lsn_end_of_record(a.on_disk));
    bool is_news = !wc_slice_is(wc_pg_slice(res, 0, COL_PRINT), w->print);
    if (is_news)
        take_news(w, res, &a);
    wc_watch_reached(w, w->reached);
    if (is_news)
        w->events.outdated(w->arg);
}

void wc_watch_ask(struct wc_watch *w, struct wc_pg *pg, bool is_new)
{
    wc_us now = wc_clock_mono();
    if (is_new)
        w->is_asking = false; /* what was under way went with the old connection */
    wc_us pause = wc_list_is_empty(&w->late) || w->pause < LATE_PAUSE_US ? w->pause : LATE_PAUSE_US;
    if (w->is_asking || (!is_new && now - w->asked_at < pause))
        return;
    const char *const params[] = {w->publications, w->print};
    w->asked_at = now;
    w->is_asking = wc_pg_query(pg, wc_sql_published, 2, params, on_answer, w) == WC_OK;
    w->asked += w->is_asking;
}

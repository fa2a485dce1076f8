#include "bridge/match/match.h"

#include "base/assert.h"
#include "bridge/match/column_priv.h"
#include "bridge/match/filing_priv.h"

#include <stdlib.h>

/* By the events that its bindings want: those that do not want a kind of change are passed over
 * all at once. */
struct lists {
    struct wc_list wanting[1 << WC_MATCH_EVENTS];
};

struct relation {
    struct wc_map_node node; /* in wc_match.relations, key: oid */
    wc_oid oid;
    struct lists unfiltered, one_by_one;
    struct wc_columns columns;
    size_t count; /* bindings */
};

struct schema {
    struct wc_map_node node; /* key: name_bytes */
    struct lists unfiltered;
    uint8_t name_bytes[];
};

struct wc_match {
    struct wc_map relations, schemas;
    struct lists all;
    uint64_t number; /* of the change at hand */
};

static void init_lists(struct lists *l)
{
    for (size_t i = 0; i < 1 << WC_MATCH_EVENTS; i++)
        wc_list_init(&l->wanting[i]);
}

static bool are_empty(const struct lists *l)
{
    for (size_t i = 0; i < 1 << WC_MATCH_EVENTS; i++)
        if (!wc_list_is_empty(&l->wanting[i]))
            return false;
    return true;
}

static void enlist(struct lists *l, struct wc_match_binding *b)
{
    wc_list_push(&l->wanting[b->events], &b->link);
}

struct wc_match *wc_match_new(void)
{
    struct wc_match *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    wc_map_init(&m->relations);
    wc_map_init(&m->schemas);
    init_lists(&m->all);
    return m;
}

void wc_match_free(struct wc_match *m)
{
    if (!m)
        return;
    WC_ASSERT(m->relations.count == 0 && m->schemas.count == 0 && are_empty(&m->all));
    wc_map_release(&m->relations);
    wc_map_release(&m->schemas);
    free(m);
}

static struct wc_slice oid_key(const wc_oid *oid)
{
    return wc_slice(oid, sizeof *oid);
}

static struct relation *find_relation(const struct wc_match *m, wc_oid oid)
{
    struct wc_map_node *n = wc_map_get(&m->relations, oid_key(&oid));
    return n ? WC_CONTAINER(n, struct relation, node) : NULL;
}

static struct relation *make_relation(struct wc_match *m, wc_oid oid)
{
    struct relation *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->oid = oid;
    r->node.key = oid_key(&r->oid);
    init_lists(&r->unfiltered);
    init_lists(&r->one_by_one);
    wc_columns_init(&r->columns);
    if (wc_map_insert(&m->relations, &r->node) != WC_OK) {
        free(r);
        return NULL;
    }
    return r;
}

static void drop_relation_if_empty(struct wc_match *m, struct relation *r)
{
    if (r->count)
        return;
    wc_map_remove(&m->relations, &r->node);
    wc_columns_release(&r->columns);
    free(r);
}

/* ---- conditions ---- */

static size_t count_leaves(const struct wc_predicate *p)
{
    size_t n = p->kind == WC_PREDICATE_LEAF;
    for (size_t i = 0; p->kind != WC_PREDICATE_LEAF && i < p->nchildren; i++)
        n += count_leaves(&p->child[i]);
    return n;
}

/* The first `most` comparisons, from left to right. */
static void let_columns_go(struct relation *r, const struct wc_predicate *p, size_t *most)
{
    if (p->kind == WC_PREDICATE_LEAF && *most > 0) {
        wc_columns_let_go(&r->columns, p->leaf);
        --*most;
    }
    for (size_t i = 0; p->kind != WC_PREDICATE_LEAF && i < p->nchildren; i++)
        let_columns_go(r, &p->child[i], most);
}

static enum wc_status use_columns(struct relation *r, const struct wc_predicate *p, size_t *used)
{
    enum wc_status st = WC_OK;
    if (p->kind == WC_PREDICATE_LEAF) {
        st = wc_columns_use(&r->columns, p->leaf);
        *used += st == WC_OK;
        return st;
    }
    for (size_t i = 0; i < p->nchildren && st == WC_OK; i++)
        st = use_columns(r, &p->child[i], used);
    return st;
}

static enum wc_status insert_where(struct relation *r, struct wc_match_binding *b)
{
    size_t used = 0;
    enum wc_status st = use_columns(r, b->where, &used);
    if (st == WC_OK)
        st = wc_filing_make(&r->columns, b);
    if (st == WC_NOTFOUND) {
        enlist(&r->one_by_one, b);
        st = WC_OK;
    }
    if (st != WC_OK)
        let_columns_go(r, b->where, &used);
    return st;
}

static void remove_where(struct relation *r, struct wc_match_binding *b)
{
    size_t used = count_leaves(b->where);
    wc_filing_undo(b);
    wc_list_remove(&b->link);
    let_columns_go(r, b->where, &used);
}

/* ---- inserting and removing ---- */

static enum wc_status insert_table(struct wc_match *m, struct wc_match_binding *b)
{
    struct relation *r = find_relation(m, b->rel);
    if (!r)
        r = make_relation(m, b->rel);
    if (!r)
        return WC_NOMEM;
    enum wc_status st = WC_OK;
    if (b->where)
        st = insert_where(r, b);
    else
        enlist(&r->unfiltered, b);
    if (st == WC_OK)
        r->count++;
    else
        drop_relation_if_empty(m, r);
    return st;
}

size_t wc_match_crowd(const struct wc_match *m, wc_oid rel, const struct wc_predicate *p)
{
    const struct relation *r = find_relation(m, rel);
    bool is_equality =
        p->kind == WC_PREDICATE_LEAF && p->leaf->op == WC_FILTER_EQ && p->leaf->nkeys == 1;
    const struct wc_column *c = r && is_equality ? wc_columns_find(&r->columns, p->leaf) : NULL;
    return c ? wc_column_crowd(c, p->leaf->key[0]) : 0;
}

static enum wc_status insert_schema(struct wc_match *m, struct wc_match_binding *b)
{
    struct wc_map_node *n = wc_map_get(&m->schemas, b->schema);
    struct schema *s = n ? WC_CONTAINER(n, struct schema, node) : NULL;
    if (!s) {
        s = calloc(1, sizeof *s + b->schema.len);
        if (!s)
            return WC_NOMEM;
        memcpy(s->name_bytes, b->schema.p, b->schema.len);
        s->node.key = wc_slice(s->name_bytes, b->schema.len);
        init_lists(&s->unfiltered);
        if (wc_map_insert(&m->schemas, &s->node) != WC_OK) {
            free(s);
            return WC_NOMEM;
        }
    }
    enlist(&s->unfiltered, b);
    return WC_OK;
}

enum wc_status wc_match_insert(struct wc_match *m, struct wc_match_binding *b)
{
    WC_ASSERT(b->scope == WC_MATCH_TABLE || !b->where);
    WC_ASSERT(b->events < 1 << WC_MATCH_EVENTS);
    wc_list_init(&b->link);
    b->filing = NULL;
    b->seen = 0;
    switch (b->scope) {
    case WC_MATCH_TABLE: return insert_table(m, b);
    case WC_MATCH_SCHEMA: return insert_schema(m, b);
    case WC_MATCH_ALL: enlist(&m->all, b); return WC_OK;
    }
    return WC_INVALID;
}

static void remove_table(struct wc_match *m, struct wc_match_binding *b)
{
    struct relation *r = find_relation(m, b->rel);
    WC_ASSERT(r);
    if (b->where)
        remove_where(r, b);
    else
        wc_list_remove(&b->link);
    r->count--;
    drop_relation_if_empty(m, r);
}

static void remove_schema(struct wc_match *m, struct wc_match_binding *b)
{
    struct wc_map_node *n = wc_map_get(&m->schemas, b->schema);
    WC_ASSERT(n);
    struct schema *s = WC_CONTAINER(n, struct schema, node);
    wc_list_remove(&b->link);
    if (are_empty(&s->unfiltered)) {
        wc_map_remove(&m->schemas, &s->node);
        free(s);
    }
}

void wc_match_remove(struct wc_match *m, struct wc_match_binding *b)
{
    switch (b->scope) {
    case WC_MATCH_TABLE: remove_table(m, b); break;
    case WC_MATCH_SCHEMA: remove_schema(m, b); break;
    case WC_MATCH_ALL: wc_list_remove(&b->link); break;
    }
}

static const struct lists *schema_lists(const struct wc_match *m, struct wc_slice name)
{
    struct wc_map_node *n = m->schemas.count ? wc_map_get(&m->schemas, name) : NULL;
    return n ? &WC_CONTAINER(n, struct schema, node)->unfiltered : NULL;
}

bool wc_match_wants(const struct wc_match *m, const struct wc_rel *rel)
{
    return find_relation(m, rel->oid) || !are_empty(&m->all) || schema_lists(m, rel->schema);
}

/* ---- a change ---- */

struct look {
    const struct wc_match_caller *caller;
    uint32_t op;
    uint64_t number;
    struct wc_predicate_view view;
};

static const struct wc_field *field(void *arg, const struct wc_leaf *leaf)
{
    struct wc_columns *cs = arg;
    return wc_columns_field(cs, wc_columns_find(cs, leaf));
}

/* Something the binding is filed under holds, or it is among those evaluated one by one. */
static void bring_up(struct look *l, struct wc_match_binding *b)
{
    if (b->seen == l->number || !(b->events & l->op))
        return;
    b->seen = l->number;
    enum wc_truth t = WC_TRUE;
    if (!b->filing || !wc_filing_is_exact(b->filing))
        t = wc_predicate_decide(b->where, &l->view);
    if (t == WC_TRUE || t == WC_UNDECIDED)
        l->caller->hit(l->caller->arg, b, t == WC_UNDECIDED);
}

static void bring_up_range(void *arg, struct wc_interval *i)
{
    bring_up(arg, WC_CONTAINER(i, struct wc_range_place, interval)->binding);
}

static void match_column(struct look *l, struct wc_columns *cs, struct wc_column *c)
{
    if (c->values.count == 0 && wc_intervals_is_empty(&c->intervals))
        return;
    const struct wc_field *f = wc_columns_field(cs, c);
    if (!f->has_key)
        return;
    const struct wc_list *places = wc_column_filed(c, f->key);
    if (places)
        WC_LIST_EACH (it, places)
            bring_up(l, WC_CONTAINER(it, struct wc_value_place, link)->binding);
    wc_intervals_find(&c->intervals, f->key, bring_up_range, l);
}

static enum wc_status match_conditions(struct look *l, struct relation *r,
                                       const struct wc_change *ch)
{
    struct wc_columns *cs = &r->columns;
    wc_columns_look_at(cs, ch, l->number);
    for (struct wc_map_node *n = wc_map_each(&cs->map, NULL); n; n = wc_map_each(&cs->map, n))
        match_column(l, cs, WC_CONTAINER(n, struct wc_column, node));
    for (uint32_t events = 1; events < 1 << WC_MATCH_EVENTS; events++) {
        if (!(events & l->op))
            continue;
        WC_LIST_EACH (it, &r->one_by_one.wanting[events])
            bring_up(l, WC_CONTAINER(it, struct wc_match_binding, link));
    }
    return cs->status;
}

static void report_all(const struct look *l, const struct lists *lists)
{
    for (uint32_t events = 1; events < 1 << WC_MATCH_EVENTS; events++) {
        if (!(events & l->op))
            continue;
        WC_LIST_EACH (it, &lists->wanting[events])
            l->caller->hit(l->caller->arg, WC_CONTAINER(it, struct wc_match_binding, link), false);
    }
}

enum wc_status wc_match_change(struct wc_match *m, const struct wc_change *ch,
                               const struct wc_match_caller *caller)
{
    struct look l = {.caller = caller,
                     .op = caller->event ? caller->event : (uint32_t)ch->op,
                     .number = ++m->number,
                     .view = {.field = field, .ask = caller->ask, .arg = caller->arg}};
    struct relation *r = find_relation(m, ch->rel->oid);
    enum wc_status st = WC_OK;
    if (r) {
        l.view.fields = &r->columns;
        report_all(&l, &r->unfiltered);
        st = match_conditions(&l, r, ch);
    }
    const struct lists *s = schema_lists(m, ch->rel->schema);
    if (s)
        report_all(&l, s);
    report_all(&l, &m->all);
    return st;
}

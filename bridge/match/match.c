#include "bridge/match/match.h"

#include "base/assert.h"

#include <stdlib.h>

enum { SCRATCH_CAP = 256 << 10 }; /* numeric can have 131,072 + 16,383 digits */

/* One filtered column of a relation. */
struct column {
    struct wc_list link;
    struct wc_slice name; /* follows the struct */
    enum wc_match_fold fold;
    struct wc_map values;
    uint64_t generation; /* of the wc_rel that `index` belongs to */
    int index;           /* in that wc_rel; -1 when it has no such column */
    uint8_t name_bytes[];
};

struct relation {
    struct wc_map_node node; /* in wc_match.relations, key: oid */
    wc_oid oid;
    struct wc_list unfiltered;
    struct wc_list columns;
    size_t count; /* bindings */
};

struct schema {
    struct wc_map_node node; /* key: name_bytes */
    struct wc_list unfiltered;
    uint8_t name_bytes[];
};

struct wc_match {
    struct wc_map relations, schemas;
    struct wc_list all;
    struct wc_buf scratch;
};

struct wc_match *wc_match_new(void)
{
    struct wc_match *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    wc_map_init(&m->relations);
    wc_map_init(&m->schemas);
    wc_list_init(&m->all);
    wc_buf_init(&m->scratch, SCRATCH_CAP);
    return m;
}

void wc_match_free(struct wc_match *m)
{
    if (!m)
        return;
    WC_ASSERT(m->relations.count == 0 && m->schemas.count == 0 && wc_list_is_empty(&m->all));
    wc_map_release(&m->relations);
    wc_map_release(&m->schemas);
    wc_buf_release(&m->scratch);
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
    wc_list_init(&r->unfiltered);
    wc_list_init(&r->columns);
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
    free(r);
}

static struct column *find_column(const struct relation *r, struct wc_slice name,
                                  enum wc_match_fold fold)
{
    WC_LIST_EACH (it, &r->columns) {
        struct column *c = WC_CONTAINER(it, struct column, link);
        if (c->fold == fold && wc_slice_eq(c->name, name))
            return c;
    }
    return NULL;
}

static struct column *make_column(struct relation *r, struct wc_slice name, enum wc_match_fold fold)
{
    struct column *c = calloc(1, sizeof *c + name.len);
    if (!c)
        return NULL;
    memcpy(c->name_bytes, name.p, name.len);
    c->name = wc_slice(c->name_bytes, name.len);
    c->fold = fold;
    wc_map_init(&c->values);
    wc_list_push(&r->columns, &c->link);
    return c;
}

static void drop_column_if_empty(struct column *c)
{
    if (c->values.count)
        return;
    wc_list_remove(&c->link);
    wc_map_release(&c->values);
    free(c);
}

static enum wc_status insert_eq(struct relation *r, struct wc_match_binding *b)
{
    struct column *c = find_column(r, b->column, b->fold);
    if (!c)
        c = make_column(r, b->column, b->fold);
    if (!c)
        return WC_NOMEM;
    b->node.key = b->value;
    enum wc_status st = wc_map_insert(&c->values, &b->node);
    if (st != WC_OK)
        drop_column_if_empty(c);
    return st;
}

static enum wc_status insert_table(struct wc_match *m, struct wc_match_binding *b)
{
    struct relation *r = find_relation(m, b->rel);
    if (!r)
        r = make_relation(m, b->rel);
    if (!r)
        return WC_NOMEM;
    enum wc_status st = WC_OK;
    if (b->has_eq)
        st = insert_eq(r, b);
    else
        wc_list_push(&r->unfiltered, &b->link);
    if (st == WC_OK)
        r->count++;
    else
        drop_relation_if_empty(m, r);
    return st;
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
        wc_list_init(&s->unfiltered);
        if (wc_map_insert(&m->schemas, &s->node) != WC_OK) {
            free(s);
            return WC_NOMEM;
        }
    }
    wc_list_push(&s->unfiltered, &b->link);
    return WC_OK;
}

enum wc_status wc_match_insert(struct wc_match *m, struct wc_match_binding *b)
{
    WC_ASSERT(b->scope == WC_MATCH_TABLE || !b->has_eq);
    wc_list_init(&b->link);
    switch (b->scope) {
    case WC_MATCH_TABLE: return insert_table(m, b);
    case WC_MATCH_SCHEMA: return insert_schema(m, b);
    case WC_MATCH_ALL: wc_list_push(&m->all, &b->link); return WC_OK;
    }
    return WC_INVALID;
}

static void remove_table(struct wc_match *m, struct wc_match_binding *b)
{
    struct relation *r = find_relation(m, b->rel);
    WC_ASSERT(r);
    if (b->has_eq) {
        struct column *c = find_column(r, b->column, b->fold);
        WC_ASSERT(c);
        wc_map_remove(&c->values, &b->node);
        drop_column_if_empty(c);
    } else {
        wc_list_remove(&b->link);
    }
    r->count--;
    drop_relation_if_empty(m, r);
}

static void remove_schema(struct wc_match *m, struct wc_match_binding *b)
{
    struct wc_map_node *n = wc_map_get(&m->schemas, b->schema);
    WC_ASSERT(n);
    struct schema *s = WC_CONTAINER(n, struct schema, node);
    wc_list_remove(&b->link);
    if (wc_list_is_empty(&s->unfiltered)) {
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

static const struct wc_list *schema_list(const struct wc_match *m, struct wc_slice name)
{
    struct wc_map_node *n = m->schemas.count ? wc_map_get(&m->schemas, name) : NULL;
    return n ? &WC_CONTAINER(n, struct schema, node)->unfiltered : NULL;
}

bool wc_match_wants(const struct wc_match *m, const struct wc_rel *rel)
{
    return find_relation(m, rel->oid) || !wc_list_is_empty(&m->all) || schema_list(m, rel->schema);
}

static int index_in(struct column *c, const struct wc_rel *rel)
{
    if (c->generation == rel->generation)
        return c->index;
    c->generation = rel->generation;
    c->index = -1;
    for (int i = 0; i < rel->ncols && c->index < 0; i++)
        if (wc_slice_eq(rel->col[i].name, c->name))
            c->index = i;
    return c->index;
}

/* The value a filter sees, or NULL: see the header. */
static const struct wc_col *value_of(const struct wc_change *ch, int i)
{
    const struct wc_col *c = NULL;
    if (ch->op != WC_OP_DELETE) {
        c = &ch->new.col[i];
        if (c->kind == WC_COL_TOAST_UNCHANGED && ch->old_kind == WC_OLD_FULL)
            c = &ch->old.col[i];
    } else if (ch->old_kind == WC_OLD_FULL || ch->rel->col[i].in_identity) {
        c = &ch->old.col[i];
    }
    return c && c->kind == WC_COL_TEXT ? c : NULL;
}

static void match_list(const struct wc_list *list, uint32_t op, wc_match_fn fn, void *arg)
{
    WC_LIST_EACH (it, list) {
        struct wc_match_binding *b = WC_CONTAINER(it, struct wc_match_binding, link);
        if (b->events & op)
            fn(arg, b);
    }
}

static void match_column(struct wc_match *m, struct column *c, const struct wc_change *ch,
                         wc_match_fn fn, void *arg)
{
    int i = index_in(c, ch->rel);
    const struct wc_col *v = i < 0 ? NULL : value_of(ch, i);
    if (!v)
        return;
    struct wc_slice key = wc_match_canonical(c->fold, v->val, &m->scratch);
    for (struct wc_map_node *n = wc_map_get(&c->values, key); n; n = wc_map_next(n)) {
        struct wc_match_binding *b = WC_CONTAINER(n, struct wc_match_binding, node);
        if (b->events & (uint32_t)ch->op)
            fn(arg, b);
    }
}

void wc_match_change(struct wc_match *m, const struct wc_change *ch, wc_match_fn fn, void *arg)
{
    const struct relation *r = find_relation(m, ch->rel->oid);
    if (r) {
        match_list(&r->unfiltered, (uint32_t)ch->op, fn, arg);
        WC_LIST_EACH (it, &r->columns)
            match_column(m, WC_CONTAINER(it, struct column, link), ch, fn, arg);
    }
    const struct wc_list *s = schema_list(m, ch->rel->schema);
    if (s)
        match_list(s, (uint32_t)ch->op, fn, arg);
    match_list(&m->all, (uint32_t)ch->op, fn, arg);
}

bool wc_match_is_exact(wc_oid base_type, bool is_enum, enum wc_match_fold *fold)
{
    static const struct {
        wc_oid oid;
        enum wc_match_fold fold;
    } table[] = {
        /* pg_type.dat */
        {16, WC_FOLD_NONE},     /* bool */
        {17, WC_FOLD_NONE},     /* bytea */
        {20, WC_FOLD_NONE},     /* int8 */
        {21, WC_FOLD_NONE},     /* int2 */
        {23, WC_FOLD_NONE},     /* int4 */
        {25, WC_FOLD_NONE},     /* text */
        {26, WC_FOLD_NONE},     /* oid */
        {700, WC_FOLD_NUMBER},  /* float4 */
        {701, WC_FOLD_NUMBER},  /* float8 */
        {1042, WC_FOLD_BLANKS}, /* bpchar */
        {1043, WC_FOLD_NONE},   /* varchar */
        {1082, WC_FOLD_NONE},   /* date */
        {1114, WC_FOLD_NONE},   /* timestamp */
        {1184, WC_FOLD_NONE},   /* timestamptz */
        {1700, WC_FOLD_NUMBER}, /* numeric */
        {2950, WC_FOLD_NONE},   /* uuid */
    };
    *fold = WC_FOLD_NONE;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].oid == base_type) {
            *fold = table[i].fold;
            return true;
        }
    }
    return is_enum;
}

/* Postgres prints a numeric with its scale and a float as the shortest exact text, so two texts of
 * one value differ only by trailing zeros of the fraction and by the sign of zero. */
static struct wc_slice canonical_number(struct wc_slice t, struct wc_buf *scratch)
{
    const uint8_t *e = memchr(t.p, 'e', t.len);
    size_t mantissa = e ? (size_t)(e - t.p) : t.len;
    size_t len = mantissa;
    if (memchr(t.p, '.', mantissa)) {
        while (len && t.p[len - 1] == '0')
            len--;
        if (len && t.p[len - 1] == '.')
            len--;
    }
    if (len == 2 && t.p[0] == '-' && t.p[1] == '0')
        return wc_slice("0", 1);
    if (len == mantissa)
        return t;
    if (mantissa == t.len)
        return wc_slice(t.p, len);
    wc_buf_reset(scratch);
    wc_buf_append(scratch, t.p, len);
    wc_buf_append(scratch, t.p + mantissa, t.len - mantissa);
    return wc_buf_view(scratch);
}

struct wc_slice wc_match_canonical(enum wc_match_fold fold, struct wc_slice text,
                                   struct wc_buf *scratch)
{
    switch (fold) {
    case WC_FOLD_NONE: return text;
    case WC_FOLD_NUMBER: return canonical_number(text, scratch);
    case WC_FOLD_BLANKS:
        while (text.len && text.p[text.len - 1] == ' ')
            text.len--;
        return text;
    }
    return text;
}

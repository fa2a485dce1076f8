#include "bridge/match/column_priv.h"

#include "base/assert.h"

#include <stdlib.h>

struct wc_value_entry {
    struct wc_map_node node; /* in column->values */
    struct wc_list places;
    size_t count;
    struct wc_column *column;
    uint8_t key[];
};

void wc_columns_init(struct wc_columns *cs)
{
    *cs = (struct wc_columns){.status = WC_OK};
    wc_map_init(&cs->map);
}

void wc_columns_release(struct wc_columns *cs)
{
    WC_ASSERT(cs->map.count == 0);
    wc_map_release(&cs->map);
}

/* `is` looks at no key, and need not: a value of a column that is asked about has none. */
static enum wc_key_kind kind_of(const struct wc_leaf *leaf)
{
    return leaf->op == WC_FILTER_IS ? WC_KEY_NONE : leaf->kind;
}

struct wc_column *wc_columns_find(const struct wc_columns *cs, const struct wc_leaf *leaf)
{
    enum wc_key_kind kind = kind_of(leaf);
    for (struct wc_map_node *n = wc_map_get(&cs->map, leaf->column); n; n = wc_map_next(n)) {
        struct wc_column *c = WC_CONTAINER(n, struct wc_column, node);
        if (c->kind == kind)
            return c;
    }
    return NULL;
}

/* ---- uses ---- */

static struct wc_column *make(struct wc_columns *cs, const struct wc_leaf *leaf)
{
    struct wc_column *c = calloc(1, sizeof *c + leaf->column.len);
    if (!c)
        return NULL;
    if (leaf->column.len)
        memcpy(c->name, leaf->column.p, leaf->column.len);
    c->node.key = wc_slice(c->name, leaf->column.len);
    c->kind = kind_of(leaf);
    wc_map_init(&c->values);
    wc_intervals_init(&c->intervals);
    wc_buf_init(&c->scratch, WC_KEY_MAX);
    if (wc_map_insert(&cs->map, &c->node) != WC_OK) {
        free(c);
        return NULL;
    }
    return c;
}

enum wc_status wc_columns_use(struct wc_columns *cs, const struct wc_leaf *leaf)
{
    struct wc_column *c = wc_columns_find(cs, leaf);
    if (!c)
        c = make(cs, leaf);
    if (!c)
        return WC_NOMEM;
    c->uses++;
    return WC_OK;
}

void wc_columns_let_go(struct wc_columns *cs, const struct wc_leaf *leaf)
{
    struct wc_column *c = wc_columns_find(cs, leaf);
    WC_ASSERT(c && c->uses > 0);
    if (--c->uses)
        return;
    WC_ASSERT(c->values.count == 0 && wc_intervals_is_empty(&c->intervals));
    wc_map_remove(&cs->map, &c->node);
    wc_map_release(&c->values);
    wc_buf_release(&c->scratch);
    free(c);
}

/* ---- the change at hand ---- */

void wc_columns_look_at(struct wc_columns *cs, const struct wc_change *ch, uint64_t number)
{
    cs->ch = ch;
    cs->number = number;
    cs->status = WC_OK;
}

static int index_in(struct wc_column *c, const struct wc_rel *rel)
{
    if (c->generation == rel->generation)
        return c->index;
    c->generation = rel->generation;
    c->index = -1;
    for (int i = 0; i < rel->ncols && c->index < 0; i++)
        if (wc_slice_eq(rel->col[i].name, c->node.key))
            c->index = i;
    return c->index;
}

const struct wc_field *wc_columns_field(struct wc_columns *cs, struct wc_column *c)
{
    struct wc_field *f = &c->field;
    if (c->change == cs->number)
        return f;
    c->change = cs->number;
    int i = index_in(c, cs->ch->rel);
    *f = (struct wc_field){.col = i < 0 ? NULL : wc_change_value(cs->ch, i)};
    if (c->kind == WC_KEY_NONE || !f->col || f->col->kind == WC_COL_NULL)
        return f;
    enum wc_status st = wc_key_view(c->kind, f->col->val, &c->scratch, &f->key);
    f->has_key = st == WC_OK;
    if (st == WC_NOMEM)
        cs->status = st;
    return f;
}

/* ---- filed values ---- */

static struct wc_value_entry *entry_of(struct wc_map_node *n)
{
    return WC_CONTAINER(n, struct wc_value_entry, node);
}

static struct wc_value_entry *make_entry(struct wc_column *c, struct wc_slice key)
{
    struct wc_value_entry *e = malloc(sizeof *e + key.len);
    if (!e)
        return NULL;
    e->column = c;
    wc_list_init(&e->places);
    e->count = 0;
    if (key.len)
        memcpy(e->key, key.p, key.len);
    e->node.key = wc_slice(e->key, key.len);
    if (wc_map_insert(&c->values, &e->node) != WC_OK) {
        free(e);
        return NULL;
    }
    return e;
}

enum wc_status wc_column_file(struct wc_column *c, struct wc_slice key,
                              struct wc_value_place *place)
{
    struct wc_map_node *n = wc_map_get(&c->values, key);
    struct wc_value_entry *e = n ? entry_of(n) : make_entry(c, key);
    if (!e)
        return WC_NOMEM;
    place->entry = e;
    c->longest = key.len > c->longest ? key.len : c->longest;
    wc_list_push(&e->places, &place->link);
    e->count++;
    return WC_OK;
}

void wc_column_unfile(struct wc_value_place *place)
{
    struct wc_value_entry *e = place->entry;
    wc_list_remove(&place->link);
    if (--e->count)
        return;
    wc_map_remove(&e->column->values, &e->node);
    free(e);
}

const struct wc_list *wc_column_filed(const struct wc_column *c, struct wc_slice key)
{
    if (key.len > c->longest) /* a text of megabytes need not be hashed to find nothing */
        return NULL;
    struct wc_map_node *n = wc_map_get(&c->values, key);
    return n ? &entry_of(n)->places : NULL;
}

size_t wc_column_crowd(const struct wc_column *c, struct wc_slice key)
{
    struct wc_map_node *n = wc_map_get(&c->values, key);
    return n ? entry_of(n)->count : 0;
}

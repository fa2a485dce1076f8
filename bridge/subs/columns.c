#include "bridge/subs/columns.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/map.h"

#include <stdlib.h>

enum { KEY_CAP = 16 << 20 }; /* many times the longest message of a client */

struct wc_column_sets {
    struct wc_map map;
};

struct wc_shared_columns {
    struct wc_map_node node; /* key: how numbers are, then the names, each behind its length */
    struct wc_column_sets *sets;
    uint32_t refs;
    struct wc_column_set set;
    struct wc_slice name[]; /* in the key, which stands behind them */
};

struct wc_column_sets *wc_column_sets_new(void)
{
    struct wc_column_sets *s = calloc(1, sizeof *s);
    if (s)
        wc_map_init(&s->map);
    return s;
}

void wc_column_sets_free(struct wc_column_sets *s)
{
    if (!s)
        return;
    WC_ASSERT(s->map.count == 0);
    wc_map_release(&s->map);
    free(s);
}

static int by_name(const void *a, const void *b)
{
    const struct wc_slice *x = a, *y = b;
    return wc_column_name_order(*x, *y);
}

/* Sorts them and drops what is repeated; returns how many are left. */
static size_t normalise(struct wc_slice *name, size_t n)
{
    size_t kept = 0;
    if (n)
        qsort(name, n, sizeof *name, by_name);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !wc_slice_eq(name[kept - 1], name[i]))
            name[kept++] = name[i];
    return kept;
}

static void write_key(struct wc_buf *out, const struct wc_slice *name, size_t n, bool exact)
{
    wc_buf_byte(out, exact ? 'e' : 'n');
    for (size_t i = 0; i < n; i++) {
        wc_buf_append(out, &name[i].len, sizeof name[i].len);
        wc_buf_slice(out, name[i]);
    }
}

static struct wc_shared_columns *make(struct wc_column_sets *sets, struct wc_slice key, size_t n)
{
    size_t names = n * sizeof(struct wc_slice);
    struct wc_shared_columns *s = calloc(1, sizeof *s + names + key.len);
    if (!s)
        return NULL;
    uint8_t *at = (uint8_t *)(s->name + n);
    memcpy(at, key.p, key.len);
    s->node.key = wc_slice(at, key.len);
    s->sets = sets;
    s->set = (struct wc_column_set){.nnames = n,
                                    .name = s->name,
                                    .is_all = n == 0,
                                    .shared = s,
                                    .has_exact_numbers = *at == 'e'};
    at++;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        memcpy(&len, at, sizeof len);
        s->name[i] = wc_slice(at + sizeof len, len);
        at += sizeof len + len;
    }
    if (wc_map_insert(&sets->map, &s->node) == WC_OK)
        return s;
    free(s);
    return NULL;
}

const struct wc_column_set *wc_column_set_get(struct wc_column_sets *sets,
                                              const struct wc_slice *name, size_t n,
                                              bool has_exact_numbers)
{
    if (n == 0 && !has_exact_numbers)
        return &wc_column_set_all;
    struct wc_slice *sorted = calloc(n + 1, sizeof *sorted);
    if (!sorted)
        return NULL;
    if (n)
        memcpy(sorted, name, n * sizeof *sorted);
    size_t count = normalise(sorted, n);
    struct wc_buf key;
    wc_buf_init(&key, KEY_CAP);
    write_key(&key, sorted, count, has_exact_numbers);
    free(sorted);
    struct wc_shared_columns *s = NULL;
    if (key.status == WC_OK) {
        struct wc_map_node *node = wc_map_get(&sets->map, wc_buf_view(&key));
        s = node ? WC_CONTAINER(node, struct wc_shared_columns, node)
                 : make(sets, wc_buf_view(&key), count);
    }
    wc_buf_release(&key);
    if (!s)
        return NULL;
    s->refs++;
    return &s->set;
}

void wc_column_set_unref(const struct wc_column_set *set)
{
    if (!set || set == &wc_column_set_all)
        return;
    struct wc_shared_columns *s = set->shared;
    if (--s->refs > 0)
        return;
    wc_map_remove(&s->sets->map, &s->node);
    free(s);
}

int wc_column_set_order(const struct wc_column_set *a, const struct wc_column_set *b)
{
    if (a->is_all != b->is_all)
        return (int)b->is_all - (int)a->is_all;
    for (size_t i = 0; i < a->nnames && i < b->nnames; i++) {
        int order = wc_column_name_order(a->name[i], b->name[i]);
        if (order)
            return order;
    }
    if (a->nnames != b->nnames)
        return a->nnames < b->nnames ? -1 : 1;
    return (int)a->has_exact_numbers - (int)b->has_exact_numbers;
}

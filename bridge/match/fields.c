#include "bridge/match/fields.h"

#include "bridge/match/column_priv.h"

#include <stdlib.h>

enum { COLUMNS_MAX = 4096 }; /* then it begins anew: tables and columns come and go */

struct wc_fields {
    struct wc_columns columns;
    struct wc_change
        change; /* whoever asks next may have another copy of it, and this one no more */
    uint64_t number;
};

struct wc_fields *wc_fields_new(void)
{
    struct wc_fields *f = calloc(1, sizeof *f);
    if (f)
        wc_columns_init(&f->columns);
    return f;
}

static void forget(struct wc_fields *f)
{
    struct wc_map_node *n;
    while ((n = wc_map_each(&f->columns.map, NULL))) {
        const struct wc_column *c = WC_CONTAINER(n, struct wc_column, node);
        const struct wc_leaf leaf = {.column = n->key, .op = WC_FILTER_EQ, .kind = c->kind};
        wc_columns_let_go(&f->columns, &leaf);
    }
}

void wc_fields_free(struct wc_fields *f)
{
    if (!f)
        return;
    forget(f);
    wc_columns_release(&f->columns);
    free(f);
}

void wc_fields_look_at(struct wc_fields *f, const struct wc_change *ch)
{
    if (f->columns.map.count > COLUMNS_MAX)
        forget(f);
    f->change = *ch;
    wc_columns_look_at(&f->columns, &f->change, ++f->number);
}

/* Each column is used once, by all predicates together. */
static const struct wc_field *field(void *arg, const struct wc_leaf *leaf)
{
    static const struct wc_field missing;
    struct wc_fields *f = arg;
    struct wc_column *c = wc_columns_find(&f->columns, leaf);
    if (!c && wc_columns_use(&f->columns, leaf) == WC_OK)
        c = wc_columns_find(&f->columns, leaf);
    if (c)
        return wc_columns_field(&f->columns, c);
    f->columns.status = WC_NOMEM;
    return &missing;
}

enum wc_truth wc_fields_decide(struct wc_fields *f, const struct wc_predicate *p, wc_ask_fn ask,
                               void *arg)
{
    const struct wc_predicate_view view = {.field = field, .fields = f, .ask = ask, .arg = arg};
    enum wc_truth t = wc_predicate_decide(p, &view);
    return f->columns.status == WC_OK ? t : WC_UNDECIDED;
}

/*
 * The columns of one relation that conditions look at, each with what the change at hand holds in
 * it: a key is made when the first condition wants it, and once for all of them. A column is here
 * once for each kind of key it is compared by, and once more for what needs no key (kind NONE: `is`
 * and what is asked).
 *
 * A column also holds the values that bindings are filed under: each has one entry, however many
 * bindings want it.
 */
#ifndef WC_BRIDGE_MATCH_COLUMN_PRIV_H
#define WC_BRIDGE_MATCH_COLUMN_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "bridge/match/interval.h"
#include "bridge/match/predicate.h"

struct wc_column {
    struct wc_map_node node; /* in wc_columns.map, key: name */
    enum wc_key_kind kind;
    size_t uses;         /* by comparisons of inserted conditions */
    uint64_t generation; /* of the wc_rel that `index` belongs to */
    int index;           /* in that wc_rel; -1 when it has no such column */
    struct wc_map values;
    size_t longest; /* key that was ever filed */
    struct wc_intervals intervals;
    /* of the change with this number */
    uint64_t change;
    struct wc_field field;
    struct wc_buf scratch;
    uint8_t name[];
};

struct wc_columns {
    struct wc_map map;
    /* the change at hand */
    const struct wc_change *ch;
    uint64_t number;
    enum wc_status status; /* NOMEM: a key could not be made */
};

void wc_columns_init(struct wc_columns *);
void wc_columns_release(struct wc_columns *); /* without any use left */

/* From now on this leaf's column is here, until it is let go as often. */
WC_MUST_USE
enum wc_status wc_columns_use(struct wc_columns *, const struct wc_leaf *);
void wc_columns_let_go(struct wc_columns *, const struct wc_leaf *);

struct wc_column *wc_columns_find(const struct wc_columns *, const struct wc_leaf *);

/* Begins with another change; numbers rise. */
void wc_columns_look_at(struct wc_columns *, const struct wc_change *, uint64_t number);
/* What it holds. On NOMEM the columns' status says so and the field has no key. */
const struct wc_field *wc_columns_field(struct wc_columns *, struct wc_column *);

/* A place in the list of all that want one value of a column. */
struct wc_value_entry;
struct wc_value_place {
    struct wc_list link;
    struct wc_value_entry *entry;
    struct wc_match_binding *binding;
};

WC_MUST_USE
enum wc_status wc_column_file(struct wc_column *, struct wc_slice key, struct wc_value_place *);
void wc_column_unfile(struct wc_value_place *);
/* The places under this key; NULL: none. */
const struct wc_list *wc_column_filed(const struct wc_column *, struct wc_slice key);
size_t wc_column_crowd(const struct wc_column *, struct wc_slice key); /* how many those are */

#endif

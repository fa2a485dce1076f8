/* The columns of the stream among those of the catalog. */
#include "bridge/rls/access_priv.h"

/* Among the catalog's columns; -1: not there any more. */
static int16_t find_column(const struct wc_access *a, struct wc_slice name)
{
    for (uint16_t j = 0; j < a->ncols; j++)
        if (wc_slice_eq(name, a->col[j].name))
            return (int16_t)j;
    return -1;
}

static bool reads_all(const struct wc_access *a)
{
    for (uint16_t j = 0; j < a->ncols; j++)
        if (!a->col[j].readable)
            return false;
    return true;
}

/* A privilege is on a column, whatever it is called by now. Where names may have gone from one
 * column to another since the log was written, nothing is known of any: columns keep their order,
 * so then one of the stream's is missing or out of order. */
static bool may_be_exchanged(const struct wc_access_map *map, size_t n)
{
    int before = -1;
    for (size_t i = 0; i < n; i++) {
        if (map[i].col <= before)
            return true;
        before = map[i].col;
    }
    return false;
}

static void find_columns(const struct wc_access *a, const struct wc_rel *rel,
                         struct wc_access_map *map)
{
    for (uint16_t i = 0; i < rel->ncols; i++)
        map[i].col = find_column(a, rel->col[i].name);
    if (!reads_all(a) && may_be_exchanged(map, rel->ncols))
        for (uint16_t i = 0; i < rel->ncols; i++)
            map[i].col = -1;
}

/* False: the type is not known yet. */
static bool map_type(struct wc_types *types, struct wc_access *a, wc_oid type,
                     const struct wc_type **out)
{
    *out = wc_type_builtin(type);
    if (*out)
        return true;
    a->types_number = wc_types_number(types, a->used);
    return wc_types_find(types, type, a->types_since, a->used, out);
}

static bool map_columns(struct wc_types *types, struct wc_access *a, const struct wc_rel *rel)
{
    a->map = NULL;
    a->types_number = 0;
    wc_arena_reset(&a->map_arena);
    struct wc_access_map *map = wc_arena_calloc(&a->map_arena, rel->ncols + 1u, sizeof *map);
    bool known = map != NULL;
    if (map)
        find_columns(a, rel, map);
    for (uint16_t i = 0; map && i < rel->ncols; i++) {
        if (map[i].col >= 0 && a->col[map[i].col].readable)
            known &= map_type(types, a, rel->col[i].type, &map[i].type);
    }
    if (!known)
        return false;
    a->map = map;
    a->generation = rel->generation;
    return true;
}

static bool is_mapped(const struct wc_types *types, const struct wc_access *a,
                      const struct wc_rel *rel)
{
    return a->map && a->generation == rel->generation &&
           (a->types_number == 0 || a->types_number == wc_types_number(types, a->used));
}

bool wc_access_map(struct wc_types *types, struct wc_access *a, const struct wc_rel *rel)
{
    return is_mapped(types, a, rel) || map_columns(types, a, rel);
}

void wc_access_want_types(struct wc_types *types, const struct wc_access *a,
                          const struct wc_rel *rel)
{
    const struct wc_type *ignored;
    for (uint16_t i = 0; i < rel->ncols; i++)
        if (!wc_type_builtin(rel->col[i].type))
            (void)wc_types_find(types, rel->col[i].type, 0, a->used, &ignored);
}

#include "bridge/subs/copied.h"

static size_t row_bytes(const struct wc_row *row)
{
    size_t n = row->ncols * sizeof *row->col;
    for (uint16_t i = 0; i < row->ncols; i++)
        n += row->col[i].val.len + 1;
    return n;
}

size_t wc_copied_bytes(const struct wc_change *ch)
{
    return row_bytes(&ch->old) + row_bytes(&ch->new);
}

/* Columns go to *col, values to *at, and both move on. */
static struct wc_row copy_row(const struct wc_row *row, struct wc_col **col, uint8_t **at)
{
    struct wc_row copy = {.ncols = row->ncols, .col = *col};
    for (uint16_t i = 0; i < row->ncols; i++) {
        struct wc_slice val = row->col[i].val;
        **col = row->col[i];
        if (val.p) {
            memcpy(*at, val.p, val.len);
            (*at)[val.len] = '\0';
            (*col)->val.p = *at;
            *at += val.len + 1;
        }
        (*col)++;
    }
    return copy;
}

void wc_copied(struct wc_change *to, const struct wc_change *from, void *room)
{
    struct wc_col *col = room;
    uint8_t *at = (uint8_t *)(col + from->old.ncols + from->new.ncols);
    *to = *from;
    to->old = copy_row(&from->old, &col, &at);
    to->new = copy_row(&from->new, &col, &at);
    to->rel = wc_rel_ref(from->rel);
}

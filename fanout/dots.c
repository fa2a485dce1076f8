#include "fanout/dots.h"

#include <stdlib.h>
#include <string.h>

void wc_dots_release(struct wc_dots *d)
{
    free(d->range);
    *d = (struct wc_dots){0};
}

/* The first range that ends at or after this dot. */
static size_t search(const struct wc_dots *d, struct wc_dot dot)
{
    size_t low = 0, high = d->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct wc_dot_range *r = &d->range[mid];
        if (r->replica < dot.replica || (r->replica == dot.replica && r->last < dot.count))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool wc_dots_has(const struct wc_dots *d, struct wc_dot dot)
{
    size_t i = search(d, dot);
    return i < d->count && d->range[i].replica == dot.replica && d->range[i].first <= dot.count;
}

/* Room for n more ranges. */
static enum wc_status reserve(struct wc_dots *d, size_t n)
{
    if (d->cap - d->count >= n)
        return WC_OK;
    size_t cap = d->count + n > d->cap * 2 ? d->count + n : d->cap * 2;
    struct wc_dot_range *range = realloc(d->range, cap * sizeof *range);
    if (!range)
        return WC_NOMEM;
    d->range = range;
    d->cap = cap;
    return WC_OK;
}

static bool touches(const struct wc_dot_range *r, struct wc_dot_range add)
{
    return r->replica == add.replica &&
           r->first <= (add.last == UINT64_MAX ? UINT64_MAX : add.last + 1);
}

enum wc_status wc_dots_add(struct wc_dots *d, struct wc_dot_range add)
{
    /* From the range that could touch it on the left to the last that does. */
    size_t from = search(d, (struct wc_dot){add.replica, add.first ? add.first - 1 : 0});
    size_t to = from;
    while (to < d->count && touches(&d->range[to], add))
        to++;
    if (to == from && reserve(d, 1) != WC_OK)
        return WC_NOMEM;
    if (to > from) {
        if (d->range[from].first < add.first)
            add.first = d->range[from].first;
        if (d->range[to - 1].last > add.last)
            add.last = d->range[to - 1].last;
    }
    if (d->count > to)
        memmove(&d->range[from + 1], &d->range[to], (d->count - to) * sizeof add);
    d->range[from] = add;
    d->count = d->count + 1 - (to - from);
    return WC_OK;
}

enum wc_status wc_dots_merge(struct wc_dots *d, const struct wc_dots *from)
{
    enum wc_status st = reserve(d, from->count);
    for (size_t i = 0; st == WC_OK && i < from->count; i++)
        st = wc_dots_add(d, from->range[i]);
    return st;
}

uint64_t wc_dots_size(const struct wc_dots *d)
{
    uint64_t n = 0;
    for (size_t i = 0; i < d->count; i++) {
        uint64_t more = d->range[i].last - d->range[i].first;
        n = UINT64_MAX - n <= more ? UINT64_MAX : n + more + 1;
    }
    return n;
}

bool wc_dots_ok(const struct wc_dots *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct wc_dot_range *r = &d->range[i];
        if (r->first > r->last)
            return false;
        if (i && r[-1].replica > r->replica)
            return false;
        if (i && r[-1].replica == r->replica &&
            (r[-1].last >= r->first || r[-1].last + 1 == r->first))
            return false;
    }
    return d->count <= d->cap;
}

#include "bridge/rls/snapshot.h"

#include <stdlib.h>

struct wc_snapshot *wc_snapshot_parse(const char *text)
{
    size_t commas = 0;
    for (const char *p = text; *p; p++)
        commas += *p == ',';
    struct wc_snapshot *s = calloc(1, sizeof *s + (commas + 1) * sizeof s->xip[0]);
    if (!s)
        return NULL;
    s->refs = 1;
    char *end;
    s->xmin = strtoull(text, &end, 10);
    bool ok = *end == ':';
    if (ok)
        s->xmax = strtoull(end + 1, &end, 10);
    ok = ok && *end == ':' && s->xmax >= s->xmin;
    while (ok && end[0] && end[1]) {
        s->xip[s->nxip++] = strtoull(end + 1, &end, 10);
        ok = *end == ',' || *end == '\0';
    }
    if (ok)
        return s;
    free(s);
    return NULL;
}

struct wc_snapshot *wc_snapshot_ref(struct wc_snapshot *s)
{
    s->refs++;
    return s;
}

void wc_snapshot_unref(struct wc_snapshot *s)
{
    if (s && --s->refs == 0)
        free(s);
}

static int compare_xid(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool wc_snapshot_sees(const struct wc_snapshot *s, wc_xid xid)
{
    uint64_t wide = s->xmax + (uint64_t)(int64_t)(int32_t)(xid - (uint32_t)s->xmax);
    if (wide < s->xmin)
        return true;
    if (wide >= s->xmax)
        return false;
    return !bsearch(&wide, s->xip, s->nxip, sizeof s->xip[0], compare_xid);
}

#include "bridge/subs/announced.h"

static const wc_us DOUBTFUL_US = 600 * 1000000ll; /* longer than most DDL is open */

static size_t find(const struct wc_announced *a, wc_xid xid)
{
    size_t i = 0;
    while (i < a->count && a->xid[i] != xid)
        i++;
    return i;
}

static bool parse(struct wc_slice text, wc_xid *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || n > UINT32_MAX)
            return false;
        n = n * 10 + (uint64_t)(text.p[i] - '0');
    }
    *out = (wc_xid)n;
    return text.len > 0 && n <= UINT32_MAX;
}

void wc_announced_add(struct wc_announced *a, struct wc_slice text, wc_us now)
{
    wc_xid xid;
    if (!parse(text, &xid) || find(a, xid) < a->count)
        return;
    if (a->count < WC_ANNOUNCED) {
        a->xid[a->count++] = xid;
        return;
    }
    a->xid[a->next] = xid;
    a->next = (a->next + 1) % WC_ANNOUNCED;
    a->doubtful_until = now + DOUBTFUL_US;
}

bool wc_announced_has(const struct wc_announced *a, wc_xid xid, wc_us now)
{
    return (a->count && find(a, xid) < a->count) || now < a->doubtful_until;
}

void wc_announced_came(struct wc_announced *a, wc_xid xid)
{
    size_t i = find(a, xid);
    if (i == a->count)
        return;
    a->xid[i] = a->xid[--a->count];
    a->next = 0;
}

void wc_announced_forget(struct wc_announced *a)
{
    *a = (struct wc_announced){0};
}

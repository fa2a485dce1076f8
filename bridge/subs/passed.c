#include "bridge/subs/passed.h"

#include <string.h>

void wc_passed_forget(struct wc_passed *p)
{
    p->len = 0;
    p->count = 0;
}

void wc_passed_add(struct wc_passed *p, wc_xid xid)
{
    if (p->len == WC_PASSED)
        memmove(p->item, p->item + 1, --p->len * sizeof p->item[0]);
    p->item[p->len].xid = xid;
    p->item[p->len].describes = false;
    p->item[p->len++].number = p->count++;
}

void wc_passed_describes(struct wc_passed *p, wc_xid xid)
{
    if (p->len && p->item[p->len - 1].xid == xid)
        p->item[p->len - 1].describes = true; /* else a snapshot has seen it already */
}

bool wc_passed_awaits_description(const struct wc_passed *p)
{
    for (size_t i = 0; i < p->len; i++)
        if (p->item[i].describes)
            return true;
    return false;
}

uint64_t wc_passed_settle(struct wc_passed *p, const struct wc_snapshot *fence)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->len; i++)
        if (!wc_snapshot_sees(fence, p->item[i].xid))
            p->item[kept++] = p->item[i];
    p->len = kept;
    return kept ? p->item[0].number : p->count;
}

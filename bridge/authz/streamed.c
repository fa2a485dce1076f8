/* Transactions whose rows went to their rooms before a question came. */
#include "bridge/authz/authz_priv.h"

#include <inttypes.h>

void wc_authz_note_streamed(struct wc_authz *az, wc_xid xid)
{
    bool is_last =
        az->streamed > az->seen && az->stream[(az->streamed - 1) % WC_AUTHZ_STREAMED] == xid;
    if (!is_last)
        az->stream[az->streamed++ % WC_AUTHZ_STREAMED] = xid;
}

void wc_authz_forget_streamed(struct wc_authz *az)
{
    az->seen = az->streamed;
    WC_LIST_EACH (it, &az->all)
        WC_CONTAINER(it, struct wc_authz_question, all)->unseen = "{}";
}

void wc_authz_write_unseen(const struct wc_authz *az, struct wc_buf *out)
{
    uint64_t unseen = az->streamed - az->seen;
    uint64_t first = az->streamed - (unseen < WC_AUTHZ_STREAMED ? unseen : WC_AUTHZ_STREAMED);
    wc_buf_byte(out, '{');
    for (uint64_t i = first; i < az->streamed; i++)
        wc_buf_printf(out, "%s%" PRIu32, i == first ? "" : ",", az->stream[i % WC_AUTHZ_STREAMED]);
    wc_buf_byte(out, '}');
}

void wc_authz_see(const struct wc_authz_question *q)
{
    if (q->authz->seen < q->streamed)
        q->authz->seen = q->streamed;
}

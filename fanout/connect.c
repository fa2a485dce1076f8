#include "fanout/connect.h"

#include "fanout/quota.h"
#include "fanout/token.h"

#include <stdio.h>

/* `~> 1.0.0` and `~> 2.0.0`: any patch level. */
static bool parse_version(struct wc_slice vsn, enum wc_serializer *out)
{
    if (!vsn.p) {
        *out = WC_PHX_V1;
        return true;
    }
    if (vsn.len < 5 || vsn.len > 8 || (vsn.p[0] != '1' && vsn.p[0] != '2') ||
        memcmp(vsn.p + 1, ".0.", 3) != 0)
        return false;
    for (size_t i = 4; i < vsn.len; i++)
        if (vsn.p[i] < '0' || vsn.p[i] > '9')
            return false;
    *out = vsn.p[0] == '1' ? WC_PHX_V1 : WC_PHX_V2;
    return true;
}

struct wc_connect_result wc_connect_refusal(unsigned status, const char *text)
{
    struct wc_connect_result r = {.status = status};
    (void)snprintf(r.text, sizeof r.text, "%s", text); /* ours, and short */
    return r;
}

static struct wc_connect_result refuse_token(enum wc_jwt_result why,
                                             const struct wc_jwt_detail *detail)
{
    struct wc_connect_result r = {.status = wc_token_http_status(why)};
    struct wc_buf text;
    wc_buf_init(&text, sizeof r.text - 1); /* the longest, with a kid, fits */
    wc_token_connect_text(&text, why, detail);
    memcpy(r.text, text.p, text.len);
    wc_buf_release(&text);
    return r;
}

static const char *exceeded_limit(const struct wc_quota *q)
{
    if (wc_quota_is_full(q))
        return "Too many connected users";
    return wc_quota_is_triggered(q, WC_QUOTA_JOINS) ? "Too many joins per second" : NULL;
}

struct wc_connect_result wc_connect_check(const struct wc_directory *directory,
                                          const struct wc_connect_request *req, int64_t now)
{
    struct wc_connect_result r = {0};
    if (!parse_version(req->vsn, &r.serializer))
        return wc_connect_refusal(403, "");
    r.tenant = directory->find(directory->self, &req->address);
    if (!r.tenant)
        return wc_connect_refusal(404, "Tenant not found");
    if (r.tenant->is_suspended) {
        wc_tenant_view_unref(r.tenant);
        return wc_connect_refusal(403, "Realtime was disabled for this tenant");
    }
    if (!req->key.p) {
        wc_tenant_view_unref(r.tenant);
        return wc_connect_refusal(401, "API key is missing");
    }
    struct wc_jwt_detail detail;
    enum wc_jwt_result verdict = wc_jwt_verify(r.tenant->keys, req->key, now, &r.claims, &detail);
    const char *exceeded = verdict == WC_JWT_OK ? exceeded_limit(r.tenant->quota) : NULL;
    if (verdict == WC_JWT_OK && !exceeded)
        return r;
    wc_tenant_view_unref(r.tenant);
    if (exceeded) {
        wc_claims_unref(r.claims);
        return wc_connect_refusal(429, exceeded);
    }
    return refuse_token(verdict, &detail);
}

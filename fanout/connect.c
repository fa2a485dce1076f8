#include "fanout/connect.h"

#include "fanout/quota.h"
#include "fanout/token.h"

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

static struct wc_connect_result refusal(unsigned status, const char *text)
{
    return (struct wc_connect_result){.status = status, .text = text};
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
        return refusal(403, NULL);
    r.tenant = directory->find(directory->self, req->host);
    if (!r.tenant)
        return refusal(404, "Tenant not found");
    if (!req->key.p) {
        wc_tenant_view_unref(r.tenant);
        return refusal(401, "API key is missing");
    }
    enum wc_jwt_result verdict = wc_jwt_verify(r.tenant->keys, req->key, now, &r.claims, NULL);
    const char *exceeded = verdict == WC_JWT_OK ? exceeded_limit(r.tenant->quota) : NULL;
    if (verdict == WC_JWT_OK && !exceeded)
        return r;
    wc_tenant_view_unref(r.tenant);
    if (exceeded) {
        wc_claims_unref(r.claims);
        return refusal(429, exceeded);
    }
    const struct wc_token_refusal *why = wc_token_refusal(verdict);
    return refusal(why->http_status, why->connect_text);
}

struct wc_slice wc_host_without_port(struct wc_slice host)
{
    size_t end = 0; /* of a bracketed address, whose colons are not the port's */
    if (host.len && host.p[0] == '[')
        while (end < host.len && host.p[end] != ']')
            end++;
    for (size_t i = end; i < host.len; i++)
        if (host.p[i] == ':')
            return wc_slice(host.p, i);
    return host;
}

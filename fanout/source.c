#include "fanout/source.h"

#include <stdlib.h>

void wc_subscribe_free(struct wc_subscribe *s)
{
    if (!s)
        return;
    wc_tenant_view_unref(s->tenant);
    wc_claims_unref(s->claims);
    free(s);
}

static struct wc_slice moved(const struct wc_subscribe *from, struct wc_subscribe *to,
                             struct wc_slice s)
{
    return wc_slice((uint8_t *)to + (s.p - (const uint8_t *)from), s.len);
}

static struct wc_slice put(uint8_t **at, struct wc_slice s)
{
    struct wc_slice copy = wc_slice(*at, s.len);
    if (s.len)
        memcpy(*at, s.p, s.len);
    *at += s.len;
    return copy;
}

struct wc_authorize *wc_authorize_new(const struct wc_authorize *from)
{
    struct wc_authorize *a = malloc(sizeof *a + from->topic.len + from->headers.len);
    if (!a)
        return NULL;
    uint8_t *at = (uint8_t *)(a + 1);
    *a = *from;
    a->tenant = wc_tenant_view_ref(from->tenant);
    a->claims = wc_claims_ref(from->claims);
    a->topic = put(&at, from->topic);
    a->headers = put(&at, from->headers);
    return a;
}

void wc_authorize_free(struct wc_authorize *a)
{
    if (!a)
        return;
    wc_tenant_view_unref(a->tenant);
    wc_claims_unref(a->claims);
    free(a);
}

struct wc_subscribe *wc_subscribe_copy(const struct wc_subscribe *from, struct wc_handle handle,
                                       struct wc_tenant_view *tenant, struct wc_claims *claims)
{
    struct wc_subscribe *to = malloc(from->size);
    if (!to)
        return NULL;
    memcpy(to, from, from->size);
    to->handle = handle;
    to->tenant = wc_tenant_view_ref(tenant);
    to->claims = wc_claims_ref(claims);
    to->topic = moved(from, to, from->topic);
    for (uint32_t i = 0; i < from->nbindings; i++)
        to->binding[i].json = moved(from, to, from->binding[i].json);
    return to;
}

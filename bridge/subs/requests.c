/*
 * The requests that members stand for, made again from what their audiences keep of them.
 */
#include "bridge/subs/subs_priv.h"

#include <stdlib.h>

static struct wc_slice copy_to(uint8_t **at, struct wc_slice text)
{
    struct wc_slice copy = wc_slice(*at, text.len);
    if (text.len)
        memcpy(*at, text.p, text.len);
    *at += text.len;
    return copy;
}

static struct wc_subscribe *request_of(const struct wc_member *m, struct wc_tenant_view *tenant)
{
    const struct wc_audience *a = m->audience;
    size_t size = sizeof(struct wc_subscribe) + a->nbindings * sizeof(struct wc_binding_request);
    size_t fixed = size;
    size += a->topic.len;
    for (uint32_t i = 0; i < a->nbindings; i++)
        size += a->binding[i].json.len;
    struct wc_subscribe *r = calloc(1, size);
    if (!r)
        return NULL;
    uint8_t *at = (uint8_t *)r + fixed;
    r->size = size;
    r->handle = m->handle;
    r->session = a->lane; /* fair to others as before */
    r->serializer = m->serializer;
    r->tenant = wc_tenant_view_ref(tenant);
    r->claims = wc_claims_ref(a->claims);
    r->topic = copy_to(&at, a->topic);
    r->is_legacy = a->is_legacy;
    r->nbindings = a->nbindings;
    for (uint32_t i = 0; i < a->nbindings; i++) {
        r->binding[i].id = a->binding[i].id;
        r->binding[i].json = copy_to(&at, a->binding[i].json);
    }
    return r;
}

struct wc_subs_requests wc_subs_requests(const struct wc_subs *s, struct wc_tenant_view *tenant)
{
    struct wc_subs_requests all = {.count = 0};
    all.request = calloc(s->members.count + 1, sizeof(struct wc_subscribe *));
    for (struct wc_map_node *n = wc_map_each(&s->members, NULL); n && all.request;
         n = wc_map_each(&s->members, n)) {
        const struct wc_member *m = WC_CONTAINER(n, struct wc_member, node);
        all.request[all.count] = request_of(m->heir ? m->heir : m, tenant);
        all.count += all.request[all.count] != NULL;
    }
    all.is_complete = all.count == s->members.count;
    return all;
}

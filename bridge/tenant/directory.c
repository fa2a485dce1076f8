#include "bridge/tenant/directory.h"

static struct wc_tenant_view *find(void *self, const struct wc_tenant_address *at)
{
    const struct wc_tenant_directory *d = self;
    struct wc_slice host = at->host;
    const uint8_t *dot = host.len ? memchr(host.p, '.', host.len) : NULL;
    if (dot)
        host.len = (size_t)(dot - host.p);
    if (d->strict && !wc_slice_is(host, wc_tenant_name(d->only)))
        return NULL;
    return wc_tenant_view_ref(wc_tenant_view(d->only));
}

struct wc_directory wc_tenant_directory(struct wc_tenant_directory *d)
{
    return (struct wc_directory){.self = d, .find = find};
}

#include "bridge/tenant/directory.h"

#include "fanout/whose.h"

static struct wc_tenant_view *find(void *self, const struct wc_tenant_address *at)
{
    const struct wc_tenant_directory *d = self;
    struct wc_slice name = at->name.p ? at->name : wc_host_label(at->host);
    if ((at->name.p || d->strict) && !wc_slice_is(name, wc_tenant_name(d->only)))
        return NULL;
    return wc_tenant_view_ref(wc_tenant_view(d->only));
}

struct wc_directory wc_tenant_directory(struct wc_tenant_directory *d)
{
    return (struct wc_directory){.self = d, .find = find};
}

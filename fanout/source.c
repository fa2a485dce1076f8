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

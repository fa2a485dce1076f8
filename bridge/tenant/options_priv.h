/* Copies of a tenant's options, whose strings are owned and wiped. Pure. */
#ifndef WC_BRIDGE_TENANT_OPTIONS_PRIV_H
#define WC_BRIDGE_TENANT_OPTIONS_PRIV_H

#include "bridge/tenant/tenant.h"

/* All but the keys. False when out of memory: to be released all the same. */
WC_MUST_USE
bool wc_tenant_options_copy(struct wc_tenant_options *to, const struct wc_tenant_options *from);
void wc_tenant_options_release(struct wc_tenant_options *); /* a copy, or zeroed */

#endif

/*
 * What a record of the control store means for a tenant.
 *
 * TLS towards its database: where the defaults name an sslmode, that counts for all. Otherwise
 * `ssl_enforced` means verify-full when the defaults name certificates of an authority, require
 * when not; without it there is none. Pure. Source: protocol reference sections 10.2 and 13.
 */
#ifndef WC_BRIDGE_TENANT_MAPPING_PRIV_H
#define WC_BRIDGE_TENANT_MAPPING_PRIV_H

#include "bridge/store/record.h"
#include "bridge/tenant/tenant.h"

/* Slices and strings are borrowed from both; out->keys is NULL. */
void wc_tenant_map_record(const struct wc_record *, const struct wc_tenant_options *defaults,
                          struct wc_tenant_options *out);

#endif

/*
 * What a record of the control store means for a tenant.
 *
 * TLS towards its database: where the defaults name an sslmode, that counts for all. Otherwise
 * `ssl_enforced` means verify-full when the defaults name certificates of an authority, require
 * when not; without it there is none. A pool larger than ours can be is as large as that. Pure.
 * Source: protocol reference sections 10.2 and 13.
 */
#ifndef WC_BRIDGE_TENANT_MAPPING_PRIV_H
#define WC_BRIDGE_TENANT_MAPPING_PRIV_H

#include "bridge/store/record.h"
#include "bridge/tenant/tenant.h"

enum { WC_SLOT_NAME = 64 }; /* Postgres' NAMEDATALEN; as in registry.h */

/* Strings are borrowed from the records and `slot`; out->keys is NULL. The name of a permanent slot
 * ends with the suffix, unless that is empty. */
void wc_tenant_map_record(const struct wc_record *, const struct wc_tenant_options *defaults,
                          const char *slot_suffix, char slot[WC_SLOT_NAME],
                          struct wc_tenant_options *out);

#endif

/*
 * Which tenant a request belongs to. Environment mode: the one tenant, which answers to its name,
 * and where none is given to any host, or (strict) only to one whose first label is its name.
 * Threads: find: any. Source: protocol reference section 1.1; design section 7, "Modes".
 */
#ifndef WC_BRIDGE_TENANT_DIRECTORY_H
#define WC_BRIDGE_TENANT_DIRECTORY_H

#include "bridge/tenant/tenant.h"

struct wc_tenant_directory {
    struct wc_tenant *only;
    bool strict;
};

struct wc_directory wc_tenant_directory(struct wc_tenant_directory *); /* borrows */

#endif

/*
 * A tenant as the API shows it: no secret in clear, and `db_password` not at all. Threads: pure.
 * Source: protocol reference, section 10.2.
 */
#ifndef WC_BRIDGE_OPS_RENDER_H
#define WC_BRIDGE_OPS_RENDER_H

#include "bridge/store/record.h"

/* Appends the JSON object. The settings of its extension are those of the store: secrets are
 * encrypted in there. */
void wc_render_tenant(struct wc_buf *, const struct wc_record *);

#endif

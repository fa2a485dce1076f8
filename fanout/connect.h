/*
 * May this request open a WebSocket? The checks of a connection attempt, in the order of the
 * protocol reference, section 1.3: vsn, tenant, key, limits. Refusals are immediate; the
 * incumbent's delay is not part of the contract. Ownership: an accepted result holds references.
 * Threads: any. Source: sections 1.1 to 1.3.
 */
#ifndef WC_FANOUT_CONNECT_H
#define WC_FANOUT_CONNECT_H

#include "fanout/source.h"

struct wc_connect_request {
    struct wc_tenant_address address;
    struct wc_slice vsn; /* empty p: absent */
    struct wc_slice key; /* of the header, else the parameter; p NULL: absent */
};

struct wc_connect_result {
    unsigned status; /* 0: accepted */
    char text[256];  /* of the refusal; empty: no body */
    enum wc_serializer serializer;
    struct wc_tenant_view *tenant;
    struct wc_claims *claims;
};

/* `now` in Unix seconds. */
struct wc_connect_result wc_connect_check(const struct wc_directory *,
                                          const struct wc_connect_request *, int64_t now);

/* text: shorter than wc_connect_result.text. */
struct wc_connect_result wc_connect_refusal(unsigned status, const char *text);

#endif

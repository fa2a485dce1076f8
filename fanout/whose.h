/*
 * Whose a request is. Its tenant is named by the first of these that is there:
 *
 *   the path       /t/NAME/socket/websocket, /t/NAME/realtime/v1/..., /t/NAME/api/...
 *   a header       x-tenant-id: NAME
 *   the host       NAME.example.com: its first label, where nothing else names one
 *
 * A name has 1 to 255 bytes and no control characters. One that does not is nobody's, and the host
 * is not asked then: whoever names a tenant means no other.
 * Ownership: borrows. Threads: pure. Source: protocol reference, section 1.1, which has the host
 * alone; it is what makes a server on localhost hard to reach.
 */
#ifndef WC_FANOUT_WHOSE_H
#define WC_FANOUT_WHOSE_H

#include "fanout/source.h"

struct wc_whose {
    struct wc_tenant_address address; /* name: empty when it is nobody's */
    struct wc_slice path;             /* behind the prefix */
    bool is_by_path;
};

/* Host and x-tenant-id as they came; p NULL: absent. The path is decoded. */
struct wc_whose wc_whose(struct wc_slice path, struct wc_slice host, struct wc_slice header);

/* "example.com:4000" without the port, "[::1]:4000" too. */
struct wc_slice wc_host_without_port(struct wc_slice host);
/* "a" of "a.b.c"; all of a host without a dot. */
struct wc_slice wc_host_label(struct wc_slice host);

#endif

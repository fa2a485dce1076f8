/*
 * From a request for the WebSocket path to a session, or to the response that says what is wrong.
 * The guard is asked first, then the origin, then tenant and token (connect.h), and last whether
 * the request is an upgrade as RFC 6455 has it: libwebsockets would hang up on one that is not
 * without a word. One of the homes of libwebsockets; its types appear by forward declaration only.
 *
 * Ownership: borrows everything. Threads: the socket thread's. Errors: a request without a session
 * has its response; the caller closes the connection.
 * Source: RFC 6455, section 4.2; protocol reference, section 1.
 */
#ifndef WC_FANOUT_UPGRADE_H
#define WC_FANOUT_UPGRADE_H

#include "fanout/guard.h"
#include "fanout/hub.h"

struct lws;

/* Who may try to connect; everything is borrowed. */
struct wc_upgrade_gate {
    struct wc_guard *guard;
    const struct wc_networks *trusted_proxies;
    const char *allowed_origins; /* origin.h */
    const char *request_headers; /* names of those that policies may see; headers.h */
};

struct wc_upgrade {
    struct wc_upgrade_gate gate;
    struct wc_directory directory;
    struct wc_hub *hub; /* its arena: scratch, the caller resets it */
    struct wc_log_limit refused_log, guard_log;
};

bool wc_upgrade_is_for(struct wc_slice path);

/* A request that wants to upgrade `to` something. Returns its session, not open yet; when that is
 * freed, wc_guard_leave is due if it is watched. NULL: refused. */
struct wc_session *wc_upgrade_confirm(struct wc_upgrade *, struct lws *, const char *to);
/* A request for the path with this problem: refused for it, if for nothing before it. */
void wc_upgrade_refuse(struct wc_upgrade *, struct lws *, const char *method, const char *problem);

#endif

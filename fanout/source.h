/*
 * What fanout asks of the layer above it. fanout declares these small interfaces, bridge implements
 * them, app.c connects the two; fanout never includes bridge.
 */
#ifndef WC_FANOUT_SOURCE_H
#define WC_FANOUT_SOURCE_H

#include "auth/jwt.h"
#include "fanout/msg.h"

/* What a tenant may use (protocol reference, section 9); 0: no such limit. */
struct wc_tenant_limits {
    uint32_t max_concurrent_users; /* connections that have joined a channel */
    uint32_t max_channels_per_client;
    uint32_t max_joins_per_second;
    uint32_t max_events_per_second;
    uint32_t max_presence_events_per_second;
};

struct wc_quota;

/* What a socket thread knows of a tenant: an immutable snapshot, reference counted, any thread. */
struct wc_tenant_view {
    _Atomic uint32_t refs;
    uint64_t id; /* number in this process, never used again */
    const char *external_id;
    const struct wc_keyset *keys;
    struct wc_quota *quota;                /* its counters and limits, shared by all its views */
    uint32_t max_payload_kb;               /* of one broadcast */
    void (*free)(struct wc_tenant_view *); /* called at the last unref */
    void *owner;                           /* the implementer's */
};

static inline struct wc_tenant_view *wc_tenant_view_ref(struct wc_tenant_view *t)
{
    (void)atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

static inline void wc_tenant_view_unref(struct wc_tenant_view *t)
{
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
        t->free(t);
}

struct wc_directory {
    void *self;
    /* The tenant a request's Host header (port removed) belongs to: a new reference, or NULL when
     * there is none. Any socket thread; does not block. */
    struct wc_tenant_view *(*find)(void *self, struct wc_slice host);
};

/* One channel's request for changes. One allocation; slices point into it. */
struct wc_subscribe {
    size_t size; /* of the allocation */
    struct wc_handle handle;
    uint64_t session; /* the same for requests of one connection; to be fair to the others */
    enum wc_serializer serializer;
    struct wc_tenant_view *tenant; /* a reference */
    struct wc_claims *claims;      /* a reference */
    struct wc_slice topic;         /* full, "realtime:room" */
    bool is_legacy;                /* changes come as event = type, payload = data */
    uint32_t nbindings;
    struct wc_binding_request {
        uint32_t id; /* as in the join reply */
        struct wc_slice
            json; /* the client's binding object: event, schema, table, filter, select */
    } binding[];
};

/* Drops its references; NULL is fine. */
void wc_subscribe_free(struct wc_subscribe *);
/* A request of its own with the same topic and bindings, for this handle; shares tenant and claims.
 * NULL when out of memory. */
struct wc_subscribe *wc_subscribe_copy(const struct wc_subscribe *, struct wc_handle,
                                       struct wc_tenant_view *, struct wc_claims *);

struct wc_change_source {
    void *self;
    /* Takes the request on OK. The answer comes back as a verdict message, then direct or audience
     * messages. With a handle that has a subscription: the new request takes its place when it
     * stands, and both end when it is refused. AGAIN: too many requests wait; LIMIT, NOMEM. Any
     * socket thread; does not block. */
    enum wc_status (*subscribe)(void *self, struct wc_subscribe *);
    /* Ends what an accepted subscribe began; never refused. Messages already under way are skipped
     * by generation. Any socket thread; does not block. */
    void (*unsubscribe)(void *self, struct wc_tenant_view *, struct wc_handle);
};

#endif

/*
 * What fanout asks of the layer above it. fanout declares these small interfaces, bridge implements
 * them, bridge/parts.c connects the two; fanout never includes bridge.
 */
#ifndef WC_FANOUT_SOURCE_H
#define WC_FANOUT_SOURCE_H

#include "auth/jwt.h"
#include "fanout/msg.h"

/* What a tenant may use (protocol reference, section 9), and what else of it may change while its
 * clients stay. */
struct wc_tenant_limits {
    /* 0: no such limit */
    uint32_t max_concurrent_users; /* connections that have joined a channel */
    uint32_t max_channels_per_client;
    uint32_t max_joins_per_second;
    uint32_t max_events_per_second;
    uint32_t max_presence_events_per_second;
    uint32_t max_payload_kb;     /* of one broadcast or presence, in 1,000 bytes; never 0 */
    uint32_t presence_max_calls; /* of one channel in one window; 0: the server's own */
    uint32_t presence_window_ms; /* likewise */
    bool presence_enabled;       /* for channels that do not ask for it, too */
};

struct wc_quota;

/* What a socket thread knows of a tenant: an immutable snapshot, reference counted, any thread. */
struct wc_tenant_view {
    _Atomic uint32_t refs;
    uint64_t id; /* number in this process, never used again */
    const char *external_id;
    const struct wc_keyset *keys;
    struct wc_quota *quota;                /* its counters and limits */
    bool is_suspended;                     /* nobody may connect, join or send */
    bool private_only;                     /* channels that are not private are refused */
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

/* How a request says whose it is. */
struct wc_tenant_address {
    struct wc_slice host; /* the Host header, port removed */
    struct wc_slice name; /* by a header or in the path (whose.h), which come before the host; p
                             NULL: not */
};

struct wc_directory {
    void *self;
    /* The tenant a request belongs to, suspended or not: a new reference, or NULL when there is
     * none. Any socket thread; does not block. */
    struct wc_tenant_view *(*find)(void *self, const struct wc_tenant_address *);
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

/* What a role may do in a private room, as the policies of realtime.messages have it (protocol
 * reference, section 8.2). */
enum wc_permission {
    WC_MAY_READ_BROADCAST = 1,
    WC_MAY_READ_PRESENCE = 2,
    WC_MAY_WRITE_BROADCAST = 4,
    WC_MAY_WRITE_PRESENCE = 8,
    WC_MAY_READ = WC_MAY_READ_BROADCAST | WC_MAY_READ_PRESENCE,
    WC_MAY_WRITE = WC_MAY_WRITE_BROADCAST | WC_MAY_WRITE_PRESENCE,
    WC_MAY_ALL = WC_MAY_READ | WC_MAY_WRITE,
};

/* Why the question has no answer; nothing is permitted then. */
enum wc_authorize_error {
    WC_AUTHORIZE_OK,
    WC_AUTHORIZE_POLICY,       /* a policy raised, or the role does not exist */
    WC_AUTHORIZE_CANCELED,     /* 57014 */
    WC_AUTHORIZE_NO_PARTITION, /* 23514 of realtime.messages */
    WC_AUTHORIZE_POOL,         /* no connection became free in time */
    WC_AUTHORIZE_UNAVAILABLE,  /* no connection to the database */
    WC_AUTHORIZE_CONNECTIONS,  /* the database has too few free connections */
    WC_AUTHORIZE_CONNECT_RATE, /* too many connection attempts have failed lately */
    WC_AUTHORIZE_REPLAY,       /* permitted, but what was to be replayed could not be read */
};

/* A question of a channel, or of an HTTP call (call.h). One allocation; slices point into it. */
struct wc_authorize {
    struct wc_handle handle;
    uint32_t question;             /* the asker's number for it; comes back with the answer */
    bool is_call;                  /* the handle is a call's */
    struct wc_tenant_view *tenant; /* a reference */
    struct wc_claims *claims;      /* a reference */
    struct wc_slice topic;         /* without "realtime:" */
    struct wc_slice headers;       /* of the request, a JSON object */
    unsigned ask;                  /* of enum wc_permission */
    bool wants_replay;             /* when broadcasts may be read */
    int64_t replay_since_ms;       /* Unix time */
    uint32_t replay_limit;         /* 1 to 25 */
};

/* Copies the slices; takes new references. NULL when out of memory. */
struct wc_authorize *wc_authorize_new(const struct wc_authorize *);
void wc_authorize_free(struct wc_authorize *); /* NULL is fine */

struct wc_source {
    void *self;
    /* Takes the question on OK. The answer comes back as a permissions message, once, within 15 s.
     * AGAIN: too many wait; NOMEM. Any socket thread; does not block. */
    enum wc_status (*authorize)(void *self, struct wc_authorize *);
    /* A client joins: the tenant's database is wanted. Cheap when it is open. Any socket thread. */
    void (*touch)(void *self, struct wc_tenant_view *);
    /* Do broadcasts of the tenant's database reach us now? Any socket thread; does not block. */
    bool (*is_replicating)(void *self, struct wc_tenant_view *);
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

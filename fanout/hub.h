/*
 * Everything one socket thread owns above its sockets: sessions, channels, the groups they are in,
 * the delivery of what comes through the rings, and the publisher for what goes into them. ws.c
 * runs it: it calls in with connections, client messages and ring messages, and writes the queues
 * of the sessions on the dirty list. Threads: one owner. Errors: NULL when out of memory.
 */
#ifndef WC_FANOUT_HUB_H
#define WC_FANOUT_HUB_H

#include "base/arena.h"
#include "base/log.h"
#include "base/thread.h"
#include "fanout/call_table.h"
#include "fanout/channel.h"
#include "fanout/intake.h"
#include "fanout/publish.h"
#include "fanout/quota.h"
#include "fanout/room.h"
#include "fanout/roster.h"
#include "fanout/session.h"
#include "fanout/share.h"

struct wc_hub_options {
    unsigned thread;
    struct wc_source source;
    struct wc_mesh *mesh;   /* borrowed, as are the rooms */
    struct wc_rooms *rooms; /* of the whole node */
    size_t max_queued_bytes;
    uint32_t pace_bytes_per_second;
    wc_us idle_timeout, no_channel_timeout;
    struct wc_presence_options presence;
};

struct wc_hub {
    struct wc_hub_options opt; /* const */
    struct wc_thread_owner owner;
    wc_us now; /* set by the loop at the start of each turn and callback */

    struct wc_list sessions; /* OPEN, least recently heard of first */
    struct wc_list closing;  /* CLOSING, through by_activity */
    struct wc_list dirty;
    struct wc_list holding;
    struct wc_list waiting;      /* channels, through wc_wait.in_hub */
    struct wc_list unready;      /* channels, through wc_unready.in_hub */
    wc_us ready_at;              /* when they are looked at */
    struct wc_list paused;       /* not read until the publisher has drained and less is kept */
    wc_us patience, patience_at; /* "Pacing" in session.h; until when it is reckoned */
    struct wc_channels channels;
    struct wc_groups groups[WC_GROUP_KINDS];
    struct wc_publisher *publisher; /* as a producer of the mesh */
    unsigned producer;              /* its index there, and in the tenants' quotas */
    struct wc_aside aside;          /* messages of tenants that hold back */
    bool is_restarting;             /* joins are refused: the server is on its way down */
    struct wc_presence_home *presence_home;
    struct wc_msg_queue leaves; /* ends of presences that could not be published yet */

    struct wc_slab session_slab, held_slab;
    struct wc_arena arena; /* of the client message being handled */
    struct wc_intake intake;
    struct wc_roster roster; /* who is whose */
    struct wc_calls *calls;  /* HTTP requests that wait for their answer */
    uint64_t next_serial;
    struct wc_log_limit malformed_log, refused_log; /* of messages, of joins */
    struct wc_log_limit dropped_log, rate_log;      /* of broadcasts */
    struct wc_log_limit presence_log, permit_log;
};

struct wc_hub *wc_hub_new(const struct wc_hub_options *);
void wc_hub_free(struct wc_hub *); /* every session is freed before */

/* A message from the rings; borrowed, but one of kind presence or
 * permissions is shared. Returns how many of its
 * pairs (msg.h) are accounted for. */
uint32_t wc_hub_deliver(struct wc_hub *, struct wc_msg *);

/* How long connections hold back what comes from bridges; 0: nobody does. */
wc_us wc_hub_hold_time(struct wc_hub *);
wc_us wc_hub_hold_time_of(struct wc_hub *, uint64_t tenant); /* those of one, by its number */

/* Counts into the tenant's quota. */
static inline void wc_hub_count(const struct wc_hub *hub, const struct wc_tenant_view *tenant,
                                enum wc_quota_kind kind, uint64_t n)
{
    wc_quota_count(tenant->quota, hub->producer, kind, n);
}

/* Counts for the tenant (tenant_metrics.def). */
static inline void wc_hub_tally(const struct wc_hub *hub, const struct wc_tenant_view *tenant,
                                enum wc_tenant_metric what, int64_t n)
{
    wc_tenant_metric_add(wc_quota_metrics(tenant->quota), hub->producer, what, n);
}

static inline void wc_hub_observe(const struct wc_hub *hub, const struct wc_tenant_view *tenant,
                                  enum wc_tenant_histogram what, uint64_t value)
{
    wc_tenant_metric_observe(wc_quota_metrics(tenant->quota), hub->producer, what, value);
}

/* Counts an error by its code, or by what stands before the colon of "Code: text". */
static inline void wc_hub_count_error(const struct wc_hub *hub, const struct wc_tenant_view *tenant,
                                      struct wc_slice code)
{
    wc_tenant_metric_error(wc_quota_metrics(tenant->quota), hub->producer, code);
}

/* About once a second: ends channels whose token has expired (`wall_s` in Unix seconds). */
void wc_hub_expire(struct wc_hub *, int64_t wall_s);

/* ---- channels, for route.c, join.c and session.c ---- */

/* Into its room, so that what is sent there reaches it. NOMEM: it is in none. */
WC_MUST_USE
enum wc_status wc_hub_enter_room(struct wc_hub *, struct wc_channel *, bool is_private);

/* Leaves everything, without telling the client. */
void wc_hub_end_channel(struct wc_hub *, struct wc_channel *);
/* The server ends a channel: an error `system` message with this text, then phx_close (section
 * 3.7). The channel is gone afterwards; its session may be closing, too. */
void wc_hub_shut_channel(struct wc_hub *, struct wc_channel *, struct wc_slice text);

/* Answers a push on a joined channel. */
void wc_channel_reply(struct wc_channel *, struct wc_slice ref, bool ok,
                      struct wc_slice response_json);
/* The join's join_ref, or its ref when it had none; what V2 puts on a channel's own messages. */
struct wc_slice wc_channel_join_ref(const struct wc_channel *);
void wc_channel_push_close(struct wc_channel *);
struct wc_frame *wc_channel_close_frame(const struct wc_channel *); /* owned; NULL: no memory */
/* "Server requested disconnect"; nothing to one whose join is not answered yet. */
void wc_channel_push_disconnect(struct wc_channel *);
void wc_channel_push_system(struct wc_channel *, const char *extension, bool ok,
                            struct wc_slice message);

#endif

/*
 * One tenant: its database's stream and its subscriptions, tied together on a bridge thread.
 *
 *   new ─→ given to a bridge ─(its thread)→ open ⇄ closed ─(last reference of the view)→ freed
 *
 * Confirmation: with a temporary slot a position is confirmed once everything before it was handed
 * to the rings; with a permanent one only when the socket threads have popped it.
 * A permanent slot that existed before this process waits until `resume_grace_ms` after the first
 * channel's bindings stand.
 *
 * Without a database (pg.host empty) it cannot be opened.
 * Ownership: the references of its view own it; while it is open its bridge holds one. Copies its
 * options. Threads: as named at each function.
 */
#ifndef WC_BRIDGE_TENANT_TENANT_H
#define WC_BRIDGE_TENANT_TENANT_H

#include "bridge/pg/pg.h"
#include "bridge/repl/repl.h"
#include "bridge/subs/report.h"
#include "bridge/subs/subs.h"
#include "fanout/quota.h"
#include "fanout/source.h"

struct wc_tenant_options {
    const char *external_id;
    struct wc_keyset *keys; /* wc_tenant_new takes it, also when it fails */
    struct wc_pg_options pg;
    struct wc_judge_options judge; /* pg: only user and password; `tenant` is set by us */
    bool no_compiling;             /* of policies, see bridge/rls/access.h */
    uint32_t shadow_permille;      /* as in subs.h */
    enum wc_deletes deletes;       /* likewise */
    const char *slot_name;         /* empty: a temporary slot */
    const char *publications;
    const char *messages_publication; /* of realtime.messages; empty: none */
    bool auto_migrate;                /* else only partitions are kept (upkeep.h) */
    uint32_t freshness_ms, resume_grace_ms, status_interval_ms;
    uint32_t max_bindings;
    size_t max_record_bytes;
    uint32_t pool;      /* connections for questions about private rooms */
    unsigned producers; /* threads that count into its quota: those of the mesh */
    struct wc_tenant_limits limits;
    bool is_suspended, private_only;
    bool always_open;       /* open from the start, not from the first join */
    uint32_t idle_close_ms; /* otherwise: closed when nobody has used it for so long */
};

struct wc_bridge;
struct wc_tenant;

/* Where it lives; all borrowed while it is open, and `wake` until it is freed. */
struct wc_tenant_home {
    struct uv_loop_s *loop;
    struct wc_publisher *publisher;
    unsigned sockets;        /* threads */
    uint32_t ring_entries;   /* of which it may use a half */
    void (*wake)(void *arg); /* any thread: wc_tenant_resume may go on */
    void *arg;
};

/* `number` names the tenant in this process and is never used again. Any thread. Returns owned, as
 * the one reference of its view; NULL when out of memory. */
struct wc_tenant *wc_tenant_new(const struct wc_tenant_options *, uint64_t number);

void wc_tenant_set_limits(struct wc_tenant *, const struct wc_tenant_limits *); /* any thread */

/* What socket threads hold of it. Any thread. */
struct wc_tenant_view *wc_tenant_view(struct wc_tenant *);
const char *wc_tenant_name(const struct wc_tenant *);
const struct wc_tenant_options *wc_tenant_options(const struct wc_tenant *); /* keys: NULL */
bool wc_tenant_has_database(const struct wc_tenant *);
bool wc_tenant_is_open(struct wc_tenant *); /* any thread */

/* The bridge thread's: */
WC_MUST_USE
enum wc_status wc_tenant_open(struct wc_tenant *, const struct wc_tenant_home *);
void wc_tenant_end_stream(struct wc_tenant *); /* for good; what was popped is confirmed */
void wc_tenant_close(struct wc_tenant *);
bool wc_tenant_is_quiet(struct wc_tenant *); /* nothing of it is under way to the socket threads */
void wc_tenant_tick(struct wc_tenant *);     /* of an open one, ten times a second */
void wc_tenant_resume(struct wc_tenant *);   /* the rings have room again */
/* Takes no more changes from the stream. Drained: all that it took has been popped by the socket
 * threads, and is confirmed when the tenant closes. */
void wc_tenant_drain(struct wc_tenant *);
bool wc_tenant_is_drained(struct wc_tenant *);
struct wc_subs *wc_tenant_subs(struct wc_tenant *);
/* Takes the question; it is answered with a permissions message, also when the tenant is closed. */
void wc_tenant_authorize(struct wc_tenant *, struct wc_publisher *, struct wc_authorize *);

/* Its stream stands and brings the broadcasts of its database. Any thread. */
bool wc_tenant_is_replicating(const struct wc_tenant *);
/* A copy at most 100 ms old. Any thread. */
void wc_tenant_status(struct wc_tenant *, struct wc_repl_status *out);
/* By whom its rows are judged, at most about a second old; of one that is not open nothing is told.
 * `fn` is called under a lock, and has to be brief. Any thread. */
void wc_tenant_report(struct wc_tenant *, void (*fn)(void *arg, const struct wc_report *),
                      void *arg);

void wc_tenant_set_bridge(struct wc_tenant *, struct wc_bridge *); /* before others know of it */
struct wc_bridge *wc_tenant_bridge(const struct wc_tenant *);      /* any thread */

#endif

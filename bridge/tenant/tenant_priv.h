/*
 * A tenant, shared by tenant.c (its life, and who knows of it) and stream.c (what comes of its
 * database's stream, and what of it may be confirmed). Threads: as in tenant.h.
 */
#ifndef WC_BRIDGE_TENANT_TENANT_PRIV_H
#define WC_BRIDGE_TENANT_TENANT_PRIV_H

#include "bridge/authz/authz.h"
#include "bridge/messages/messages.h"
#include "bridge/migrate/upkeep.h"
#include "bridge/tenant/seat_priv.h"

#include <pthread.h>
#include <uv.h>

struct wc_tenant {
    struct wc_tenant_view view;
    struct wc_tenant_options opt; /* strings owned */
    struct wc_keyset *keys;
    struct wc_bridge *bridge;
    struct wc_seat seat;

    /* the bridge thread's, between open and close */
    uv_loop_t *loop;
    struct wc_publisher *publisher;
    struct wc_subs *subs;
    struct wc_repl *repl;
    struct wc_authz *authz;
    struct wc_share *share; /* from the first time it is opened on */
    struct wc_messages *messages;
    struct wc_upkeep *upkeep;
    uv_timer_t *grace;
    uint64_t next_audience; /* when it is opened again */
    bool stalled;           /* an event was refused because the rings are full */
    wc_lsn progress;
    wc_xid xid;                    /* the transaction that is read */
    struct wc_publisher_mark mark; /* permanent slot: reached means mark_lsn may be confirmed */
    wc_lsn mark_lsn;
    bool marked;
    bool is_draining;
    struct wc_publisher_mark last; /* all that it will ever publish of the stream */

    _Atomic bool is_replicating; /* written by the bridge thread, read by any; says nothing else */
    wc_us reported;              /* when `report` was made */
    pthread_mutex_t lock;        /* guards the rest */
    struct wc_repl_status status;
    struct wc_report *report; /* owned; NULL: there is none */
};

static inline bool wc_tenant_is_permanent(const struct wc_tenant *t) /* its slot is */
{
    return t->opt.slot_name[0] != '\0';
}

/* tenant.c */
void wc_tenant_set_status(struct wc_tenant *, const struct wc_repl_status *);
void wc_tenant_publish_status(struct wc_tenant *);                 /* what the stream is now */
void wc_tenant_set_report(struct wc_tenant *, struct wc_report *); /* takes; NULL: none */

/* stream.c: of a tenant that is being opened, or closed. The stream comes last. */
WC_MUST_USE
bool wc_tenant_open_subs(struct wc_tenant *);
WC_MUST_USE
bool wc_tenant_open_stream(struct wc_tenant *);
void wc_tenant_close_stream(struct wc_tenant *); /* and subscriptions; those opened or not */
void wc_tenant_stream_resume(void *tenant);      /* what was refused may be offered again */

#endif

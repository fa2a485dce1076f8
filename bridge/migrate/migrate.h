/*
 * Makes what a tenant's database needs, step by step (sql/m_*.sql), and keeps the partitions of
 * realtime.messages: those of days to come are made, those of more than three days ago dropped.
 * Idempotent; under an advisory lock; needs no superuser where Postgres allows it.
 *
 * Ownership: borrows the connection, which must be ready and stays so; nothing else may use it
 * until done. Threads: the connection's loop's. Errors: the first step that fails ends it. Source:
 * database reference sections 1 and 7.5.
 */
#ifndef WC_BRIDGE_MIGRATE_MIGRATE_H
#define WC_BRIDGE_MIGRATE_MIGRATE_H

#include "bridge/pg/pg.h"

struct wc_migrate_options {
    bool with_roles;      /* anon, authenticated, service_role and schema auth, too */
    bool only_partitions; /* nothing else; without a partitioned realtime.messages nothing at all */
};

struct wc_migrate_outcome {
    bool ok;
    const char *step;   /* that failed */
    const char *remedy; /* or NULL */
    char sqlstate[6];   /* empty: the connection was lost */
    const char *message;
};

struct wc_migrate_hooks {
    void (*on_step)(void *arg, const char *step); /* one is done; NULL: nobody asks */
    /* What this one makes cannot be made here, and the rest works without; NULL: nobody asks. */
    void (*on_left_out)(void *arg, const char *step, const char *why);
    void (*on_done)(void *arg, const struct wc_migrate_outcome *);
};

struct wc_migrate;

/* NULL: it could not be sent. No callback before return; freed by itself after on_done, in which
 * the connection may be closed. */
struct wc_migrate *wc_migrate_run(struct wc_pg *, const struct wc_migrate_options *,
                                  const struct wc_migrate_hooks *, void *arg);
/* Without on_done; the connection is closed already. NULL is fine. */
void wc_migrate_cancel(struct wc_migrate *);

#endif

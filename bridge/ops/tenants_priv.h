/*
 * One request of the API for tenants on its way: made by the handler, then the bridge's.
 *
 *   handler ─wc_task_new, post→ wc_task_run ─(store, chore)→ answered: freed
 *                             └ discarded, or the bridge stops: freed without
 *
 * Threads: as named.
 */
#ifndef WC_BRIDGE_OPS_TENANTS_PRIV_H
#define WC_BRIDGE_OPS_TENANTS_PRIV_H

#include "base/list.h"
#include "bridge/ops/chore.h"
#include "bridge/ops/form.h"
#include "bridge/ops/tenants.h"
#include "fanout/msg.h"

enum wc_task_kind {
    WC_TASK_LIST,
    WC_TASK_SHOW,
    WC_TASK_PUT,
    WC_TASK_DELETE,
    WC_TASK_RELOAD,
    WC_TASK_SHUTDOWN,
    WC_TASK_HEALTH,
    WC_TASK_PREPARE, /* nobody waits for it */
};

struct wc_admin {
    struct wc_admin_options opt; /* const after use_bridge */
    struct wc_bridge *bridge;

    /* bridge 0's */
    struct wc_store *store; /* NULL: none */
    struct wc_record *only; /* environment mode; NULL: there is a store */
    struct wc_list tasks;   /* that have begun */
};

struct wc_task {
    struct wc_list link; /* in the admin's, once begun */
    struct wc_admin *admin;
    enum wc_task_kind kind;
    struct wc_handle handle; /* of the call that waits */
    char *external_id;       /* NULL: LIST */
    struct wc_form *form;    /* PUT */
    struct wc_record *was;   /* DELETE: whose slot is to go */
    struct wc_chore *chore;  /* under way */
};

/* Takes the form; NULL when out of memory. Any thread. */
struct wc_task *wc_task_new(struct wc_admin *, enum wc_task_kind, struct wc_slice external_id,
                            struct wc_form *taken);
void wc_task_free(struct wc_task *); /* not begun, or the admin's thread; NULL is fine */

/* Carries it out and frees it, now or later. Bridge 0. */
void wc_task_run(struct wc_task *);

#endif

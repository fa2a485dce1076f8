/*
 * Whose eyes a row is looked at with: a role and the claims of a token. Equal ones are one context,
 * whatever channel, connection or token they came with.
 *
 * Ownership: reference counted by users. `serial` is never used again, so what is known of a
 * context can be remembered by it. Threads: one owner, the bridge thread.
 */
#ifndef WC_BRIDGE_RLS_CONTEXT_H
#define WC_BRIDGE_RLS_CONTEXT_H

#include "base/map.h"
#include "base/buf.h"

struct wc_contexts;

struct wc_context {
    struct wc_map_node node; /* key: role, NUL, claims */
    struct wc_contexts *table;
    uint32_t refs;
    uint64_t serial;              /* from 1 */
    struct wc_slice role, claims; /* NUL-terminated too; claims: JSON text */
};

struct wc_contexts *wc_contexts_new(void);   /* returns owned; NULL when out of memory */
void wc_contexts_free(struct wc_contexts *); /* no context is left */

/* A reference to the context, made if it is new; NULL when out of memory. */
struct wc_context *wc_context_get(struct wc_contexts *, struct wc_slice role,
                                  struct wc_slice claims);
struct wc_context *wc_context_ref(struct wc_context *);
void wc_context_unref(struct wc_context *); /* NULL is fine */

#endif

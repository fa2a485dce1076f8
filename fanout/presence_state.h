/*
 * Who is present in one room: an observed-remove set of (key, meta), which any number of replicas
 * can change at the same time and merge in any order, and the part of it that the room's members
 * have not been told yet.
 *
 *   state = entries { dot → key, meta } + seen { every dot ever added or removed }
 *   merge: an entry stays if both have it, or if one has it and the other has never seen its dot
 *
 * So merging is commutative, associative and idempotent, a removal takes away the dots it names and
 * nothing added elsewhere at the same time, and no tombstones are kept: `seen` is a few ranges
 * (dots.h). A delta is a small state: what one add or remove made of an empty one.
 *
 * Keys and metas are JSON text, rendered by the caller once:
 *
 *   state  {"key":{"metas":[meta,...]},...}          metas in the order of their arrival here
 *   diff   {"joins":<as state>,"leaves":<as state>}
 *
 * What was added and removed again between two diffs appears in neither.
 * Ownership: copies keys and metas. Threads: one owner. Errors: NOMEM; the state is then as before,
 * but for a merge, which may have taken in a part of the delta and can be repeated.
 * Source: Bieniusa and others, "An optimized conflict-free replicated set" (2012); Almeida, Shoker
 * and Baquero, "Delta state replicated data types" (2018).
 */
#ifndef WC_FANOUT_PRESENCE_STATE_H
#define WC_FANOUT_PRESENCE_STATE_H

#include "base/list.h"
#include "base/map.h"
#include "fanout/dots.h"

struct wc_presence_key;

struct wc_presence_entry {
    struct wc_dot dot;
    struct wc_slice meta;
    struct wc_presence_key *key;
    struct wc_map_node by_dot;
    struct wc_list in_key; /* key's entries, those not announced at the end; or its leavers */
    bool is_announced;
    uint8_t text[];
};

struct wc_presence_state {
    struct wc_dots seen;
    struct wc_map entries, keys;
    struct wc_list all, joining, leaving; /* keys: all, with new entries, with announced leavers */
};

void wc_presence_state_init(struct wc_presence_state *);
void wc_presence_state_release(struct wc_presence_state *);

/* A dot seen before changes nothing. */
WC_MUST_USE
enum wc_status wc_presence_state_add(struct wc_presence_state *, struct wc_dot,
                                     struct wc_slice key_json, struct wc_slice meta_json);
/* Those not added yet count as seen, too: an add that is overtaken by its removal adds nothing. */
WC_MUST_USE
enum wc_status wc_presence_state_remove(struct wc_presence_state *, const struct wc_dots *);
/* The same for one dot that was added here; cannot fail. */
void wc_presence_state_drop(struct wc_presence_state *, struct wc_dot);
WC_MUST_USE
enum wc_status wc_presence_state_merge(struct wc_presence_state *,
                                       const struct wc_presence_state *from);

/* NULL: not in it, or no more. */
const struct wc_presence_entry *wc_presence_state_get(const struct wc_presence_state *,
                                                      struct wc_dot);

void wc_presence_state_render(const struct wc_presence_state *, struct wc_buf *out);

bool wc_presence_state_has_diff(const struct wc_presence_state *);
void wc_presence_state_render_diff(const struct wc_presence_state *, struct wc_buf *out);
/* The diff was published: the next one begins. */
void wc_presence_state_announced(struct wc_presence_state *);

bool wc_presence_state_ok(const struct wc_presence_state *);

#endif

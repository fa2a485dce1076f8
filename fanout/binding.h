/*
 * The ids that the join reply gives to a channel's bindings.
 *
 * An id is a hash of the binding object's content: key order, spacing and escapes do not matter, so
 * equal objects get equal ids on every connection and every node. Within one channel ids are
 * unique: a taken one is followed upwards to the next free. Clients treat them as opaque numbers;
 * the range 2^20 to 2^27-1 keeps them non-zero and 27 bits wide.
 * Threads: pure. Limits: the JSON depth of its parser bounds the recursion.
 * Source: protocol reference, section 6.2.
 */
#ifndef WC_FANOUT_BINDING_H
#define WC_FANOUT_BINDING_H

#include "base/json.h"

enum {
    WC_BINDING_ID_MIN = 1 << 20,
    WC_BINDING_ID_MAX = (1 << 27) - 1,
    WC_BINDINGS_MAX = 200, /* of one join: equal ones cost n^3 / 3 comparisons, here 3 ms */
};

/* The id of a value before uniqueness; the arena holds unescaped strings. False: out of memory. */
WC_MUST_USE
bool wc_binding_hash(const struct wc_json *, uint32_t node, struct wc_arena *, uint32_t *out);

/* The first free id from `wanted` upwards (past the end it goes on at the beginning). */
uint32_t wc_binding_unique(uint32_t wanted, const uint32_t *taken, size_t ntaken);

#endif

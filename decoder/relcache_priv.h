/*
 * What is known of the relations of one stream, by OID. An entry is replaced, never changed: each
 * put publishes a new immutable wc_rel, and whoever shares the old one keeps it.
 *
 * Ownership: the cache holds one reference to each relation in it; wc_rel_new returns owned.
 * Threads: one owner for the cache; a wc_rel itself may be shared and released by any thread.
 * Limits: max_rels relations. A dropped table stays until reset, since the stream does not say so.
 */
#ifndef WC_DECODER_RELCACHE_PRIV_H
#define WC_DECODER_RELCACHE_PRIV_H

#include "base/map.h"
#include "decoder/pgoutput.h"

enum { WC_REL_MAX_COLS = 1664 }; /* PostgreSQL's MaxTupleAttributeNumber */

struct wc_relcache {
    struct wc_map by_oid;
    size_t max_rels;
    const struct wc_rel *last; /* last hit: most changes are about the relation of the one before */
};

void wc_relcache_init(struct wc_relcache *, size_t max_rels);
void wc_relcache_clear(struct wc_relcache *); /* drops all relations; may be used again */

/* Borrowed until the next put for this OID or clear; NULL when unknown. */
const struct wc_rel *wc_relcache_get(const struct wc_relcache *, wc_oid);

/* The same, and expects the next question to be about the same relation. */
const struct wc_rel *wc_relcache_use(struct wc_relcache *, wc_oid);

/* Takes `rel` (also on failure) and drops what was known of its OID. LIMIT, NOMEM. */
WC_MUST_USE
enum wc_status wc_relcache_put(struct wc_relcache *, const struct wc_rel *rel);

/* A relation with ncols empty columns and a private copy of `bytes` that lives as long, in one
 * allocation with one reference. The caller fills in *rel and *col before anybody else sees them.
 */
struct wc_rel_draft {
    struct wc_rel *rel;
    struct wc_rel_col *col; /* what rel->col points to */
    const uint8_t *bytes;   /* the copy */
};

WC_MUST_USE
enum wc_status wc_rel_new(uint16_t ncols, struct wc_slice bytes,
                          struct wc_rel_draft *out); /* NOMEM */

#endif

/*
 * The trees of types that PostgreSQL does not bring along (decoder/type.h), as the catalog says
 * now: composites, domains, enums, their arrays, and what extensions add. Nobody tells when such a
 * type is altered, so an answer is good for `freshness`, as those of access.h are.
 *
 * Questions are numbered from 1. The answer to one knows what every statement sent before it on the
 * same connection has seen: whoever needs types no older than such a statement says so by number.
 * A type is only unknown to the catalog, as opposed to not yet asked for, when an answer says so.
 *
 * Ownership: trees belong to the cache and are valid until its next answer, which has another
 * number. Threads: one owner, the bridge thread. Errors: NOMEM, CLOSED.
 * Limits: TREES_CAP bytes of trees; beyond, as when memory is out, answers are not taken, so what
 * needs them waits, and the log says so.
 * Source: sql/q_types.sql.
 */
#ifndef WC_BRIDGE_RLS_TYPES_H
#define WC_BRIDGE_RLS_TYPES_H

#include "base/clock.h"
#include "bridge/pg/pg.h"
#include "decoder/type.h"

struct wc_types;

/* Called after each answer that was taken. */
typedef void (*wc_types_answer_fn)(void *arg);

/* Returns owned; NULL when out of memory. */
struct wc_types *wc_types_new(wc_us freshness, wc_types_answer_fn, void *arg);
/* Close the wc_pg of a question under way before, so that no answer comes after. */
void wc_types_free(struct wc_types *);

/* The number of the answer that trees are from now; 0 when it is no longer good. */
uint64_t wc_types_number(const struct wc_types *, wc_us now);

/* False: not known from an answer `since` or later; it will be part of the next question. True: the
 * tree, or NULL when there is no such type. */
bool wc_types_find(struct wc_types *, wc_oid, uint64_t since, wc_us now,
                   const struct wc_type **out);

uint64_t wc_types_next(const struct wc_types *); /* the number the next question will have */
bool wc_types_is_asking(const struct wc_types *);

/* Asks for what was wanted lately, if an answer is missing or will soon expire, or if `renew`. OK
 * also when there was nothing to ask; not to be called while asking. */
WC_MUST_USE
enum wc_status wc_types_refresh(struct wc_types *, struct wc_pg *, bool renew);

#endif

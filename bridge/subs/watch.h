/*
 * What bindings name may change while they stand: a table joins or leaves the publication, is
 * dropped and made anew under its name, renamed, or altered. Whoever is interested in a name hears
 * of it, from two sources:
 *
 *   the stream   describes a relation (again) before its first change after such a thing. What
 *                happened is acted upon at that point of the log, before the change
 *   the catalog  is asked now and then what the publications hold: the only sign of a table that
 *                left, and the first of one nobody has written to. It is ahead of the log, so its
 *                news waits until the log has been read that far: changes made before a table left
 *                or was renamed still belong to its old name. Commits can be visible that are not
 *                in the log on disk yet (for 0.6 s by default), and what else was written behind
 *                them may stay out of it for long: so "that far" is where the log ended, or, with a
 *                later answer, where the log on disk did
 *
 * A binding stands for the table that bears its name at the change's place in the log.
 *
 * An answer of the catalog that fails is no news. What an interest was added for is asked after it
 * is added, so it hears only of answers to later questions.
 * Ownership: interests are the caller's storage. Threads: one owner, the bridge thread.
 * Errors: NOMEM. Limits: 131,072 relations are remembered; what more there is, is news each time.
 * Source: sql/q_published.sql; database reference sections 3.1, 3.7.
 */
#ifndef WC_BRIDGE_SUBS_WATCH_H
#define WC_BRIDGE_SUBS_WATCH_H

#include "base/clock.h"
#include "base/list.h"
#include "bridge/pg/pg.h"
#include "decoder/pgoutput.h"

struct wc_interest {
    void *owner;
    /* the watch's own */
    struct wc_list of_name; /* interests in the same name */
    struct wc_list late;    /* news that wait for the log */
    uint64_t asked;         /* questions sent when it was added */
    wc_lsn news_at;
    wc_us news_since;
};

struct wc_watch_events {
    /* The stream describes a relation that bears the name, or bore it. */
    void (*described)(void *arg, struct wc_interest *, const struct wc_rel *);
    /* Tables of the name were published, made anew, or are published no more. is_reached: the log
     * has been read as far as the catalog. False: not before. */
    bool (*published)(void *arg, struct wc_interest *, bool is_reached);
    /* After news of the catalog: what it was asked before now is out of date. */
    void (*outdated)(void *arg);
};

struct wc_watch;

/* publications: array literal, borrowed for the life. Returns owned; NULL when out of memory. */
struct wc_watch *wc_watch_new(const char *publications, uint32_t freshness_ms,
                              const struct wc_watch_events *, void *arg);
/* No interest is left. Close the wc_pg of a question under way before. */
void wc_watch_free(struct wc_watch *);

/* schema, table: p NULL stands for any. An interest that was never added may be removed. */
WC_MUST_USE
enum wc_status wc_watch_add(struct wc_watch *, struct wc_interest *, struct wc_slice schema,
                            struct wc_slice table);
void wc_watch_remove(struct wc_watch *, struct wc_interest *);

bool wc_watch_is_published(const struct wc_watch *, wc_oid);
/* The catalog said elsewhere that this table is published. */
void wc_watch_found(struct wc_watch *, wc_oid, struct wc_slice schema, struct wc_slice table);

/* A Relation message. True: it is not described as before, so what was asked before this
 * transaction became visible may be out of date. */
bool wc_watch_relation(struct wc_watch *, const struct wc_rel *);

/* Asks when it is time; at once when the connection is new, before anything else is asked there. */
void wc_watch_ask(struct wc_watch *, struct wc_pg *, bool is_new);
/* The log has been read up to here. */
void wc_watch_reached(struct wc_watch *, wc_lsn);

#endif

/*
 * By whom rows are judged, for people: for each relation that bindings name and each role they
 * have, whether its policies are compiled, and why not. A copy, so that other threads can read it.
 *
 *   compiled   a row brings up those who see it; a binding waits while its token's values are not
 *              known, or when they cannot be: then Postgres judges the rows for it
 *   delegated  Postgres judges all rows, because of `why`
 *
 * Those to which row security does not apply, or of which that is not known yet, are left out.
 * Ownership: owned whole, immutable. Threads: made on the bridge thread, read on any.
 * Errors: NULL when out of memory. Limits: WC_REPORT_PAIRS_MAX are listed, the delegated first; all
 * are counted. Of changes, WC_REPORT_LINES are logged in WC_REPORT_WINDOW_US; the next line says
 * how many were not.
 */
#ifndef WC_BRIDGE_SUBS_REPORT_H
#define WC_BRIDGE_SUBS_REPORT_H

#include "base/arena.h"
#include "base/clock.h"

enum { WC_REPORT_PAIRS_MAX = 64, WC_REPORT_LINES = 20, WC_REPORT_WINDOW_US = 10 * 1000000 };

struct wc_report_pair {
    const char *relation; /* quoted and qualified */
    const char *role;
    const char *why; /* delegated: one line; NULL: compiled */
    size_t nbindings;
    size_t nwaiting; /* compiled: of those */
};

struct wc_report {
    size_t ncompiled, ndelegated; /* pairs in all */
    size_t npairs;
    struct wc_report_pair pair[WC_REPORT_PAIRS_MAX];
    struct wc_arena arena; /* what the pairs point into */
};

/* How much was logged; begins as zero. */
struct wc_report_lines {
    wc_us since;
    unsigned count;
    unsigned long unsaid;
};

struct wc_subs;
struct wc_roll;
struct wc_rules;

struct wc_report *wc_report_new(const struct wc_subs *);
void wc_report_free(struct wc_report *); /* NULL is fine */

/* The roll is about to be filed under these rules (NULL: not known any more): a line of the log,
 * and the count of changes. */
void wc_report_change(struct wc_subs *, const struct wc_roll *, const struct wc_rules *);

#endif

/*
 * What the log has been told about one database: a failure with its remedy, the same one once, and
 * that it is over. Counts failures, told or not. Zeroed: nothing yet. Threads: one owner.
 */
#ifndef WC_BRIDGE_MIGRATE_NEWS_H
#define WC_BRIDGE_MIGRATE_NEWS_H

#include "bridge/migrate/migrate.h"

struct wc_migrate_news {
    bool is_failing;
    char sqlstate[6]; /* of the failure told last */
};

/* The outcome of a visit (visit.h); what: the objects, or only the partitions. */
void wc_migrate_news_tell(struct wc_migrate_news *, const char *tenant,
                          const struct wc_migrate_options *what, const struct wc_migrate_outcome *);

#endif

#include "bridge/migrate/news.h"

#include "base/log.h"
#include "base/metrics.h"

static const char *remedy_of(const struct wc_migrate_outcome *o)
{
    if (o->remedy)
        return o->remedy;
    return o->step ? "see what walcast migrate says"
                   : "see whether its server can be reached from here and lets us in";
}

static void tell_failure(struct wc_migrate_news *n, const char *tenant,
                         const struct wc_migrate_outcome *o)
{
    wc_metric_add(WC_M_MIGRATION_FAILURES, 1);
    if (n->is_failing && strcmp(n->sqlstate, o->sqlstate) == 0)
        return;
    n->is_failing = true;
    memcpy(n->sqlstate, o->sqlstate, sizeof n->sqlstate);
    WC_LOG(WC_LOG_WARN, "migrate", "not_migrated",
           "tenant=%s step=\"%s\" sqlstate=%s error=\"%s\" hint=\"%s\"", tenant,
           o->step ? o->step : "reaching the database", o->sqlstate[0] ? o->sqlstate : "-",
           o->message, remedy_of(o));
}

void wc_migrate_news_tell(struct wc_migrate_news *n, const char *tenant,
                          const struct wc_migrate_options *what, const struct wc_migrate_outcome *o)
{
    if (!o->ok) {
        tell_failure(n, tenant, o);
        return;
    }
    WC_LOG(n->is_failing ? WC_LOG_INFO : WC_LOG_DEBUG, "migrate", "in_order",
           "tenant=%s objects=%d", tenant, !what->only_partitions);
    n->is_failing = false;
}

/*
 * Log: one line per decision on standard error.
 *
 *   2026-11-21T19:41:39.123Z warn repl slot_active slot=walcast_demo pid=4711 hint="..."
 *
 * time, level, component, event name, then key=value pairs from a printf format. The level is
 * tested before arguments are evaluated. Control bytes in the finished line are written as \xNN, so
 * nothing a client or a database sends can forge a second line. Values that may hold spaces are
 * written key="...". Tokens, keys, passwords and row data are never passed here.
 * Threads: any; a line is one write. Limits: 2 KiB a line, then cut.
 */
#ifndef WC_BASE_LOG_H
#define WC_BASE_LOG_H

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>

enum wc_log_level { WC_LOG_DEBUG, WC_LOG_INFO, WC_LOG_WARN, WC_LOG_ERROR };

void wc_log_set_level(enum wc_log_level);
bool wc_log_enabled(enum wc_log_level);
void wc_log_write(enum wc_log_level, const char *component, const char *event, const char *fmt, ...)
    WC_PRINTF(4, 5);

#define WC_LOG(level, component, event, ...)                                                       \
    (wc_log_enabled(level) ? wc_log_write(level, component, event, __VA_ARGS__) : (void)0)

/*
 * For failures that repeat (a database that stays away, a client that keeps sending garbage): true
 * at most once per `every` microseconds; `*suppressed` is how many were swallowed since the last
 * true. One per kind of failure and owner. Threads: one owner.
 */
struct wc_log_limit {
    wc_us next;
    unsigned long count;
};

bool wc_log_limit(struct wc_log_limit *, wc_us every, unsigned long *suppressed);

#endif

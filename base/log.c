#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static _Atomic int threshold = WC_LOG_INFO;

void wc_log_set_level(enum wc_log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool wc_log_enabled(enum wc_log_level level)
{
    return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

static const char *level_name(enum wc_log_level level)
{
    switch (level) {
    case WC_LOG_DEBUG: return "debug";
    case WC_LOG_INFO: return "info";
    case WC_LOG_WARN: return "warn";
    case WC_LOG_ERROR: return "error";
    }
    return "?";
}

/* Copies `in` to `out` with control bytes as \xNN and a newline at the end; returns the length. */
static size_t sanitise(char *out, size_t cap, const char *in, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < len && n + 5 < cap; i++) {
        unsigned char c = (unsigned char)in[i];
        if (c >= 0x20 && c != 0x7f) {
            out[n++] = (char)c;
        } else {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    out[n++] = '\n';
    return n;
}

/* The length after a snprintf that wanted to write n bytes at len, some of which may be cut. */
static size_t advance(size_t len, int n)
{
    size_t wanted = n > 0 ? (size_t)n : 0;
    return wanted > LINE_MAX_BYTES - 1 - len ? LINE_MAX_BYTES - 1 : len + wanted;
}

void wc_log_write(enum wc_log_level level, const char *component, const char *event,
                  const char *fmt, ...)
{
    char raw[LINE_MAX_BYTES];
    wc_us now = wc_clock_wall();
    time_t secs = (time_t)(now / 1000000);
    struct tm tm;
    (void)gmtime_r(&secs, &tm);
    size_t len = strftime(raw, sizeof raw, "%Y-%m-%dT%H:%M:%S", &tm);
    int n = snprintf(raw + len, sizeof raw - len, ".%03dZ %s %s %s ", (int)(now / 1000 % 1000),
                     level_name(level), component, event);
    len = advance(len, n);
    va_list ap;
    va_start(ap, fmt);
    n = vsnprintf(raw + len, sizeof raw - len, fmt, ap);
    va_end(ap);
    len = advance(len, n);

    char line[LINE_MAX_BYTES * 2];
    size_t out = sanitise(line, sizeof line, raw, len);
    ssize_t wrote = write(STDERR_FILENO, line, out);
    (void)wrote; /* a log that cannot be written has nowhere to say so */
}

bool wc_log_limit(struct wc_log_limit *limit, wc_us every, unsigned long *suppressed)
{
    wc_us now = wc_clock_mono();
    if (now < limit->next) {
        limit->count++;
        return false;
    }
    *suppressed = limit->count;
    limit->count = 0;
    limit->next = now + every;
    return true;
}

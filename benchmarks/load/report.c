#include "benchmarks/load/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int64_t wc_bench_now_ns(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
        wc_bench_die("no monotonic clock");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double rank_ms(const int64_t *sorted, size_t count, size_t percent)
{
    size_t rank = (count * percent + 99) / 100; /* nearest rank, from 1 */

    return (double)sorted[rank > 0 ? rank - 1 : 0] / 1e6;
}

void wc_bench_print_percentiles(int64_t *sample_ns, size_t count)
{
    if (count == 0)
        wc_bench_die("no samples");
    qsort(sample_ns, count, sizeof *sample_ns, compare);
    printf("{\"p50\":%.4f,\"p95\":%.4f,\"p99\":%.4f,\"max\":%.4f}", rank_ms(sample_ns, count, 50),
           rank_ms(sample_ns, count, 95), rank_ms(sample_ns, count, 99),
           rank_ms(sample_ns, count, 100));
}

_Noreturn void wc_bench_die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("bench: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

int64_t wc_bench_number(const char *name, const char *text)
{
    char *end;

    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n <= 0)
        wc_bench_die("%s must be a whole number above 0, not %s", name, text);
    return n;
}

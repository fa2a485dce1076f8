#include "benchmarks/load/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

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

double wc_bench_cpu_seconds(int64_t pid)
{
    clockid_t clock;
    struct timespec t;

    if (clock_getcpuclockid((pid_t)pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        wc_bench_die("no clock of process %lld", (long long)pid);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double wc_bench_cpu_seconds_of(const char *pids)
{
    double sum = 0;
    for (const char *at = pids;;) {
        char *end;
        long long pid = strtoll(at, &end, 10);
        if (end == at || pid <= 0 || (*end && *end != ','))
            wc_bench_die("%s is no list of process ids", pids);
        sum += wc_bench_cpu_seconds(pid);
        if (!*end)
            return sum;
        at = end + 1;
    }
}

double wc_bench_resident_kib(int64_t pid)
{
    char path[64];
    long pages = 0;

    (void)snprintf(path, sizeof path, "/proc/%lld/statm", (long long)pid); /* it fits */
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        wc_bench_die("no memory figures of process %lld", (long long)pid);
    (void)fclose(f); /* it was only read */
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

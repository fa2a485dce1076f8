/*
 * What the benchmark programs have in common: the clock, percentiles, the end.
 * Threads: any.
 */
#ifndef WC_BENCHMARKS_LOAD_REPORT_H
#define WC_BENCHMARKS_LOAD_REPORT_H

#include <stddef.h>
#include <stdint.h>

int64_t wc_bench_now_ns(void); /* monotonic */

/* {"p50":...,"p95":...,"p99":...,"max":...} in milliseconds, to standard output. Sorts in place;
 * nearest-rank percentiles. */
void wc_bench_print_percentiles(int64_t *sample_ns, size_t count);

/* A line on standard error, then exit status 1: a benchmark never reports figures of a run in
 * which something was lost. */
_Noreturn void wc_bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* User and system time of another process so far, and its resident memory now. */
double wc_bench_cpu_seconds(int64_t pid);
double wc_bench_resident_kib(int64_t pid);

/* User and system time of several, whose ids stand between commas; dies when one is gone. */
double wc_bench_cpu_seconds_of(const char *pids);

/* A decimal argument above 0, or death with the name of the argument. */
int64_t wc_bench_number(const char *name, const char *text);

#endif

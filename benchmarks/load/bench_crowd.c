/*
 * Many connections, each joined to a topic of its own: what they cost while idle, and how fast they
 * are let in.
 *
 *   bench_crowd PORT TOKEN PID CONNECTIONS
 *
 * PID is the server's. All joins are sent one after the other without waiting for answers; the time
 * runs from the first one sent to the last answer. Prints one JSON object.
 */
#include "benchmarks/load/crowd.h"
#include "benchmarks/load/report.h"

#include <stdio.h>

static void write_join(size_t who, char *text, size_t cap)
{
    (void)snprintf(text, cap, "[\"1\",\"1\",\"realtime:room-%zu\",\"phx_join\",{\"config\":{}}]",
                   who);
}

int main(int argc, char **argv)
{
    struct wc_crowd crowd;

    if (argc != 5)
        wc_bench_die("usage: bench_crowd PORT TOKEN PID CONNECTIONS");
    int64_t port = wc_bench_number("PORT", argv[1]), pid = wc_bench_number("PID", argv[3]);
    int64_t count = wc_bench_number("CONNECTIONS", argv[4]);
    if (port > UINT16_MAX || count > 1000000)
        wc_bench_die("an argument is too large");
    double empty_kib = wc_bench_resident_kib(pid);
    int64_t since = wc_bench_now_ns();
    wc_crowd_open(&crowd, (size_t)count, (uint16_t)port, argv[2]);
    double connecting = (double)(wc_bench_now_ns() - since) / 1e9;
    double connected_kib = wc_bench_resident_kib(pid);
    double cpu = wc_bench_cpu_seconds(pid);
    double joining = wc_crowd_join(&crowd, write_join);
    cpu = wc_bench_cpu_seconds(pid) - cpu;
    printf("{\"connections\":%lld,\"connect_seconds\":%.4f,\"join_seconds\":%.4f,"
           "\"join_cpu_seconds\":%.4f,\"empty_kib\":%.0f,\"connected_kib\":%.0f,"
           "\"joined_kib\":%.0f}\n",
           (long long)count, connecting, joining, cpu, empty_kib, connected_kib,
           wc_bench_resident_kib(pid));
    wc_crowd_close(&crowd);
    return 0;
}

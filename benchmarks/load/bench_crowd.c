/*
 * Many connections, each joined to a topic of its own: what they cost while idle, and how fast they
 * are let in.
 *
 *   bench_crowd PORT TOKEN PID CONNECTIONS [private]
 *
 * PID is the server's; private: the topics are private rooms. All joins are sent one after the
 * other without waiting for answers; the time runs from the first one sent to the last answer.
 * Prints one JSON object.
 */
#include "benchmarks/load/crowd.h"
#include "benchmarks/load/report.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void write_join(size_t who, char *text, size_t cap)
{
    (void)snprintf(text, cap, "[\"1\",\"1\",\"realtime:room-%zu\",\"phx_join\",{\"config\":{}}]",
                   who);
}

static void write_private_join(size_t who, char *text, size_t cap)
{
    (void)snprintf(
        text, cap,
        "[\"1\",\"1\",\"realtime:room-%zu\",\"phx_join\",{\"config\":{\"private\":true}}]", who);
}

int main(int argc, char **argv)
{
    struct wc_crowd crowd;

    bool is_private = argc == 6 && strcmp(argv[5], "private") == 0;
    if (argc != 5 && !is_private)
        wc_bench_die("usage: bench_crowd PORT TOKEN PID CONNECTIONS [private]");
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
    double joining = wc_crowd_join(&crowd, is_private ? write_private_join : write_join);
    cpu = wc_bench_cpu_seconds(pid) - cpu;
    printf("{\"connections\":%lld,\"connect_seconds\":%.4f,\"join_seconds\":%.4f,"
           "\"join_cpu_seconds\":%.4f,\"empty_kib\":%.0f,\"connected_kib\":%.0f,"
           "\"joined_kib\":%.0f}\n",
           (long long)count, connecting, joining, cpu, empty_kib, connected_kib,
           wc_bench_resident_kib(pid));
    wc_crowd_close(&crowd);
    return 0;
}

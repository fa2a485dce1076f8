/*
 * Many channels on a few connections, each with one binding of its own: how fast they are
 * subscribed to changes, and what they cost.
 *
 *   bench_subscribe PORT TOKEN PID CONNECTIONS CHANNELS
 *
 * PID is the server's. Channel N asks for `id=eq.N` of the table bench_latency. All joins are sent
 * without waiting for answers, one connection after the other in turn; the time runs from the first
 * one sent to the last "Subscribed". Prints one JSON object.
 */
#include "benchmarks/load/crowd.h"
#include "benchmarks/load/report.h"

#include <stdio.h>

static void write_join(size_t channel, char *text, size_t cap)
{
    char filter[32];
    (void)snprintf(filter, sizeof filter, "id=eq.%zu", channel); /* it fits */
    wc_crowd_binding(text, cap, channel, "bench_latency", filter);
}

int main(int argc, char **argv)
{
    struct wc_crowd crowd;

    if (argc != 6)
        wc_bench_die("usage: bench_subscribe PORT TOKEN PID CONNECTIONS CHANNELS");
    int64_t port = wc_bench_number("PORT", argv[1]), pid = wc_bench_number("PID", argv[3]);
    int64_t count = wc_bench_number("CONNECTIONS", argv[4]);
    int64_t channels = wc_bench_number("CHANNELS", argv[5]);
    if (port > UINT16_MAX || count > 1000000 || channels > 10000000)
        wc_bench_die("an argument is too large");
    wc_crowd_open(&crowd, (size_t)count, (uint16_t)port, argv[2]);
    double connected_kib = wc_bench_resident_kib(pid), cpu = wc_bench_cpu_seconds(pid);
    double seconds = wc_crowd_subscribe(&crowd, (size_t)channels, write_join);
    cpu = wc_bench_cpu_seconds(pid) - cpu;
    printf("{\"connections\":%lld,\"channels\":%lld,\"seconds\":%.4f,\"cpu_seconds\":%.4f,"
           "\"connected_kib\":%.0f,\"subscribed_kib\":%.0f}\n",
           (long long)count, (long long)channels, seconds, cpu, connected_kib,
           wc_bench_resident_kib(pid));
    wc_crowd_close(&crowd);
    return 0;
}

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
#include <string.h>

enum { JOIN_MAX = 256 };

static void on_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    static const char system[] = ",\"system\",", subscribed[] = "Subscribed to PostgreSQL";
    size_t n = len < WC_CROWD_KEPT ? (size_t)len : WC_CROWD_KEPT;
    if (memmem(kept, n, subscribed, sizeof subscribed - 1))
        ++*(uint64_t *)arg;
    else if (memmem(kept, n, system, sizeof system - 1) || !memmem(kept, n, "\"ok\"", 4))
        wc_bench_die("a join on connection %zu: %.*s", who, (int)n, (const char *)kept);
}

static double subscribe(struct wc_crowd *crowd, uint64_t channels)
{
    static const struct wc_crowd_events events = {.on_frame = on_frame};
    char text[JOIN_MAX];
    uint64_t subscribed = 0;
    int64_t since = wc_bench_now_ns();
    for (uint64_t i = 0; i < channels; i++) {
        (void)snprintf(text, sizeof text,
                       "[\"1\",\"1\",\"realtime:room-%llu\",\"phx_join\",{\"config\":{\"postgres_"
                       "changes\":[{\"event\":\"*\",\"schema\":\"public\",\"table\":\"bench_"
                       "latency\",\"filter\":\"id=eq.%llu\"}]}}]",
                       (unsigned long long)i, (unsigned long long)i);
        wc_crowd_say(crowd, i % crowd->count, text);
    }
    wc_crowd_await(crowd, &subscribed, channels, &events, &subscribed);
    return (double)(wc_bench_now_ns() - since) / 1e9;
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
    double seconds = subscribe(&crowd, (uint64_t)channels);
    cpu = wc_bench_cpu_seconds(pid) - cpu;
    printf("{\"connections\":%lld,\"channels\":%lld,\"seconds\":%.4f,\"cpu_seconds\":%.4f,"
           "\"connected_kib\":%.0f,\"subscribed_kib\":%.0f}\n",
           (long long)count, (long long)channels, seconds, cpu, connected_kib,
           wc_bench_resident_kib(pid));
    wc_crowd_close(&crowd);
    return 0;
}

/*
 * Many members of one room, all of whom track themselves: everybody must learn of everybody.
 *
 *   bench_presence PORT TOKEN PID MEMBERS
 *
 * PID is the server's. A member's key begins with a tilde, which stands nowhere else in what the
 * server sends, so counting tildes counts joins: MEMBERS of them at each member, and not one more.
 * Prints one JSON object.
 */
#include "benchmarks/load/crowd.h"
#include "benchmarks/load/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct room {
    uint64_t *seen; /* tildes at each member */
    uint64_t complete, frames;
    uint64_t members;
};

static void on_bytes(void *arg, size_t who, const uint8_t *p, size_t n)
{
    struct room *r = arg;
    const uint8_t *end = p + n;
    while ((p = memchr(p, '~', (size_t)(end - p)))) {
        p++;
        if (++r->seen[who] == r->members)
            r->complete++;
        if (r->seen[who] > r->members)
            wc_bench_die("member %zu is told of a member twice", who);
    }
}

static void on_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    size_t n = len < WC_CROWD_KEPT ? (size_t)len : WC_CROWD_KEPT;
    if (memmem(kept, n, "\"status\":\"error\"", 16) || memmem(kept, n, "phx_close", 9))
        wc_bench_die("member %zu: %.*s", who, (int)n, (const char *)kept);
    ((struct room *)arg)->frames++;
}

static void write_join(size_t who, char *text, size_t cap)
{
    (void)snprintf(text, cap,
                   "[\"1\",\"1\",\"realtime:room\",\"phx_join\",{\"config\":{\"presence\":"
                   "{\"enabled\":true,\"key\":\"~%07zu\"}}}]",
                   who);
}

static void track_all(struct wc_crowd *crowd, struct room *room)
{
    static const struct wc_crowd_events events = {.on_frame = on_frame, .on_bytes = on_bytes};
    for (size_t i = 0; i < crowd->count; i++) {
        wc_crowd_say(crowd, i,
                     "[\"1\",\"2\",\"realtime:room\",\"presence\",{\"type\":\"presence\","
                     "\"event\":\"track\",\"payload\":{\"online\":true}}]");
        while (wc_crowd_listen(crowd, 0, &events, room)) /* nobody is a slow consumer here */
            ;
    }
    wc_crowd_await(crowd, &room->complete, room->members, &events, room);
}

int main(int argc, char **argv)
{
    struct wc_crowd crowd;

    if (argc != 5)
        wc_bench_die("usage: bench_presence PORT TOKEN PID MEMBERS");
    int64_t port = wc_bench_number("PORT", argv[1]), pid = wc_bench_number("PID", argv[3]);
    int64_t count = wc_bench_number("MEMBERS", argv[4]);
    if (port > UINT16_MAX || count > 1000000)
        wc_bench_die("an argument is too large");
    struct room room = {.members = (uint64_t)count,
                        .seen = calloc((size_t)count, sizeof(uint64_t))};
    if (!room.seen)
        wc_bench_die("out of memory");
    wc_crowd_open(&crowd, (size_t)count, (uint16_t)port, argv[2]);
    double cpu = wc_bench_cpu_seconds(pid);
    double joining = wc_crowd_join(&crowd, write_join);
    int64_t since = wc_bench_now_ns();
    track_all(&crowd, &room);
    double tracking = (double)(wc_bench_now_ns() - since) / 1e9;
    printf("{\"members\":%lld,\"join_seconds\":%.4f,\"track_seconds\":%.4f,\"bytes\":%llu,"
           "\"frames\":%llu,\"cpu_seconds\":%.4f,\"resident_kib\":%.0f}\n",
           (long long)count, joining, tracking, (unsigned long long)crowd.bytes,
           (unsigned long long)room.frames, wc_bench_cpu_seconds(pid) - cpu,
           wc_bench_resident_kib(pid));
    wc_crowd_close(&crowd);
    free(room.seen);
    return 0;
}

/*
 * What finding the subscription of a change costs: one subscription `n=eq.N`, or very many.
 *
 *   bench_match PORT TOKEN PID CHANNELS PLACES ROWS
 *
 * PID is the server's. Channel N, on one of at most 100 connections, asks for `n=eq.N` of the table
 * bench_match. Then ROWS rows are inserted whose n runs over PLACES of the CHANNELS, each time a
 * different one; each row is for exactly one channel and must arrive there, once and in order. CPU
 * time runs from the first row to the last. Postgres is found by libpq's environment variables.
 * Prints one JSON object.
 */
#include "benchmarks/load/crowd.h"
#include "benchmarks/load/postgres.h"
#include "benchmarks/load/rawws.h"
#include "benchmarks/load/report.h"

#include <stdio.h>
#include <stdlib.h>

/* The stride has no factor in common with any number of places that is a power of ten. */
enum { CONNECTIONS = 100, STRIDE = 7919, PER_TRANSACTION = 1000 };

struct run {
    size_t connections;
    int64_t places;
    int64_t last[CONNECTIONS]; /* id seen on each connection */
    uint64_t arrivals;
};

static void write_join(size_t channel, char *text, size_t cap)
{
    char filter[32];
    (void)snprintf(filter, sizeof filter, "n=eq.%zu", channel); /* it fits */
    wc_crowd_binding(text, cap, channel, "bench_match", filter);
}

static void on_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    struct run *run = arg;
    const struct wc_rawws_frame f = {(const char *)kept,
                                     len < WC_CROWD_KEPT ? (size_t)len : WC_CROWD_KEPT};
    int64_t id;
    if (!wc_rawws_inserted_id(&f, &id))
        wc_bench_die("connection %zu: %.*s", who, (int)f.len, f.text);
    if ((size_t)(id * STRIDE % run->places) % run->connections != who || id <= run->last[who])
        wc_bench_die("row %lld came to connection %zu after row %lld", (long long)id, who,
                     (long long)run->last[who]);
    run->last[who] = id;
    run->arrivals++;
}

static void insert(PGconn *pg, int64_t rows, int64_t places)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "call bench_fill_match(%lld, %d, %d, %lld)",
                   (long long)(rows / PER_TRANSACTION), PER_TRANSACTION, STRIDE,
                   (long long)places); /* it fits */
    wc_bench_send(pg, sql);
}

int main(int argc, char **argv)
{
    static const struct wc_crowd_events events = {.on_frame = on_frame};
    struct wc_crowd crowd;

    if (argc != 7)
        wc_bench_die("usage: bench_match PORT TOKEN PID CHANNELS PLACES ROWS");
    int64_t port = wc_bench_number("PORT", argv[1]), pid = wc_bench_number("PID", argv[3]);
    int64_t channels = wc_bench_number("CHANNELS", argv[4]);
    int64_t places = wc_bench_number("PLACES", argv[5]), rows = wc_bench_number("ROWS", argv[6]);
    if (port > UINT16_MAX || places > channels || rows % PER_TRANSACTION)
        wc_bench_die("PORT or PLACES is too large, or ROWS no multiple of %d", PER_TRANSACTION);
    struct run run = {.places = places,
                      .connections = channels < CONNECTIONS ? (size_t)channels : CONNECTIONS};
    PGconn *pg = wc_bench_connect("");
    wc_crowd_open(&crowd, run.connections, (uint16_t)port, argv[2]);
    double joining = wc_crowd_subscribe(&crowd, (size_t)channels, write_join);
    double cpu = wc_bench_cpu_seconds(pid);
    int64_t since = wc_bench_now_ns();
    insert(pg, rows, places);
    wc_crowd_await(&crowd, &run.arrivals, (uint64_t)rows, &events, &run);
    double seconds = (double)(wc_bench_now_ns() - since) / 1e9;
    cpu = wc_bench_cpu_seconds(pid) - cpu;
    wc_bench_finish(pg);
    printf("{\"channels\":%lld,\"places\":%lld,\"rows\":%lld,\"join_seconds\":%.4f,"
           "\"seconds\":%.4f,\"cpu_seconds\":%.4f}\n",
           (long long)channels, (long long)places, (long long)rows, joining, seconds, cpu);
    wc_crowd_close(&crowd);
    PQfinish(pg);
    return 0;
}

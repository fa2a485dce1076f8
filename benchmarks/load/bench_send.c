/*
 * Broadcasts of a database: how long after realtime.send's commit returned they are at a WebSocket
 * client, and how many there are in a second.
 *
 *   bench_send PORT TOKEN RATE SECONDS ROWS
 *
 * First RATE broadcasts a second, one in each transaction, for SECONDS after one to warm up; then
 * ROWS as fast as Postgres makes them, a thousand in each transaction. One thread writes, the main
 * thread reads; every broadcast must arrive once, in order. Postgres is found by libpq's
 * environment variables; PGOPTIONS says which way realtime.send takes. Prints one JSON object.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "benchmarks/load/crowd.h"
#include "benchmarks/load/postgres.h"
#include "benchmarks/load/report.h"

enum { PER_TRANSACTION = 1000, FIRST_TRY_MS = 100 };

struct run {
    int64_t interval_ns, warm_up, measured, rows;
    int64_t *committed_ns, *seen_ns; /* [warm_up + measured] */
    uint64_t arrived;                /* ids arrive from 1 on */
    _Atomic bool stands;             /* broadcasts arrive at all: relaxed, it is only waited for */
    int64_t began_ns, written_ns;    /* of the rows */
    PGconn *writer;
};

/* ── reading ──────────────────────────────────────────────────────────────────────────────── */

/* Kind 4: lengths of topic, event and metadata, the encoding, these three, {"id": N}. */
static int64_t broadcast_id(const uint8_t *kept, uint64_t len)
{
    static const char before[] = "{\"id\": ";
    enum { HEAD = 5, BEFORE = sizeof before - 1 };

    if (len < HEAD || len > WC_CROWD_KEPT || kept[0] != 4)
        return -1;
    uint64_t at = (uint64_t)HEAD + kept[1] + kept[2] + kept[3];
    if (at + BEFORE > len || memcmp(kept + at, before, BEFORE) != 0)
        return -1;
    int64_t id = 0;
    for (at += BEFORE; at < len && kept[at] >= '0' && kept[at] <= '9'; at++)
        id = id * 10 + (kept[at] - '0');
    return id;
}

static void on_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    struct run *run = arg;
    int64_t now_ns = wc_bench_now_ns(), id = broadcast_id(kept, len);

    (void)who; /* there is one */
    if (id < 0)
        return;
    atomic_store_explicit(&run->stands, true, memory_order_relaxed);
    if (id == 0)
        return;
    if ((uint64_t)id != run->arrived + 1)
        wc_bench_die("lost, twice or out of order: %lld instead of %llu", (long long)id,
                     (unsigned long long)run->arrived + 1);
    if (run->arrived < (uint64_t)(run->warm_up + run->measured))
        run->seen_ns[run->arrived] = now_ns;
    run->arrived++;
}

/* ── writing ──────────────────────────────────────────────────────────────────────────────── */

static void wait_until(int64_t when_ns)
{
    struct timespec t = {.tv_sec = when_ns / 1000000000, .tv_nsec = when_ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
        continue;
}

static void send_ids(PGconn *c, int64_t first, int64_t last)
{
    char from[24], to[24];
    const char *values[] = {from, to};

    (void)snprintf(from, sizeof from, "%lld", (long long)first);
    (void)snprintf(to, sizeof to, "%lld", (long long)last);
    PGresult *r = PQexecPrepared(c, "send", 2, values, NULL, NULL, 0);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        wc_bench_die("Postgres: %s", PQerrorMessage(c));
    PQclear(r);
}

static void *write_all(void *arg)
{
    struct run *run = arg;
    int64_t paced = run->warm_up + run->measured, last = paced + run->rows;

    while (!atomic_load_explicit(&run->stands, memory_order_relaxed)) {
        send_ids(run->writer, 0, 0);
        wait_until(wc_bench_now_ns() + FIRST_TRY_MS * INT64_C(1000000));
    }
    int64_t start_ns = wc_bench_now_ns();
    for (int64_t i = 0; i < paced; i++) {
        wait_until(start_ns + (i + 1) * run->interval_ns);
        send_ids(run->writer, i + 1, i + 1);
        run->committed_ns[i] = wc_bench_now_ns();
    }
    run->began_ns = wc_bench_now_ns();
    for (int64_t id = paced + 1; id <= last; id += PER_TRANSACTION)
        send_ids(run->writer, id,
                 id + PER_TRANSACTION - 1 < last ? id + PER_TRANSACTION - 1 : last);
    run->written_ns = wc_bench_now_ns();
    return NULL;
}

/* ── */

static void write_join(size_t who, char *text, size_t cap)
{
    (void)who; /* there is one */
    (void)snprintf(text, cap, "[\"1\",\"1\",\"realtime:bench\",\"phx_join\",{\"config\":{}}]");
}

static void prepare(struct run *run)
{
    static const char send[] = "select realtime.send(jsonb_build_object('id', g), 'e', 'bench', "
                               "false) from generate_series($1::bigint, $2::bigint) g";
    size_t paced = (size_t)(run->warm_up + run->measured);

    run->committed_ns = calloc(paced, sizeof *run->committed_ns);
    run->seen_ns = calloc(paced, sizeof *run->seen_ns);
    if (!run->committed_ns || !run->seen_ns)
        wc_bench_die("out of memory");
    run->writer = wc_bench_connect("");
    PGresult *r = PQprepare(run->writer, "send", send, 2, NULL);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        wc_bench_die("Postgres: %s", PQerrorMessage(run->writer));
    PQclear(r);
}

static void print(struct run *run, int64_t ended_ns)
{
    for (int64_t i = 0; i < run->measured; i++)
        run->seen_ns[i] = run->seen_ns[run->warm_up + i] - run->committed_ns[run->warm_up + i];
    printf("{\"latency_ms\":");
    wc_bench_print_percentiles(run->seen_ns, (size_t)run->measured);
    printf(",\"rows\":%lld,\"written_seconds\":%.6f,\"seconds\":%.6f}\n", (long long)run->rows,
           (double)(run->written_ns - run->began_ns) / 1e9,
           (double)(ended_ns - run->began_ns) / 1e9);
}

int main(int argc, char **argv)
{
    static const struct wc_crowd_events events = {.on_frame = on_frame};
    struct wc_crowd crowd = {0};
    pthread_t thread;

    if (argc != 6)
        wc_bench_die("usage: bench_send PORT TOKEN RATE SECONDS ROWS");
    int64_t port = wc_bench_number("PORT", argv[1]), rate = wc_bench_number("RATE", argv[3]),
            seconds = wc_bench_number("SECONDS", argv[4]);
    if (port > UINT16_MAX || rate > 100000 || seconds > 3600)
        wc_bench_die("PORT, RATE or SECONDS is too large");
    struct run run = {.interval_ns = 1000000000 / rate,
                      .warm_up = rate,
                      .measured = rate * seconds,
                      .rows = wc_bench_number("ROWS", argv[5])};
    prepare(&run);
    wc_crowd_open(&crowd, 1, (uint16_t)port, argv[2]);
    (void)wc_crowd_join(&crowd, write_join); /* how long is no figure here */
    if (pthread_create(&thread, NULL, write_all, &run) != 0)
        wc_bench_die("no thread");
    wc_crowd_await(&crowd, &run.arrived, (uint64_t)(run.warm_up + run.measured + run.rows), &events,
                   &run);
    int64_t ended_ns = wc_bench_now_ns();
    (void)pthread_join(thread, NULL); /* cannot fail for a thread of ours */
    print(&run, ended_ns);
    wc_crowd_close(&crowd);
    PQfinish(run.writer);
    free(run.committed_ns);
    free(run.seen_ns);
    return 0;
}

/*
 * How long after its commit returned a row is there: at the WebSocket clients of walcast, and, as
 * the floor, at a bare reader of a pgoutput stream on the same server in the same run.
 *
 *   bench_latency PORT TOKEN RATE SECONDS FIRST_ID SUBSCRIBERS
 *
 * The main thread commits one row per transaction into public.bench_latency, RATE a second; one
 * thread reads all SUBSCRIBERS, another the stream. Everybody must see every row, once, in order;
 * each arrival is a sample. The first second warms up and is not counted. Rows with ids below 0 are
 * of writers beside this one. Postgres is found by
 * libpq's environment variables. Prints one JSON object.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "benchmarks/load/crowd.h"
#include "benchmarks/load/postgres.h"
#include "benchmarks/load/rawws.h"
#include "benchmarks/load/report.h"

#define PATIENCE_S 10 /* for the readers, after the last commit */

struct reader {
    const char *name;
    int64_t first_id, count;
    size_t clients;
    int64_t *at;      /* [clients], rows seen so far */
    int64_t *seen_ns; /* [clients][count] */
    pthread_t thread;
    struct wc_crowd crowd; /* one of these two */
    PGconn *replication;
};

struct run {
    int64_t first_id, interval_ns;
    int64_t warm_up, measured, count; /* rows: count is these two and a last one, which shows that
                                         its predecessor did not arrive twice */
    int64_t *committed_ns;            /* [count] */
};

static int64_t *new_times(int64_t count)
{
    int64_t *t = calloc((size_t)count, sizeof *t);

    if (!t)
        wc_bench_die("out of memory");
    return t;
}

/* ── Postgres ─────────────────────────────────────────────────────────────────────────────── */

static PGconn *start_replication(void)
{
    PGconn *c = wc_bench_connect("replication=database");

    wc_bench_command(
        c, "CREATE_REPLICATION_SLOT bench_floor TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT",
        PGRES_TUPLES_OK);
    wc_bench_command(c,
                     "START_REPLICATION SLOT bench_floor LOGICAL 0/0 "
                     "(proto_version '1', publication_names 'supabase_realtime')",
                     PGRES_COPY_BOTH);
    return c;
}

/* Asked for when the server wants to know whether we live. The LSNs stay zero: nothing of the
 * temporary slot needs confirming. */
static void answer_keepalive(PGconn *c)
{
    char status[34] = {'r'};

    if (PQputCopyData(c, status, sizeof status) != 1 || PQflush(c) != 0)
        wc_bench_die("floor: %s", PQerrorMessage(c));
}

/* 'w', three int64; 'I', relation, 'N', number of columns; 't', length, text of the id. Ids below 0
 * are those of other writers. */
static bool inserted_id(const char *message, size_t len, int64_t *id)
{
    enum { INSERT = 25, COLUMNS = INSERT + 1 + 4 + 1, ID = COLUMNS + 2 };
    uint32_t digits;
    int64_t n = 0;

    if (len < ID + 5 || message[INSERT] != 'I' || message[ID] != 't')
        return false;
    memcpy(&digits, message + ID + 1, sizeof digits);
    digits = ntohl(digits);
    if (digits > len - (ID + 5))
        wc_bench_die("floor: a column is longer than its message");
    if (message[ID + 5] == '-')
        return false;
    for (uint32_t i = 0; i < digits; i++)
        n = n * 10 + (message[ID + 5 + i] - '0');
    *id = n;
    return true;
}

/* ── readers ──────────────────────────────────────────────────────────────────────────────── */

static void record(struct reader *r, size_t who, int64_t id)
{
    int64_t now_ns = wc_bench_now_ns(), at = r->at[who]++;

    if (at == r->count || id != r->first_id + at)
        wc_bench_die("%s, client %zu: lost, twice or out of order: row %lld instead of %lld",
                     r->name, who, (long long)id, (long long)(r->first_id + at));
    r->seen_ns[(int64_t)who * r->count + at] = now_ns;
}

struct reading {
    struct reader *reader;
    uint64_t arrivals;
};

static void on_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    struct reading *reading = arg;
    const struct wc_rawws_frame f = {(const char *)kept,
                                     len < WC_CROWD_KEPT ? (size_t)len : WC_CROWD_KEPT};
    int64_t id;

    if (!wc_rawws_inserted_id(&f, &id))
        return;
    record(reading->reader, who, id);
    reading->arrivals++;
}

static void *read_websockets(void *arg)
{
    static const struct wc_crowd_events events = {.on_frame = on_frame};
    struct reading reading = {.reader = arg};
    uint64_t all = (uint64_t)reading.reader->count * reading.reader->clients;

    wc_crowd_await(&reading.reader->crowd, &reading.arrivals, all, &events, &reading);
    return NULL;
}

static void *read_replication(void *arg)
{
    struct reader *r = arg;
    int64_t id;

    while (r->at[0] < r->count) {
        char *message = NULL;
        int len = PQgetCopyData(r->replication, &message, 0);

        if (len <= 0)
            wc_bench_die("%s: %s", r->name, PQerrorMessage(r->replication));
        if (message[0] == 'k' && len == 18 && message[17])
            answer_keepalive(r->replication);
        if (message[0] == 'w' && inserted_id(message, (size_t)len, &id))
            record(r, 0, id);
        PQfreemem(message);
    }
    return NULL;
}

static void start(struct reader *r, void *(*body)(void *))
{
    if (pthread_create(&r->thread, NULL, body, r) != 0)
        wc_bench_die("%s: no thread", r->name);
}

static void join(struct reader *r)
{
    struct timespec deadline;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += PATIENCE_S;
    if (pthread_timedjoin_np(r->thread, NULL, &deadline) != 0)
        wc_bench_die("%s: lost: the last row did not arrive within %d s", r->name, PATIENCE_S);
}

/* ── writer ───────────────────────────────────────────────────────────────────────────────── */

static void wait_until(int64_t when_ns)
{
    struct timespec t = {.tv_sec = when_ns / 1000000000, .tv_nsec = when_ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
        continue;
}

static void write_rows(const struct run *run, PGconn *c)
{
    static const char INSERT[] =
        "insert into public.bench_latency values ($1, 'twenty bytes of text')";
    int64_t start_ns = wc_bench_now_ns();

    PGresult *prepared = PQprepare(c, "insert", INSERT, 1, NULL);
    if (PQresultStatus(prepared) != PGRES_COMMAND_OK)
        wc_bench_die("Postgres: %s", PQerrorMessage(c));
    PQclear(prepared);
    for (int64_t i = 0; i < run->count; i++) {
        char id[24];
        const char *values[] = {id};

        (void)snprintf(id, sizeof id, "%lld", (long long)(run->first_id + i));
        wait_until(start_ns + (i + 1) * run->interval_ns);
        PGresult *r = PQexecPrepared(c, "insert", 1, values, NULL, NULL, 0);
        run->committed_ns[i] = wc_bench_now_ns();
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            wc_bench_die("Postgres: %s", PQerrorMessage(c));
        PQclear(r);
    }
}

/* ── */

static struct reader new_reader(const struct run *run, const char *name, size_t clients)
{
    return (struct reader){
        .name = name,
        .first_id = run->first_id,
        .count = run->count,
        .clients = clients,
        .at = new_times((int64_t)clients),
        .seen_ns = new_times((int64_t)clients * run->count),
    };
}

/* Moves the measured samples of all clients together and prints their percentiles. */
static void print_reader(const struct run *run, struct reader *r)
{
    size_t n = 0;

    for (size_t who = 0; who < r->clients; who++)
        for (int64_t i = run->warm_up; i < run->warm_up + run->measured; i++)
            r->seen_ns[n++] = r->seen_ns[(int64_t)who * run->count + i] - run->committed_ns[i];
    printf(",\"%s\":", r->name);
    wc_bench_print_percentiles(r->seen_ns, n);
}

static void free_reader(struct reader *r)
{
    free(r->at);
    free(r->seen_ns);
}

static void write_join(size_t channel, char *text, size_t cap)
{
    (void)channel; /* all of them are in one room, as the readers of a table are */
    wc_crowd_binding(text, cap, 0, "bench_latency", "");
}

static void measure(const struct run *run, uint16_t port, const char *token, size_t clients)
{
    struct reader walcast = new_reader(run, "walcast_ms", clients);
    struct reader bare = new_reader(run, "pgoutput_ms", 1);
    PGconn *writer = wc_bench_connect("");

    bare.replication = start_replication();
    wc_crowd_open(&walcast.crowd, clients, port, token);
    (void)wc_crowd_subscribe(&walcast.crowd, clients, write_join);
    start(&walcast, read_websockets);
    start(&bare, read_replication);
    write_rows(run, writer);
    join(&walcast);
    join(&bare);

    int64_t writing_ns =
        run->committed_ns[run->warm_up + run->measured - 1] - run->committed_ns[run->warm_up - 1];
    printf("{\"rows\":%lld,\"subscribers\":%zu,\"written_seconds\":%.4f", (long long)run->measured,
           clients, (double)writing_ns / 1e9);
    print_reader(run, &walcast);
    print_reader(run, &bare);
    printf("}\n");
    wc_crowd_close(&walcast.crowd);
    PQfinish(bare.replication);
    PQfinish(writer);
    free_reader(&walcast);
    free_reader(&bare);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        wc_bench_die("usage: bench_latency PORT TOKEN RATE SECONDS FIRST_ID SUBSCRIBERS");
    int64_t port = wc_bench_number("PORT", argv[1]), rate = wc_bench_number("RATE", argv[3]),
            seconds = wc_bench_number("SECONDS", argv[4]),
            clients = wc_bench_number("SUBSCRIBERS", argv[6]);
    if (port > UINT16_MAX || rate > 100000 || seconds > 3600 || clients > 100000)
        wc_bench_die("PORT, RATE, SECONDS or SUBSCRIBERS is too large");
    struct run run = {
        .first_id = wc_bench_number("FIRST_ID", argv[5]),
        .interval_ns = 1000000000 / rate,
        .warm_up = rate,
        .measured = rate * seconds,
        .count = rate + rate * seconds + 1,
    };
    run.committed_ns = new_times(run.count);
    measure(&run, (uint16_t)port, argv[2], (size_t)clients);
    free(run.committed_ns);
    return 0;
}

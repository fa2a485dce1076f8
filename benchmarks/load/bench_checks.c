/*
 * The floor of bench_users: the questions that row security asks, to Postgres alone.
 *
 *   bench_checks USERS ROWS
 *
 * Over one pipelined connection, for each batch of BATCH rows of the table bench_users and each
 * user: an implicit transaction that sets role and claims and asks by a prepared query which of the
 * rows the user sees. All of it must be what the policy says. Prints one JSON object.
 */
#include "benchmarks/load/postgres.h"
#include "benchmarks/load/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, IN_FLIGHT = 32, KEYS_MAX = BATCH * 24 };

struct run {
    PGconn *pg;
    int64_t users, rows;
    int64_t seen;
    unsigned in_flight;
};

static void prepare(PGconn *pg, const char *name, const char *sql)
{
    PGresult *r = PQprepare(pg, name, sql, 0, NULL);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        wc_bench_die("%s: %s", sql, PQerrorMessage(pg));
    PQclear(r);
}

/* The answers to one segment: settings, rows, the end of the segment. */
static void take_answer(struct run *run)
{
    static const ExecStatusType want[] = {PGRES_TUPLES_OK, PGRES_TUPLES_OK, PGRES_PIPELINE_SYNC};
    for (unsigned i = 0; i < 3; i++) {
        PGresult *r = PQgetResult(run->pg);
        if (PQresultStatus(r) != want[i])
            wc_bench_die("Postgres: %s", PQerrorMessage(run->pg));
        run->seen += i == 1 ? PQntuples(r) : 0;
        PQclear(r);
        r = i < 2 ? PQgetResult(run->pg) : NULL; /* NULL ends the results of a query */
        if (r)
            wc_bench_die("Postgres: more results than queries");
    }
    run->in_flight--;
}

static void ask(struct run *run, int64_t user, const char *keys)
{
    char claims[128];
    const char *settings[] = {claims}, *rows[] = {keys};
    (void)snprintf(claims, sizeof claims,
                   "{\"role\":\"authenticated\",\"sub\":\"00000000-0000-4000-8000-%012llx\"}",
                   (unsigned long long)user); /* it fits */
    if (run->in_flight == IN_FLIGHT)
        take_answer(run);
    if (!PQsendQueryPrepared(run->pg, "be", 1, settings, NULL, NULL, 0) ||
        !PQsendQueryPrepared(run->pg, "see", 1, rows, NULL, NULL, 0) || !PQpipelineSync(run->pg))
        wc_bench_die("Postgres: %s", PQerrorMessage(run->pg));
    run->in_flight++;
}

static void ask_about(struct run *run, int64_t first, int64_t last)
{
    char keys[KEYS_MAX];
    size_t len = 0;
    for (int64_t id = first; id <= last; id++)
        len += (size_t)snprintf(keys + len, sizeof keys - len, "%c%lld", id == first ? '{' : ',',
                                (long long)id); /* 20 digits and a comma each: they fit */
    memcpy(keys + len, "}", 2);
    for (int64_t user = 0; user < run->users; user++)
        ask(run, user, keys);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        wc_bench_die("usage: bench_checks USERS ROWS");
    struct run run = {.pg = wc_bench_connect(""),
                      .users = wc_bench_number("USERS", argv[1]),
                      .rows = wc_bench_number("ROWS", argv[2])};
    prepare(run.pg, "be",
            "select set_config('role', 'authenticated', true),"
            " set_config('request.jwt.claims', $1, true)");
    prepare(run.pg, "see", "select id from public.bench_users where id = any($1::bigint[])");
    int64_t since = wc_bench_now_ns();
    if (!PQenterPipelineMode(run.pg))
        wc_bench_die("Postgres: %s", PQerrorMessage(run.pg));
    for (int64_t first = 1; first <= run.rows; first += BATCH)
        ask_about(&run, first, first + BATCH - 1 < run.rows ? first + BATCH - 1 : run.rows);
    while (run.in_flight)
        take_answer(&run);
    if (run.seen != run.rows)
        wc_bench_die("%lld of %lld rows were seen", (long long)run.seen, (long long)run.rows);
    printf("{\"users\":%lld,\"rows\":%lld,\"seconds\":%.4f}\n", (long long)run.users,
           (long long)run.rows, (double)(wc_bench_now_ns() - since) / 1e9);
    PQfinish(run.pg);
    return 0;
}

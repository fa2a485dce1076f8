#include "benchmarks/load/postgres.h"

#include "benchmarks/load/report.h"

PGconn *wc_bench_connect(const char *conninfo)
{
    PGconn *c = PQconnectdb(conninfo);
    if (PQstatus(c) != CONNECTION_OK)
        wc_bench_die("Postgres: %s", PQerrorMessage(c));
    return c;
}

void wc_bench_command(PGconn *c, const char *sql, ExecStatusType expected)
{
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != expected)
        wc_bench_die("%s: %s", sql, PQerrorMessage(c));
    PQclear(r);
}

void wc_bench_send(PGconn *c, const char *sql)
{
    if (!PQsendQuery(c, sql))
        wc_bench_die("%s: %s", sql, PQerrorMessage(c));
}

void wc_bench_finish(PGconn *c)
{
    for (PGresult *r; (r = PQgetResult(c));) {
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            wc_bench_die("Postgres: %s", PQerrorMessage(c));
        PQclear(r);
    }
}

/*
 * The writer's side of a benchmark: a connection found by libpq's environment variables. All
 * failures end the program. Threads: one owner per connection.
 */
#ifndef WC_BENCHMARKS_LOAD_POSTGRES_H
#define WC_BENCHMARKS_LOAD_POSTGRES_H

#include <libpq-fe.h>

/* conninfo: in addition to the environment, or "". */
PGconn *wc_bench_connect(const char *conninfo);
void wc_bench_command(PGconn *, const char *sql, ExecStatusType expected);

/* Starts a command without waiting for it; finish dies unless it succeeded. */
void wc_bench_send(PGconn *, const char *sql);
void wc_bench_finish(PGconn *);

#endif

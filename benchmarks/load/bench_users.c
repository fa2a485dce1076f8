/*
 * Rows under `user_id = auth.uid()` to users who each may see their own.
 *
 *   bench_users PORT TOKENS PID ROWS
 *
 * TOKENS is a file with a token per line, one for each user; PID is the server's. Every user
 * subscribes to the table bench_users; then ROWS rows are inserted, of the users in turn, and after
 * them one more for each, which shows that nothing came twice. Each user must see his rows, in
 * order, and no others. Postgres is found by libpq's environment variables. Prints one JSON object.
 */
#include "benchmarks/load/crowd.h"
#include "benchmarks/load/postgres.h"
#include "benchmarks/load/rawws.h"
#include "benchmarks/load/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USERS_MAX = 10000, TOKEN_MAX = 2048 };

struct run {
    char *token[USERS_MAX];
    int64_t next[USERS_MAX]; /* id */
    int64_t users, rows;
    uint64_t arrivals, measured; /* measured: of the rows before the last of each user */
    int64_t last_ns;
};

static void read_tokens(struct run *run, const char *path)
{
    char line[TOKEN_MAX];
    FILE *f = fopen(path, "r");
    while (f && run->users < USERS_MAX && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        run->token[run->users] = strdup(line);
        if (!run->token[run->users++])
            wc_bench_die("out of memory");
    }
    if (!f || !run->users)
        wc_bench_die("no tokens in %s", path);
    (void)fclose(f); /* it was only read */
}

/* Row id is the user's with the number id % users. */
static void expect_rows(struct run *run, int64_t rows)
{
    run->rows = rows;
    run->next[0] = run->users;
    for (int64_t i = 1; i < run->users; i++)
        run->next[i] = i;
}

static void write_join(size_t channel, char *text, size_t cap)
{
    wc_crowd_binding(text, cap, channel, "bench_users", "");
}

static void on_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    struct run *run = arg;
    const struct wc_rawws_frame f = {(const char *)kept,
                                     len < WC_CROWD_KEPT ? (size_t)len : WC_CROWD_KEPT};
    int64_t id;
    if (!wc_rawws_inserted_id(&f, &id))
        wc_bench_die("user %zu: %.*s", who, (int)f.len, f.text);
    if (id != run->next[who])
        wc_bench_die("user %zu got row %lld instead of %lld", who, (long long)id,
                     (long long)run->next[who]);
    run->next[who] += run->users;
    run->arrivals++;
    if (id > run->rows)
        return;
    run->measured++;
    run->last_ns = wc_bench_now_ns();
}

static void insert(PGconn *pg, const struct run *run)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "call bench_fill_users(%lld, %lld)",
                   (long long)(run->rows + run->users), (long long)run->users); /* it fits */
    wc_bench_send(pg, sql);
}

int main(int argc, char **argv)
{
    static const struct wc_crowd_events events = {.on_frame = on_frame};
    static struct run run;
    struct wc_crowd crowd;

    if (argc != 5)
        wc_bench_die("usage: bench_users PORT TOKENS PID ROWS");
    int64_t port = wc_bench_number("PORT", argv[1]), pid = wc_bench_number("PID", argv[3]);
    read_tokens(&run, argv[2]);
    expect_rows(&run, wc_bench_number("ROWS", argv[4]));
    if (port > UINT16_MAX || run.rows % run.users)
        wc_bench_die("PORT is too large, or ROWS no multiple of the users");
    PGconn *pg = wc_bench_connect("");
    wc_crowd_open_each(&crowd, (size_t)run.users, (uint16_t)port, (const char *const *)run.token);
    (void)wc_crowd_subscribe(&crowd, (size_t)run.users, write_join);
    double cpu = wc_bench_cpu_seconds(pid);
    int64_t since = wc_bench_now_ns();
    insert(pg, &run);
    wc_crowd_await(&crowd, &run.measured, (uint64_t)run.rows, &events, &run);
    cpu = wc_bench_cpu_seconds(pid) - cpu;
    wc_crowd_await(&crowd, &run.arrivals, (uint64_t)(run.rows + run.users), &events, &run);
    wc_bench_finish(pg);
    printf("{\"users\":%lld,\"rows\":%lld,\"seconds\":%.4f,\"cpu_seconds\":%.4f}\n",
           (long long)run.users, (long long)run.rows, (double)(run.last_ns - since) / 1e9, cpu);
    wc_crowd_close(&crowd);
    PQfinish(pg);
    for (int64_t i = 0; i < run.users; i++)
        free(run.token[i]);
    return 0;
}

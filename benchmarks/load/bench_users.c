/*
 * Rows under `user_id = auth.uid()` to users who each may see their own.
 *
 *   bench_users PORT TOKENS PID ROWS
 *
 * TOKENS is a file with a token per line, one for each user; PID is the server's. Every user
 * subscribes to the tables bench_users and bench_end, and some rows warm up. Then the server is
 * paused while ROWS rows are inserted, of the users in turn, and a row of bench_end, which all may
 * see and which shows that nothing came twice or too much. Each user must see his rows, in order,
 * and no others. The clock runs from the end of the pause to the last row. Postgres is found by
 * libpq's environment variables. Prints one JSON object.
 */
#include "benchmarks/load/crowd.h"
#include "benchmarks/load/postgres.h"
#include "benchmarks/load/rawws.h"
#include "benchmarks/load/report.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USERS_MAX = 10000, TOKEN_MAX = 2048, WARM_UP_ROWS = 3, ENDED = -1 };

struct run {
    char *token[USERS_MAX];
    int64_t next[USERS_MAX]; /* id */
    int64_t users, rows;
    uint64_t arrivals; /* of rows */
    uint64_t ended;    /* users who have got the row of bench_end */
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
static void expect_rows(struct run *run)
{
    run->next[0] = run->users;
    for (int64_t i = 1; i < run->users; i++)
        run->next[i] = i;
}

static void write_join(size_t channel, char *text, size_t cap)
{
    (void)snprintf(text, cap, /* it fits */
                   "[\"1\",\"1\",\"realtime:room-%zu\",\"phx_join\",{\"config\":{"
                   "\"postgres_changes\":["
                   "{\"event\":\"*\",\"schema\":\"public\",\"table\":\"bench_users\"},"
                   "{\"event\":\"*\",\"schema\":\"public\",\"table\":\"bench_end\"}]}}]",
                   channel);
}

/* After the last row of a user's comes the end, and nothing after it. */
static void take_end(struct run *run, size_t who)
{
    if (run->next[who] == ENDED || run->next[who] <= run->rows)
        wc_bench_die("user %zu got the end instead of row %lld", who, (long long)run->next[who]);
    run->next[who] = ENDED;
    run->ended++;
}

static void on_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    static const char end[] = "\"table\":\"bench_end\"";
    struct run *run = arg;
    const struct wc_rawws_frame f = {(const char *)kept,
                                     len < WC_CROWD_KEPT ? (size_t)len : WC_CROWD_KEPT};
    int64_t id;
    if (!wc_rawws_inserted_id(&f, &id))
        wc_bench_die("user %zu: %.*s", who, (int)f.len, f.text);
    if (memmem(f.text, f.len, end, sizeof end - 1)) {
        take_end(run, who);
        return;
    }
    if (id != run->next[who])
        wc_bench_die("user %zu got row %lld instead of %lld", who, (long long)id,
                     (long long)run->next[who]);
    run->next[who] += run->users;
    run->last_ns = wc_bench_now_ns();
    run->arrivals++;
}

static void on_warm_up_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    size_t n = len < WC_CROWD_KEPT ? (size_t)len : WC_CROWD_KEPT;
    if (who != 0)
        wc_bench_die("user %zu: %.*s", who, (int)n, (const char *)kept);
    ++*(uint64_t *)arg;
}

/* Some rows of user 0, one by one: the first of them makes the server ask what it has not asked
 * before. Returns the seconds they took. */
static double warm_up(struct wc_crowd *crowd, PGconn *pg)
{
    static const struct wc_crowd_events events = {.on_frame = on_warm_up_frame};
    uint64_t got = 0;
    int64_t since = wc_bench_now_ns();
    for (uint64_t i = 1; i <= WARM_UP_ROWS; i++) {
        char sql[128];
        (void)snprintf(sql, sizeof sql,
                       "insert into bench_users values (-%llu, "
                       "'00000000-0000-4000-8000-000000000000', 'twenty bytes of text')",
                       (unsigned long long)i); /* it fits */
        wc_bench_command(pg, sql, PGRES_COMMAND_OK);
        wc_crowd_await(crowd, &got, i, &events, &got);
    }
    return (double)(wc_bench_now_ns() - since) / 1e9;
}

/* Postgres then waits for the server, not the server for rows. */
static void insert_during_pause(PGconn *pg, const struct run *run, pid_t server)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "call bench_fill_users(%lld, %lld)", (long long)run->rows,
                   (long long)run->users); /* it fits */
    if (kill(server, SIGSTOP) != 0)
        wc_bench_die("pausing the server: %s", strerror(errno));
    wc_bench_command(pg, sql, PGRES_COMMAND_OK);
    wc_bench_command(pg, "insert into bench_end values (1)", PGRES_COMMAND_OK);
}

static void measure(struct run *run, struct wc_crowd *crowd, PGconn *pg, int64_t pid)
{
    static const struct wc_crowd_events events = {.on_frame = on_frame};
    double joining = wc_crowd_subscribe(crowd, (size_t)run->users, write_join);
    double warming = warm_up(crowd, pg);
    insert_during_pause(pg, run, (pid_t)pid);
    double cpu = wc_bench_cpu_seconds(pid);
    int64_t since = wc_bench_now_ns();
    if (kill((pid_t)pid, SIGCONT) != 0)
        wc_bench_die("ending the pause: %s", strerror(errno));
    wc_crowd_await(crowd, &run->arrivals, (uint64_t)run->rows, &events, run);
    cpu = wc_bench_cpu_seconds(pid) - cpu;
    wc_crowd_await(crowd, &run->ended, (uint64_t)run->users, &events, run);
    printf("{\"users\":%lld,\"rows\":%lld,\"join_seconds\":%.4f,\"warm_up_seconds\":%.4f,"
           "\"seconds\":%.4f,\"cpu_seconds\":%.4f}\n",
           (long long)run->users, (long long)run->rows, joining, warming,
           (double)(run->last_ns - since) / 1e9, cpu);
}

int main(int argc, char **argv)
{
    static struct run run;
    struct wc_crowd crowd;

    if (argc != 5)
        wc_bench_die("usage: bench_users PORT TOKENS PID ROWS");
    int64_t port = wc_bench_number("PORT", argv[1]), pid = wc_bench_number("PID", argv[3]);
    run.rows = wc_bench_number("ROWS", argv[4]);
    read_tokens(&run, argv[2]);
    expect_rows(&run);
    if (port > UINT16_MAX || run.rows > INT32_MAX)
        wc_bench_die("PORT or ROWS is too large");
    PGconn *pg = wc_bench_connect("");
    wc_crowd_open_each(&crowd, (size_t)run.users, (uint16_t)port, (const char *const *)run.token);
    measure(&run, &crowd, pg, pid);
    wc_crowd_close(&crowd);
    PQfinish(pg);
    for (int64_t i = 0; i < run.users; i++)
        free(run.token[i]);
    return 0;
}

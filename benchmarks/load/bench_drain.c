/*
 * One subscriber takes a backlog that is waiting in walcast's slot.
 *
 *   bench_drain PORT TOKEN TABLE ROWS
 *
 * The rows have ids 1 to ROWS in commit order; every one must arrive, once, in that order. Time
 * runs from the moment the subscription stands to the last row. Prints one JSON object.
 */
#include <stdio.h>

#include "benchmarks/load/rawws.h"
#include "benchmarks/load/report.h"

struct drained {
    int64_t first_ns, last_ns, bytes;
};

static struct drained drain(struct wc_rawws *ws, int64_t rows)
{
    struct drained d = {0};
    struct wc_rawws_frame f;
    int64_t id, expected = 1;

    while (expected <= rows + 1) {
        if (!wc_rawws_next(ws, &f))
            wc_bench_die("lost: the stream ended before row %lld of %lld", (long long)expected,
                         (long long)rows);
        if (!wc_rawws_inserted_id(&f, &id))
            continue; /* join reply */
        if (id != expected)
            wc_bench_die("lost, twice or out of order: row %lld instead of %lld", (long long)id,
                         (long long)expected);
        if (id == 1)
            d.first_ns = wc_bench_now_ns();
        if (id == rows)
            d.last_ns = wc_bench_now_ns();
        d.bytes += (int64_t)f.len;
        expected++;
    }
    return d;
}

int main(int argc, char **argv)
{
    struct wc_rawws ws;

    if (argc != 5)
        wc_bench_die("usage: bench_drain PORT TOKEN TABLE ROWS");
    int64_t port = wc_bench_number("PORT", argv[1]), rows = wc_bench_number("ROWS", argv[4]);
    if (port > UINT16_MAX || !wc_rawws_subscribe(&ws, (uint16_t)port, argv[2], argv[3]))
        wc_bench_die("no subscription");
    int64_t start_ns = wc_bench_now_ns();
    struct drained d = drain(&ws, rows);
    printf("{\"rows\":%lld,\"seconds\":%.4f,\"first_row_seconds\":%.4f,\"bytes\":%lld}\n",
           (long long)rows, (double)(d.last_ns - start_ns) / 1e9,
           (double)(d.first_ns - start_ns) / 1e9, (long long)d.bytes);
    wc_rawws_close(&ws);
    return 0;
}

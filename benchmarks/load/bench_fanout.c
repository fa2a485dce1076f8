/*
 * One sender and many receivers of broadcasts with 100 bytes of payload.
 *
 *   bench_fanout PORT TOKEN PID RECEIVERS MESSAGES RATE
 *
 * TOKEN - means that PORT is bench_sendloop's: bare connections, frames as receivers get them. PID
 * is the server's, whose CPU time is measured. RATE 0: as fast as they are taken, with at most
 * WINDOW messages on their way; else messages per second, one by one, and the time from before
 * sending to each receiver's reading of it. Every receiver must get every message, in order. Prints
 * one JSON object.
 */
#include "benchmarks/load/crowd.h"
#include "benchmarks/load/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAYLOAD_BYTES = 100,
    WINDOW = 32,
    BATCH = 16, /* messages written at once, for the server to coalesce */
    FRAME_MAX = 256,
};

#define BEFORE_NUMBER  "{\"type\":\"broadcast\",\"event\":\"e\",\"payload\":{\"n\":\""
#define NUMBERS        "%012lld %018lld"
#define AFTER_NUMBERS  "\",\"x\":\""
#define END_OF_PAYLOAD "\"}}"

enum {
    NUMBERS_BYTES = 12 + 1 + 18,
    FILLER_BYTES = PAYLOAD_BYTES - (int)(sizeof BEFORE_NUMBER - 1) - NUMBERS_BYTES -
                   (int)(sizeof AFTER_NUMBERS - 1) - (int)(sizeof END_OF_PAYLOAD - 1),
};
_Static_assert(FILLER_BYTES > 0, "the payload has room for all of it");

struct fanout {
    struct wc_crowd crowd;
    size_t receivers; /* and the member behind them is the sender */
    bool is_relay;
    int64_t *next; /* number of the message that each receiver waits for */
    int64_t sent;
    uint64_t got;
    int64_t *sample; /* NULL: latency is not wanted */
    uint64_t nsamples;
};

static void on_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    struct fanout *f = arg;
    /* the payload ends one byte before the frame does */
    size_t at = (size_t)len - 1 - PAYLOAD_BYTES + sizeof BEFORE_NUMBER - 1;
    if (len > WC_CROWD_KEPT || len < PAYLOAD_BYTES + 1 || who >= f->receivers)
        wc_bench_die("connection %zu got something else: %.80s", who, (const char *)kept);
    int64_t number = strtoll((const char *)kept + at, NULL, 10);
    if (number != f->next[who])
        wc_bench_die("receiver %zu got message %lld instead of %lld", who, (long long)number,
                     (long long)f->next[who]);
    f->next[who]++;
    f->got++;
    if (f->sample)
        f->sample[f->nsamples++] =
            wc_bench_now_ns() - strtoll((const char *)kept + at + 13, NULL, 10);
}

static const struct wc_crowd_events events = {.on_frame = on_frame};

static size_t put_message(const struct fanout *f, int64_t number, uint8_t *out)
{
    static const char filler[] = "0123456789012345678901234567890123456789";
    char text[FRAME_MAX];
    int n = snprintf(text, sizeof text,
                     "[%s,\"realtime:bench\",\"broadcast\"," BEFORE_NUMBER NUMBERS AFTER_NUMBERS
                     "%.*s" END_OF_PAYLOAD "]",
                     f->is_relay ? "null,null" : "\"1\",\"2\"", (long long)number,
                     (long long)wc_bench_now_ns(), FILLER_BYTES, filler);
    if (n < 126 || (size_t)n >= sizeof text)
        wc_bench_die("a message of %d bytes", n);
    if (!f->is_relay)
        return wc_crowd_frame(out, text, (size_t)n);
    memcpy(out, (const uint8_t[]){0x81, 126, 0, (uint8_t)n}, 4); /* as receivers get it */
    memcpy(out + 4, text, (size_t)n);
    return 4 + (size_t)n;
}

static void send_messages(struct fanout *f, int64_t count)
{
    uint8_t bytes[BATCH * FRAME_MAX];
    size_t len = 0;
    for (int64_t i = 0; i < count; i++)
        len += put_message(f, f->sent++, bytes + len);
    wc_crowd_write(&f->crowd, f->receivers, bytes, len);
}

static void await_all(struct fanout *f)
{
    wc_crowd_await(&f->crowd, &f->got, (uint64_t)f->sent * f->receivers, &events, f);
}

static void saturate(struct fanout *f, int64_t messages)
{
    int64_t until = f->sent + messages;
    while (f->sent < until) {
        uint64_t on_their_way = (uint64_t)f->sent * f->receivers - f->got;
        if (on_their_way <= (uint64_t)(WINDOW - BATCH) * f->receivers)
            send_messages(f, until - f->sent < BATCH ? until - f->sent : BATCH);
        else if (!wc_crowd_listen(&f->crowd, 60000, &events, f))
            wc_bench_die("lost: nothing comes any more");
    }
    await_all(f);
}

static void pace(struct fanout *f, int64_t messages, int64_t rate)
{
    int64_t start = wc_bench_now_ns();
    for (int64_t i = 0; i < messages; i++) {
        int64_t due = start + i * (1000000000 / rate), now;
        while ((now = wc_bench_now_ns()) < due)
            (void)wc_crowd_listen(&f->crowd, (int)((due - now + 999999) / 1000000), &events, f);
        send_messages(f, 1);
    }
    await_all(f);
}

static void write_join(size_t who, char *text, size_t cap)
{
    (void)who;
    (void)snprintf(text, cap, "[\"1\",\"1\",\"realtime:bench\",\"phx_join\",{\"config\":{}}]");
}

static void open_all(struct fanout *f, uint16_t port, const char *token)
{
    f->is_relay = strcmp(token, "-") == 0;
    f->next = calloc(f->receivers, sizeof *f->next);
    if (!f->next)
        wc_bench_die("out of memory");
    wc_crowd_open(&f->crowd, f->receivers + 1, port, f->is_relay ? NULL : token);
    if (!f->is_relay)
        (void)wc_crowd_join(&f->crowd, write_join);
    send_messages(f, BATCH); /* warms up what grows on first use */
    await_all(f);
}

static void run(struct fanout *f, int64_t pid, int64_t messages, int64_t rate)
{
    uint64_t earlier = f->got, reads = f->crowd.reads;
    double cpu = wc_bench_cpu_seconds(pid);
    int64_t since = wc_bench_now_ns();
    if (rate)
        pace(f, messages, rate);
    else
        saturate(f, messages);
    double seconds = (double)(wc_bench_now_ns() - since) / 1e9;
    cpu = wc_bench_cpu_seconds(pid) - cpu;
    uint64_t deliveries = f->got - earlier;
    printf("{\"receivers\":%zu,\"deliveries\":%llu,\"seconds\":%.4f,\"cpu_seconds\":%.4f,"
           "\"per_read\":%.2f",
           f->receivers, (unsigned long long)deliveries, seconds, cpu,
           (double)deliveries / (double)(f->crowd.reads - reads));
    if (f->sample) {
        printf(",\"ms\":");
        wc_bench_print_percentiles(f->sample, f->nsamples);
    }
    puts("}");
}

int main(int argc, char **argv)
{
    struct fanout f = {0};

    if (argc != 7)
        wc_bench_die("usage: bench_fanout PORT TOKEN PID RECEIVERS MESSAGES RATE");
    int64_t port = wc_bench_number("PORT", argv[1]), pid = wc_bench_number("PID", argv[3]);
    int64_t receivers = wc_bench_number("RECEIVERS", argv[4]);
    int64_t messages = wc_bench_number("MESSAGES", argv[5]);
    int64_t rate = strcmp(argv[6], "0") == 0 ? 0 : wc_bench_number("RATE", argv[6]);
    if (port > UINT16_MAX || receivers > 100000 || messages > 100000000 || rate > 1000000)
        wc_bench_die("an argument is too large");
    f.receivers = (size_t)receivers;
    open_all(&f, (uint16_t)port, argv[2]);
    if (rate) {
        f.sample = calloc((size_t)messages * f.receivers, sizeof *f.sample);
        if (!f.sample)
            wc_bench_die("out of memory");
    }
    run(&f, pid, messages, rate);
    wc_crowd_close(&f.crowd);
    free(f.sample);
    free(f.next);
    return 0;
}

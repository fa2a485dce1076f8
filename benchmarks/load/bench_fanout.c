/*
 * One sender and many receivers of messages with 100 bytes of payload.
 *
 *   bench_fanout WIRE PORT TOKEN PIDS RECEIVERS MESSAGES PACED RATE
 *
 * WIRE is the server's protocol (wire.h), TOKEN - where it wants none. PIDS are the server's, with
 * commas, whose CPU time is measured. First MESSAGES as fast as they are taken, with at most WINDOW
 * of them on their way; then PACED, RATE of them a second, one by one, and the time from before
 * sending to each receiver's reading of it. Every receiver must get every message, once and in
 * order. Prints one JSON object: saturated and paced.
 */
#include "benchmarks/load/crowd.h"
#include "benchmarks/load/report.h"
#include "benchmarks/load/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 32,
    BATCH = 16, /* messages written at once, for the server to coalesce */
};

#define BEFORE_NUMBER  "{\"type\":\"broadcast\",\"event\":\"e\",\"payload\":{\"n\":\""
#define NUMBERS        "%012lld %018lld"
#define AFTER_NUMBERS  "\",\"x\":\""
#define END_OF_PAYLOAD "\"}}"

enum {
    NUMBERS_BYTES = 12 + 1 + 18,
    FILLER_BYTES = WC_WIRE_PAYLOAD - (int)(sizeof BEFORE_NUMBER - 1) - NUMBERS_BYTES -
                   (int)(sizeof AFTER_NUMBERS - 1) - (int)(sizeof END_OF_PAYLOAD - 1),
};
_Static_assert(FILLER_BYTES > 0, "the payload has room for all of it");

/* The part of a message that one read left unfinished, on a stream. */
struct partial {
    size_t len;
    uint8_t bytes[WC_WIRE_MESSAGE_MAX];
};

struct fanout {
    const struct wc_wire *wire;
    struct wc_crowd crowd;
    size_t receivers; /* and the member behind them is the sender */
    struct partial *partial;
    int64_t *next; /* number of the message that each receiver waits for */
    int64_t sent;
    uint64_t got;
    int64_t *sample; /* NULL: latency is not wanted */
    uint64_t nsamples;
};

/* ---- receiving ---- */

static void take_payload(struct fanout *f, size_t who, const char *payload)
{
    const char *at = payload + sizeof BEFORE_NUMBER - 1;
    int64_t number = strtoll(at, NULL, 10);
    if (number != f->next[who])
        wc_bench_die("receiver %zu got message %lld instead of %lld", who, (long long)number,
                     (long long)f->next[who]);
    f->next[who]++;
    f->got++;
    if (f->sample)
        f->sample[f->nsamples++] = wc_bench_now_ns() - strtoll(at + 13, NULL, 10);
}

static void on_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    struct fanout *f = arg;
    if (who == f->receivers && f->wire->is_sender_told)
        return;
    if (len > WC_CROWD_KEPT || len < WC_WIRE_PAYLOAD + f->wire->after || who >= f->receivers)
        wc_bench_die("connection %zu got something else: %.80s", who, (const char *)kept);
    take_payload(f, who, (const char *)kept + len - f->wire->after - WC_WIRE_PAYLOAD);
}

static size_t stream_message_len(const struct fanout *f, size_t who, const struct partial *p)
{
    const char *head = f->wire->head, *aside = f->wire->aside;
    if (p->bytes[0] == (uint8_t)*aside)
        return strlen(aside);
    if (who >= f->receivers || p->bytes[0] != (uint8_t)*head)
        wc_bench_die("connection %zu got something else: %.20s", who, (const char *)p->bytes);
    return strlen(head) + WC_WIRE_PAYLOAD + f->wire->after;
}

static void take_stream_message(struct fanout *f, size_t who, struct partial *p)
{
    const char *head = f->wire->head;
    if (p->bytes[0] != (uint8_t)*head)
        return;
    if (memcmp(p->bytes, head, strlen(head)) != 0)
        wc_bench_die("connection %zu got something else: %.20s", who, (const char *)p->bytes);
    take_payload(f, who, (const char *)p->bytes + strlen(head));
}

static void on_stream(void *arg, size_t who, const uint8_t *bytes, size_t n)
{
    struct fanout *f = arg;
    struct partial *p = &f->partial[who];
    while (n > 0) {
        if (p->len == 0)
            p->bytes[0] = *bytes;
        size_t whole = stream_message_len(f, who, p), used = whole - p->len;
        if (used > n)
            used = n;
        memcpy(p->bytes + p->len, bytes, used);
        p->len += used;
        bytes += used;
        n -= used;
        if (p->len < whole)
            return;
        take_stream_message(f, who, p);
        p->len = 0;
    }
}

static void on_stream_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    (void)arg; /* its bytes have been taken as they came */
    (void)who;
    (void)kept;
    (void)len;
}

static const struct wc_crowd_events framed = {.on_frame = on_frame},
                                    streamed = {.on_frame = on_stream_frame, .on_bytes = on_stream};

static const struct wc_crowd_events *events_of(const struct fanout *f)
{
    return f->wire->head ? &streamed : &framed;
}

/* ---- sending ---- */

static size_t put_message(const struct fanout *f, int64_t number, uint8_t *out)
{
    static const char filler[] = "0123456789012345678901234567890123456789";
    char payload[WC_WIRE_MESSAGE_MAX];
    int n =
        snprintf(payload, sizeof payload, BEFORE_NUMBER NUMBERS AFTER_NUMBERS "%.*s" END_OF_PAYLOAD,
                 (long long)number, (long long)wc_bench_now_ns(), FILLER_BYTES, filler);
    if (n != WC_WIRE_PAYLOAD)
        wc_bench_die("a payload of %d bytes", n);
    return f->wire->put(out, payload);
}

static void send_messages(struct fanout *f, int64_t count)
{
    uint8_t bytes[BATCH * WC_WIRE_MESSAGE_MAX];
    size_t len = 0;
    for (int64_t i = 0; i < count; i++)
        len += put_message(f, f->sent++, bytes + len);
    wc_crowd_write(&f->crowd, f->receivers, bytes, len);
}

static void await_all(struct fanout *f)
{
    wc_crowd_await(&f->crowd, &f->got, (uint64_t)f->sent * f->receivers, events_of(f), f);
}

static void saturate(struct fanout *f, int64_t messages)
{
    int64_t until = f->sent + messages;
    while (f->sent < until) {
        uint64_t on_their_way = (uint64_t)f->sent * f->receivers - f->got;
        if (on_their_way <= (uint64_t)(WINDOW - BATCH) * f->receivers)
            send_messages(f, until - f->sent < BATCH ? until - f->sent : BATCH);
        else if (!wc_crowd_listen(&f->crowd, 60000, events_of(f), f))
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
            (void)wc_crowd_listen(&f->crowd, (int)((due - now + 999999) / 1000000), events_of(f),
                                  f);
        send_messages(f, 1);
    }
    await_all(f);
}

static void enter(struct fanout *f, size_t first, size_t count, struct wc_crowd_door door,
                  const char *token)
{
    char target[2048];
    int n = snprintf(target, sizeof target, "%s%s", door.target ? door.target : "",
                     f->wire->has_token ? token : "");
    if (n < 0 || (size_t)n >= sizeof target)
        wc_bench_die("the token is too long");
    if (door.target)
        door.target = target;
    wc_crowd_enter(&f->crowd, first, count, &door);
}

static void open_all(struct fanout *f, uint16_t port, const char *token)
{
    f->next = calloc(f->receivers, sizeof *f->next);
    f->partial = calloc(f->receivers + 1, sizeof *f->partial);
    if (!f->next || !f->partial)
        wc_bench_die("out of memory");
    struct wc_crowd_door door = {port, f->wire->receiver, f->wire->subprotocol};
    wc_crowd_prepare(&f->crowd, f->receivers + 1);
    enter(f, 0, f->receivers, door, token);
    door.target = f->wire->sender;
    enter(f, f->receivers, 1, door, token);
    f->wire->join(&f->crowd, f->receivers);
    send_messages(f, BATCH); /* warms up what grows on first use */
    await_all(f);
}

/* rate 0: saturated. Prints an object without its closing brace. */
static void run(struct fanout *f, const char *pids, int64_t messages, int64_t rate)
{
    uint64_t earlier = f->got, reads = f->crowd.reads;
    double cpu = wc_bench_cpu_seconds_of(pids);
    int64_t since = wc_bench_now_ns();
    if (rate)
        pace(f, messages, rate);
    else
        saturate(f, messages);
    double seconds = (double)(wc_bench_now_ns() - since) / 1e9;
    cpu = wc_bench_cpu_seconds_of(pids) - cpu;
    uint64_t deliveries = f->got - earlier;
    printf("{\"deliveries\":%llu,\"seconds\":%.4f,\"cpu_seconds\":%.4f,\"per_read\":%.2f",
           (unsigned long long)deliveries, seconds, cpu,
           (double)deliveries / (double)(f->crowd.reads - reads));
}

static void run_paced(struct fanout *f, const char *pids, int64_t messages, int64_t rate)
{
    f->sample = calloc((size_t)messages * f->receivers, sizeof *f->sample);
    if (!f->sample)
        wc_bench_die("out of memory");
    run(f, pids, messages, rate);
    printf(",\"ms\":");
    wc_bench_print_percentiles(f->sample, f->nsamples);
    free(f->sample);
    f->sample = NULL;
}

int main(int argc, char **argv)
{
    struct fanout f = {0};

    if (argc != 9)
        wc_bench_die("usage: bench_fanout WIRE PORT TOKEN PIDS RECEIVERS MESSAGES PACED RATE");
    f.wire = wc_wire_named(argv[1]);
    int64_t port = wc_bench_number("PORT", argv[2]);
    int64_t receivers = wc_bench_number("RECEIVERS", argv[5]);
    int64_t messages = wc_bench_number("MESSAGES", argv[6]);
    int64_t paced = wc_bench_number("PACED", argv[7]), rate = wc_bench_number("RATE", argv[8]);
    if (port > UINT16_MAX || receivers > 100000 || messages > 100000000 || paced > 10000 ||
        rate > 1000000)
        wc_bench_die("an argument is too large");
    f.receivers = (size_t)receivers;
    open_all(&f, (uint16_t)port, argv[3]);
    printf("{\"receivers\":%zu,\"saturated\":", f.receivers);
    run(&f, argv[4], messages, 0);
    printf("},\"paced\":");
    run_paced(&f, argv[4], paced, rate);
    puts("}}");
    wc_crowd_close(&f.crowd);
    free(f.partial);
    free(f.next);
    return 0;
}

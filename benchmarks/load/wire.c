#include "benchmarks/load/wire.h"

#include "benchmarks/load/report.h"

#include <stdio.h>
#include <string.h>

/* What every answer in a step of joining begins with, or contains. */
struct expected {
    const char *bytes;
    size_t len;
    bool is_anywhere;
    uint64_t got;
};

static void on_answer(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    struct expected *e = arg;
    size_t n = len < WC_CROWD_KEPT ? (size_t)len : WC_CROWD_KEPT;
    (void)who; /* each is asked once, and all are counted */
    if (e->is_anywhere ? memmem(kept, n, e->bytes, e->len) != NULL
                       : n >= e->len && memcmp(kept, e->bytes, e->len) == 0)
        e->got++;
    else if (!e->is_anywhere)
        wc_bench_die("connection %zu was answered %.*s", who, (int)n, (const char *)kept);
}

static void ask_all(struct wc_crowd *crowd, size_t count, const void *question, size_t len,
                    struct expected answer)
{
    static const struct wc_crowd_events events = {.on_frame = on_answer};
    uint8_t frame[WC_WIRE_MESSAGE_MAX];
    size_t n = wc_crowd_frame(frame, WC_CROWD_BINARY, question, len);
    for (size_t i = 0; i < count; i++)
        wc_crowd_write(crowd, i, frame, n);
    wc_crowd_await(crowd, &answer.got, count, &events, &answer);
}

/* ---- walcast, and the bare send loop ---- */

#define BROADCAST "\"realtime:bench\",\"broadcast\",%.100s]"

static void write_realtime_join(size_t who, char *text, size_t cap)
{
    (void)who; /* one room for all */
    (void)snprintf(text, cap, "[\"1\",\"1\",\"realtime:bench\",\"phx_join\",{\"config\":{}}]");
}

static void join_realtime(struct wc_crowd *crowd, size_t receivers)
{
    (void)receivers; /* the sender is in the room too */
    (void)wc_crowd_join(crowd, write_realtime_join);
}

static size_t put_realtime(uint8_t *out, const char *payload)
{
    char text[WC_WIRE_MESSAGE_MAX];
    int n = snprintf(text, sizeof text, "[\"1\",\"2\"," BROADCAST, payload);
    return wc_crowd_frame(out, WC_CROWD_TEXT, text, (size_t)n);
}

static void join_nothing(struct wc_crowd *crowd, size_t receivers)
{
    (void)crowd;
    (void)receivers; /* the loop knows them by their order */
}

/* As receivers get it from walcast. */
static size_t put_relayed(uint8_t *out, const char *payload)
{
    char text[WC_WIRE_MESSAGE_MAX];
    int n = snprintf(text, sizeof text, "[null,null," BROADCAST, payload);
    memcpy(out, (const uint8_t[]){0x81, 126, 0, (uint8_t)n}, 4);
    memcpy(out + 4, text, (size_t)n);
    return 4 + (size_t)n;
}

/* ---- MQTT 3.1.1, quality of service 0 ---- */

#define MQTT_TOPIC "\0\5bench"
enum { MQTT_TOPIC_BYTES = 7 };

static void join_mqtt(struct wc_crowd *crowd, size_t receivers)
{
    /* level 4, clean session, no keep-alive, no client identifier: the server makes one */
    static const char connect[] = "\x10\x0c\0\4MQTT\4\2\0\0\0\0";
    static const char subscribe[] = "\x82\x0a\0\1" MQTT_TOPIC "\0"; /* packet 1 */
    ask_all(crowd, crowd->count, connect, sizeof connect - 1,
            (struct expected){.bytes = "\x20\2\0\0", .len = 4});
    ask_all(crowd, receivers, subscribe, sizeof subscribe - 1,
            (struct expected){.bytes = "\x90\3\0\1\0", .len = 5});
}

static size_t put_mqtt(uint8_t *out, const char *payload)
{
    uint8_t packet[2 + MQTT_TOPIC_BYTES + WC_WIRE_PAYLOAD] = {0x30, sizeof packet - 2};
    memcpy(packet + 2, MQTT_TOPIC, MQTT_TOPIC_BYTES);
    memcpy(packet + 2 + MQTT_TOPIC_BYTES, payload, WC_WIRE_PAYLOAD);
    return wc_crowd_frame(out, WC_CROWD_BINARY, packet, sizeof packet);
}

/* ---- NATS ---- */

static void join_nats(struct wc_crowd *crowd, size_t receivers)
{
    static const char connect[] = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n";
    static const char subscribe[] = "SUB bench 1\r\nPING\r\n";
    const struct expected pong = {.bytes = "PONG\r\n", .len = 6, .is_anywhere = true};
    ask_all(crowd, crowd->count, connect, sizeof connect - 1, pong);
    ask_all(crowd, receivers, subscribe, sizeof subscribe - 1, pong);
}

static size_t put_nats(uint8_t *out, const char *payload)
{
    char text[WC_WIRE_MESSAGE_MAX];
    int n = snprintf(text, sizeof text, "PUB bench %d\r\n%.100s\r\n", WC_WIRE_PAYLOAD, payload);
    return wc_crowd_frame(out, WC_CROWD_BINARY, text, (size_t)n);
}

/* ---- nchan: the request's target says what a connection is ---- */

static size_t put_nchan(uint8_t *out, const char *payload)
{
    return wc_crowd_frame(out, WC_CROWD_TEXT, payload, WC_WIRE_PAYLOAD);
}

/* ---- */

#define REALTIME "/socket/websocket?vsn=2.0.0&apikey="

static const struct wc_wire wires[] = {
    {.name = "walcast",
     .receiver = REALTIME,
     .sender = REALTIME,
     .has_token = true,
     .join = join_realtime,
     .put = put_realtime,
     .after = 1},
    {.name = "sendloop", .join = join_nothing, .put = put_relayed, .after = 1},
    {.name = "mqtt",
     .subprotocol = "mqtt",
     .receiver = "/",
     .sender = "/",
     .join = join_mqtt,
     .put = put_mqtt},
    {.name = "nats",
     .receiver = "/",
     .sender = "/",
     .join = join_nats,
     .put = put_nats,
     .head = "MSG bench 1 100\r\n",
     .aside = "PING\r\n",
     .after = 2},
    {.name = "nchan",
     .receiver = "/subscribe",
     .sender = "/publish",
     .is_sender_told = true,
     .join = join_nothing,
     .put = put_nchan},
};

const struct wc_wire *wc_wire_named(const char *name)
{
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++)
        if (strcmp(wires[i].name, name) == 0)
            return &wires[i];
    wc_bench_die("no wire is called %s", name);
}

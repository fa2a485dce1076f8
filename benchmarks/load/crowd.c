#include "benchmarks/load/crowd.h"

#include "benchmarks/load/report.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TOGETHER = 250 /* a listener's backlog may be as short as 511 */ };
enum { READ_BYTES = 1 << 18, READY_MAX = 512, SILENCE_MS = 60000, TEXT_MAX = 4096 };

/* ---- opening ---- */

static void allow_descriptors(size_t count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        wc_bench_die("getrlimit: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < count + 64)
        wc_bench_die("%zu connections need more open files than the hard limit", count);
}

static int dial(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct timeval patience = {.tv_sec = 60};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) != 0)
        wc_bench_die("connect: %s", strerror(errno));
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
        wc_bench_die("setsockopt: %s", strerror(errno));
    return fd;
}

/* The answer up to its empty line and no further: some servers speak first. */
static void read_answer(int fd, size_t who)
{
    char text[TEXT_MAX];
    const char *end;
    size_t known = 0; /* bytes looked at before */
    do {
        ssize_t r = recv(fd, text, sizeof text, MSG_PEEK);
        if (r <= 0 || (size_t)r == known)
            wc_bench_die("upgrade of connection %zu: no answer", who);
        known = (size_t)r;
        end = memmem(text, known, "\r\n\r\n", 4);
    } while (!end);
    if (known < 12 || memcmp(text, "HTTP/1.1 101", 12) != 0)
        wc_bench_die("upgrade of connection %zu refused: %.*s", who, (int)(end - text), text);
    size_t len = (size_t)(end - text) + 4;
    if (recv(fd, text, len, MSG_WAITALL) != (ssize_t)len)
        wc_bench_die("upgrade of connection %zu: %s", who, strerror(errno));
}

static void knock(struct wc_crowd *crowd, size_t who, const struct wc_crowd_door *door)
{
    const char *protocol = door->subprotocol;
    char text[TEXT_MAX];
    int n = snprintf(text, sizeof text,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s%s%s\r\n",
                     door->target, door->port, protocol ? "Sec-WebSocket-Protocol: " : "",
                     protocol ? protocol : "", protocol ? "\r\n" : "");
    if (n < 0 || (size_t)n >= sizeof text)
        wc_bench_die("the request is too long");
    wc_crowd_write(crowd, who, text, (size_t)n);
}

void wc_crowd_prepare(struct wc_crowd *crowd, size_t count)
{
    *crowd = (struct wc_crowd){.count = count, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    crowd->member = calloc(count, sizeof *crowd->member);
    crowd->buf = malloc(READ_BYTES);
    if (crowd->epoll < 0 || !crowd->member || !crowd->buf)
        wc_bench_die("out of memory");
    allow_descriptors(count);
}

static void enter_together(struct wc_crowd *crowd, size_t first, size_t end,
                           const struct wc_crowd_door *door)
{
    for (size_t who = first; who < end; who++) {
        crowd->member[who].fd = dial(door->port);
        if (door->target)
            knock(crowd, who, door);
    }
    for (size_t who = first; who < end; who++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u64 = who};
        if (door->target)
            read_answer(crowd->member[who].fd, who);
        if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, crowd->member[who].fd, &e) != 0)
            wc_bench_die("epoll_ctl: %s", strerror(errno));
    }
}

void wc_crowd_enter(struct wc_crowd *crowd, size_t first, size_t count,
                    const struct wc_crowd_door *door)
{
    for (size_t end = first + count; first < end; first += TOGETHER)
        enter_together(crowd, first, end - first < TOGETHER ? end : first + TOGETHER, door);
}

static void enter_realtime(struct wc_crowd *crowd, size_t who, uint16_t port, const char *token)
{
    char target[TEXT_MAX];
    int n = snprintf(target, sizeof target, "/socket/websocket?vsn=2.0.0&apikey=%s", token);
    if (n < 0 || (size_t)n >= sizeof target)
        wc_bench_die("the token is too long");
    wc_crowd_enter(crowd, who, 1, &(struct wc_crowd_door){.port = port, .target = target});
}

void wc_crowd_open(struct wc_crowd *crowd, size_t count, uint16_t port, const char *token)
{
    wc_crowd_prepare(crowd, count);
    for (size_t i = 0; i < count; i++)
        enter_realtime(crowd, i, port, token);
}

void wc_crowd_open_each(struct wc_crowd *crowd, size_t count, uint16_t port,
                        const char *const tokens[])
{
    wc_crowd_prepare(crowd, count);
    for (size_t i = 0; i < count; i++)
        enter_realtime(crowd, i, port, tokens[i]);
}

void wc_crowd_close(struct wc_crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++)
        close(crowd->member[i].fd);
    close(crowd->epoll);
    free(crowd->member);
    free(crowd->buf);
    *crowd = (struct wc_crowd){.epoll = -1};
}

/* ---- sending ---- */

void wc_crowd_write(struct wc_crowd *crowd, size_t who, const void *p, size_t n)
{
    const uint8_t *at = p;
    while (n > 0) {
        ssize_t did = send(crowd->member[who].fd, at, n, MSG_NOSIGNAL);
        if (did < 0 && errno == EINTR)
            continue;
        if (did < 0)
            wc_bench_die("send on connection %zu: %s", who, strerror(errno));
        at += did;
        n -= (size_t)did;
    }
}

size_t wc_crowd_frame(uint8_t *p, enum wc_crowd_opcode opcode, const void *payload, size_t len)
{
    size_t head = len < 126 ? 2 : 4;
    if (len > UINT16_MAX)
        wc_bench_die("a message of %zu bytes", len);
    p[0] = (uint8_t)(0x80 | opcode);
    p[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) {
        p[2] = (uint8_t)(len >> 8);
        p[3] = (uint8_t)len;
    }
    memset(p + head, 0, 4); /* a masking key of zeros leaves the payload as it is */
    memcpy(p + head + 4, payload, len);
    return head + 4 + len;
}

void wc_crowd_say(struct wc_crowd *crowd, size_t who, const char *text)
{
    uint8_t frame[TEXT_MAX + 8];
    size_t len = strlen(text);
    if (len > TEXT_MAX)
        wc_bench_die("a message of %zu bytes", len);
    wc_crowd_write(crowd, who, frame, wc_crowd_frame(frame, WC_CROWD_TEXT, text, len));
}

/* ---- receiving ---- */

static size_t header_len(const struct wc_crowd_member *m)
{
    if (m->nhead < 2)
        return 2;
    return m->head[1] == 127 ? 10 : m->head[1] == 126 ? 4 : 2;
}

static void start_payload(struct wc_crowd_member *m)
{
    uint64_t len = m->nhead == 2 ? m->head[1] : 0;
    for (size_t i = 2; i < m->nhead; i++)
        len = len << 8 | m->head[i];
    m->is_payload = true;
    m->nkept = 0;
    m->len = m->left = len;
}

static size_t take_header(struct wc_crowd_member *m, const uint8_t *p, size_t n)
{
    size_t used = 0;
    while (used < n && m->nhead < header_len(m))
        m->head[m->nhead++] = p[used++];
    if (m->nhead >= 2 && m->nhead == header_len(m))
        start_payload(m);
    return used;
}

static size_t take_payload(struct wc_crowd_member *m, const uint8_t *p, size_t n)
{
    size_t used = n < m->left ? n : (size_t)m->left;
    size_t room = sizeof m->kept - m->nkept;
    size_t keep = used < room ? used : room;
    memcpy(m->kept + m->nkept, p, keep);
    m->nkept = (uint16_t)(m->nkept + keep);
    m->left -= used;
    return used;
}

static void take_bytes(struct wc_crowd *crowd, size_t who, size_t n,
                       const struct wc_crowd_events *events, void *arg)
{
    struct wc_crowd_member *m = &crowd->member[who];
    const uint8_t *p = crowd->buf;
    crowd->bytes += n;
    crowd->reads++;
    while (n > 0) {
        size_t used;
        if (!m->is_payload) {
            used = take_header(m, p, n);
        } else {
            used = take_payload(m, p, n);
            if (events->on_bytes && !(m->head[0] & 0x08))
                events->on_bytes(arg, who, p, used);
        }
        p += used;
        n -= used;
        if (!m->is_payload || m->left > 0)
            continue;
        if (m->head[0] == 0x88)
            wc_bench_die("the server closed connection %zu", who);
        bool is_control = m->head[0] & 0x08;
        m->is_payload = false;
        m->nhead = 0;
        if (!is_control)
            events->on_frame(arg, who, m->kept, m->len);
    }
}

bool wc_crowd_listen(struct wc_crowd *crowd, int timeout_ms, const struct wc_crowd_events *events,
                     void *arg)
{
    struct epoll_event ready[READY_MAX];
    int n = epoll_wait(crowd->epoll, ready, READY_MAX, timeout_ms);
    for (int i = 0; i < n; i++) {
        size_t who = (size_t)ready[i].data.u64;
        ssize_t got = recv(crowd->member[who].fd, crowd->buf, READ_BYTES, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            wc_bench_die("connection %zu ended", who);
        take_bytes(crowd, who, (size_t)got, events, arg);
    }
    return n > 0;
}

void wc_crowd_await(struct wc_crowd *crowd, const uint64_t *counter, uint64_t until,
                    const struct wc_crowd_events *events, void *arg)
{
    while (*counter < until)
        if (!wc_crowd_listen(crowd, SILENCE_MS, events, arg))
            wc_bench_die("lost: %llu of %llu, and nothing comes any more",
                         (unsigned long long)*counter, (unsigned long long)until);
    if (*counter > until)
        wc_bench_die("%llu came instead of %llu", (unsigned long long)*counter,
                     (unsigned long long)until);
}

/* ---- joining ---- */

static void on_join_frame(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    static const char OK[] = "\"status\":\"ok\"";
    size_t n = len < WC_CROWD_KEPT ? (size_t)len : WC_CROWD_KEPT;
    if (memmem(kept, n, "presence_state", 14))
        return;
    if (!memmem(kept, n, OK, sizeof OK - 1))
        wc_bench_die("the join of connection %zu: %.*s", who, (int)n, (const char *)kept);
    ++*(uint64_t *)arg;
}

double wc_crowd_join(struct wc_crowd *crowd, wc_crowd_join_text *write_join)
{
    static const struct wc_crowd_events events = {.on_frame = on_join_frame};
    char text[TEXT_MAX];
    uint64_t joined = 0;
    int64_t since = wc_bench_now_ns();
    for (size_t i = 0; i < crowd->count; i++) {
        write_join(i, text, sizeof text);
        wc_crowd_say(crowd, i, text);
    }
    wc_crowd_await(crowd, &joined, crowd->count, &events, &joined);
    return (double)(wc_bench_now_ns() - since) / 1e9;
}

/* ---- subscribing ---- */

static void on_verdict(void *arg, size_t who, const uint8_t *kept, uint64_t len)
{
    static const char system[] = ",\"system\",", subscribed[] = "Subscribed to PostgreSQL";
    size_t n = len < WC_CROWD_KEPT ? (size_t)len : WC_CROWD_KEPT;
    if (memmem(kept, n, subscribed, sizeof subscribed - 1))
        ++*(uint64_t *)arg;
    else if (memmem(kept, n, system, sizeof system - 1) || !memmem(kept, n, "\"ok\"", 4))
        wc_bench_die("a join on connection %zu: %.*s", who, (int)n, (const char *)kept);
}

double wc_crowd_subscribe(struct wc_crowd *crowd, size_t channels,
                          wc_crowd_channel_text *write_join)
{
    static const struct wc_crowd_events events = {.on_frame = on_verdict};
    char text[TEXT_MAX];
    uint64_t subscribed = 0;
    int64_t since = wc_bench_now_ns();
    for (size_t i = 0; i < channels; i++) {
        write_join(i, text, sizeof text);
        wc_crowd_say(crowd, i % crowd->count, text);
    }
    wc_crowd_await(crowd, &subscribed, channels, &events, &subscribed);
    return (double)(wc_bench_now_ns() - since) / 1e9;
}

void wc_crowd_binding(char *text, size_t cap, size_t channel, const char *table, const char *filter)
{
    (void)snprintf(text, cap, /* names and filters of benchmarks are short */
                   "[\"1\",\"1\",\"realtime:room-%zu\",\"phx_join\",{\"config\":{\"postgres_"
                   "changes\":[{\"event\":\"*\",\"schema\":\"public\",\"table\":\"%s\"%s%s%s}]}}]",
                   channel, table, *filter ? ",\"filter\":\"" : "", filter, *filter ? "\"" : "");
}

#include "benchmarks/load/rawws.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool fail(const char *what, const char *why)
{
    fprintf(stderr, "websocket: %s: %s\n", what, why);
    return false;
}

static bool write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t did = send(fd, p, n, MSG_NOSIGNAL);
        if (did < 0 && errno == EINTR)
            continue;
        if (did < 0)
            return fail("send", strerror(errno));
        p += did;
        n -= (size_t)did;
    }
    return true;
}

/* Reads until at least n unread bytes are there. */
static bool fill(struct wc_rawws *ws, size_t n)
{
    if (n > WC_RAWWS_BUFFER)
        return fail("receive", "the frame is larger than the buffer");
    if (ws->at + n > WC_RAWWS_BUFFER || ws->at == ws->end) {
        memmove(ws->buf, ws->buf + ws->at, ws->end - ws->at);
        ws->end -= ws->at;
        ws->at = 0;
    }
    while (ws->end - ws->at < n) {
        ssize_t got = recv(ws->fd, ws->buf + ws->end, WC_RAWWS_BUFFER - ws->end, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail("receive", errno == EAGAIN ? "timeout" : strerror(errno));
        if (got == 0)
            return fail("receive", "the server closed the connection");
        ws->end += (size_t)got;
    }
    return true;
}

/* Everything up to the empty line; frames may follow it in the same read. */
static bool read_answer(struct wc_rawws *ws)
{
    static const char ACCEPTED[] = "HTTP/1.1 101";
    const uint8_t *end;

    do {
        if (!fill(ws, ws->end - ws->at + 1))
            return false;
        end = memmem(ws->buf, ws->end, "\r\n\r\n", 4);
    } while (!end);
    if (ws->end < sizeof ACCEPTED || memcmp(ws->buf, ACCEPTED, sizeof ACCEPTED - 1) != 0) {
        fprintf(stderr, "%.*s\n", (int)ws->end, (const char *)ws->buf);
        return fail("upgrade", "refused");
    }
    ws->at = (size_t)(end - ws->buf) + 4;
    return true;
}

static bool open_socket(struct wc_rawws *ws, uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct timeval patience = {.tv_sec = 60};
    int on = 1;

    ws->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (ws->fd < 0 || connect(ws->fd, (const struct sockaddr *)&to, sizeof to) != 0)
        return fail("connect", strerror(errno));
    if (setsockopt(ws->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(ws->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
        return fail("setsockopt", strerror(errno));
    return true;
}

static bool open_websocket(struct wc_rawws *ws, uint16_t port, const char *token)
{
    char request[4096];

    *ws = (struct wc_rawws){.fd = -1};
    int n = snprintf(request, sizeof request,
                     "GET /socket/websocket?vsn=2.0.0&apikey=%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                     "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
                     token, port);
    if (n < 0 || (size_t)n >= sizeof request)
        return fail("upgrade", "the request is too long");
    ws->buf = malloc(WC_RAWWS_BUFFER);
    if (!ws->buf)
        return fail("connect", "out of memory");
    return open_socket(ws, port) && write_all(ws->fd, (const uint8_t *)request, (size_t)n) &&
           read_answer(ws);
}

void wc_rawws_close(struct wc_rawws *ws)
{
    if (ws->fd >= 0)
        close(ws->fd);
    free(ws->buf);
    *ws = (struct wc_rawws){.fd = -1};
}

/* A frame with a masking key of zeros, which leaves the payload as it is. */
static bool send_frame(struct wc_rawws *ws, uint8_t opcode, const void *payload, size_t len)
{
    uint8_t frame[8 + 2048] = {(uint8_t)(0x80 | opcode)};
    size_t header = 2;

    if (len > 2048)
        return fail("send", "the message is too long");
    if (len < 126) {
        frame[1] = (uint8_t)(0x80 | len);
    } else {
        frame[1] = 0x80 | 126;
        frame[2] = (uint8_t)(len >> 8);
        frame[3] = (uint8_t)len;
        header = 4;
    }
    header += 4; /* the key */
    memcpy(frame + header, payload, len);
    return write_all(ws->fd, frame, header + len);
}

static size_t big_endian(const uint8_t *p, size_t n)
{
    size_t v = 0;

    while (n-- > 0)
        v = v << 8 | *p++;
    return v;
}

static bool read_frame(struct wc_rawws *ws, uint8_t *opcode, struct wc_rawws_frame *out)
{
    size_t header = 2, len;

    if (!fill(ws, header))
        return false;
    len = ws->buf[ws->at + 1] & 0x7f;
    size_t extra = len == 126 ? 2 : len == 127 ? 8 : 0;
    if (extra) {
        if (!fill(ws, header + extra))
            return false;
        len = big_endian(ws->buf + ws->at + header, extra);
        header += extra;
    }
    if (len > WC_RAWWS_BUFFER || !fill(ws, header + len))
        return fail("receive", "no whole frame");
    if (!(ws->buf[ws->at] & 0x80))
        return fail("receive", "a fragment");
    *opcode = ws->buf[ws->at] & 0x0f;
    *out = (struct wc_rawws_frame){(const char *)ws->buf + ws->at + header, len};
    ws->at += header + len;
    return true;
}

bool wc_rawws_next(struct wc_rawws *ws, struct wc_rawws_frame *out)
{
    uint8_t opcode;

    while (read_frame(ws, &opcode, out)) {
        if (opcode == 1)
            return true;
        if (opcode == 8) {
            fprintf(stderr, "close frame: %zu %.*s\n",
                    out->len >= 2 ? big_endian((const uint8_t *)out->text, 2) : 0,
                    out->len > 2 ? (int)out->len - 2 : 0, out->text + 2);
            return fail("receive", "the server closed the channel");
        }
        if (opcode == 9 && !send_frame(ws, 10, out->text, out->len))
            return false;
    }
    return false;
}

bool wc_rawws_subscribe(struct wc_rawws *ws, uint16_t port, const char *token, const char *table)
{
    char join[512];
    struct wc_rawws_frame f;

    (void)snprintf(join, sizeof join,
                   "[\"1\",\"1\",\"realtime:bench\",\"phx_join\",{\"config\":{\"postgres_changes\":"
                   "[{\"event\":\"*\",\"schema\":\"public\",\"table\":\"%.100s\"}]}}]",
                   table);
    if (!open_websocket(ws, port, token) || !send_frame(ws, 1, join, strlen(join)))
        return false;
    while (wc_rawws_next(ws, &f)) {
        if (memmem(f.text, f.len, "\"status\":\"error\"", 16)) {
            fprintf(stderr, "%.*s\n", (int)f.len, f.text);
            return fail("subscribe", "refused");
        }
        if (memmem(f.text, f.len, "Subscribed to PostgreSQL", 24))
            return true;
    }
    return false;
}

bool wc_rawws_inserted_id(const struct wc_rawws_frame *f, int64_t *id)
{
    static const char RECORD[] = "\"record\":{\"id\":";
    const char *at = memmem(f->text, f->len, RECORD, sizeof RECORD - 1);
    const char *end = f->text + f->len;
    int64_t n = 0;

    if (!at)
        return false;
    at += sizeof RECORD - 1;
    if (at == end || *at == '-')
        return false;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (*at - '0');
    *id = n;
    return true;
}

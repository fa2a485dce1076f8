#include "fanout/hello.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    HEADER_BYTES = 5, /* of a record: type, version (2), length (2) */
    HANDSHAKE = 22,   /* its type */
    RECORD_MAX = 16384,
};

struct hello {
    uv_poll_t poll; /* first: the close callback frees the struct */
    struct wc_hellos *all;
    struct wc_list link;
    int fd;
    int wanted; /* bytes we wait for */
    wc_us deadline;
};

void wc_hellos_init(struct wc_hellos *all, struct uv_loop_s *loop, _Atomic uint32_t *connections)
{
    *all = (struct wc_hellos){.loop = loop, .connections = connections};
    wc_list_init(&all->waiting);
    wc_list_init(&all->ready);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

/* Returns the descriptor. */
static int forget(struct hello *h)
{
    wc_list_remove(&h->link);
    (void)atomic_fetch_sub_explicit(h->all->connections, 1, memory_order_relaxed);
    uv_close((uv_handle_t *)&h->poll, on_closed);
    return h->fd;
}

static void drop(struct hello *h)
{
    h->all->nwaiting--;
    (void)close(forget(h)); /* nothing that was sent is of interest */
}

/* How many bytes there are, as far as the largest record; they stay, unless the flags say
 * otherwise.
 */
static ssize_t look(const struct hello *h, int flags)
{
    uint8_t record[HEADER_BYTES + RECORD_MAX];
    return recv(h->fd, record, sizeof record, MSG_DONTWAIT | flags);
}

/* What was sent may not be left behind: the reset would overtake the answer. */
static void refuse_plain(struct hello *h)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n"
                                 "content-length: 28\r\nconnection: close\r\n\r\n"
                                 "this port speaks TLS alone.\n";
    (void)look(h, 0); /* more than honest clients send at first */
    (void)send(h->fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(h->fd, SHUT_WR); /* none of the three matters when it has gone */
    drop(h);
}

/* Wakes us when there are so many bytes, and not with each that comes, or at the end. */
static bool want(struct hello *h, int bytes)
{
    h->wanted = bytes;
    return setsockopt(h->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) == 0;
}

static void become_ready(struct hello *h)
{
    (void)uv_poll_stop(&h->poll); /* cannot fail on an open handle */
    h->all->nwaiting--;
    wc_list_remove(&h->link);
    wc_list_push(&h->all->ready, &h->link);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct hello *h = poll->data;
    uint8_t head[HEADER_BYTES];
    (void)events; /* only readable was asked for */
    ssize_t n = status == 0 ? recv(h->fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT) : -1;
    if (n >= 1 && head[0] != HANDSHAKE) {
        refuse_plain(h);
        return;
    }
    int len = n == HEADER_BYTES ? HEADER_BYTES + head[3] * 256 + head[4] : INT_MAX;
    if (len <= HEADER_BYTES + RECORD_MAX && look(h, MSG_PEEK) >= len && want(h, 1))
        become_ready(h);
    else if (len > HEADER_BYTES + RECORD_MAX || h->wanted >= len || !want(h, len))
        drop(h); /* it has ended, or says nothing we know */
}

static struct hello *make(struct wc_hellos *all, int fd)
{
    struct hello *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    *h = (struct hello){.all = all, .fd = fd};
    h->poll.data = h;
    wc_list_init(&h->link);
    if (uv_poll_init(all->loop, &h->poll, fd) == 0)
        return h;
    free(h);
    return NULL;
}

void wc_hello_await(struct wc_hellos *all, int fd, wc_us now)
{
    if (all->nwaiting == WC_HELLOS_MAX)
        drop(WC_CONTAINER(all->waiting.next, struct hello, link));
    struct hello *h = make(all, fd);
    if (!h) {
        (void)close(fd); /* it never carried anything */
        return;
    }
    h->deadline = now + WC_HELLO_TIMEOUT_US;
    wc_list_push(&all->waiting, &h->link);
    all->nwaiting++;
    (void)atomic_fetch_add_explicit(all->connections, 1, memory_order_relaxed);
    if (!want(h, HEADER_BYTES) || uv_poll_start(&h->poll, UV_READABLE, on_readable) != 0)
        drop(h);
}

int wc_hello_take(struct wc_hellos *all)
{
    return wc_list_is_empty(&all->ready)
               ? -1
               : forget(WC_CONTAINER(all->ready.next, struct hello, link));
}

void wc_hello_expire(struct wc_hellos *all, wc_us now)
{
    while (!wc_list_is_empty(&all->waiting)) {
        struct hello *h = WC_CONTAINER(all->waiting.next, struct hello, link);
        if (h->deadline > now)
            return;
        drop(h);
    }
}

void wc_hellos_close(struct wc_hellos *all)
{
    while (!wc_list_is_empty(&all->waiting))
        drop(WC_CONTAINER(all->waiting.next, struct hello, link));
    for (int fd; (fd = wc_hello_take(all)) >= 0;)
        (void)close(fd); /* as above */
}

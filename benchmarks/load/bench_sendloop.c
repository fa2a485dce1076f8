/*
 * The floor of a fan-out: what the sender's connection brings is sent to every receiver, with one
 * bare send for each and nothing else. It reads what has arrived, up to 64 KiB, before it sends, so
 * it has the chances to coalesce that walcast has.
 *
 *   bench_sendloop PORT RECEIVERS
 *
 * The first RECEIVERS connections are receivers, the next one is the sender; ends when the sender
 * does.
 */
#include "benchmarks/load/report.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { READ_BYTES = 64 << 10 };

static int listen_on(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 || listen(fd, SOMAXCONN) != 0)
        wc_bench_die("listen: %s", strerror(errno));
    return fd;
}

static int accept_one(int listener)
{
    int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        wc_bench_die("accept: %s", strerror(errno));
    return fd;
}

static void send_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t did = send(fd, p, n, MSG_NOSIGNAL);
        if (did < 0)
            wc_bench_die("send: %s", strerror(errno));
        p += did;
        n -= (size_t)did;
    }
}

int main(int argc, char **argv)
{
    static uint8_t buf[READ_BYTES];
    struct rlimit limit;
    ssize_t got;

    if (argc != 3)
        wc_bench_die("usage: bench_sendloop PORT RECEIVERS");
    int64_t port = wc_bench_number("PORT", argv[1]), count = wc_bench_number("RECEIVERS", argv[2]);
    if (port > UINT16_MAX || count > 1000000 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        wc_bench_die("PORT or RECEIVERS is too large");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        wc_bench_die("setrlimit: %s", strerror(errno));
    int *receiver = calloc((size_t)count, sizeof *receiver);
    if (!receiver)
        wc_bench_die("out of memory");
    int listener = listen_on((uint16_t)port);
    for (int64_t i = 0; i < count; i++)
        receiver[i] = accept_one(listener);
    int sender = accept_one(listener);
    while ((got = recv(sender, buf, sizeof buf, 0)) > 0)
        for (int64_t i = 0; i < count; i++)
            send_all(receiver[i], buf, (size_t)got);
    free(receiver);
    return 0;
}

#include "fanout/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096 }; /* the kernel cuts it to net.core.somaxconn */

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa;
    socklen_t len;
};

static bool parse(const char *text, uint16_t port, struct address *out)
{
    *out = (struct address){0};
    if (inet_pton(AF_INET, text, &out->sa.v4.sin_addr) == 1) {
        out->sa.v4.sin_family = AF_INET;
        out->sa.v4.sin_port = htons(port);
        out->len = sizeof out->sa.v4;
        return true;
    }
    out->sa.v6.sin6_family = AF_INET6;
    out->sa.v6.sin6_port = htons(port);
    out->len = sizeof out->sa.v6;
    return inet_pton(AF_INET6, text, &out->sa.v6.sin6_addr) == 1;
}

/* SO_REUSEADDR only forgives connections of an earlier run in TIME_WAIT; a listener it does not. */
static int open_bound(const struct address *a, bool shared)
{
    const int yes = 1;
    int fd = socket(a->sa.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) == 0) &&
        bind(fd, &a->sa.any, a->len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    (void)close(fd); /* the first failure is the one to report */
    errno = saved;
    return -1;
}

static enum wc_status report(const char *address, uint16_t port, struct wc_err *err)
{
    int e = errno;
    enum wc_status st = wc_err_set(err, WC_IO, "cannot listen on %s port %u: %s", address,
                                   (unsigned)port, strerror(e));
    if (e == EADDRINUSE)
        wc_err_hint(err, "another process listens there; stop it or choose another port");
    else if (e == EACCES)
        wc_err_hint(err, "ports below 1024 need a privilege; choose another port");
    else if (e == EADDRNOTAVAIL)
        wc_err_hint(err, "no interface of this machine has that address");
    return st;
}

enum wc_status wc_listen(const char *address, uint16_t port, int *fds, unsigned n,
                         struct wc_err *err)
{
    struct address a;
    if (!parse(address, port, &a))
        return wc_err_set(err, WC_INVALID, "\"%s\" is not a numeric address", address);
    if (port == 0)
        return wc_err_set(err, WC_INVALID, "port 0 cannot be listened on");
    int probe = open_bound(&a, false);
    if (probe < 0)
        return report(address, port, err);
    (void)close(probe); /* nothing was received on it */
    for (unsigned i = 0; i < n; i++) {
        fds[i] = open_bound(&a, true);
        if (fds[i] >= 0)
            continue;
        enum wc_status st = report(address, port, err);
        while (i--)
            (void)close(fds[i]);
        return st;
    }
    return WC_OK;
}

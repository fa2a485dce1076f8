#include "fanout/whose.h"

enum { NAME_BYTES_MAX = 255 };

static const struct wc_slice nobody = {.p = (const uint8_t *)"", .len = 0};

static struct wc_slice checked(struct wc_slice name)
{
    if (name.len < 1 || name.len > NAME_BYTES_MAX)
        return nobody;
    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] < ' ' || name.p[i] == 0x7f)
            return nobody;
    return name;
}

/* The name in the path, and what is behind it; false: there is no prefix. */
static bool split_path(struct wc_slice path, struct wc_slice *name, struct wc_slice *rest)
{
    static const char prefix[] = "/t/";
    const size_t n = sizeof prefix - 1;
    if (path.len < n || memcmp(path.p, prefix, n) != 0)
        return false;
    const uint8_t *slash = memchr(path.p + n, '/', path.len - n);
    if (!slash)
        return false;
    *name = wc_slice(path.p + n, (size_t)(slash - path.p) - n);
    *rest = wc_slice(slash, path.len - n - name->len);
    return true;
}

struct wc_whose wc_whose(struct wc_slice path, struct wc_slice host, struct wc_slice header)
{
    struct wc_whose w = {.address.host = wc_host_without_port(host), .path = path};
    struct wc_slice name, rest;
    if (split_path(path, &name, &rest)) {
        w.address.name = checked(name);
        w.path = rest;
        w.is_by_path = true;
    } else if (header.p) {
        w.address.name = checked(header);
    }
    return w;
}

struct wc_slice wc_host_without_port(struct wc_slice host)
{
    size_t end = 0; /* of a bracketed address, whose colons are not the port's */
    if (host.len && host.p[0] == '[')
        while (end < host.len && host.p[end] != ']')
            end++;
    for (size_t i = end; i < host.len; i++)
        if (host.p[i] == ':')
            return wc_slice(host.p, i);
    return host;
}

struct wc_slice wc_host_label(struct wc_slice host)
{
    const uint8_t *dot = host.len ? memchr(host.p, '.', host.len) : NULL;
    return wc_slice(host.p, dot ? (size_t)(dot - host.p) : host.len);
}

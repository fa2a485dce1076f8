#include "fanout/address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BITS = 128, V4_BITS = 96 /* of the prefix that marks an IPv4 address */ };

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static struct wc_address from_v4(const struct in_addr *a)
{
    struct wc_address out;
    memcpy(out.ip, v4_prefix, sizeof v4_prefix);
    memcpy(out.ip + sizeof v4_prefix, a, 4);
    return out;
}

bool wc_address_is_v4(const struct wc_address *a)
{
    return memcmp(a->ip, v4_prefix, sizeof v4_prefix) == 0;
}

static struct wc_slice trim(struct wc_slice s)
{
    while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = wc_slice(s.p + 1, s.len - 1);
    while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Without brackets and port. A colon that stands alone is a port's; more are IPv6's. */
static struct wc_slice without_port(struct wc_slice s)
{
    const uint8_t *colon = s.len ? memchr(s.p, ':', s.len) : NULL;
    if (s.len && s.p[0] == '[') {
        const uint8_t *end = memchr(s.p, ']', s.len);
        return end ? wc_slice(s.p + 1, (size_t)(end - s.p) - 1) : s;
    }
    if (colon && !memchr(colon + 1, ':', s.len - (size_t)(colon - s.p) - 1))
        return wc_slice(s.p, (size_t)(colon - s.p));
    return s;
}

bool wc_address_parse(struct wc_slice text, struct wc_address *out)
{
    char z[WC_ADDRESS_TEXT_MAX];
    struct in_addr v4;
    struct in6_addr v6;
    struct wc_slice s = without_port(trim(text));
    if (s.len == 0 || s.len >= sizeof z || memchr(s.p, '\0', s.len))
        return false;
    memcpy(z, s.p, s.len);
    z[s.len] = '\0';
    if (inet_pton(AF_INET, z, &v4) == 1)
        *out = from_v4(&v4);
    else if (inet_pton(AF_INET6, z, &v6) == 1)
        memcpy(out->ip, &v6, sizeof out->ip);
    else
        return false;
    return true;
}

bool wc_address_of_peer(int fd, struct wc_address *out)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (getpeername(fd, (struct sockaddr *)&ss, &len) != 0)
        return false;
    if (ss.ss_family == AF_INET) {
        memcpy(&v4, &ss, sizeof v4);
        *out = from_v4(&v4.sin_addr);
    } else if (ss.ss_family == AF_INET6) {
        memcpy(&v6, &ss, sizeof v6);
        memcpy(out->ip, &v6.sin6_addr, sizeof out->ip);
    } else {
        return false;
    }
    return true;
}

void wc_address_text(const struct wc_address *a, char out[WC_ADDRESS_TEXT_MAX])
{
    const void *p = wc_address_is_v4(a) ? a->ip + sizeof v4_prefix : a->ip;
    out[0] = '\0';
    (void)inet_ntop(wc_address_is_v4(a) ? AF_INET : AF_INET6, p, out,
                    WC_ADDRESS_TEXT_MAX); /* it fits */
}

/* ---- networks ---- */

static bool parse_prefix(struct wc_slice s, unsigned max, unsigned *out)
{
    unsigned v = 0;
    if (s.len == 0 || s.len > 3)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (unsigned)(s.p[i] - '0');
    }
    *out = v;
    return v <= max;
}

static bool parse_network(struct wc_slice s, struct wc_network *out)
{
    const uint8_t *slash = memchr(s.p, '/', s.len);
    size_t len = slash ? (size_t)(slash - s.p) : s.len;
    unsigned bits = BITS;
    if (!wc_address_parse(wc_slice(s.p, len), &out->base))
        return false;
    unsigned skipped = wc_address_is_v4(&out->base) ? V4_BITS : 0;
    if (slash && !parse_prefix(wc_slice(slash + 1, s.len - len - 1), BITS - skipped, &bits))
        return false;
    out->prefix = slash ? bits + skipped : BITS;
    return true;
}

enum wc_status wc_networks_parse(const char *list, struct wc_networks *out, struct wc_err *err)
{
    size_t most = 1;
    for (const char *p = list; *p; p++)
        most += *p == ',';
    struct wc_networks n = {.network = calloc(most, sizeof *n.network)};
    if (!n.network)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    for (const char *p = list; p;) {
        const char *comma = strchr(p, ',');
        struct wc_slice s = trim(wc_slice(p, comma ? (size_t)(comma - p) : strlen(p)));
        p = comma ? comma + 1 : NULL;
        if (s.len == 0)
            continue;
        if (!parse_network(s, &n.network[n.count++])) {
            wc_networks_release(&n);
            return wc_err_set(err, WC_INVALID, "\"%.*s\" is no network such as 10.0.0.0/8",
                              (int)(s.len < 64 ? s.len : 64), (const char *)s.p);
        }
    }
    *out = n;
    return WC_OK;
}

void wc_networks_release(struct wc_networks *n)
{
    free(n->network);
    *n = (struct wc_networks){0};
}

static bool is_within(const struct wc_address *a, const struct wc_network *n)
{
    unsigned bytes = n->prefix / 8, bits = n->prefix % 8;
    if (memcmp(a->ip, n->base.ip, bytes) != 0)
        return false;
    return !bits || (a->ip[bytes] ^ n->base.ip[bytes]) >> (8 - bits) == 0;
}

bool wc_networks_hold(const struct wc_networks *n, const struct wc_address *a)
{
    for (size_t i = 0; i < n->count; i++)
        if (is_within(a, &n->network[i]))
            return true;
    return false;
}

struct wc_address wc_address_of_client(struct wc_address peer, struct wc_slice forwarded_for,
                                       const struct wc_networks *trusted)
{
    struct wc_address client = peer, next;
    struct wc_slice rest = forwarded_for;
    while (rest.len && wc_networks_hold(trusted, &client)) {
        const uint8_t *comma = memrchr(rest.p, ',', rest.len);
        size_t start = comma ? (size_t)(comma - rest.p) + 1 : 0;
        if (!wc_address_parse(wc_slice(rest.p + start, rest.len - start), &next))
            break;
        client = next;
        rest.len = comma ? start - 1 : 0;
    }
    return client;
}

/*
 * Network addresses of clients: reading them, networks of them, and who a client behind proxies is.
 *
 * An IPv4 address is kept as the IPv6 address ::ffff:a.b.c.d, so there is one kind only.
 * Ownership: networks own their array. Threads: pure. Errors: INVALID with *err, NOMEM.
 */
#ifndef WC_FANOUT_ADDRESS_H
#define WC_FANOUT_ADDRESS_H

#include "base/buf.h"
#include "base/err.h"

struct wc_address {
    uint8_t ip[16];
};

/* "192.0.2.1", "2001:db8::1", each also with a port: "192.0.2.1:80", "[2001:db8::1]:80". */
bool wc_address_parse(struct wc_slice text, struct wc_address *out);
/* Of the other end; false when it has gone or is no IP socket. */
bool wc_address_of_peer(int fd, struct wc_address *out);

enum { WC_ADDRESS_TEXT_MAX = 46 }; /* with the NUL; INET6_ADDRSTRLEN */
bool wc_address_is_v4(const struct wc_address *);
void wc_address_text(const struct wc_address *, char out[WC_ADDRESS_TEXT_MAX]);

struct wc_networks {
    struct wc_network {
        struct wc_address base;
        unsigned prefix; /* bits, 0 to 128 */
    } * network;
    size_t count;
};

/* "10.0.0.0/8, 2001:db8::/32, 192.0.2.1"; an empty list holds nothing. */
WC_MUST_USE
enum wc_status wc_networks_parse(const char *list, struct wc_networks *out, struct wc_err *err);
void wc_networks_release(struct wc_networks *); /* zeroed is fine */
bool wc_networks_hold(const struct wc_networks *, const struct wc_address *);

/* The client of a request from `peer`. Only trusted proxies are believed: as long as an address is
 * one of theirs, the next one from the right of x-forwarded-for (p NULL: absent) is who it acted
 * for. Where the header ends, or cannot be read, so does the search. */
struct wc_address wc_address_of_client(struct wc_address peer, struct wc_slice forwarded_for,
                                       const struct wc_networks *trusted);

#endif

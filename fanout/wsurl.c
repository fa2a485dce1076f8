#include "fanout/wsurl.h"

struct cursor {
    const char *text, *at;
    struct wc_err *err;
};

static enum wc_status fail(const struct cursor *c, const char *why)
{
    if (c->err)
        c->err->at = (size_t)(c->at - c->text);
    return wc_err_set(c->err, WC_INVALID, "not a WebSocket URL: %s", why);
}

static struct wc_slice take_until(struct cursor *c, const char *stop)
{
    const char *from = c->at;

    c->at += strcspn(c->at, stop);
    return wc_slice(from, (size_t)(c->at - from));
}

static bool skip(struct cursor *c, const char *prefix)
{
    size_t n = strlen(prefix);

    if (strncmp(c->at, prefix, n) != 0)
        return false;
    c->at += n;
    return true;
}

static enum wc_status check_characters(struct cursor *c)
{
    for (; *c->at; c->at++)
        if (*c->at <= ' ' || *c->at > '~' || *c->at == '#')
            return fail(c, "a character that must be percent-encoded");
    c->at = c->text;
    return WC_OK;
}

static enum wc_status parse_scheme(struct cursor *c, struct wc_wsurl *u)
{
    if (skip(c, "ws://")) {
        u->tls = false;
    } else if (skip(c, "wss://")) {
        u->tls = true;
    } else {
        fail(c, "it must begin with ws:// or wss://");
        wc_err_hint(c->err, "for example ws://127.0.0.1:4000/socket/websocket");
        return WC_INVALID;
    }
    u->port = u->tls ? 443 : 80;
    return WC_OK;
}

static enum wc_status parse_host(struct cursor *c, struct wc_wsurl *u)
{
    if (skip(c, "[")) {
        u->host = take_until(c, "]/?");
        if (!skip(c, "]"))
            return fail(c, "the address lacks its closing bracket");
    } else {
        u->host = take_until(c, ":/?@");
    }
    if (*c->at == '@')
        return fail(c, "user names have no meaning here");
    if (u->host.len == 0)
        return fail(c, "the host is missing");
    return WC_OK;
}

static enum wc_status parse_port(struct cursor *c, struct wc_wsurl *u)
{
    unsigned port = 0;

    if (!skip(c, ":"))
        return WC_OK;
    for (; *c->at >= '0' && *c->at <= '9' && port <= UINT16_MAX; c->at++)
        port = port * 10 + (unsigned)(*c->at - '0');
    if (port == 0 || port > UINT16_MAX)
        return fail(c, "the port must be a number from 1 to 65535");
    u->port = (uint16_t)port;
    return WC_OK;
}

enum wc_status wc_wsurl_parse(const char *url, struct wc_wsurl *out, struct wc_err *err)
{
    struct cursor c = {.text = url, .at = url, .err = err};
    struct wc_wsurl u = {0};
    enum wc_status st;

    if (strlen(url) > WC_WSURL_MAX)
        return wc_err_set(err, WC_LIMIT, "the URL is longer than %d bytes", WC_WSURL_MAX);
    if ((st = check_characters(&c)) != WC_OK || (st = parse_scheme(&c, &u)) != WC_OK)
        return st;

    const char *authority = c.at;
    if ((st = parse_host(&c, &u)) != WC_OK || (st = parse_port(&c, &u)) != WC_OK)
        return st;
    if (*c.at && *c.at != '/' && *c.at != '?')
        return fail(&c, "a path must begin with a slash");
    u.authority = wc_slice(authority, (size_t)(c.at - authority));

    u.path = take_until(&c, "?");
    if (skip(&c, "?"))
        u.query = take_until(&c, "");
    *out = u;
    return WC_OK;
}

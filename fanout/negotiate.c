#include "fanout/negotiate.h"

#include <strings.h>

static const char html[] = "text/html; charset=utf-8"; /* as the incumbent has it */

/* Of a body of the largest size (http.h). */
static const struct wc_json_limits body_limits = {.depth = 64, .nodes = 1000000};

static bool refuse(struct wc_http_response *res, unsigned status, const char *text)
{
    res->status = status;
    res->content_type = html;
    wc_buf_str(&res->body, text);
    return false;
}

/* "application/json" of "Application/JSON; charset=utf-8". */
static struct wc_slice media_type(struct wc_slice header)
{
    const uint8_t *end = header.len ? memchr(header.p, ';', header.len) : NULL;
    struct wc_slice s = wc_slice(header.p, end ? (size_t)(end - header.p) : header.len);
    while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool wc_negotiate_is_type(struct wc_slice content_type, const char *type)
{
    struct wc_slice s = media_type(content_type);
    return s.len == strlen(type) && strncasecmp((const char *)s.p, type, s.len) == 0;
}

bool wc_negotiate_body(const struct wc_http_request *req, struct wc_arena *arena,
                       struct wc_http_response *res, struct wc_json *out)
{
    *out = (struct wc_json){.count = 0};
    if (!wc_negotiate_is_type(req->content_type, "application/json") || !req->body.len)
        return true;
    enum wc_status st = wc_json_parse(out, req->body, arena, body_limits, NULL);
    if (st == WC_OK)
        return true;
    *out = (struct wc_json){.count = 0};
    if (st == WC_NOMEM)
        return refuse(res, 500, "Internal Server Error");
    if (st == WC_LIMIT)
        return refuse(res, 413, "Request Entity Too Large");
    return refuse(res, 400, "Bad Request");
}

bool wc_negotiate_accept(const struct wc_http_request *req, struct wc_http_response *res)
{
    struct wc_slice a = req->accept;
    if (!a.len || memmem(a.p, a.len, "json", 4) || memmem(a.p, a.len, "*/*", 3) ||
        memmem(a.p, a.len, "application/*", 13))
        return true;
    return refuse(res, 406, "Not Acceptable");
}

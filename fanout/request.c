#include "fanout/request.h"

#include "base/assert.h"

#include <sys/random.h>

static const char any_origin[] = "*";
static const char allow_origin[] = "access-control-allow-origin";
static const char default_headers[] = "authorization, apikey, content-type, x-client-info";

enum { WANTED_HEADERS_MAX = 512 }; /* more than the clients' SDKs set is not reflected */

static bool has_prefix(struct wc_slice s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len >= n && memcmp(s.p, prefix, n) == 0;
}

static struct wc_slice skip(struct wc_slice s, size_t n)
{
    return wc_slice(s.p + n, s.len - n);
}

/* ---- routes ---- */

/* Where `part` begins the last time behind the first byte; 0: it does not. */
static size_t find_last(struct wc_slice s, struct wc_slice part)
{
    for (size_t at = s.len >= part.len ? s.len - part.len : 0; at > 0; at--)
        if (memcmp(s.p + at, part.p, part.len) == 0)
            return at;
    return 0;
}

/* Pattern and path from a parameter on. */
static bool match_params(const char *pattern, struct wc_slice path, struct wc_slice *param)
{
    for (unsigned i = 0; *pattern; i++) {
        WC_ASSERT(i < WC_REQUEST_PARAMS && *pattern == ':');
        pattern += strcspn(pattern, "/");
        struct wc_slice literal = wc_slice(pattern, strcspn(pattern, ":"));
        size_t len = literal.len ? find_last(path, literal) : path.len;
        if (len == 0)
            return false;
        param[i] = wc_slice(path.p, len);
        path = skip(path, len + literal.len);
        pattern += literal.len;
    }
    return path.len == 0;
}

static bool is_path_of(const struct wc_http_route *r, struct wc_slice path, struct wc_slice *param)
{
    struct wc_slice literal = wc_slice(r->path, strcspn(r->path, ":"));
    if (path.len < literal.len || memcmp(path.p, literal.p, literal.len) != 0)
        return false;
    return match_params(r->path + literal.len, skip(path, literal.len), param);
}

/* ---- answers ---- */

void wc_response_field(struct wc_http_response *res, const char *name, struct wc_slice value)
{
    WC_ASSERT(res->nfields < WC_RESPONSE_FIELDS);
    res->field[res->nfields++] = (struct wc_http_field){name, value};
}

void wc_response_message(struct wc_http_response *res, unsigned status, const char *text)
{
    wc_buf_reset(&res->body);
    res->status = status;
    res->content_type = WC_JSON_TYPE;
    wc_buf_printf(&res->body, "{\"message\":\"%s\"}", text);
}

void wc_response_empty(struct wc_http_response *res, unsigned status)
{
    wc_buf_reset(&res->body);
    res->status = status;
    res->content_type = NULL;
}

void wc_response_unsent(struct wc_http_response *res, enum wc_status why)
{
    if (why == WC_LIMIT)
        wc_response_message(res, 503, "Too many messages wait to be sent, please try again");
    else
        wc_response_message(res, 500, "Internal Server Error");
}

static bool is_header_list(struct wc_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((s.p[i] < 'a' || s.p[i] > 'z') && (s.p[i] < 'A' || s.p[i] > 'Z') &&
            (s.p[i] < '0' || s.p[i] > '9') &&
            !memchr("-_, ", s.p[i], 4)) /* not strchr, which finds NUL */
            return false;
    return s.len > 0 && s.len <= WANTED_HEADERS_MAX;
}

static void answer_preflight(const struct wc_http_request *req, struct wc_http_response *res)
{
    res->status = 204;
    res->content_type = NULL;
    wc_response_field(res, allow_origin, wc_slice_str(any_origin));
    wc_response_field(res, "access-control-allow-methods", wc_slice_str("GET, POST, OPTIONS"));
    wc_response_field(res, "access-control-allow-headers",
                      is_header_list(req->wanted_headers) ? req->wanted_headers
                                                          : wc_slice_str(default_headers));
    wc_response_field(res, "access-control-max-age", wc_slice_str("86400"));
}

/* A text, or a JSON string where JSON is asked for and HTML is not, as the incumbent has it. */
static void answer_not_found(const struct wc_http_request *req, struct wc_http_response *res)
{
    struct wc_slice a = req->accept;
    bool is_json = a.len && memmem(a.p, a.len, "json", 4) && !memmem(a.p, a.len, "html", 4);
    res->status = 404;
    res->content_type = is_json ? WC_JSON_TYPE : "text/html; charset=utf-8";
    wc_buf_str(&res->body, is_json ? "\"Not Found\"" : "Not Found");
}

void wc_request_answer(const struct wc_http_route *routes, size_t nroutes,
                       struct wc_http_request *req, struct wc_http_response *res)
{
    static const char gateway[] = "/realtime/v1";
    if (has_prefix(req->path, "/realtime/v1/api/"))
        req->path = skip(req->path, sizeof gateway - 1);
    bool is_api = has_prefix(req->path, "/api/");
    bool is_preflight = is_api && wc_slice_is(req->method, "OPTIONS");
    for (size_t i = 0; i < nroutes; i++) {
        const struct wc_http_route *r = &routes[i];
        if (!(is_preflight || wc_slice_is(req->method, r->method)) ||
            (is_preflight && r->no_cors) || (req->is_by_path && !r->is_tenants) ||
            !is_path_of(r, req->path, req->param))
            continue;
        if (is_preflight) {
            answer_preflight(req, res);
            return;
        }
        if (is_api && req->origin.p && !r->no_cors)
            wc_response_field(res, allow_origin, wc_slice_str(any_origin));
        r->handle(r->self, req, res);
        return;
    }
    answer_not_found(req, res);
}

/* ---- requests ---- */

/* Cuts the first piece off. */
static struct wc_slice next_piece(struct wc_slice *rest, char separator)
{
    const uint8_t *end = rest->len ? memchr(rest->p, separator, rest->len) : NULL;
    struct wc_slice piece = wc_slice(rest->p, end ? (size_t)(end - rest->p) : rest->len);
    *rest = end ? skip(*rest, piece.len + 1) : wc_slice(NULL, 0);
    return piece;
}

struct wc_slice wc_request_headers(const struct wc_http_request *req)
{
    return req->headers ? req->headers(req) : wc_slice_str("{}");
}

bool wc_request_has(const struct wc_http_request *req, const char *name_and_value)
{
    struct wc_slice rest = req->query;
    while (rest.len)
        if (wc_slice_is(next_piece(&rest, '&'), name_and_value))
            return true;
    return false;
}

static bool is_printable(struct wc_slice s, size_t min)
{
    enum { ID_MAX = 200 };
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    return s.len >= min && s.len <= ID_MAX;
}

static struct wc_slice trim(struct wc_slice s)
{
    while (s.len && s.p[0] == ' ')
        s = skip(s, 1);
    while (s.len && s.p[s.len - 1] == ' ')
        s.len--;
    return s;
}

/* W3C Baggage: entries "key=value;properties", separated by commas. */
static struct wc_slice id_of_baggage(const char *wanted, struct wc_slice baggage)
{
    while (baggage.len) {
        struct wc_slice entry = next_piece(&baggage, ',');
        struct wc_slice pair = next_piece(&entry, ';');
        struct wc_slice key = next_piece(&pair, '=');
        if (wc_slice_is(trim(key), wanted))
            return trim(pair);
    }
    return wc_slice(NULL, 0);
}

struct wc_slice wc_request_id(const char *key, struct wc_slice baggage, struct wc_slice own,
                              char fresh[WC_REQUEST_ID_FRESH])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[WC_REQUEST_ID_FRESH / 2] = {0};
    struct wc_slice id = id_of_baggage(key, baggage);
    if (is_printable(id, 10))
        return id;
    if (is_printable(own, 20))
        return own;
    ssize_t n = getrandom(bytes, sizeof bytes, 0); /* so few bytes come at once */
    WC_ASSERT(n == (ssize_t)sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        fresh[2 * i] = hex[bytes[i] >> 4];
        fresh[2 * i + 1] = hex[bytes[i] & 15];
    }
    return wc_slice(fresh, WC_REQUEST_ID_FRESH);
}

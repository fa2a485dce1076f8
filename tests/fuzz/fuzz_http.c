/*
 * First byte 'b': the rest is the body of POST /api/broadcast. 'i': the headers that name a
 * request, one per line. Anything else: method, path, query and origin, one per line, for a table
 * of routes.
 */
#include "base/assert.h"
#include "fanout/batch.h"
#include "fanout/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_CAP = 64 << 20, TEXT_CAP = 64 << 20, MAX_PAYLOAD_KB = 1 };

static struct wc_slice next_line(struct wc_slice *rest)
{
    const uint8_t *end = rest->len ? memchr(rest->p, '\n', rest->len) : NULL;
    struct wc_slice line = wc_slice(rest->p, end ? (size_t)(end - rest->p) : rest->len);
    size_t used = line.len + (end ? 1 : 0);
    *rest = wc_slice(rest->p + used, rest->len - used);
    return line;
}

static bool lies_within(struct wc_slice part, struct wc_slice whole)
{
    return part.p >= whole.p && part.p + part.len <= whole.p + whole.len;
}

/* ---- batches ---- */

static void check_batch(const struct wc_batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        const struct wc_batch_message *m = &b->message[i];
        WC_ASSERT(!wc_batch_is_blank(m->topic) && !wc_batch_is_blank(m->event));
        WC_ASSERT(wc_utf8_ok(m->topic) && wc_utf8_ok(m->event) && wc_utf8_ok(m->id));
        WC_ASSERT(m->payload.len >= 2 && m->payload.p[0] == '{');
    }
}

static void check_errors(struct wc_slice text)
{
    struct wc_arena arena;
    struct wc_json doc;
    struct wc_json_limits limits = {.depth = 16, .nodes = 10000000};
    wc_arena_init(&arena, (size_t)1 << 30);
    WC_ASSERT(wc_json_parse(&doc, text, &arena, limits, NULL) == WC_OK);
    WC_ASSERT(wc_json_get(&doc, wc_json_get(&doc, 0, "errors"), "messages") != WC_JSON_NONE);
    wc_arena_release(&arena);
}

static void batch(struct wc_slice body)
{
    struct wc_arena arena;
    struct wc_json doc;
    struct wc_json_limits limits = {.depth = 64, .nodes = 1000000};
    struct wc_batch b = {0};
    struct wc_buf errors;
    wc_arena_init(&arena, ARENA_CAP);
    wc_buf_init(&errors, TEXT_CAP);
    if (wc_json_parse(&doc, body, &arena, limits, NULL) == WC_OK) {
        enum wc_status st = wc_batch_read(&doc, MAX_PAYLOAD_KB, &arena, &b, &errors);
        WC_ASSERT(st == WC_OK || st == WC_INVALID);
        if (st == WC_OK)
            check_batch(&b);
        else
            check_errors(wc_buf_view(&errors));
    }
    wc_buf_release(&errors);
    wc_arena_release(&arena);
}

/* ---- routes ---- */

static void on_single(void *self, const struct wc_http_request *r, struct wc_http_response *out)
{
    *(bool *)self = true;
    WC_ASSERT(r->param[0].len > 0 && r->param[1].len > 0);
    WC_ASSERT(lies_within(r->param[0], r->path) && lies_within(r->param[1], r->path));
    out->status = 202;
}

static void on_batch(void *self, const struct wc_http_request *r, struct wc_http_response *out)
{
    *(bool *)self = true;
    WC_ASSERT(wc_slice_is(r->path, "/api/broadcast") ||
              wc_slice_is(r->path, "/realtime/v1/api/broadcast"));
    out->status = 202;
}

static void check_response(const struct wc_http_response *r, bool was_handled)
{
    WC_ASSERT(!was_handled || r->status == 202);
    WC_ASSERT(was_handled || (r->status >= 200 && r->status < 500));
    WC_ASSERT(r->nfields <= WC_RESPONSE_FIELDS);
    for (size_t i = 0; i < r->nfields; i++)
        WC_ASSERT(r->field[i].name && (r->field[i].value.p || !r->field[i].value.len));
}

static void request(struct wc_slice lines)
{
    bool was_handled = false;
    struct wc_http_route route[] = {
        {.method = "POST", .path = "/api/broadcast", .handle = on_batch, .self = &was_handled},
        {.method = "POST",
         .path = "/api/broadcast/:topic/events/:event",
         .handle = on_single,
         .self = &was_handled},
    };
    struct wc_http_request r = {0};
    struct wc_http_response out = {.status = 200, .content_type = "text/plain; charset=utf-8"};
    wc_buf_init(&out.body, TEXT_CAP);
    r.method = next_line(&lines);
    r.path = next_line(&lines);
    r.query = next_line(&lines);
    r.origin = lines.len ? next_line(&lines) : wc_slice(NULL, 0);
    r.wanted_headers = lines.len ? lines : wc_slice(NULL, 0);
    wc_request_answer(route, sizeof route / sizeof *route, &r, &out);
    check_response(&out, was_handled);
    WC_ASSERT(!wc_request_has(&r, "private=true") || r.query.len >= sizeof "private=true" - 1);
    wc_buf_release(&out.body);
}

static void request_id(struct wc_slice lines)
{
    char fresh[WC_REQUEST_ID_FRESH];
    struct wc_slice baggage = next_line(&lines);
    struct wc_slice id = wc_request_id("request-id", baggage, lines, fresh);
    WC_ASSERT(id.p && id.len >= 10 && id.len <= 200);
    for (size_t i = 0; i < id.len; i++)
        WC_ASSERT(id.p[i] >= ' ' && id.p[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct wc_slice rest = wc_slice(data + 1, size - 1);
    if (data[0] == 'b')
        batch(rest);
    else if (data[0] == 'i')
        request_id(rest);
    else
        request(rest);
    return 0;
}

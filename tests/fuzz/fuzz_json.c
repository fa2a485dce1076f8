/*
 * One JSON text. What is accepted must be consistent as a tree, each of its values must be a
 * document of its own, each string must survive writing and reading, and no prefix of a container
 * may be accepted.
 */
#include "base/assert.h"
#include "base/json.h"
#include "base/jsonw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PREFIX_CHECK_MAX = 200, NODE_CHECK_MAX = 200, ARENA_BYTES = 16 << 20 };

static const struct wc_json_limits limits = {.depth = 100, .nodes = 10000};

/* Children lie in their parent, in order, and there are as many as the count says. */
static void check_children(const struct wc_json *doc, uint32_t node)
{
    struct wc_slice outer = wc_json_raw(doc, node);
    const uint8_t *at = outer.p;
    uint32_t last = node;
    size_t seen = 0;
    for (uint32_t c = wc_json_first(doc, node); c != WC_JSON_NONE;
         c = wc_json_next(doc, c), seen++) {
        struct wc_slice inner = wc_json_raw(doc, c);
        WC_ASSERT(c > last && c < doc->count);
        WC_ASSERT(inner.p > at && inner.p + inner.len < outer.p + outer.len);
        at = inner.p + inner.len - 1;
        last = c;
    }
    size_t per_member = wc_json_type(doc, node) == WC_JSON_OBJECT ? 2 : 1;
    WC_ASSERT(seen == wc_json_count(doc, node) * per_member);
}

/* The text of a value is a document with the same root. */
static void check_alone(const struct wc_json *doc, uint32_t node, struct wc_arena *arena)
{
    struct wc_json alone;
    WC_ASSERT(wc_json_parse(&alone, wc_json_raw(doc, node), arena, limits, NULL) == WC_OK);
    WC_ASSERT(wc_json_type(&alone, 0) == wc_json_type(doc, node));
    WC_ASSERT(wc_json_count(&alone, 0) == wc_json_count(doc, node));
}

static void check_string(const struct wc_json *doc, uint32_t node, struct wc_arena *arena)
{
    struct wc_slice s, back;
    struct wc_json again;
    struct wc_buf text;
    if (wc_json_type(doc, node) != WC_JSON_STRING)
        return;
    WC_ASSERT(wc_json_string(doc, node, arena, &s));
    WC_ASSERT(wc_utf8_ok(s));
    wc_buf_init(&text, ARENA_BYTES);
    wc_jsonw_string(&text, s);
    WC_ASSERT(wc_json_parse(&again, wc_buf_view(&text), arena, limits, NULL) == WC_OK);
    WC_ASSERT(wc_json_string(&again, 0, arena, &back) && wc_slice_eq(s, back));
    wc_buf_release(&text);
}

static void check_number(const struct wc_json *doc, uint32_t node)
{
    int64_t i;
    double d;
    bool is_int = wc_json_int(doc, node, &i);
    bool is_double = wc_json_double(doc, node, &d);
    WC_ASSERT(wc_json_type(doc, node) == WC_JSON_NUMBER || (!is_int && !is_double));
    if (is_int && is_double)
        WC_ASSERT((double)i == d);
}

static void check_prefixes(const uint8_t *data, size_t size, struct wc_arena *arena)
{
    struct wc_json doc;
    while (size > 0 && data[size - 1] != '}' && data[size - 1] != ']')
        size--;
    for (size_t n = 0; n < size; n++)
        WC_ASSERT(wc_json_parse(&doc, wc_slice(data, n), arena, limits, NULL) != WC_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wc_arena arena;
    struct wc_json doc;
    struct wc_err err;
    wc_arena_init(&arena, ARENA_BYTES);
    enum wc_status status = wc_json_parse(&doc, wc_slice(data, size), &arena, limits, &err);
    if (status != WC_OK) {
        WC_ASSERT(status == WC_PROTO || status == WC_LIMIT);
        WC_ASSERT(err.at <= size && !strstr(err.text, "disagree"));
    } else {
        WC_ASSERT(wc_utf8_ok(wc_slice(data, size)));
        for (uint32_t i = 0; i < doc.count && i < NODE_CHECK_MAX; i++) {
            check_children(&doc, i);
            check_alone(&doc, i, &arena);
            check_string(&doc, i, &arena);
            check_number(&doc, i);
        }
        bool container = doc.count && wc_json_type(&doc, 0) >= WC_JSON_ARRAY;
        if (container && size <= PREFIX_CHECK_MAX)
            check_prefixes(data, size, &arena);
    }
    wc_arena_release(&arena);
    return 0;
}

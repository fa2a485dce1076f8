/*
 * A type tree, then a text of it: one byte per node, depth first (see make_type), until the tree is
 * complete; the rest is the text. A text is rendered or refused; what is rendered is JSON, and what
 * is refused leaves nothing. Exact numbers are written otherwise, but make no other difference.
 */
#include "base/assert.h"
#include "base/json.h"
#include "base/reader.h"
#include "decoder/value.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_NODES = 64, MAX_ATTRS = 5, ARENA_CAP = 1 << 22, RENDER_CAP = 1 << 20 };

static const struct wc_json_limits json_limits = {.depth = 512, .nodes = 1 << 16};

struct tree {
    struct wc_rd rd;
    struct wc_type node[MAX_NODES];
    struct wc_attr attr[MAX_NODES][MAX_ATTRS];
    size_t used;
    bool holds_json;
};

static const struct wc_type *make_type(struct tree *t);

static void make_container(struct tree *t, struct wc_type *type, size_t index, uint8_t byte)
{
    static const char *const keys[MAX_ATTRS] = {
        "\"a\":", "\"b\":", "\"c \\\"\":", "\"\":", "\"e\":"};
    switch (byte % 5) {
    case 0:
    case 1:
        type->value_class = WC_VALUE_ARRAY;
        type->delimiter = byte % 5 ? ';' : ',';
        type->element = make_type(t);
        break;
    case 2:
        type->value_class = WC_VALUE_VECTOR;
        type->element = make_type(t);
        break;
    case 3: type->value_class = WC_VALUE_HSTORE; break;
    default:
        type->value_class = WC_VALUE_COMPOSITE;
        type->attr = t->attr[index];
        type->nattrs = byte / 5 % (MAX_ATTRS + 1);
        for (uint16_t i = 0; i < type->nattrs; i++)
            t->attr[index][i] =
                (struct wc_attr){.json_key = wc_slice_str(keys[i]), .type = make_type(t)};
    }
}

/* 0 to 7: a scalar of that class; 8: one that is not known; from 9 on: a container. */
static const struct wc_type *make_type(struct tree *t)
{
    if (t->used == MAX_NODES)
        return NULL;
    size_t index = t->used++;
    struct wc_type *type = &t->node[index];
    uint8_t byte = wc_rd_u8(&t->rd);
    if (byte == 8)
        return NULL;
    if (byte > 8)
        make_container(t, type, index, (uint8_t)(byte - 9));
    else
        type->value_class = (enum wc_value_class)byte;
    t->holds_json |= byte == WC_VALUE_JSON;
    return type;
}

static void check_json(struct wc_slice text)
{
    struct wc_arena scratch;
    struct wc_json doc;
    struct wc_err err;
    wc_arena_init(&scratch, ARENA_CAP);
    enum wc_status status = wc_json_parse(&doc, text, &scratch, json_limits, &err);
    WC_ASSERT(status == WC_OK || status == WC_LIMIT || status == WC_NOMEM);
    wc_arena_release(&scratch);
}

typedef enum wc_status (*render_fn)(struct wc_buf *, const struct wc_type *, struct wc_slice);

static enum wc_status check_render(const struct tree *t, const struct wc_type *type,
                                   struct wc_slice text, render_fn render)
{
    struct wc_buf out;
    wc_buf_init(&out, RENDER_CAP);
    wc_buf_byte(&out, ' ');
    enum wc_status status = render(&out, type, text);
    WC_ASSERT(wc_buf_ok(&out));
    WC_ASSERT(status == WC_OK || status == WC_PROTO);
    if (out.status == WC_OK) {
        WC_ASSERT((status == WC_OK) == (out.len > 1));
        /* Postgres vouches for the grammar of json and for the encoding; the fuzzer for neither. */
        if (status == WC_OK && !t->holds_json && wc_utf8_ok(text))
            check_json(wc_buf_view(&out));
    }
    wc_buf_release(&out);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tree *t = calloc(1, sizeof *t);
    if (!t)
        return 0;
    t->rd = wc_rd(wc_slice(data, size));
    const struct wc_type *type = make_type(t);
    size_t len = wc_rd_left(&t->rd);
    uint8_t *copy = malloc(len); /* of its own: a read past the end is one past an allocation */
    if (type && !t->rd.bad && (copy || len == 0)) {
        if (len)
            memcpy(copy, t->rd.at, len);
        enum wc_status status = check_render(t, type, wc_slice(copy, len), wc_value_render);
        WC_ASSERT(check_render(t, type, wc_slice(copy, len), wc_value_render_exact) == status);
    }
    free(copy);
    free(t);
    return 0;
}

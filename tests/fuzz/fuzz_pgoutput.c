/*
 * A stream: messages, each after its length in two bytes (big-endian), fed to one decoder until one
 * is refused. What is accepted must fit its relation and lie inside the input, and every value of
 * it must render to JSON or be refused.
 */
#include "base/assert.h"
#include "base/json.h"
#include "base/reader.h"
#include "decoder/pgoutput.h"
#include "decoder/value.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_RELS = 4, ARENA_CAP = 1 << 16, RENDER_CAP = 1 << 20 };

static const struct wc_json_limits json_limits = {.depth = 8, .nodes = 1 << 12};

struct stream {
    struct wc_slice input;
    struct wc_pgoutput *decoder;
    struct wc_arena arena;   /* rows */
    struct wc_arena scratch; /* nodes of one rendered value */
    struct wc_buf out;
    uint64_t generation; /* of the last relation */
};

static void check_inside(const struct stream *s, struct wc_slice val)
{
    if (val.len == 0)
        return;
    WC_ASSERT(val.p >= s->input.p);
    size_t at = (size_t)(val.p - s->input.p);
    WC_ASSERT(at <= s->input.len && val.len <= s->input.len - at);
}

static bool holds_json(const struct wc_type *type)
{
    const struct wc_type *leaf = type->element ? type->element : type;
    return leaf->value_class == WC_VALUE_JSON;
}

/* Postgres vouches for the grammar of json and for the encoding of everything; the fuzzer for
 * neither. */
static void check_rendered(struct stream *s, wc_oid oid, struct wc_slice text)
{
    const struct wc_type *type = wc_type_builtin(oid);
    if (!type)
        return; /* fuzz_value.c makes types up */
    wc_buf_reset(&s->out);
    enum wc_status status = wc_value_render(&s->out, type, text);
    WC_ASSERT(wc_buf_ok(&s->out));
    WC_ASSERT(status == WC_OK || (status == WC_PROTO && s->out.len == 0));
    if (status != WC_OK || holds_json(type) || !wc_utf8_ok(text))
        return;
    WC_ASSERT(s->out.status == WC_OK);
    wc_arena_reset(&s->scratch);
    struct wc_json doc;
    struct wc_err err;
    WC_ASSERT(wc_json_parse(&doc, wc_buf_view(&s->out), &s->scratch, json_limits, &err) == WC_OK);
}

static void check_row(struct stream *s, const struct wc_rel *rel, const struct wc_row *row)
{
    WC_ASSERT(row->ncols == rel->ncols);
    for (uint16_t i = 0; i < row->ncols; i++) {
        const struct wc_col *col = &row->col[i];
        check_inside(s, col->val);
        if (col->kind == WC_COL_TEXT)
            check_rendered(s, rel->col[i].type, col->val);
        else
            WC_ASSERT(col->kind == WC_COL_BINARY || col->val.len == 0);
    }
}

static void check_change(struct stream *s, const struct wc_change *change)
{
    WC_ASSERT(change->rel == wc_pgoutput_rel(s->decoder, change->rel->oid));
    WC_ASSERT((change->old_kind == WC_OLD_NONE) ? change->old.ncols == 0
                                                : change->op != WC_OP_INSERT);
    if (change->old_kind != WC_OLD_NONE)
        check_row(s, change->rel, &change->old);
    if (change->op != WC_OP_DELETE)
        check_row(s, change->rel, &change->new);
    else
        WC_ASSERT(change->old_kind != WC_OLD_NONE && change->new.ncols == 0);
}

static void check_relation(struct stream *s, const struct wc_rel *rel)
{
    WC_ASSERT(rel->generation > s->generation);
    s->generation = rel->generation;
    WC_ASSERT(strlen((const char *)rel->schema.p) == rel->schema.len && rel->schema.len > 0);
    WC_ASSERT(strlen((const char *)rel->name.p) == rel->name.len);
    for (uint16_t i = 0; i < rel->ncols; i++)
        WC_ASSERT(strlen((const char *)rel->col[i].name.p) == rel->col[i].name.len);
}

static void check_event(struct stream *s, struct wc_slice msg, const struct wc_event *e)
{
    if (e->kind == WC_EVENT_CHANGE) {
        WC_ASSERT(wc_pgoutput_rel_oid(msg) == e->change.rel->oid);
        check_change(s, &e->change);
    } else if (e->kind == WC_EVENT_RELATION) {
        check_relation(s, e->relation);
    } else if (e->kind == WC_EVENT_MESSAGE) {
        check_inside(s, e->message.prefix);
        check_inside(s, e->message.body);
    }
}

static bool feed(struct stream *s, struct wc_slice msg)
{
    struct wc_event event;
    struct wc_err err;
    wc_arena_reset(&s->arena);
    enum wc_status status = wc_pgoutput_decode(s->decoder, msg, &s->arena, &event, &err);
    if (status == WC_OK) {
        check_event(s, msg, &event);
        return true;
    }
    WC_ASSERT(status == WC_PROTO || status == WC_LIMIT || status == WC_NOMEM);
    WC_ASSERT(err.code == status && err.at <= msg.len);
    return false;
}

/* A copy of its own, so that a read past the message's end is one past an allocation. */
static bool feed_exact(struct stream *s, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len);
    if (!copy)
        return false;
    if (len)
        memcpy(copy, bytes, len);
    s->input = wc_slice(copy, len);
    bool accepted = feed(s, s->input);
    free(copy);
    return accepted;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stream s = {.decoder = wc_pgoutput_new(MAX_RELS)};
    if (!s.decoder || size == 0) {
        wc_pgoutput_free(s.decoder);
        return 0;
    }
    wc_arena_init(&s.arena, ARENA_CAP);
    wc_arena_init(&s.scratch, ARENA_CAP);
    wc_buf_init(&s.out, RENDER_CAP);
    struct wc_rd rd = wc_rd(wc_slice(data, size));
    bool accepted = true;
    while (accepted && wc_rd_left(&rd) > 0) {
        uint16_t len = wc_rd_u16(&rd);
        const uint8_t *bytes = wc_rd_take(&rd, len);
        accepted = bytes && feed_exact(&s, bytes, len);
    }
    wc_buf_release(&s.out);
    wc_arena_release(&s.scratch);
    wc_arena_release(&s.arena);
    wc_pgoutput_free(s.decoder);
    return 0;
}

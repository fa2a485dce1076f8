#include "fanout/phxbin.h"

#include "base/jsonw.h"
#include "base/reader.h"

enum { PUSH = 0, USER_PUSH = 3, ENCODING_BYTES = 0, ENCODING_JSON = 1 };

/* A ref of 255 control characters, each written as \u00XX, and its quotes. */
enum { REF_JSON_MAX = 6 * WC_PHXBIN_FIELD_MAX + 2 };

/* ---- decoding ---- */

struct lengths {
    uint8_t join_ref, ref, topic, event, metadata;
};

static struct wc_slice take(struct wc_rd *rd, uint8_t len)
{
    const uint8_t *p = wc_rd_take(rd, len);
    return wc_slice(p, p ? len : 0);
}

static enum wc_status check_text(struct wc_slice text, struct wc_err *err)
{
    return wc_utf8_ok(text) ? WC_OK : wc_err_set(err, WC_PROTO, "a field is not UTF-8");
}

static enum wc_status ref_to_json(struct wc_slice text, struct wc_arena *arena,
                                  struct wc_slice *out, struct wc_err *err)
{
    struct wc_buf json;
    wc_buf_init(&json, REF_JSON_MAX);
    wc_jsonw_string(&json, text);
    char *kept = json.status == WC_OK ? wc_arena_strdup(arena, wc_buf_view(&json)) : NULL;
    *out = wc_slice(kept, json.len);
    wc_buf_release(&json);
    return kept ? WC_OK : wc_err_set(err, WC_NOMEM, "out of memory");
}

static enum wc_status check_metadata(struct wc_slice text, struct wc_arena *arena,
                                     struct wc_err *err)
{
    static const struct wc_json_limits limits = {.depth = 64, .nodes = WC_PHXBIN_FIELD_MAX};
    struct wc_json doc;
    return text.len ? wc_json_parse(&doc, text, arena, limits, err) : WC_OK;
}

static struct lengths take_lengths(struct wc_rd *rd)
{
    struct lengths n = {0};
    n.join_ref = wc_rd_u8(rd);
    n.ref = wc_rd_u8(rd);
    n.topic = wc_rd_u8(rd);
    n.event = wc_rd_u8(rd);
    return n;
}

static enum wc_status take_fields(struct wc_rd *rd, const struct lengths *n, struct wc_arena *arena,
                                  struct wc_phx_message *m, struct wc_err *err)
{
    struct wc_slice join_ref = take(rd, n->join_ref);
    struct wc_slice ref = take(rd, n->ref);
    m->topic = take(rd, n->topic);
    m->event = take(rd, n->event);
    struct wc_slice metadata = take(rd, n->metadata);
    if (rd->bad)
        return wc_err_set(err, WC_PROTO, "binary frame ends before its fields do");
    m->data = wc_slice(rd->at, wc_rd_left(rd));
    enum wc_status st = check_text(m->topic, err);
    if (st == WC_OK)
        st = check_text(m->event, err);
    if (st == WC_OK)
        st = check_text(join_ref, err);
    if (st == WC_OK)
        st = check_text(ref, err);
    if (st == WC_OK)
        st = check_metadata(metadata, arena, err);
    if (st == WC_OK)
        st = ref_to_json(join_ref, arena, &m->join_ref, err);
    return st == WC_OK ? ref_to_json(ref, arena, &m->ref, err) : st;
}

static enum wc_status decode_push(struct wc_rd *rd, struct wc_arena *arena,
                                  struct wc_phx_message *m, struct wc_err *err)
{
    struct lengths n = take_lengths(rd);
    m->form = WC_PHX_BINARY_PUSH;
    return take_fields(rd, &n, arena, m, err);
}

static enum wc_status decode_user_push(struct wc_rd *rd, struct wc_arena *arena,
                                       struct wc_phx_message *m, struct wc_err *err)
{
    struct lengths n = take_lengths(rd);
    n.metadata = wc_rd_u8(rd);
    uint8_t encoding = wc_rd_u8(rd);
    m->form = encoding == ENCODING_BYTES ? WC_PHX_USER_BINARY : WC_PHX_USER_JSON;
    enum wc_status st = take_fields(rd, &n, arena, m, err);
    m->user_event = m->event;
    m->event = wc_slice_str("broadcast");
    return st;
}

enum wc_status wc_phxbin_decode(struct wc_slice bytes, struct wc_arena *arena,
                                struct wc_phx_message *out, struct wc_err *err)
{
    struct wc_rd rd = wc_rd(bytes);
    struct wc_phx_message m = {.payload = WC_JSON_NONE};
    uint8_t kind = wc_rd_u8(&rd);
    if (rd.bad)
        return wc_err_set(err, WC_PROTO, "binary frame is empty");
    if (kind != PUSH && kind != USER_PUSH)
        return wc_err_set(err, WC_PROTO, "binary frame of kind %u", kind);
    enum wc_status st =
        kind == PUSH ? decode_push(&rd, arena, &m, err) : decode_user_push(&rd, arena, &m, err);
    if (st == WC_OK)
        *out = m;
    return st;
}

/* ---- encoding ---- */

enum { FIELDS_MAX = 4 };

struct layout {
    struct wc_slice field[FIELDS_MAX];
    size_t count;
};

static struct layout layout_of(const struct wc_phxbin *b)
{
    switch (b->kind) {
    case WC_PHXBIN_REPLY: return (struct layout){{b->join_ref, b->ref, b->topic, b->event}, 4};
    case WC_PHXBIN_BROADCAST: return (struct layout){{b->topic, b->event}, 2};
    case WC_PHXBIN_USER_BROADCAST: return (struct layout){{b->topic, b->event, b->metadata}, 3};
    }
    return (struct layout){.count = 0};
}

static uint8_t *put(uint8_t *at, struct wc_slice s)
{
    if (s.len)
        memcpy(at, s.p, s.len);
    return at + s.len;
}

enum wc_status wc_phxbin_encode(const struct wc_phxbin *b, struct wc_frame **out)
{
    struct layout l = layout_of(b);
    bool has_encoding = b->kind == WC_PHXBIN_USER_BROADCAST;
    size_t len = 1 + l.count + has_encoding + b->payload.len;
    for (size_t i = 0; i < l.count; i++) {
        if (l.field[i].len > WC_PHXBIN_FIELD_MAX)
            return WC_LIMIT;
        len += l.field[i].len;
    }
    struct wc_frame *f = wc_frame_new(WC_FRAME_BINARY, len);
    if (!f)
        return WC_NOMEM;
    uint8_t *at = wc_frame_payload(f);
    *at++ = (uint8_t)b->kind;
    for (size_t i = 0; i < l.count; i++)
        *at++ = (uint8_t)l.field[i].len;
    if (has_encoding)
        *at++ = b->is_json ? ENCODING_JSON : ENCODING_BYTES;
    for (size_t i = 0; i < l.count; i++)
        at = put(at, l.field[i]);
    (void)put(at, b->payload); /* the end of the frame */
    *out = f;
    return WC_OK;
}

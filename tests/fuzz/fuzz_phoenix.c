/*
 * First byte '1' or '2': text of that serializer; anything else: a binary frame of V2. What is
 * accepted keeps its limits, and says the same after being sent to a client and read again.
 */
#include "base/assert.h"
#include "fanout/phoenix.h"
#include "fanout/phxbin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_CAP = 64 << 20, USER_BROADCAST_HEAD = 5 };

static void check_ref(struct wc_slice ref)
{
    struct wc_arena arena;
    struct wc_json doc;
    struct wc_json_limits limits = {.depth = 64, .nodes = 4096};
    wc_arena_init(&arena, 1 << 20);
    WC_ASSERT(wc_json_parse(&doc, ref, &arena, limits, NULL) == WC_OK);
    wc_arena_release(&arena);
}

static void check_message(const struct wc_phx_message *m)
{
    WC_ASSERT(m->topic.len <= WC_PHX_TOPIC_MAX);
    WC_ASSERT(wc_utf8_ok(m->topic) && wc_utf8_ok(m->event));
    check_ref(m->ref);
    check_ref(m->join_ref);
}

static void check_same(enum wc_serializer v, const struct wc_phx_message *m,
                       const struct wc_frame *f)
{
    struct wc_arena arena;
    struct wc_phx_message again;
    wc_arena_init(&arena, ARENA_CAP);
    struct wc_slice text = wc_slice(f->bytes + f->payload, f->len - f->payload);
    enum wc_status st = wc_phx_decode(v, text, &arena, &again, NULL);
    WC_ASSERT(st == WC_OK);
    WC_ASSERT(wc_slice_eq(again.topic, m->topic) && wc_slice_eq(again.event, m->event));
    WC_ASSERT(wc_slice_eq(again.ref, m->ref));
    WC_ASSERT(v == WC_PHX_V1 || wc_slice_eq(again.join_ref, m->join_ref));
    WC_ASSERT(
        wc_slice_eq(wc_json_raw(&again.doc, again.payload), wc_json_raw(&m->doc, m->payload)));
    wc_arena_release(&arena);
}

static void text_message(enum wc_serializer v, struct wc_slice text)
{
    struct wc_arena arena;
    struct wc_phx_message m;
    struct wc_err err = {0};
    wc_arena_init(&arena, ARENA_CAP);
    if (wc_phx_decode(v, text, &arena, &m, &err) == WC_OK) {
        WC_ASSERT(m.form == WC_PHX_TEXT && m.payload != WC_JSON_NONE);
        WC_ASSERT(m.ref.len <= WC_PHX_REF_MAX && m.join_ref.len <= WC_PHX_REF_MAX);
        check_message(&m);
        struct wc_phx_envelope e = {
            .topic = m.topic, .event = m.event, .ref = m.ref, .join_ref = m.join_ref};
        struct wc_frame *f = wc_phx_encode(v, &e, wc_json_raw(&m.doc, m.payload));
        WC_ASSERT(f != NULL);
        check_same(v, &m, f);
        wc_frame_unref(f);
    } else {
        WC_ASSERT(err.text[0] != '\0');
    }
    wc_arena_release(&arena);
}

/* As a receiver of the user broadcast sees it: topic, event and payload byte for byte. */
static void check_fan_out(const struct wc_phx_message *m)
{
    struct wc_phxbin b = {.kind = WC_PHXBIN_USER_BROADCAST,
                          .topic = m->topic,
                          .event = m->user_event,
                          .is_json = m->form == WC_PHX_USER_JSON,
                          .payload = m->data};
    struct wc_frame *f = NULL;
    enum wc_status st = wc_phxbin_encode(&b, &f);
    WC_ASSERT(st == WC_OK);
    const uint8_t *p = f->bytes + f->payload;
    size_t len = f->len - f->payload;
    WC_ASSERT(len == USER_BROADCAST_HEAD + b.topic.len + b.event.len + b.payload.len);
    WC_ASSERT(p[0] == b.kind && p[1] == b.topic.len && p[2] == b.event.len && p[3] == 0 &&
              p[4] == b.is_json);
    p += USER_BROADCAST_HEAD;
    WC_ASSERT(wc_slice_eq(wc_slice(p, b.topic.len), b.topic));
    p += b.topic.len;
    WC_ASSERT(wc_slice_eq(wc_slice(p, b.event.len), b.event));
    WC_ASSERT(wc_slice_eq(wc_slice(p + b.event.len, b.payload.len), b.payload));
    wc_frame_unref(f);
}

static void binary_message(struct wc_slice bytes)
{
    struct wc_arena arena;
    struct wc_phx_message m;
    struct wc_err err = {0};
    wc_arena_init(&arena, ARENA_CAP);
    if (wc_phxbin_decode(bytes, &arena, &m, &err) == WC_OK) {
        WC_ASSERT(m.form != WC_PHX_TEXT && m.payload == WC_JSON_NONE);
        WC_ASSERT(m.topic.len <= WC_PHXBIN_FIELD_MAX && m.event.len <= WC_PHXBIN_FIELD_MAX);
        WC_ASSERT(m.data.len < bytes.len);
        check_message(&m);
        if (m.form != WC_PHX_BINARY_PUSH)
            check_fan_out(&m);
    } else {
        WC_ASSERT(err.text[0] != '\0');
    }
    wc_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct wc_slice message = wc_slice(data + 1, size - 1);
    if (data[0] == '1' || data[0] == '2')
        text_message(data[0] == '1' ? WC_PHX_V1 : WC_PHX_V2, message);
    else
        binary_message(message);
    return 0;
}

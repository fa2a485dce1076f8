/*
 * Encoding is done twice over the same pieces: once to add up the length, once to write, so that a
 * frame is one allocation of the exact size and no byte is copied twice.
 */
#include "fanout/phoenix.h"

#include "base/assert.h"

/* A million values is what a message of the largest default size can hold in practice; 64 levels
 * are far beyond any client's. */
static const struct wc_json_limits limits = {.depth = 64, .nodes = 1000000};

/* ---- decoding ---- */

static enum wc_status take_text(struct wc_phx_message *m, uint32_t node, struct wc_arena *arena,
                                struct wc_slice *out, struct wc_err *err)
{
    if (wc_json_type(&m->doc, node) != WC_JSON_STRING)
        return wc_err_set(err, WC_PROTO, "topic and event must be strings");
    if (!wc_json_string(&m->doc, node, arena, out))
        return wc_err_set(err, WC_NOMEM, "out of memory");
    return WC_OK;
}

static enum wc_status take_ref(struct wc_phx_message *m, uint32_t node, struct wc_slice *out,
                               struct wc_err *err)
{
    *out = node == WC_JSON_NONE ? wc_slice_str("null") : wc_json_raw(&m->doc, node);
    if (out->len > WC_PHX_REF_MAX)
        return wc_err_set(err, WC_LIMIT, "ref is longer than %d bytes", WC_PHX_REF_MAX);
    return WC_OK;
}

struct nodes {
    uint32_t join_ref, ref, topic, event, payload;
};

static enum wc_status find_v1(const struct wc_json *doc, struct nodes *n, struct wc_err *err)
{
    if (wc_json_type(doc, 0) != WC_JSON_OBJECT)
        return wc_err_set(err, WC_PROTO, "message is not an object");
    n->topic = wc_json_get(doc, 0, "topic");
    n->event = wc_json_get(doc, 0, "event");
    n->payload = wc_json_get(doc, 0, "payload");
    n->ref = wc_json_get(doc, 0, "ref");
    n->join_ref = wc_json_get(doc, 0, "join_ref");
    if (n->topic == WC_JSON_NONE || n->event == WC_JSON_NONE || n->payload == WC_JSON_NONE ||
        n->ref == WC_JSON_NONE)
        return wc_err_set(err, WC_PROTO, "message lacks topic, event, payload or ref");
    return WC_OK;
}

static enum wc_status find_v2(const struct wc_json *doc, struct nodes *n, struct wc_err *err)
{
    if (wc_json_type(doc, 0) != WC_JSON_ARRAY || wc_json_count(doc, 0) < 5)
        return wc_err_set(err, WC_PROTO, "message is not an array of 5 elements");
    n->join_ref = wc_json_first(doc, 0);
    n->ref = wc_json_next(doc, n->join_ref);
    n->topic = wc_json_next(doc, n->ref);
    n->event = wc_json_next(doc, n->topic);
    n->payload = wc_json_next(doc, n->event);
    return WC_OK;
}

enum wc_status wc_phx_decode(enum wc_serializer serializer, struct wc_slice text,
                             struct wc_arena *arena, struct wc_phx_message *out, struct wc_err *err)
{
    struct wc_phx_message m = {.form = WC_PHX_TEXT};
    struct nodes n = {0};
    enum wc_status st = wc_json_parse(&m.doc, text, arena, limits, err);
    if (st == WC_OK)
        st = serializer == WC_PHX_V1 ? find_v1(&m.doc, &n, err) : find_v2(&m.doc, &n, err);
    if (st == WC_OK)
        st = take_text(&m, n.topic, arena, &m.topic, err);
    if (st == WC_OK)
        st = take_text(&m, n.event, arena, &m.event, err);
    if (st == WC_OK)
        st = take_ref(&m, n.ref, &m.ref, err);
    if (st == WC_OK)
        st = take_ref(&m, n.join_ref, &m.join_ref, err);
    if (st == WC_OK && m.topic.len > WC_PHX_TOPIC_MAX)
        st = wc_err_set(err, WC_LIMIT, "topic is longer than %d bytes", WC_PHX_TOPIC_MAX);
    if (st != WC_OK)
        return st;
    m.payload = n.payload;
    *out = m;
    return WC_OK;
}

/* ---- encoding ---- */

/* Counts while `at` is NULL, writes otherwise. */
struct sink {
    uint8_t *at;
    size_t len;
};

static void put(struct sink *s, const void *p, size_t n)
{
    if (s->at && n)
        memcpy(s->at + s->len, p, n);
    s->len += n;
}

static void put_str(struct sink *s, const char *text)
{
    put(s, text, strlen(text));
}

static void put_escape(struct sink *s, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorthand[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (c >= ' ' || shorthand[c]) {
        put(s, (const char[]){'\\', c >= ' ' ? (char)c : shorthand[c]}, 2);
        return;
    }
    put(s, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

static void put_string(struct sink *s, struct wc_slice text)
{
    size_t run = 0; /* start of the bytes that need no escape */
    put(s, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c >= ' ' && c != '"' && c != '\\')
            continue;
        put(s, text.p + run, i - run);
        put_escape(s, c);
        run = i + 1;
    }
    if (text.len)
        put(s, text.p + run, text.len - run);
    put(s, "\"", 1);
}

static void put_json(struct sink *s, struct wc_slice json)
{
    if (json.len)
        put(s, json.p, json.len);
    else
        put(s, "null", 4);
}

static void put_number(struct sink *s, uint32_t n)
{
    char digits[10];
    size_t i = sizeof digits;
    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    put(s, digits + i, sizeof digits - i);
}

struct payload {
    enum { PAYLOAD_JSON, PAYLOAD_REPLY, PAYLOAD_CHANGE, PAYLOAD_NAMED } kind;
    struct wc_slice json; /* the whole, the response, or the data */
    bool ok;              /* reply */
    const uint32_t *ids;  /* change */
    size_t nids;
    const struct wc_phx_named *named;
};

static void put_named(struct sink *s, const struct wc_phx_named *n)
{
    put_str(s, "{\"event\":");
    put_string(s, n->event);
    put_str(s, ",\"payload\":");
    put_json(s, n->payload_json);
    put_str(s, ",\"type\":\"broadcast\"");
    if (n->id.p) {
        put_str(s, ",\"meta\":{\"id\":");
        put_string(s, n->id);
        put_str(s, "}");
    }
    put_str(s, "}");
}

static void put_payload(struct sink *s, const struct payload *p)
{
    switch (p->kind) {
    case PAYLOAD_JSON: put_json(s, p->json); break;
    case PAYLOAD_REPLY:
        put_str(s,
                p->ok ? "{\"status\":\"ok\",\"response\":" : "{\"status\":\"error\",\"response\":");
        put_json(s, p->json);
        put_str(s, "}");
        break;
    case PAYLOAD_CHANGE:
        put_str(s, "{\"ids\":[");
        for (size_t i = 0; i < p->nids; i++) {
            if (i)
                put_str(s, ",");
            put_number(s, p->ids[i]);
        }
        put_str(s, "],\"data\":");
        put_json(s, p->json);
        put_str(s, "}");
        break;
    case PAYLOAD_NAMED: put_named(s, p->named); break;
    }
}

static void put_v1(struct sink *s, const struct wc_phx_envelope *e, const struct payload *p)
{
    put_str(s, "{\"topic\":");
    put_string(s, e->topic);
    put_str(s, ",\"event\":");
    put_string(s, e->event);
    put_str(s, ",\"payload\":");
    put_payload(s, p);
    put_str(s, ",\"ref\":");
    put_json(s, e->ref);
    put_str(s, "}");
}

static void put_v2(struct sink *s, const struct wc_phx_envelope *e, const struct payload *p)
{
    put_str(s, "[");
    put_json(s, e->join_ref);
    put_str(s, ",");
    put_json(s, e->ref);
    put_str(s, ",");
    put_string(s, e->topic);
    put_str(s, ",");
    put_string(s, e->event);
    put_str(s, ",");
    put_payload(s, p);
    put_str(s, "]");
}

static struct wc_frame *encode(enum wc_serializer serializer, const struct wc_phx_envelope *e,
                               const struct payload *p)
{
    void (*put_message)(struct sink *, const struct wc_phx_envelope *, const struct payload *) =
        serializer == WC_PHX_V1 ? put_v1 : put_v2;
    struct sink count = {0};
    put_message(&count, e, p);
    struct wc_frame *f = wc_frame_new(WC_FRAME_TEXT, count.len);
    if (!f)
        return NULL;
    struct sink out = {.at = wc_frame_payload(f)};
    put_message(&out, e, p);
    WC_DASSERT(out.len == count.len);
    return f;
}

struct wc_frame *wc_phx_encode(enum wc_serializer serializer, const struct wc_phx_envelope *e,
                               struct wc_slice payload_json)
{
    return encode(serializer, e, &(struct payload){.kind = PAYLOAD_JSON, .json = payload_json});
}

struct wc_frame *wc_phx_reply(enum wc_serializer serializer, const struct wc_phx_envelope *env,
                              bool ok, struct wc_slice response_json)
{
    struct wc_phx_envelope e = *env;
    e.event = wc_slice_str("phx_reply");
    return encode(serializer, &e,
                  &(struct payload){.kind = PAYLOAD_REPLY, .json = response_json, .ok = ok});
}

struct wc_frame *wc_phx_named(enum wc_serializer serializer, struct wc_slice topic,
                              const struct wc_phx_named *named)
{
    struct wc_phx_envelope e = {.topic = topic, .event = wc_slice_str("broadcast")};
    return encode(serializer, &e, &(struct payload){.kind = PAYLOAD_NAMED, .named = named});
}

struct wc_frame *wc_phx_change(enum wc_serializer serializer, struct wc_slice topic,
                               const uint32_t *ids, size_t nids, struct wc_slice data_json)
{
    struct wc_phx_envelope e = {.topic = topic, .event = wc_slice_str("postgres_changes")};
    return encode(
        serializer, &e,
        &(struct payload){.kind = PAYLOAD_CHANGE, .json = data_json, .ids = ids, .nids = nids});
}

#include "fanout/replay.h"

#include "base/jsonw.h"
#include "fanout/hub.h"
#include "fanout/phxbin.h"

#include <stdlib.h>

enum { ROW_OVERHEAD = 256 }; /* of a frame besides event, payload and topic */

/* ---- what is wished ---- */

/* Milliseconds of the years -9999 to 9999: what the reference takes for a time. */
static bool is_time(int64_t ms)
{
    return ms >= INT64_C(-377705116800000) && ms <= INT64_C(253402300799999);
}

/* An integer as it is written: 1.0 is none. */
static bool take_integer(const struct wc_json *doc, uint32_t node, int64_t *out)
{
    struct wc_slice raw = wc_json_raw(doc, node);
    for (size_t i = 0; i < raw.len; i++)
        if (raw.p[i] == '.' || raw.p[i] == 'e' || raw.p[i] == 'E')
            return false;
    return wc_json_int(doc, node, out);
}

static bool take_limit(const struct wc_json *doc, uint32_t node, uint32_t *out)
{
    enum wc_json_type type = wc_json_type(doc, node);
    int64_t limit = WC_REPLAY_MAX;
    if (type != WC_JSON_ABSENT && type != WC_JSON_NULL && !take_integer(doc, node, &limit))
        return false;
    if (limit < 1)
        limit = 1;
    *out = limit < WC_REPLAY_MAX ? (uint32_t)limit : WC_REPLAY_MAX;
    return true;
}

struct wc_replay_wish wc_replay_parse(const struct wc_json *doc, uint32_t node)
{
    struct wc_replay_wish w = {0};
    enum wc_json_type type = wc_json_type(doc, node);
    w.is_wanted = type != WC_JSON_ABSENT && type != WC_JSON_NULL;
    w.is_valid = type == WC_JSON_OBJECT &&
                 take_integer(doc, wc_json_get(doc, node, "since"), &w.since_ms) &&
                 is_time(w.since_ms) && take_limit(doc, wc_json_get(doc, node, "limit"), &w.limit);
    if (w.since_ms < 0)
        w.since_ms = 0; /* nothing was sent before; Postgres has no such years */
    return w;
}

/* ---- what is remembered ---- */

bool wc_replay_holds(const struct wc_replay_ids *ids, const uint8_t id[16])
{
    for (uint32_t i = 0; ids && i < ids->count; i++)
        if (memcmp(ids->id[i], id, 16) == 0)
            return true;
    return false;
}

static struct wc_replay_ids *remember(const struct wc_replay *r)
{
    struct wc_replay_ids *ids = malloc(sizeof *ids + r->count * sizeof ids->id[0]);
    if (!ids)
        return NULL;
    ids->count = r->count;
    for (uint32_t i = 0; i < r->count; i++)
        memcpy(ids->id[i], r->row[i].id, sizeof ids->id[i]);
    return ids;
}

/* ---- what is sent ---- */

static void put_meta(struct wc_buf *out, const struct wc_replayed *row)
{
    wc_buf_str(out, "{\"id\":");
    wc_jsonw_uuid(out, row->id);
    wc_buf_str(out, ",\"replayed\":true}");
}

static struct wc_frame *json_frame(const struct wc_channel *c, const struct wc_replayed *row)
{
    const struct wc_phx_envelope e = {
        .topic = c->topic, .event = wc_slice_str("broadcast"), .join_ref = wc_channel_join_ref(c)};
    struct wc_buf payload;
    wc_buf_init(&payload, 6 * row->event.len + row->payload.len + ROW_OVERHEAD);
    wc_buf_str(&payload, "{\"event\":");
    wc_jsonw_string(&payload, row->event);
    wc_buf_str(&payload, ",\"payload\":");
    wc_buf_slice(&payload, row->payload);
    wc_buf_str(&payload, ",\"type\":\"broadcast\",\"meta\":");
    put_meta(&payload, row);
    wc_buf_byte(&payload, '}');
    struct wc_frame *f = payload.status == WC_OK
                             ? wc_phx_encode(c->session->serializer, &e, wc_buf_view(&payload))
                             : NULL;
    wc_buf_release(&payload);
    return f;
}

static enum wc_status binary_frame(const struct wc_channel *c, const struct wc_replayed *row,
                                   struct wc_frame **out)
{
    struct wc_buf meta;
    enum wc_status st = WC_NOMEM;
    wc_buf_init(&meta, WC_PHXBIN_FIELD_MAX);
    put_meta(&meta, row);
    if (meta.status == WC_OK)
        st = wc_phxbin_encode(&(struct wc_phxbin){.kind = WC_PHXBIN_USER_BROADCAST,
                                                  .topic = c->topic,
                                                  .event = row->event,
                                                  .metadata = wc_buf_view(&meta),
                                                  .payload = row->payload},
                              out);
    wc_buf_release(&meta);
    return st;
}

static void send_row(struct wc_channel *c, const struct wc_replayed *row)
{
    struct wc_frame *f = NULL;
    if (!row->is_binary)
        wc_session_send(c->session, json_frame(c, row));
    else if (c->session->serializer == WC_PHX_V2 && binary_frame(c, row, &f) != WC_LIMIT)
        wc_session_send(c->session, f);
}

/* The first of the newest rows that fit half of the connection's queue together: above it a client
 * that has not read yet would be taken for a slow one. */
static uint32_t first_that_fits(const struct wc_channel *c, const struct wc_replay *r)
{
    const struct wc_session *s = c->session;
    size_t room = s->hub->opt.max_queued_bytes / 2;
    size_t size = s->out.bytes + s->in_transport;
    uint32_t i = r->count;
    for (; i > 0; i--) {
        size += r->row[i - 1].event.len + r->row[i - 1].payload.len + c->topic.len + ROW_OVERHEAD;
        if (size > room)
            break;
    }
    return i;
}

bool wc_replay_deliver(struct wc_channel *c, const struct wc_replay *r)
{
    struct wc_session *s = c->session;
    c->replayed = remember(r);
    if (!c->replayed) {
        wc_session_close(s, WC_CLOSE_NO_MEMORY);
        return false;
    }
    for (uint32_t i = first_that_fits(c, r); i < r->count && s->state == WC_SESSION_OPEN; i++)
        send_row(c, &r->row[i]);
    return s->state == WC_SESSION_OPEN;
}

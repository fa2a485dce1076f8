#include "fanout/batch.h"

#include "fanout/broadcast.h"

static const char blank[] = "can't be blank";
static const char invalid[] = "is invalid";
static const char too_large[] = "Payload size exceeds tenant limit";

/* A batch of empty objects would be answered with thirty times its bytes; beyond this the answer
 * names no messages. */
enum { ERRORS_MAX = 1 << 20 };

struct reader {
    const struct wc_json *doc;
    uint32_t max_payload_kb;
    struct wc_arena *arena;
    struct wc_buf *errors;
    bool is_refused; /* some message is */
    bool has_errors; /* this one */
};

static void refuse(struct reader *r, const char *field, const char *why)
{
    wc_buf_printf(r->errors, "%s\"%s\":[\"%s\"]", r->has_errors ? "," : "", field, why);
    r->has_errors = true;
    r->is_refused = true;
}

bool wc_batch_is_blank(struct wc_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!memchr(" \t\r\n\v\f", s.p[i], 6))
            return false;
    return true;
}

static uint32_t member(const struct reader *r, uint32_t message, const char *field)
{
    uint32_t node = wc_json_get(r->doc, message, field);
    return wc_json_type(r->doc, node) == WC_JSON_NULL ? WC_JSON_NONE : node;
}

/* A blank string counts as absent. False: out of memory. */
static bool read_string(struct reader *r, uint32_t message, const char *field, struct wc_slice *out)
{
    uint32_t node = member(r, message, field);
    if (node == WC_JSON_NONE)
        return true;
    if (wc_json_type(r->doc, node) != WC_JSON_STRING) {
        refuse(r, field, invalid);
        return true;
    }
    struct wc_slice s;
    if (!wc_json_string(r->doc, node, r->arena, &s))
        return false;
    if (!wc_batch_is_blank(s))
        *out = s;
    return true;
}

static bool read_name(struct reader *r, uint32_t message, const char *field, struct wc_slice *out)
{
    uint32_t node = member(r, message, field);
    bool is_wrong = node != WC_JSON_NONE && wc_json_type(r->doc, node) != WC_JSON_STRING;
    if (!read_string(r, message, field, out))
        return false;
    if (!is_wrong && !out->p)
        refuse(r, field, blank);
    return true;
}

static void read_payload(struct reader *r, uint32_t message, struct wc_batch_message *out)
{
    uint32_t node = member(r, message, "payload");
    if (node == WC_JSON_NONE) {
        refuse(r, "payload", blank);
        return;
    }
    out->payload = wc_json_raw(r->doc, node);
    const struct wc_broadcast b = {.form = WC_BROADCAST_NAMED, .payload = out->payload};
    if (wc_json_type(r->doc, node) != WC_JSON_OBJECT)
        refuse(r, "payload", invalid);
    else if (!wc_broadcast_fits(&b, r->max_payload_kb))
        refuse(r, "payload", too_large);
}

static void read_private(struct reader *r, uint32_t message, bool *out)
{
    uint32_t node = member(r, message, "private");
    enum wc_json_type type = wc_json_type(r->doc, node);
    struct wc_slice raw = wc_json_raw(r->doc, node);
    if (node == WC_JSON_NONE || type == WC_JSON_FALSE || wc_slice_is(raw, "\"false\"") ||
        wc_slice_is(raw, "\"0\""))
        *out = false;
    else if (type == WC_JSON_TRUE || wc_slice_is(raw, "\"true\"") || wc_slice_is(raw, "\"1\""))
        *out = true;
    else
        refuse(r, "private", invalid);
}

/* False: out of memory. */
static bool read_message(struct reader *r, uint32_t node, struct wc_batch_message *out)
{
    r->has_errors = false;
    wc_buf_byte(r->errors, '{');
    bool ok = read_name(r, node, "topic", &out->topic) &&
              read_name(r, node, "event", &out->event) && read_string(r, node, "id", &out->id);
    read_payload(r, node, out);
    read_private(r, node, &out->is_private);
    wc_buf_byte(r->errors, '}');
    return ok;
}

static bool are_objects(const struct wc_json *doc, uint32_t array)
{
    if (wc_json_type(doc, array) != WC_JSON_ARRAY)
        return false;
    for (uint32_t n = wc_json_first(doc, array); n != WC_JSON_NONE; n = wc_json_next(doc, n))
        if (wc_json_type(doc, n) != WC_JSON_OBJECT)
            return false;
    return true;
}

static enum wc_status refuse_all(struct wc_buf *errors, const char *why)
{
    wc_buf_printf(errors, "{\"errors\":{\"messages\":[\"%s\"]}}", why);
    return WC_INVALID;
}

static enum wc_status read_messages(struct reader *r, uint32_t array, struct wc_batch *out)
{
    uint32_t count = wc_json_count(r->doc, array), i = 0;
    struct wc_batch_message *message = wc_arena_calloc(r->arena, count, sizeof *message);
    if (!message)
        return WC_NOMEM;
    wc_buf_str(r->errors, "{\"errors\":{\"messages\":[");
    for (uint32_t n = wc_json_first(r->doc, array); i < count; n = wc_json_next(r->doc, n), i++) {
        if (i)
            wc_buf_byte(r->errors, ',');
        if (!read_message(r, n, &message[i]))
            return WC_NOMEM;
        if (r->is_refused && r->errors->len > ERRORS_MAX) {
            wc_buf_reset(r->errors);
            return refuse_all(r->errors, invalid);
        }
    }
    wc_buf_str(r->errors, "]}}");
    if (r->is_refused)
        return WC_INVALID;
    wc_buf_reset(r->errors);
    *out = (struct wc_batch){.message = message, .count = count};
    return WC_OK;
}

enum wc_status wc_batch_read(const struct wc_json *doc, uint32_t max_payload_kb,
                             struct wc_arena *arena, struct wc_batch *out, struct wc_buf *errors)
{
    struct reader r = {
        .doc = doc, .max_payload_kb = max_payload_kb, .arena = arena, .errors = errors};
    uint32_t array = member(&r, 0, "messages");
    enum wc_json_type type = wc_json_type(doc, array);
    if (type == WC_JSON_ABSENT || (type == WC_JSON_ARRAY && wc_json_count(doc, array) == 0))
        return refuse_all(errors, blank);
    return are_objects(doc, array) ? read_messages(&r, array, out) : refuse_all(errors, invalid);
}

#include "bridge/ops/render.h"

#include "base/json.h"
#include "base/jsonw.h"

enum { SETTINGS_ARENA = 1 << 20 };

static const struct wc_json_limits limits = {.depth = 64, .nodes = 10000};

static void add_text(struct wc_buf *out, const char *key, const char *text)
{
    wc_buf_printf(out, "\"%s\":", key);
    wc_jsonw_cstr(out, text);
    wc_buf_byte(out, ',');
}

static void add_count(struct wc_buf *out, const char *key, uint32_t n)
{
    wc_buf_printf(out, "\"%s\":%u,", key, n);
}

/* 0 stands for null. */
static void add_optional(struct wc_buf *out, const char *key, uint32_t n)
{
    if (n)
        add_count(out, key, n);
    else
        wc_buf_printf(out, "\"%s\":null,", key);
}

static const char *bool_text(bool b)
{
    return b ? "true" : "false";
}

static bool add_members(struct wc_buf *out, const struct wc_json *doc, struct wc_arena *arena)
{
    const char *separator = "";
    uint32_t node = wc_json_first(doc, 0);
    for (uint32_t n = wc_json_count(doc, 0); n > 0; n--) {
        uint32_t value = wc_json_next(doc, node);
        struct wc_slice key;
        if (!wc_json_string(doc, node, arena, &key))
            return false;
        if (!wc_slice_is(key, "db_password")) {
            wc_buf_printf(out, "%s%.*s:", separator, WC_SLICE_ARG(wc_json_raw(doc, node)));
            wc_buf_slice(out, wc_json_raw(doc, value));
            separator = ",";
        }
        node = wc_json_next(doc, value);
    }
    return true;
}

/* What cannot be read is not shown. */
static void add_settings(struct wc_buf *out, const char *settings)
{
    struct wc_arena arena;
    struct wc_json doc;
    wc_arena_init(&arena, SETTINGS_ARENA);
    size_t before = out->len;
    wc_buf_byte(out, '{');
    bool ok = wc_json_parse(&doc, wc_slice_str(settings), &arena, limits, NULL) == WC_OK &&
              wc_json_type(&doc, 0) == WC_JSON_OBJECT && add_members(out, &doc, &arena);
    if (!ok && out->status == WC_OK) {
        out->len = before;
        wc_buf_byte(out, '{');
    }
    wc_buf_byte(out, '}');
    wc_arena_release(&arena);
}

static void add_extension(struct wc_buf *out, const struct wc_record_database *d)
{
    wc_buf_byte(out, '{');
    add_text(out, "type", d->type);
    add_text(out, "inserted_at", d->inserted_at);
    add_text(out, "updated_at", d->updated_at);
    wc_buf_str(out, "\"settings\":");
    add_settings(out, d->settings);
    wc_buf_byte(out, '}');
}

void wc_render_tenant(struct wc_buf *out, const struct wc_record *r)
{
    wc_buf_byte(out, '{');
    add_text(out, "id", r->id);
    add_text(out, "external_id", r->external_id);
    add_text(out, "name", r->name);
    add_count(out, "max_concurrent_users", r->max_concurrent_users);
    add_count(out, "max_channels_per_client", r->max_channels_per_client);
    add_count(out, "max_events_per_second", r->max_events_per_second);
    add_count(out, "max_joins_per_second", r->max_joins_per_second);
    add_text(out, "inserted_at", r->inserted_at);
    wc_buf_str(out, "\"extensions\":[");
    if (r->has_database)
        add_extension(out, &r->database);
    wc_buf_printf(out, "],\"private_only\":%s,", bool_text(r->private_only));
    add_optional(out, "max_client_presence_events_per_window", r->presence_max_calls);
    add_optional(out, "client_presence_window_ms", r->presence_window_ms);
    wc_buf_printf(out, "\"presence_enabled\":%s}", bool_text(r->presence_enabled));
}

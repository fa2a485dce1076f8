#include "fanout/join_config.h"

#include "base/jsonw.h"
#include "fanout/wait.h"

#include <strings.h>

enum { LEGACY_CAP = 16 << 10 }; /* holds a topic, escaped */

static const struct wc_json_limits legacy_limits = {.depth = 2, .nodes = 8};

struct parse {
    struct wc_join_config *out;
    const struct wc_phx_message *m;
    struct wc_arena *arena;
    struct wc_buf *reason;
};

static bool refuse(struct parse *p, const char *reason)
{
    wc_buf_str(p->reason, reason);
    return false;
}

static bool refuse_for_memory(struct parse *p)
{
    return refuse(p, "Unknown Error on Channel");
}

/* JSON true, or the word in any letter case; everything else is the default, false. */
static bool is_flexible_true(const struct wc_json *doc, uint32_t node, struct wc_arena *arena)
{
    struct wc_slice s;
    if (wc_json_type(doc, node) == WC_JSON_TRUE)
        return true;
    return wc_json_string(doc, node, arena, &s) && s.len == 4 &&
           strncasecmp((const char *)s.p, "true", 4) == 0;
}

bool wc_join_config_is_private(const struct wc_phx_message *m, struct wc_arena *arena)
{
    uint32_t config = wc_json_get(&m->doc, m->payload, "config");
    return is_flexible_true(&m->doc, wc_json_get(&m->doc, config, "private"), arena);
}

/* ---- bindings ---- */

static bool take_binding(struct parse *p, uint32_t node)
{
    struct wc_join_config *c = p->out;
    uint32_t hash;
    if (wc_json_type(c->doc, node) != WC_JSON_OBJECT)
        return refuse(p, "UnknownErrorOnChannel: postgres_changes holds something that is not an "
                         "object");
    if (c->nbindings == WC_BINDINGS_MAX)
        return refuse(p, "UnknownErrorOnChannel: too many postgres_changes in one join");
    if (!wc_binding_hash(c->doc, node, p->arena, &hash))
        return refuse_for_memory(p);
    c->node[c->nbindings] = node;
    c->id[c->nbindings] = wc_binding_unique(hash, c->id, c->nbindings);
    c->nbindings++;
    return true;
}

static bool take_bindings(struct parse *p, uint32_t array)
{
    const struct wc_json *doc = p->out->doc;
    if (wc_json_type(doc, array) != WC_JSON_ARRAY)
        return true;
    for (uint32_t n = wc_json_first(doc, array); n != WC_JSON_NONE; n = wc_json_next(doc, n))
        if (wc_json_type(doc, n) != WC_JSON_NULL && !take_binding(p, n))
            return false;
    return true;
}

/* A join without `config` subscribes to what its topic names: schema[:table[:filter]]. */
static bool take_legacy(struct parse *p)
{
    static const char *const key[] = {"{\"schema\":", ",\"table\":", ",\"filter\":"};
    struct wc_join_config *c = p->out;
    struct wc_buf text;
    struct wc_slice rest = wc_channel_subtopic(p->m->topic);
    wc_buf_init(&text, LEGACY_CAP);
    for (unsigned part = 0; part < 3; part++) {
        const uint8_t *colon = part < 2 ? memchr(rest.p, ':', rest.len) : NULL;
        size_t len = colon ? (size_t)(colon - rest.p) : rest.len;
        wc_buf_str(&text, key[part]);
        wc_jsonw_string(&text, wc_slice(rest.p, len));
        if (!colon)
            break;
        rest = wc_slice(colon + 1, rest.len - len - 1);
    }
    wc_buf_byte(&text, '}');
    char *kept = text.status == WC_OK ? wc_arena_strdup(p->arena, wc_buf_view(&text)) : NULL;
    wc_buf_release(&text);
    c->doc = &c->legacy;
    if (!kept || wc_json_parse(&c->legacy, wc_slice_str(kept), p->arena, legacy_limits, NULL))
        return refuse_for_memory(p);
    return take_binding(p, 0);
}

/* ---- options ---- */

/* Any scalar; a number stands for its decimal text, null and false for none. */
static struct wc_slice scalar_text(const struct parse *p, uint32_t node)
{
    const struct wc_json *doc = p->out->doc;
    struct wc_slice s;
    if (wc_json_string(doc, node, p->arena, &s))
        return s;
    enum wc_json_type type = wc_json_type(doc, node);
    return type == WC_JSON_NUMBER || type == WC_JSON_TRUE ? wc_json_raw(doc, node)
                                                          : wc_slice(NULL, 0);
}

static bool flag(const struct parse *p, uint32_t object, const char *key)
{
    const struct wc_json *doc = p->out->doc;
    return is_flexible_true(doc, wc_json_get(doc, object, key), p->arena);
}

/* Every value but null and false, even the text "false". */
static bool is_truthy(const struct wc_json *doc, uint32_t node)
{
    enum wc_json_type type = wc_json_type(doc, node);
    return type != WC_JSON_ABSENT && type != WC_JSON_NULL && type != WC_JSON_FALSE;
}

static void take_options(const struct parse *p, uint32_t config)
{
    const struct wc_json *doc = p->out->doc;
    struct wc_channel_config *c = &p->out->channel;
    uint32_t broadcast = wc_json_get(doc, config, "broadcast");
    uint32_t presence = wc_json_get(doc, config, "presence");
    c->is_private = flag(p, config, "private");
    c->wants_self = flag(p, broadcast, "self");
    c->wants_ack = flag(p, broadcast, "ack");
    c->wants_presence = flag(p, presence, "enabled");
    c->wants_ready = is_truthy(doc, wc_json_get(doc, broadcast, "replication_ready"));
    c->presence_key = scalar_text(p, wc_json_get(doc, presence, "key"));
}

static uint32_t changes_ms(const struct parse *p, uint32_t options)
{
    const struct wc_json *doc = p->out->doc;
    int64_t ms = 0;
    if (!flag(p, options, "wait"))
        return 0;
    if (!wc_json_int(doc, wc_json_get(doc, options, "timeout"), &ms) || ms <= 0)
        return WC_WAIT_DEFAULT_MS;
    return ms < WC_WAIT_MAX_MS ? (uint32_t)ms : WC_WAIT_MAX_MS;
}

/* Its mere presence, even as null, is refused on a public channel. */
static bool take_replay(struct parse *p, uint32_t node)
{
    if (p->out->channel.is_private)
        p->out->replay = wc_replay_parse(p->out->doc, node);
    else if (node != WC_JSON_NONE)
        return refuse(p, "UnableToReplayMessages: Replay is not allowed for public channels");
    return true;
}

bool wc_join_config_parse(struct wc_join_config *out, const struct wc_phx_message *m,
                          struct wc_arena *arena, struct wc_buf *reason)
{
    struct parse p = {.out = out, .m = m, .arena = arena, .reason = reason};
    *out = (struct wc_join_config){.doc = &m->doc};
    if (wc_json_type(out->doc, m->payload) != WC_JSON_OBJECT)
        return refuse(&p, "UnknownErrorOnChannel: the join payload is not an object");
    uint32_t config = wc_json_get(out->doc, m->payload, "config");
    out->channel.is_legacy = config == WC_JSON_NONE;
    if (out->channel.is_legacy)
        return take_legacy(&p);
    enum wc_json_type type = wc_json_type(out->doc, config);
    if (type == WC_JSON_NULL)
        return true;
    if (type != WC_JSON_OBJECT)
        return refuse(&p, "UnknownErrorOnChannel: config is not an object");
    take_options(&p, config);
    out->changes_ms = changes_ms(&p, wc_json_get(out->doc, config, "postgres_changes_options"));
    uint32_t broadcast = wc_json_get(out->doc, config, "broadcast");
    return take_replay(&p, wc_json_get(out->doc, broadcast, "replay")) &&
           take_bindings(&p, wc_json_get(out->doc, config, "postgres_changes"));
}

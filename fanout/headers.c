#include "fanout/headers.h"

#include "base/json.h"
#include "base/jsonw.h"
#include "fanout/http.h"

#include <libwebsockets.h>
#include <stdio.h>

enum { JSON_MAX = 64 << 10, HEADER_NAME_MAX = 128, ESCAPED_MAX = 6 /* bytes for one */ };

struct writer {
    struct lws *wsi;
    struct wc_arena *arena;
    struct wc_buf json;
};

/* Both are ours or libwebsockets' to read; the value may be anything. */
static void put(struct writer *w, struct wc_slice name, struct wc_slice value)
{
    if (!value.p || !wc_utf8_ok(value) || memchr(value.p, '\0', value.len) ||
        value.len * ESCAPED_MAX + name.len + sizeof ",\"\":\"\"}" > JSON_MAX - w->json.len)
        return;
    if (w->json.len > 1)
        wc_buf_byte(&w->json, ',');
    wc_jsonw_string(&w->json, name);
    wc_buf_byte(&w->json, ':');
    wc_jsonw_string(&w->json, value);
}

/* The name of a header libwebsockets knows; p NULL: the token is something else. */
static struct wc_slice name_of(int token)
{
    const char *text = (const char *)lws_token_to_string((enum lws_token_indexes)token);
    size_t len = text ? strlen(text) : 0;
    if (len < 2 || text[0] == ':' || text[len - 1] != ':')
        return wc_slice(NULL, 0);
    return wc_slice(text, len - 1);
}

static int token_of(struct wc_slice name)
{
    for (int t = 0; t < WSI_TOKEN_COUNT; t++)
        if (wc_slice_eq(name_of(t), name))
            return t;
    return -1;
}

static struct wc_slice unknown(const struct writer *w, struct wc_slice name)
{
    char with_colon[HEADER_NAME_MAX];
    int n = snprintf(with_colon, sizeof with_colon, "%.*s:", WC_SLICE_ARG(name));
    if (n < 0 || (size_t)n >= sizeof with_colon)
        return wc_slice(NULL, 0);
    return wc_http_custom_header(w->wsi, with_colon, w->arena);
}

/* Cuts the first name off, without the spaces around it. */
static struct wc_slice next_name(const char **rest)
{
    const char *p = *rest + strspn(*rest, ", ");
    size_t len = strcspn(p, ", ");
    *rest = p + len;
    return wc_slice(p, len);
}

static void put_named(struct writer *w, const char *names, bool knows_put)
{
    for (struct wc_slice name = next_name(&names); name.len; name = next_name(&names)) {
        int token = token_of(name);
        if (token < 0)
            put(w, name, unknown(w, name));
        else if (!knows_put)
            put(w, name, wc_http_header(w->wsi, token, w->arena));
    }
}

static struct writer begin(struct lws *wsi, struct wc_arena *arena)
{
    struct writer w = {.wsi = wsi, .arena = arena};
    wc_buf_init(&w.json, JSON_MAX);
    wc_buf_byte(&w.json, '{');
    return w;
}

static struct wc_slice finish(struct writer *w)
{
    wc_buf_byte(&w->json, '}');
    struct wc_slice text = wc_buf_view(&w->json);
    char *kept = text.p ? wc_arena_strdup(w->arena, text) : NULL;
    wc_buf_release(&w->json);
    return wc_slice(kept, kept ? text.len : 0);
}

struct wc_slice wc_headers_named(struct lws *wsi, const char *names, struct wc_arena *arena)
{
    struct writer w = begin(wsi, arena);
    put_named(&w, names, false);
    return finish(&w);
}

struct wc_slice wc_headers_all(struct lws *wsi, const char *names, struct wc_arena *arena)
{
    struct writer w = begin(wsi, arena);
    for (int t = 0; t < WSI_TOKEN_COUNT; t++)
        if (name_of(t).p)
            put(&w, name_of(t), wc_http_header(wsi, t, arena));
    put_named(&w, names, true);
    return finish(&w);
}

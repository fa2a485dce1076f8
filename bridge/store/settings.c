#include "bridge/store/settings.h"

#include "base/json.h"
#include "base/jsonw.h"

#include <stdlib.h>

enum {
    MAX_BYTES = 64 << 10,
    ARENA_BYTES = 1 << 20, /* its nodes, and unescaped strings */
    POOL_MAX = 1000,
    SECRET_CAP = 2 * MAX_BYTES,
};

static const struct wc_json_limits json_limits = {.depth = 32, .nodes = 4096};

#define FIELD(name) offsetof(struct wc_record_database, name)

static const struct {
    const char *key, *otherwise; /* NULL: required */
    size_t offset;
    bool is_sealed;
} texts[] = {
    {"db_host", NULL, FIELD(host), true},
    {"db_port", NULL, FIELD(port), true},
    {"db_name", NULL, FIELD(name), true},
    {"db_user", NULL, FIELD(user), true},
    {"db_password", NULL, FIELD(password), true},
    {"region", "", FIELD(region), false},
    {"publication", "supabase_realtime", FIELD(publication), false},
    {"slot_name", "supabase_realtime_replication_slot", FIELD(slot_name), false},
};
enum { TEXTS = sizeof texts / sizeof texts[0] };

static const struct {
    const char *key;
    size_t offset;
    bool otherwise;
} flags[] = {
    {"ssl_enforced", FIELD(ssl_enforced), true},
    {"permanent_slot", FIELD(permanent_slot), false},
};
enum { FLAGS = sizeof flags / sizeof flags[0] };

static const struct {
    const char *key;
    size_t offset;
    uint32_t otherwise;
    int64_t max;
    bool is_always; /* written when it says nothing new, too, as the reference does */
} numbers[] = {
    {"db_pool", FIELD(pool), 1, POOL_MAX, false},
    {"poll_max_record_bytes", FIELD(max_record_bytes), 1048576, INT32_MAX, true},
};
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

static enum wc_status no_memory(struct wc_err *err)
{
    return wc_err_set(err, WC_NOMEM, "out of memory");
}

static enum wc_status invalid(struct wc_err *err, const char *key)
{
    return wc_err_set(err, WC_INVALID, "%s is invalid", key);
}

/* The object in `arena`, whose text is borrowed. */
static enum wc_status parse(struct wc_slice text, struct wc_arena *arena, struct wc_json *doc,
                            struct wc_err *err)
{
    struct wc_err why = {0};
    if (text.len > MAX_BYTES)
        return wc_err_set(err, WC_INVALID, "settings of more than %d bytes", MAX_BYTES);
    enum wc_status st = wc_json_parse(doc, text, arena, json_limits, &why);
    if (st == WC_NOMEM)
        return no_memory(err);
    if (st != WC_OK || wc_json_type(doc, 0) != WC_JSON_OBJECT)
        return wc_err_set(err, WC_INVALID, "settings are not a JSON object");
    return WC_OK;
}

/* ---- reading ---- */

struct reading {
    const struct wc_vault *vault;
    struct wc_arena arena;
    struct wc_json doc;
    char *database; /* a struct wc_record_database */
    struct wc_err *err;
};

/* A member that is null is one that is not there. */
static uint32_t member(const struct reading *r, const char *key)
{
    uint32_t node = wc_json_get(&r->doc, 0, key);
    return wc_json_type(&r->doc, node) == WC_JSON_NULL ? WC_JSON_NONE : node;
}

static enum wc_status set_text(char **field, struct wc_slice value, const char *what,
                               struct wc_err *err)
{
    if (!wc_utf8_ok(value) || (value.len && memchr(value.p, 0, value.len)))
        return invalid(err, what); /* a wrong key of the old form may go unnoticed before */
    char *text = wc_slice_dup(value);
    bool ok = text && wc_record_set(field, text);
    if (text)
        explicit_bzero(text, value.len);
    free(text);
    return ok ? WC_OK : no_memory(err);
}

enum wc_status wc_store_unseal(const struct wc_vault *vault, struct wc_slice sealed,
                               const char *what, char **field, struct wc_err *err)
{
    struct wc_buf plain;
    struct wc_err why = {0};
    wc_buf_init(&plain, SECRET_CAP);
    enum wc_status st = wc_vault_decrypt(vault, sealed, &plain, &why);
    if (st == WC_OK)
        st = set_text(field, wc_buf_view(&plain), what, err);
    else
        (void)wc_err_set(err, st, "%s: %s", what, why.text);
    if (plain.p)
        explicit_bzero(plain.p, plain.alloc);
    wc_buf_release(&plain);
    return st;
}

static enum wc_status read_text(struct reading *r, size_t i)
{
    const char *key = texts[i].key;
    char **field = (char **)(void *)(r->database + texts[i].offset);
    uint32_t node = member(r, key);
    struct wc_slice value;
    if (node == WC_JSON_NONE && !texts[i].otherwise)
        return wc_err_set(r->err, WC_INVALID, "%s is missing", key);
    if (node == WC_JSON_NONE)
        return set_text(field, wc_slice_str(texts[i].otherwise), key, r->err);
    if (!wc_json_string(&r->doc, node, &r->arena, &value))
        return invalid(r->err, key);
    return texts[i].is_sealed ? wc_store_unseal(r->vault, value, key, field, r->err)
                              : set_text(field, value, key, r->err);
}

static enum wc_status read_flag(struct reading *r, size_t i)
{
    uint32_t node = member(r, flags[i].key);
    enum wc_json_type type = wc_json_type(&r->doc, node);
    if (type != WC_JSON_ABSENT && type != WC_JSON_TRUE && type != WC_JSON_FALSE)
        return invalid(r->err, flags[i].key);
    *(bool *)(void *)(r->database + flags[i].offset) =
        type == WC_JSON_ABSENT ? flags[i].otherwise : type == WC_JSON_TRUE;
    return WC_OK;
}

/* A number, or one in a string, as some tools have written it. */
static enum wc_status read_number(struct reading *r, size_t i)
{
    uint32_t node = member(r, numbers[i].key);
    struct wc_slice text;
    struct wc_json inner;
    int64_t value = numbers[i].otherwise;
    bool ok = node == WC_JSON_NONE || wc_json_int(&r->doc, node, &value);
    if (!ok && wc_json_string(&r->doc, node, &r->arena, &text))
        ok = wc_json_parse(&inner, text, &r->arena, json_limits, NULL) == WC_OK &&
             wc_json_int(&inner, 0, &value);
    if (!ok || value < 1 || value > numbers[i].max)
        return invalid(r->err, numbers[i].key);
    *(uint32_t *)(void *)(r->database + numbers[i].offset) = (uint32_t)value;
    return WC_OK;
}

static enum wc_status read_all(struct reading *r)
{
    enum wc_status st = WC_OK;
    for (size_t i = 0; i < TEXTS && st == WC_OK; i++)
        st = read_text(r, i);
    for (size_t i = 0; i < FLAGS && st == WC_OK; i++)
        st = read_flag(r, i);
    for (size_t i = 0; i < NUMBERS && st == WC_OK; i++)
        st = read_number(r, i);
    return st;
}

enum wc_status wc_store_settings_read(const struct wc_vault *vault, struct wc_slice json,
                                      struct wc_record_database *d, struct wc_err *err)
{
    struct reading r = {.vault = vault, .database = (char *)d, .err = err};
    wc_arena_init(&r.arena, ARENA_BYTES);
    enum wc_status st = parse(json, &r.arena, &r.doc, err);
    if (st == WC_OK)
        st = read_all(&r);
    char *copy = st == WC_OK ? wc_slice_dup(json) : NULL;
    if (st == WC_OK && !(copy && wc_record_set(&d->settings, copy)))
        st = no_memory(err);
    free(copy);
    wc_arena_release(&r.arena);
    return st;
}

/* ---- writing ---- */

static bool is_ours(struct wc_slice key)
{
    bool found = false;
    for (size_t i = 0; i < TEXTS; i++)
        found = found || wc_slice_is(key, texts[i].key);
    for (size_t i = 0; i < FLAGS; i++)
        found = found || wc_slice_is(key, flags[i].key);
    for (size_t i = 0; i < NUMBERS; i++)
        found = found || wc_slice_is(key, numbers[i].key);
    return found;
}

static enum wc_status write_others(struct wc_slice settings, struct wc_buf *out, struct wc_err *err)
{
    struct wc_arena arena;
    struct wc_json doc;
    wc_arena_init(&arena, ARENA_BYTES);
    enum wc_status st = parse(settings, &arena, &doc, err);
    uint32_t key = st == WC_OK ? wc_json_first(&doc, 0) : WC_JSON_NONE;
    while (key != WC_JSON_NONE && st == WC_OK) {
        uint32_t value = wc_json_next(&doc, key);
        struct wc_slice name;
        if (!wc_json_string(&doc, key, &arena, &name)) {
            st = no_memory(err);
        } else if (!is_ours(name)) {
            wc_buf_slice(out, wc_json_raw(&doc, key));
            wc_buf_byte(out, ':');
            wc_buf_slice(out, wc_json_raw(&doc, value));
            wc_buf_byte(out, ',');
        }
        key = wc_json_next(&doc, value);
    }
    wc_arena_release(&arena);
    return st;
}

static enum wc_status write_text(const struct wc_vault *vault, size_t i, const char *value,
                                 struct wc_buf *out, struct wc_err *err)
{
    struct wc_buf sealed;
    enum wc_status st = WC_OK;
    wc_buf_init(&sealed, SECRET_CAP);
    wc_buf_printf(out, "\"%s\":", texts[i].key);
    if (texts[i].is_sealed)
        st = wc_vault_encrypt(vault, wc_slice_str(value), &sealed);
    if (st == WC_OK)
        wc_jsonw_string(out, texts[i].is_sealed ? wc_buf_view(&sealed) : wc_slice_str(value));
    wc_buf_byte(out, ',');
    wc_buf_release(&sealed);
    return st == WC_LIMIT ? wc_err_set(err, WC_INVALID, "%s is too long", texts[i].key) : st;
}

static uint32_t value_of(const struct wc_record_database *d, size_t number)
{
    uint32_t n;
    memcpy(&n, (const char *)d + numbers[number].offset, sizeof n);
    return n;
}

enum wc_status wc_store_settings_write(const struct wc_vault *vault,
                                       const struct wc_record_database *d, struct wc_buf *out,
                                       struct wc_err *err)
{
    const char *base = (const char *)d;
    wc_buf_byte(out, '{');
    enum wc_status st = write_others(wc_slice_str(d->settings), out, err);
    for (size_t i = 0; i < TEXTS && st == WC_OK; i++)
        st = write_text(vault, i, *(const char *const *)(const void *)(base + texts[i].offset), out,
                        err);
    if (st != WC_OK)
        return st;
    for (size_t i = 0; i < NUMBERS; i++)
        if (numbers[i].is_always || value_of(d, i) != numbers[i].otherwise)
            wc_buf_printf(out, "\"%s\":%u,", numbers[i].key, value_of(d, i));
    if (d->permanent_slot) /* the reference does not know it */
        wc_buf_str(out, "\"permanent_slot\":true,");
    wc_buf_printf(out, "\"ssl_enforced\":%s}", d->ssl_enforced ? "true" : "false");
    if (out->status == WC_LIMIT)
        return wc_err_set(err, WC_INVALID, "settings of more than %d bytes", MAX_BYTES);
    return out->status == WC_OK ? WC_OK : no_memory(err);
}

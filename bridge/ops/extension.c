#include "bridge/ops/extension_priv.h"

#include "base/jsonw.h"

#include <stdlib.h>

enum {
    SETTINGS_MAX = 65536, /* of one tenant, as JSON */
    MEMBERS_MAX = 1000,   /* of them: each is looked up among all */
    TEXT_MAX = 1024,      /* of one setting */
    POOL_MAX = 100,
    RECORD_BYTES_MAX = 64 << 20,
    LIST_MAX = 16, /* more are not looked at one by one */
};

static const char invalid[] = "is invalid";
static const char blank[] = "can't be blank";

/* Of one extension. */
struct settings {
    struct wc_form_input *in;
    uint32_t object;
    struct wc_record_database *to;
    struct wc_buf wrong; /* the texts, parted by commas */
};

static void refuse(struct settings *s, const char *key, const char *why)
{
    wc_buf_printf(&s->wrong, "%s\"%s %s\"", s->wrong.len ? "," : "", key, why);
}

/* NONE: it is absent or null. */
static uint32_t find(const struct settings *s, const char *key)
{
    uint32_t node = wc_json_get(s->in->doc, s->object, key);
    return wc_json_type(s->in->doc, node) == WC_JSON_NULL ? WC_JSON_NONE : node;
}

static bool read_text(struct settings *s, uint32_t node, char **field)
{
    struct wc_slice text;
    if (wc_json_type(s->in->doc, node) != WC_JSON_STRING)
        return false;
    if (!wc_json_string(s->in->doc, node, s->in->scratch, &text)) {
        s->in->status = WC_NOMEM;
        return true;
    }
    if (text.len > TEXT_MAX || (text.len && memchr(text.p, '\0', text.len)))
        return false;
    wc_form_keep(s->in, field, text);
    return true;
}

static void read_required(struct settings *s, const char *key, char **field, bool may_be_empty)
{
    uint32_t node = find(s, key);
    if (node == WC_JSON_NONE)
        refuse(s, key, blank);
    else if (!read_text(s, node, field))
        refuse(s, key, invalid);
    else if (!may_be_empty && wc_form_is_blank(wc_slice_str(*field)))
        refuse(s, key, blank);
}

static bool is_port(const char *text)
{
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > 5 || text[len])
        return false;
    unsigned long n = strtoul(text, NULL, 10);
    return n >= 1 && n <= UINT16_MAX;
}

/* In the order in which the incumbent names what is missing. */
static void read_address(struct settings *s)
{
    read_required(s, "db_password", &s->to->password, true);
    read_required(s, "db_user", &s->to->user, false);
    read_required(s, "db_name", &s->to->name, false);
    read_required(s, "db_port", &s->to->port, false);
    if (s->to->port[0] && !wc_form_is_blank(wc_slice_str(s->to->port)) && !is_port(s->to->port))
        refuse(s, "db_port", invalid);
    read_required(s, "db_host", &s->to->host, false);
    read_required(s, "region", &s->to->region, false);
}

static void read_optional_text(struct settings *s, const char *key, char **field,
                               bool (*is_ok)(const char *))
{
    uint32_t node = find(s, key);
    if (node != WC_JSON_NONE && (!read_text(s, node, field) || !is_ok(*field)))
        refuse(s, key, invalid);
}

static void read_optional_bool(struct settings *s, const char *key, bool *field)
{
    uint32_t node = find(s, key);
    if (node != WC_JSON_NONE && !wc_form_read_bool(s->in, node, field))
        refuse(s, key, invalid);
}

static void read_optional_count(struct settings *s, const char *key, uint32_t *field, uint32_t max)
{
    uint32_t n, node = find(s, key);
    if (node == WC_JSON_NONE)
        return;
    if (!wc_form_read_count(s->in, node, &n) || n < 1 || n > max)
        refuse(s, key, invalid);
    else
        *field = n;
}

/* As Postgres has the names of slots. */
static bool is_slot_name(const char *name)
{
    enum { NAMEDATALEN = 64 };
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return len > 0 && len < NAMEDATALEN && name[len] == '\0';
}

static bool is_not_blank(const char *text)
{
    return !wc_form_is_blank(wc_slice_str(text));
}

static void read_known(struct settings *s)
{
    read_address(s);
    read_optional_text(s, "publication", &s->to->publication, is_not_blank);
    read_optional_text(s, "slot_name", &s->to->slot_name, is_slot_name);
    read_optional_bool(s, "permanent_slot", &s->to->permanent_slot);
    read_optional_bool(s, "ssl_enforced", &s->to->ssl_enforced);
    read_optional_count(s, "db_pool", &s->to->pool, POOL_MAX);
    read_optional_count(s, "poll_max_record_bytes", &s->to->max_record_bytes, RECORD_BYTES_MAX);
}

/* ---- the others, which are kept as they are ---- */

static bool is_one_of(const char *key, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(key, list[i]) == 0)
            return true;
    return false;
}

/* Those that the record has fields for, among them every secret. */
static bool has_field(const char *key)
{
    static const char *const known[] = {"db_host",      "db_port",     "db_name",
                                        "db_user",      "db_password", "region",
                                        "publication",  "slot_name",   "permanent_slot",
                                        "ssl_enforced", "db_pool",     "poll_max_record_bytes"};
    return is_one_of(key, known, sizeof known / sizeof *known);
}

/* NULL: it has a NUL, which Postgres' jsonb cannot hold, or memory is out. */
static const char *key_at(struct settings *s, uint32_t node)
{
    struct wc_slice key;
    char *text = NULL;
    if (wc_json_string(s->in->doc, node, s->in->scratch, &key))
        text = wc_arena_strdup(s->in->scratch, key);
    if (!text)
        s->in->status = WC_NOMEM;
    return text && strlen(text) == key.len ? text : NULL;
}

static void add_member(struct wc_buf *out, const char *key, struct wc_slice value)
{
    wc_buf_str(out, out->len > 1 ? "," : "");
    wc_jsonw_cstr(out, key);
    wc_buf_byte(out, ':');
    wc_buf_slice(out, value);
}

/* Of a key that is repeated the last value counts; `postgres_changes_pool` is the name that people
 * know `subcriber_pool_size` by, and wins. */
static void add_given(struct settings *s, struct wc_buf *out)
{
    static const char public_pool[] = "postgres_changes_pool",
                      stored_pool[] = "subcriber_pool_size";
    const struct wc_json *doc = s->in->doc;
    bool has_pool = find(s, public_pool) != WC_JSON_NONE;
    uint32_t node = wc_json_first(doc, s->object);
    for (uint32_t n = wc_json_count(doc, s->object); n > 0; n--) {
        uint32_t value = wc_json_next(doc, node);
        const char *key = key_at(s, node);
        node = wc_json_next(doc, value);
        if (!key || has_field(key) || wc_json_get(doc, s->object, key) != value)
            continue;
        if (!wc_form_fits_jsonb(wc_json_raw(doc, value)))
            refuse(s, "settings", invalid);
        else if (strcmp(key, public_pool) == 0)
            add_member(out, stored_pool, wc_json_raw(doc, value));
        else if (!has_pool || strcmp(key, stored_pool) != 0)
            add_member(out, key, wc_json_raw(doc, value));
    }
}

static void add_defaults(struct settings *s, struct wc_buf *out)
{
    static const char *const keys[] = {"poll_interval_ms", "poll_max_changes"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (wc_json_get(s->in->doc, s->object, keys[i]) == WC_JSON_NONE)
            add_member(out, keys[i], wc_slice_str("100"));
}

static void read_others(struct settings *s)
{
    struct wc_buf text;
    wc_buf_init(&text, SETTINGS_MAX);
    wc_buf_byte(&text, '{');
    add_given(s, &text);
    add_defaults(s, &text);
    wc_buf_byte(&text, '}');
    if (text.status == WC_LIMIT)
        refuse(s, "settings", "should be at most 65536 byte(s)");
    else if (text.status != WC_OK)
        s->in->status = WC_NOMEM;
    else
        wc_form_keep(s->in, &s->to->settings, wc_buf_view(&text));
    wc_buf_release(&text);
}

/* ---- the list ---- */

/* Appends the object of one extension's errors, "{}" when it has none; true: it has. */
static bool report(struct wc_buf *out, const char *field, struct wc_slice texts)
{
    if (texts.len == 0)
        wc_buf_str(out, "{}");
    else
        wc_buf_printf(out, "{\"%s\":[%.*s]}", field, WC_SLICE_ARG(texts));
    return texts.len > 0;
}

static bool report_one(struct wc_buf *out, const char *field, const char *why)
{
    wc_buf_printf(out, "{\"%s\":[\"%s\"]}", field, why);
    return true;
}

static bool read_settings(struct wc_form_input *in, uint32_t node, struct wc_record *to,
                          struct wc_buf *out)
{
    struct settings s = {.in = in, .object = node, .to = &to->database};
    if (wc_json_count(in->doc, node) > MEMBERS_MAX)
        return report_one(out, "settings", invalid);
    wc_buf_init(&s.wrong, SETTINGS_MAX);
    read_known(&s);
    read_others(&s);
    if (s.wrong.status != WC_OK)
        in->status = WC_NOMEM;
    bool is_wrong = report(out, "settings", wc_buf_view(&s.wrong));
    wc_buf_release(&s.wrong);
    return is_wrong;
}

/* A name without escapes is enough. */
static const char *check_type(const struct wc_json *doc, uint32_t node)
{
    struct wc_slice type = wc_json_raw(doc, node);
    if (node == WC_JSON_NONE || wc_json_type(doc, node) == WC_JSON_NULL)
        return blank;
    return wc_slice_is(type, "\"postgres_cdc_rls\"") || wc_slice_is(type, "\"postgres\"") ? NULL
                                                                                          : invalid;
}

/* True: something is wrong with it. */
static bool read_extension(struct wc_form_input *in, uint32_t node, struct wc_record *to,
                           struct wc_buf *out)
{
    uint32_t settings = wc_json_get(in->doc, node, "settings");
    const char *type = check_type(in->doc, wc_json_get(in->doc, node, "type"));
    if (type)
        return report_one(out, "type", type);
    if (settings == WC_JSON_NONE || wc_json_type(in->doc, settings) == WC_JSON_NULL)
        return report_one(out, "settings", blank);
    if (wc_json_type(in->doc, settings) != WC_JSON_OBJECT)
        return report_one(out, "settings", invalid);
    if (to->has_database) /* one of a type */
        return report_one(out, "tenant_external_id", "has already been taken");
    if (!wc_record_add_database(to)) {
        in->status = WC_NOMEM;
        return false;
    }
    return read_settings(in, settings, to, out);
}

static bool is_list_of_objects(const struct wc_json *doc, uint32_t list)
{
    uint32_t node = wc_json_first(doc, list);
    for (uint32_t n = wc_json_count(doc, list); n > 0; n--, node = wc_json_next(doc, node))
        if (wc_json_type(doc, node) != WC_JSON_OBJECT)
            return false;
    return wc_json_count(doc, list) <= LIST_MAX;
}

void wc_form_read_extensions(struct wc_form_input *in, uint32_t list, struct wc_record *to)
{
    if (!is_list_of_objects(in->doc, list)) {
        wc_form_refuse(in, "extensions");
        wc_buf_printf(in->errors, "[\"%s\"]", invalid);
        return;
    }
    struct wc_buf wrong;
    bool is_wrong = false;
    wc_buf_init(&wrong, SETTINGS_MAX);
    uint32_t node = wc_json_first(in->doc, list);
    for (uint32_t n = wc_json_count(in->doc, list); n > 0; n--) {
        wc_buf_str(&wrong, wrong.len ? "," : "");
        is_wrong |= read_extension(in, node, to, &wrong);
        node = wc_json_next(in->doc, node);
    }
    if (wrong.status != WC_OK)
        in->status = WC_NOMEM;
    if (is_wrong) {
        wc_form_refuse(in, "extensions");
        wc_buf_byte(in->errors, '[');
        wc_buf_slice(in->errors, wc_buf_view(&wrong));
        wc_buf_byte(in->errors, ']');
    }
    wc_buf_release(&wrong);
}

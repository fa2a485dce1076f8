/*
 * Drives bridge/store/store.h against a real database, by lines of tab-separated fields on standard
 * input; what the store tells comes as lines of JSON. store.mjs is its other half.
 *
 *   put TENANT FIELD=VALUE...   a new tenant, or the one there with other values; \N is none; name+
 *                               is appended to the name
 *   remove TENANT
 *   find TENANT                 prints it, or null
 *   each                        prints the names of all
 *
 * The database is that of DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD; ENC_KEY_GCM, ENC_KEY,
 * WRITE_LEGACY, REFRESH_MS, AFTER_CONNECT_QUERY; SEED: a tenant, as behind put.
 */
#include "base/jsonw.h"
#include "bridge/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

enum { FIELDS_MAX = 64, LINE_MAX_BYTES = 1 << 20, OUT_CAP = 16 << 20 };

static uv_loop_t loop;
static uv_poll_t input;
static struct wc_store *store;
static struct wc_vault *vault;
static struct wc_record *seed;
static char line[LINE_MAX_BYTES];
static size_t line_len;

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "store_driver: %s\n", what);
    exit(2);
}

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && value[0] ? value : otherwise;
}

/* ---- output ---- */

static void add_text(struct wc_buf *out, const char *key, const char *value)
{
    wc_buf_printf(out, "\"%s\":", key);
    if (value)
        wc_jsonw_cstr(out, value);
    else
        wc_buf_str(out, "null");
    wc_buf_byte(out, ',');
}

static void add_record(struct wc_buf *out, const struct wc_record *r)
{
    if (!r) {
        wc_buf_str(out, "null");
        return;
    }
    const struct wc_record_database *d = &r->database;
    wc_buf_byte(out, '{');
    add_text(out, "id", r->id);
    add_text(out, "external_id", r->external_id);
    add_text(out, "name", r->name);
    add_text(out, "jwt_secret", r->jwt_secret);
    add_text(out, "jwt_jwks", r->jwt_jwks);
    add_text(out, "inserted_at", r->inserted_at);
    add_text(out, "updated_at", r->updated_at);
    add_text(out, "feature_flags", r->feature_flags);
    add_text(out, "broadcast_adapter", r->broadcast_adapter);
    wc_buf_printf(out,
                  "\"max_concurrent_users\":%u,\"max_joins_per_second\":%u,"
                  "\"max_presence_events_per_second\":%u,\"max_payload_kb\":%u,"
                  "\"presence_max_calls\":%u,\"migrations_ran\":%u,\"suspend\":%s,"
                  "\"private_only\":%s,\"database\":",
                  r->max_concurrent_users, r->max_joins_per_second,
                  r->max_presence_events_per_second, r->max_payload_kb, r->presence_max_calls,
                  r->migrations_ran, r->suspend ? "true" : "false",
                  r->private_only ? "true" : "false");
    wc_buf_str(out, r->has_database ? "{" : "null}");
    if (!r->has_database)
        return;
    add_text(out, "type", d->type);
    add_text(out, "host", d->host);
    add_text(out, "port", d->port);
    add_text(out, "name", d->name);
    add_text(out, "user", d->user);
    add_text(out, "password", d->password);
    add_text(out, "region", d->region);
    add_text(out, "inserted_at", d->inserted_at);
    wc_buf_printf(out, "\"pool\":%u,\"ssl_enforced\":%s,\"settings\":%s}}", d->pool,
                  d->ssl_enforced ? "true" : "false", d->settings);
}

static void print(struct wc_buf *out)
{
    if (out->status != WC_OK)
        die("out of memory");
    (void)fwrite(out->p, 1, out->len, stdout); /* the reader notices */
    (void)putchar('\n');
    (void)fflush(stdout);
    wc_buf_release(out);
}

static void say(const char *event, const char *key, const struct wc_record *r)
{
    struct wc_buf out;
    wc_buf_init(&out, OUT_CAP);
    wc_buf_printf(&out, "{\"event\":\"%s\",\"%s\":", event, key);
    add_record(&out, r);
    wc_buf_byte(&out, '}');
    print(&out);
}

static void on_tenant(void *self, const struct wc_record *r)
{
    (void)self;
    say("tenant", "record", r);
}

static void on_gone(void *self, const char *external_id)
{
    (void)self;
    struct wc_buf out;
    wc_buf_init(&out, OUT_CAP);
    wc_buf_str(&out, "{\"event\":\"gone\",\"external_id\":");
    wc_jsonw_cstr(&out, external_id);
    wc_buf_byte(&out, '}');
    print(&out);
}

static void on_unusable(void *self, size_t count)
{
    (void)self;
    struct wc_buf out;
    wc_buf_init(&out, OUT_CAP);
    wc_buf_printf(&out, "{\"event\":\"unusable\",\"count\":%zu}", count);
    print(&out);
}

static void on_loaded(void *self)
{
    (void)self;
    struct wc_buf out;
    wc_buf_init(&out, OUT_CAP);
    wc_buf_printf(&out, "{\"event\":\"loaded\",\"is_loaded\":%d}", wc_store_is_loaded(store));
    print(&out);
}

static void on_state(void *self, bool is_connected, const char *reason, const char *hint)
{
    (void)self;
    struct wc_buf out;
    wc_buf_init(&out, OUT_CAP);
    wc_buf_str(&out, "{\"event\":\"state\",");
    add_text(&out, "reason", reason);
    add_text(&out, "hint", hint);
    wc_buf_printf(&out, "\"is_connected\":%s}", is_connected ? "true" : "false");
    print(&out);
}

static void on_done(void *arg, const struct wc_store_outcome *o)
{
    static const char *const name[] = {"ok",      "not_found",   "conflict",
                                       "changed", "unavailable", "failed"};
    struct wc_buf out;
    (void)arg;
    wc_buf_init(&out, OUT_CAP);
    wc_buf_printf(&out, "{\"event\":\"done\",\"status\":\"%s\",", name[o->status]);
    add_text(&out, "text", o->text);
    wc_buf_printf(&out, "\"is_new\":%s,\"record\":", o->is_new ? "true" : "false");
    add_record(&out, o->record);
    wc_buf_str(&out, ",\"before\":");
    add_record(&out, o->before);
    wc_buf_byte(&out, '}');
    print(&out);
}

static void add_name(void *arg, const struct wc_record *r)
{
    struct wc_buf *out = arg;
    wc_jsonw_cstr(out, r->external_id);
    wc_buf_byte(out, ',');
}

/* ---- commands ---- */

static void set_text(char **field, const char *value)
{
    if (!wc_record_set(field, strcmp(value, "\\N") == 0 ? NULL : value))
        die("out of memory");
}

/* Made of what is there in the turn in which it is put. */
static void append_name(struct wc_record *r, const char *value)
{
    struct wc_buf text;
    wc_buf_init(&text, LINE_MAX_BYTES);
    wc_buf_printf(&text, "%s%s", r->name, value);
    wc_buf_byte(&text, '\0');
    set_text(&r->name, (const char *)text.p);
    wc_buf_release(&text);
}

static void set_field(struct wc_record *r, const char *name, const char *value)
{
    struct wc_record_database *d = &r->database;
    const struct {
        const char *name;
        char **field;
    } text[] = {{"name", &r->name},         {"jwt_secret", &r->jwt_secret},
                {"jwt_jwks", &r->jwt_jwks}, {"feature_flags", &r->feature_flags},
                {"db_type", &d->type},      {"db_host", &d->host},
                {"db_port", &d->port},      {"db_name", &d->name},
                {"db_user", &d->user},      {"db_password", &d->password},
                {"region", &d->region},     {"settings", &d->settings}};
    if (strncmp(name, "db_", 3) == 0 && !r->has_database && !wc_record_add_database(r))
        die("out of memory");
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        if (strcmp(text[i].name, name) == 0) {
            set_text(text[i].field, value);
            return;
        }
    }
    if (strcmp(name, "name+") == 0)
        append_name(r, value);
    else if (strcmp(name, "max_concurrent_users") == 0)
        r->max_concurrent_users = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "suspend") == 0)
        r->suspend = value[0] == 't';
    else if (strcmp(name, "ssl_enforced") == 0)
        d->ssl_enforced = value[0] == 't';
    else if (strcmp(name, "database") == 0)
        r->has_database = value[0] == 't';
    else
        die("unknown field");
}

static struct wc_record *record_of(char **field, unsigned n)
{
    const struct wc_record *there = store ? wc_store_find(store, field[0]) : NULL;
    struct wc_record *r = there ? wc_record_copy(there) : wc_record_new(field[0]);
    if (!r)
        die("out of memory");
    for (unsigned i = 1; i < n; i++) {
        char *equals = strchr(field[i], '=');
        if (!equals)
            die("a field without a value");
        *equals = '\0';
        set_field(r, field[i], equals + 1);
    }
    return r;
}

static unsigned split(char *text, char *field[FIELDS_MAX])
{
    unsigned n = 0;
    for (char *p = text; p && n < FIELDS_MAX;) {
        char *tab = strchr(p, '\t');
        field[n++] = p;
        if (tab)
            *tab = '\0';
        p = tab ? tab + 1 : NULL;
    }
    return n;
}

static void do_each(void)
{
    struct wc_buf out;
    wc_buf_init(&out, OUT_CAP);
    wc_buf_str(&out, "{\"event\":\"each\",\"names\":[");
    wc_store_each(store, add_name, &out);
    if (out.p[out.len - 1] == ',')
        out.len--;
    wc_buf_str(&out, "]}");
    print(&out);
}

static void run(char *text)
{
    char *field[FIELDS_MAX];
    unsigned n = split(text, field);
    if (strcmp(field[0], "put") == 0 && n > 1) {
        struct wc_record *r = record_of(field + 1, n - 1);
        if (wc_store_put(store, r, on_done, NULL) != WC_OK)
            die("out of memory");
        wc_record_free(r);
    } else if (strcmp(field[0], "remove") == 0 && n == 2) {
        if (wc_store_remove(store, field[1], on_done, NULL) != WC_OK)
            die("out of memory");
    } else if (strcmp(field[0], "find") == 0 && n == 2) {
        say("found", "record", wc_store_find(store, field[1]));
    } else if (strcmp(field[0], "each") == 0) {
        do_each();
    } else {
        die("unknown command");
    }
}

static void on_input(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    ssize_t n = read(0, line + line_len, sizeof line - line_len);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        wc_store_free(store);
        uv_close((uv_handle_t *)poll, NULL);
        return;
    }
    line_len += (size_t)n;
    char *end;
    while ((end = memchr(line, '\n', line_len))) {
        *end = '\0';
        run(line);
        line_len -= (size_t)(end + 1 - line);
        memmove(line, end + 1, line_len);
    }
}

/* ---- life ---- */

static void open_store(void)
{
    static const struct wc_store_hooks hooks = {.on_tenant = on_tenant,
                                                .on_gone = on_gone,
                                                .on_unusable = on_unusable,
                                                .on_loaded = on_loaded,
                                                .on_state = on_state};
    const struct wc_store_options o = {
        .pg = {.host = setting("DB_HOST", "127.0.0.1"),
               .port = (uint16_t)strtoul(setting("DB_PORT", "5432"), NULL, 10),
               .dbname = setting("DB_NAME", "postgres"),
               .user = setting("DB_USER", "postgres"),
               .password = setting("DB_PASSWORD", ""),
               .connect_timeout_ms = 5000},
        .after_connect_query = setting("AFTER_CONNECT_QUERY", ""),
        .vault = vault,
        .refresh_ms = (uint32_t)strtoul(setting("REFRESH_MS", "600000"), NULL, 10),
        .seed = seed};
    store = wc_store_new(&loop, &o, &hooks, NULL);
    if (!store)
        die("out of memory");
}

int main(void)
{
    struct wc_err err = {0};
    if (wc_vault_make(wc_slice_str(setting("ENC_KEY_GCM", "")),
                      wc_slice_str(setting("ENC_KEY", "")), getenv("WRITE_LEGACY") != NULL, &vault,
                      &err) != WC_OK)
        die(err.text);
    const char *seed_text = getenv("SEED");
    char *copy = seed_text ? strdup(seed_text) : NULL, *field[FIELDS_MAX];
    if (copy)
        seed = record_of(field, split(copy, field));
    (void)uv_loop_init(&loop); /* cannot fail here */
    open_store();
    wc_record_free(seed);
    free(copy);
    if (fcntl(0, F_SETFL, O_NONBLOCK) != 0 || uv_poll_init(&loop, &input, 0) != 0 ||
        uv_poll_start(&input, UV_READABLE, on_input) != 0)
        die("no standard input");
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    wc_vault_free(vault);
    if (uv_loop_close(&loop) != 0)
        die("something is still open");
    return 0;
}

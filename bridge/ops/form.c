/*
 * The values are kept in a record of their own and a bit says which of them were given, so that
 * applying a form is copying fields from one record to another. What the extension says is read in
 * extension.c.
 */
#include "bridge/ops/form.h"

#include "auth/jwt.h"
#include "bridge/ops/extension_priv.h"

#include <stddef.h>
#include <stdlib.h>
#include <strings.h>

enum { FLAGS_MAX = 65536 };

enum kind { TEXT, SECRET, KEYS, FLAGS, ADAPTER, COUNT, BOOL };

struct field {
    const char *name;
    enum kind kind;
    uint32_t min; /* of a COUNT */
    size_t offset;
};

#define AT(member) offsetof(struct wc_record, member)

/* The order is that of the errors. */
static const struct field fields[] = {
    {"name", TEXT, 0, AT(name)},
    {"jwt_secret", SECRET, 0, AT(jwt_secret)},
    {"jwt_jwks", KEYS, 0, AT(jwt_jwks)},
    {"postgres_cdc_default", TEXT, 0, AT(postgres_cdc_default)},
    {"max_concurrent_users", COUNT, 1, AT(max_concurrent_users)},
    {"max_events_per_second", COUNT, 1, AT(max_events_per_second)},
    {"max_bytes_per_second", COUNT, 1, AT(max_bytes_per_second)},
    {"max_channels_per_client", COUNT, 1, AT(max_channels_per_client)},
    {"max_joins_per_second", COUNT, 1, AT(max_joins_per_second)},
    {"max_presence_events_per_second", COUNT, 1, AT(max_presence_events_per_second)},
    {"max_payload_size_in_kb", COUNT, 1, AT(max_payload_kb)},
    {"max_client_presence_events_per_window", COUNT, 1, AT(presence_max_calls)},
    {"client_presence_window_ms", COUNT, 1, AT(presence_window_ms)},
    {"suspend", BOOL, 0, AT(suspend)},
    {"private_only", BOOL, 0, AT(private_only)},
    {"presence_enabled", BOOL, 0, AT(presence_enabled)},
    {"broadcast_adapter", ADAPTER, 0, AT(broadcast_adapter)},
    {"feature_flags", FLAGS, 0, AT(feature_flags)},
    {"migrations_ran", COUNT, 0, AT(migrations_ran)},
};
enum { NFIELDS = sizeof fields / sizeof *fields };

struct wc_form {
    struct wc_record *value;
    uint32_t given;      /* bit i: fields[i] */
    bool has_extensions; /* the key was there */
    bool names_other;    /* than the path does */
};

/* ---- members of a record, by offset ---- */

static char **text_at(struct wc_record *r, const struct field *f)
{
    return (char **)(void *)((char *)r + f->offset);
}

static const char *const_text_at(const struct wc_record *r, const struct field *f)
{
    const char *text;
    memcpy(&text, (const char *)r + f->offset, sizeof text);
    return text;
}

static bool is_text(const struct field *f)
{
    return f->kind != COUNT && f->kind != BOOL;
}

static size_t size_of(const struct field *f)
{
    return f->kind == COUNT ? sizeof(uint32_t) : sizeof(bool);
}

static bool copy_field(const struct field *f, const struct wc_record *from, struct wc_record *to)
{
    if (is_text(f))
        return wc_record_set(text_at(to, f), const_text_at(from, f));
    memcpy((char *)to + f->offset, (const char *)from + f->offset, size_of(f));
    return true;
}

/* ---- reading ---- */

struct reader {
    struct wc_form_input in;
    struct wc_form *form;
};

static void refuse(struct reader *r, const char *field, const char *why)
{
    wc_form_refuse(&r->in, field);
    wc_buf_printf(r->in.errors, "[\"%s\"]", why);
}

void wc_form_refuse(struct wc_form_input *in, const char *field)
{
    wc_buf_str(in->errors, in->is_refused ? "," : "{\"errors\":{");
    wc_buf_printf(in->errors, "\"%s\":", field);
    in->is_refused = true;
}

/* A string without NUL; of a blank one, which counts as null, p is NULL. False: it is something
 * else. */
static bool read_string(struct reader *r, uint32_t node, struct wc_slice *out)
{
    struct wc_slice s;
    if (wc_json_type(r->in.doc, node) != WC_JSON_STRING)
        return false;
    if (!wc_json_string(r->in.doc, node, r->in.scratch, &s)) {
        r->in.status = WC_NOMEM;
        return true;
    }
    if (s.len && memchr(s.p, '\0', s.len))
        return false;
    *out = wc_form_is_blank(s) ? wc_slice(NULL, 0) : s;
    return true;
}

bool wc_form_is_blank(struct wc_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!memchr(" \t\r\n\v\f", s.p[i], 6))
            return false;
    return true;
}

void wc_form_keep(struct wc_form_input *in, char **field, struct wc_slice text)
{
    char *copy = wc_slice_dup(text);
    if (!copy || !wc_record_set(field, NULL)) {
        in->status = WC_NOMEM;
        return;
    }
    *field = copy;
}

static bool set_text(struct reader *r, const struct field *f, struct wc_slice text)
{
    wc_form_keep(&r->in, text_at(r->form->value, f), text);
    return true;
}

static bool read_text(struct reader *r, const struct field *f, uint32_t node)
{
    struct wc_slice s = {0};
    if (!read_string(r, node, &s))
        return false;
    return !s.p || set_text(r, f, s); /* the default is there */
}

bool wc_form_fits_jsonb(struct wc_slice json)
{
    static const char nul[] = "\\u0000";
    const size_t len = sizeof nul - 1;
    for (size_t i = 0; i + 1 < json.len; i++) {
        if (json.p[i] != '\\')
            continue;
        if (json.len - i >= len && memcmp(json.p + i, nul, len) == 0)
            return false;
        i++; /* what is escaped */
    }
    return true;
}

static bool read_object(struct reader *r, const struct field *f, uint32_t node)
{
    struct wc_slice raw = wc_json_raw(r->in.doc, node);
    return wc_json_type(r->in.doc, node) == WC_JSON_OBJECT && raw.len <= FLAGS_MAX &&
           wc_form_fits_jsonb(raw) && set_text(r, f, raw);
}

/* A set that no token could be verified with would lock everybody out. */
static bool are_usable(struct reader *r, const struct wc_keyset_source *from)
{
    struct wc_keyset *keys = NULL;
    enum wc_status st = wc_keyset_make(from, &keys, NULL);
    wc_keyset_free(keys);
    if (st == WC_NOMEM)
        r->in.status = st;
    return st == WC_OK || st == WC_NOMEM;
}

static bool read_keys(struct reader *r, const struct field *f, uint32_t node)
{
    const struct wc_keyset_source from = {.jwks = wc_json_raw(r->in.doc, node)};
    return wc_json_type(r->in.doc, node) == WC_JSON_OBJECT && wc_form_fits_jsonb(from.jwks) &&
           are_usable(r, &from) && set_text(r, f, from.jwks);
}

static bool read_secret(struct reader *r, const struct field *f, uint32_t node)
{
    if (!read_text(r, f, node))
        return false;
    const char *secret = const_text_at(r->form->value, f);
    const struct wc_keyset_source from = {.secret = wc_slice_str(secret ? secret : "")};
    return are_usable(r, &from);
}

static bool read_adapter(struct reader *r, const struct field *f, uint32_t node)
{
    struct wc_slice s = {0};
    return read_string(r, node, &s) && (wc_slice_is(s, "phoenix") || wc_slice_is(s, "gen_rpc")) &&
           set_text(r, f, s);
}

static void read_count(struct reader *r, const struct field *f, uint32_t node)
{
    uint32_t n;
    if (!wc_form_read_count(&r->in, node, &n))
        refuse(r, f->name, "is invalid");
    else if (n < f->min)
        refuse(r, f->name, "must be greater than 0");
    else
        memcpy((char *)r->form->value + f->offset, &n, sizeof n);
}

bool wc_form_read_count(const struct wc_form_input *in, uint32_t node, uint32_t *out)
{
    int64_t n = 0;
    struct wc_slice s = wc_json_raw(in->doc, node);
    if (wc_json_type(in->doc, node) == WC_JSON_STRING) {
        if (s.len < 3 || s.len > 12) /* with its quotes */
            return false;
        for (size_t i = 1; i < s.len - 1; i++) {
            if (s.p[i] < '0' || s.p[i] > '9')
                return false;
            n = n * 10 + (s.p[i] - '0');
        }
    } else if (!wc_json_int(in->doc, node, &n)) {
        return false;
    }
    if (n < 0 || n > INT32_MAX) /* Postgres' integer */
        return false;
    *out = (uint32_t)n;
    return true;
}

bool wc_form_read_bool(const struct wc_form_input *in, uint32_t node, bool *out)
{
    struct wc_slice s = wc_json_raw(in->doc, node);
    bool is_true = wc_slice_is(s, "true") || wc_slice_is(s, "\"true\"") || wc_slice_is(s, "\"1\"");
    if (!is_true && !wc_slice_is(s, "false") && !wc_slice_is(s, "\"false\"") &&
        !wc_slice_is(s, "\"0\""))
        return false;
    *out = is_true;
    return true;
}

static bool read_bool(struct reader *r, const struct field *f, uint32_t node)
{
    bool value;
    if (!wc_form_read_bool(&r->in, node, &value))
        return false;
    memcpy((char *)r->form->value + f->offset, &value, sizeof value);
    return true;
}

static void read_value(struct reader *r, const struct field *f, uint32_t node)
{
    bool ok = true;
    switch (f->kind) {
    case TEXT: ok = read_text(r, f, node); break;
    case SECRET: ok = read_secret(r, f, node); break;
    case KEYS: ok = read_keys(r, f, node); break;
    case FLAGS: ok = read_object(r, f, node); break;
    case ADAPTER: ok = read_adapter(r, f, node); break;
    case BOOL: ok = read_bool(r, f, node); break;
    case COUNT: read_count(r, f, node); break;
    }
    if (!ok)
        refuse(r, f->name, "is invalid");
}

/* The form begins with the defaults, so null has nothing to do. */
static void read_fields(struct reader *r, uint32_t object)
{
    for (unsigned i = 0; i < NFIELDS; i++) {
        uint32_t node = wc_json_get(r->in.doc, object, fields[i].name);
        if (node == WC_JSON_NONE)
            continue;
        r->form->given |= UINT32_C(1) << i;
        if (wc_json_type(r->in.doc, node) != WC_JSON_NULL)
            read_value(r, &fields[i], node);
    }
}

/* What the form says, when the path does not. */
static bool read_id_member(struct reader *r, uint32_t object, struct wc_slice *out)
{
    uint32_t node = wc_json_get(r->in.doc, object, "external_id");
    bool is_null = node == WC_JSON_NONE || wc_json_type(r->in.doc, node) == WC_JSON_NULL;
    return is_null || read_string(r, node, out);
}

/* Can be said in a path and a host? Those two name folders there, control characters end them. */
static bool is_name(struct wc_slice id)
{
    for (size_t i = 0; i < id.len; i++)
        if (id.p[i] < ' ' || id.p[i] == 0x7f)
            return false;
    return wc_utf8_ok(id) && !wc_slice_is(id, ".") && !wc_slice_is(id, "..");
}

static void read_id(struct reader *r, uint32_t object, struct wc_slice of_path)
{
    enum { ID_MAX = 255 };
    struct wc_slice said = {0};
    bool is_ok = read_id_member(r, object, &said);
    struct wc_slice id = of_path.p ? of_path : said;
    r->form->names_other = of_path.p && said.p && !wc_slice_eq(said, of_path);
    if (!is_ok || !is_name(id))
        refuse(r, "external_id", "is invalid");
    else if (id.len == 0)
        refuse(r, "external_id", "can't be blank");
    else if (id.len > ID_MAX)
        refuse(r, "external_id", "should be at most 255 character(s)");
    else
        wc_form_keep(&r->in, &r->form->value->external_id, id);
}

static void read_extensions(struct reader *r, uint32_t object)
{
    uint32_t list = wc_json_get(r->in.doc, object, "extensions");
    if (list == WC_JSON_NONE)
        return;
    r->form->has_extensions = true;
    if (wc_json_type(r->in.doc, list) != WC_JSON_ARRAY)
        refuse(r, "extensions", "is invalid");
    else
        wc_form_read_extensions(&r->in, list, r->form->value);
}

enum wc_status wc_form_read(const struct wc_json *doc, uint32_t object,
                            const struct wc_form_context *context, struct wc_form **out,
                            struct wc_buf *errors)
{
    struct wc_form *form = calloc(1, sizeof *form);
    if (!form)
        return WC_NOMEM;
    form->value = wc_record_copy(context->defaults);
    struct reader r = {
        .in = {.doc = doc, .scratch = context->scratch, .errors = errors, .status = WC_OK},
        .form = form};
    if (!form->value)
        r.in.status = WC_NOMEM;
    if (r.in.status == WC_OK)
        read_id(&r, object, context->id);
    if (r.in.status == WC_OK)
        read_fields(&r, object);
    if (r.in.status == WC_OK)
        read_extensions(&r, object);
    if (r.in.is_refused)
        wc_buf_str(errors, "}}");
    if (r.in.status == WC_OK && r.in.is_refused)
        r.in.status = errors->status == WC_OK ? WC_INVALID : WC_NOMEM;
    if (r.in.status == WC_OK)
        *out = form;
    else
        wc_form_free(form);
    return r.in.status;
}

void wc_form_free(struct wc_form *form)
{
    if (!form)
        return;
    wc_record_free(form->value);
    free(form);
}

const char *wc_form_external_id(const struct wc_form *form)
{
    return form->value->external_id;
}

/* ---- applying ---- */

static enum wc_status refuse_apply(struct wc_buf *errors, const char *field, const char *why)
{
    wc_buf_printf(errors, "{\"errors\":{\"%s\":[\"%s\"]}}", field, why);
    return WC_INVALID;
}

static enum wc_status check(const struct wc_form *form, const struct wc_record *base,
                            const struct wc_record *next, struct wc_buf *errors)
{
    if (base && form->names_other)
        return refuse_apply(errors, "external_id", "can't be changed");
    if (!base && !form->has_extensions)
        return refuse_apply(errors, "extensions", "can't be blank");
    if (!next->jwt_secret && !next->jwt_jwks)
        return refuse_apply(errors, "jwt_secret", "either jwt_secret or jwt_jwks must be provided");
    return WC_OK;
}

/* The name of a new tenant is its external_id, and so is one that is taken away. */
static bool name_it(struct wc_record *r, bool is_new)
{
    return (!is_new && r->name[0]) || wc_record_set(&r->name, r->external_id);
}

static bool copy_given(const struct wc_form *form, struct wc_record *to)
{
    bool ok = true;
    for (unsigned i = 0; i < NFIELDS && ok; i++)
        if (form->given & UINT32_C(1) << i)
            ok = copy_field(&fields[i], form->value, to);
    return ok;
}

/* Takes the extension of the copy. */
static void move_database(struct wc_record *from, struct wc_record *to)
{
    const struct wc_record_database old = to->database;
    to->database = from->database;
    from->database = old;
    to->has_database = from->has_database;
}

enum wc_status wc_form_apply(const struct wc_form *form, const struct wc_record *base,
                             struct wc_record **out, struct wc_buf *errors)
{
    struct wc_record *given = wc_record_copy(form->value);
    struct wc_record *next = base ? wc_record_copy(base) : given;
    bool ok = given && next;
    if (ok && base)
        ok = copy_given(form, next);
    if (ok && base && form->has_extensions)
        move_database(given, next);
    ok = ok && name_it(next, !base);
    enum wc_status st = ok ? check(form, base, next, errors) : WC_NOMEM;
    if (next != given)
        wc_record_free(given);
    if (st == WC_OK)
        *out = next;
    else
        wc_record_free(next);
    return st;
}

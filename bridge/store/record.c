#include "bridge/store/record.h"

#include "base/assert.h"

#include <stdlib.h>

#define FIELD(name) offsetof(struct wc_record, name)

/* Every string. */
static const size_t strings[] = {
    FIELD(id),
    FIELD(external_id),
    FIELD(name),
    FIELD(jwt_secret),
    FIELD(jwt_jwks),
    FIELD(postgres_cdc_default),
    FIELD(broadcast_adapter),
    FIELD(feature_flags),
    FIELD(inserted_at),
    FIELD(updated_at),
    FIELD(database.type),
    FIELD(database.host),
    FIELD(database.port),
    FIELD(database.name),
    FIELD(database.user),
    FIELD(database.password),
    FIELD(database.region),
    FIELD(database.publication),
    FIELD(database.slot_name),
    FIELD(database.settings),
    FIELD(database.inserted_at),
    FIELD(database.updated_at),
};
enum { STRINGS = sizeof strings / sizeof strings[0] };

/* Those that clients notice. */
static const size_t keys[] = {FIELD(jwt_secret), FIELD(jwt_jwks)};
static const size_t database[] = {
    FIELD(database.type),        FIELD(database.host),      FIELD(database.port),
    FIELD(database.name),        FIELD(database.user),      FIELD(database.password),
    FIELD(database.publication), FIELD(database.slot_name), FIELD(database.region),
};

static char **string_at(struct wc_record *r, size_t offset)
{
    return (char **)(void *)((char *)r + offset);
}

static const char *const_string_at(const struct wc_record *r, size_t offset)
{
    return *(const char *const *)(const void *)((const char *)r + offset);
}

static void wipe(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

bool wc_record_set(char **field, const char *value)
{
    char *copy = value ? wc_slice_dup(wc_slice_str(value)) : NULL;
    if (value && !copy)
        return false;
    wipe(*field);
    *field = copy;
    return true;
}

struct wc_record *wc_record_new(const char *external_id)
{
    struct wc_record *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->max_concurrent_users = 200;
    r->max_events_per_second = 100;
    r->max_presence_events_per_second = 1000;
    r->max_bytes_per_second = 100000;
    r->max_channels_per_client = 100;
    r->max_joins_per_second = 100;
    r->max_payload_kb = 3000;
    if (wc_record_set(&r->id, "") && wc_record_set(&r->external_id, external_id) &&
        wc_record_set(&r->name, external_id) && wc_record_set(&r->inserted_at, "") &&
        wc_record_set(&r->updated_at, "") && wc_record_set(&r->feature_flags, "{}") &&
        wc_record_set(&r->postgres_cdc_default, "postgres_cdc_rls") &&
        wc_record_set(&r->broadcast_adapter, "gen_rpc"))
        return r;
    wc_record_free(r);
    return NULL;
}

bool wc_record_add_database(struct wc_record *r)
{
    WC_ASSERT(!r->has_database);
    struct wc_record_database *d = &r->database;
    /* what the reference cannot do without */
    static const char *const polling = "{\"poll_interval_ms\":100,\"poll_max_changes\":100}";
    static const char *const publication = "supabase_realtime",
                             *const slot = "supabase_realtime_replication_slot";
    char **const empty[] = {&d->host,     &d->port,   &d->name,        &d->user,
                            &d->password, &d->region, &d->inserted_at, &d->updated_at};
    bool ok = wc_record_set(&d->type, "postgres_cdc_rls") && wc_record_set(&d->settings, polling) &&
              wc_record_set(&d->publication, publication) && wc_record_set(&d->slot_name, slot);
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
        ok = ok && wc_record_set(empty[i], "");
    d->permanent_slot = false;
    d->ssl_enforced = true;
    d->pool = 1;
    d->max_record_bytes = 1048576;
    r->has_database = ok;
    return ok;
}

struct wc_record *wc_record_copy(const struct wc_record *from)
{
    struct wc_record *r = malloc(sizeof *r);
    if (!r)
        return NULL;
    *r = *from;
    for (size_t i = 0; i < STRINGS; i++)
        *string_at(r, strings[i]) = NULL;
    for (size_t i = 0; i < STRINGS; i++) {
        if (!wc_record_set(string_at(r, strings[i]), const_string_at(from, strings[i]))) {
            wc_record_free(r);
            return NULL;
        }
    }
    return r;
}

void wc_record_free(struct wc_record *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < STRINGS; i++)
        wipe(*string_at(r, strings[i]));
    free(r);
}

/* ---- differences ---- */

static bool is_same_text(const struct wc_record *a, const struct wc_record *b, size_t offset)
{
    const char *x = const_string_at(a, offset), *y = const_string_at(b, offset);
    return x && y ? strcmp(x, y) == 0 : x == y;
}

static bool are_same_texts(const struct wc_record *a, const struct wc_record *b,
                           const size_t *offset, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_same_text(a, b, offset[i]))
            return false;
    return true;
}

/* The ciphertexts are none of it: a secret that is only sealed anew is the same. */
static bool is_same_database(const struct wc_record *a, const struct wc_record *b)
{
    const struct wc_record_database *x = &a->database, *y = &b->database;
    return a->has_database == b->has_database && x->permanent_slot == y->permanent_slot &&
           x->ssl_enforced == y->ssl_enforced && x->pool == y->pool &&
           x->max_record_bytes == y->max_record_bytes &&
           are_same_texts(a, b, database, sizeof database / sizeof database[0]);
}

static bool are_same_limits(const struct wc_record *a, const struct wc_record *b)
{
    return a->max_concurrent_users == b->max_concurrent_users &&
           a->max_events_per_second == b->max_events_per_second &&
           a->max_presence_events_per_second == b->max_presence_events_per_second &&
           a->max_bytes_per_second == b->max_bytes_per_second &&
           a->max_channels_per_client == b->max_channels_per_client &&
           a->max_joins_per_second == b->max_joins_per_second &&
           a->max_payload_kb == b->max_payload_kb &&
           a->presence_max_calls == b->presence_max_calls &&
           a->presence_window_ms == b->presence_window_ms &&
           a->presence_enabled == b->presence_enabled;
}

enum wc_record_change wc_record_compare(const struct wc_record *a, const struct wc_record *b)
{
    if (a->suspend != b->suspend || a->private_only != b->private_only ||
        !are_same_texts(a, b, keys, sizeof keys / sizeof keys[0]) || !is_same_database(a, b))
        return WC_RECORD_REPLACE;
    return are_same_limits(a, b) ? WC_RECORD_SAME : WC_RECORD_LIMITS;
}

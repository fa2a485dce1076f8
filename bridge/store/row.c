/* The columns of sql/q_store_tenants.sql. */
#include "bridge/store/store_priv.h"

#include "bridge/store/settings.h"

#include <stdlib.h>

enum column {
    EXTERNAL_ID,
    FINGERPRINT,
    ID,
    NAME,
    JWT_SECRET,
    JWT_JWKS,
    POSTGRES_CDC_DEFAULT,
    MAX_CONCURRENT_USERS,
    MAX_EVENTS_PER_SECOND,
    MAX_PRESENCE_EVENTS_PER_SECOND,
    MAX_BYTES_PER_SECOND,
    MAX_CHANNELS_PER_CLIENT,
    MAX_JOINS_PER_SECOND,
    MAX_PAYLOAD_KB,
    PRESENCE_MAX_CALLS,
    PRESENCE_WINDOW_MS,
    MIGRATIONS_RAN,
    SUSPEND,
    PRIVATE_ONLY,
    PRESENCE_ENABLED,
    BROADCAST_ADAPTER,
    FEATURE_FLAGS,
    INSERTED_AT,
    UPDATED_AT,
    DB_TYPE,
    DB_SETTINGS,
    DB_INSERTED_AT,
    DB_UPDATED_AT,
};

const char *wc_store_row_id(const struct wc_pg_result *res, int row)
{
    return wc_pg_value(res, row, EXTERNAL_ID);
}

const char *wc_store_row_fingerprint(const struct wc_pg_result *res, int row)
{
    return wc_pg_value(res, row, FINGERPRINT);
}

const char *wc_store_row_uuid(const struct wc_pg_result *res, int row)
{
    return wc_pg_value(res, row, ID);
}

static bool read_texts(const struct wc_pg_result *res, int row, struct wc_record *r)
{
    struct wc_record_database *d = &r->database;
    const struct {
        int column;
        char **field;
    } text[] = {{ID, &r->id},
                {NAME, &r->name},
                {JWT_JWKS, &r->jwt_jwks},
                {POSTGRES_CDC_DEFAULT, &r->postgres_cdc_default},
                {BROADCAST_ADAPTER, &r->broadcast_adapter},
                {FEATURE_FLAGS, &r->feature_flags},
                {INSERTED_AT, &r->inserted_at},
                {UPDATED_AT, &r->updated_at},
                {DB_TYPE, &d->type},
                {DB_INSERTED_AT, &d->inserted_at},
                {DB_UPDATED_AT, &d->updated_at}};
    const size_t n =
        r->has_database ? sizeof text / sizeof text[0] : sizeof text / sizeof text[0] - 3;
    for (size_t i = 0; i < n; i++)
        if (!wc_record_set(text[i].field, wc_pg_value(res, row, text[i].column)))
            return false;
    return true;
}

static enum wc_status read_numbers(const struct wc_pg_result *res, int row, struct wc_record *r,
                                   struct wc_err *err)
{
    const struct {
        int column;
        uint32_t *field;
        uint32_t
            least; /* of limits 1: in a record 0 stands for none, in a row for nothing at all */
        const char *name;
    } number[] = {
        {MAX_CONCURRENT_USERS, &r->max_concurrent_users, 1, "max_concurrent_users"},
        {MAX_EVENTS_PER_SECOND, &r->max_events_per_second, 1, "max_events_per_second"},
        {MAX_PRESENCE_EVENTS_PER_SECOND, &r->max_presence_events_per_second, 1,
         "max_presence_events_per_second"},
        {MAX_BYTES_PER_SECOND, &r->max_bytes_per_second, 0, "max_bytes_per_second"},
        {MAX_CHANNELS_PER_CLIENT, &r->max_channels_per_client, 1, "max_channels_per_client"},
        {MAX_JOINS_PER_SECOND, &r->max_joins_per_second, 1, "max_joins_per_second"},
        {MAX_PAYLOAD_KB, &r->max_payload_kb, 1, "max_payload_size_in_kb"},
        {PRESENCE_MAX_CALLS, &r->presence_max_calls, 0, "max_client_presence_events_per_window"},
        {PRESENCE_WINDOW_MS, &r->presence_window_ms, 0, "client_presence_window_ms"},
        {MIGRATIONS_RAN, &r->migrations_ran, 0, "migrations_ran"},
    };
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) {
        const char *text = wc_pg_value(res, row, number[i].column);
        char *end;
        long long value = text ? strtoll(text, &end, 10) : -1;
        if (value < 0 || value > INT32_MAX || *end)
            return wc_err_set(err, WC_INVALID, "%s is invalid", number[i].name);
        *number[i].field = value < number[i].least ? number[i].least : (uint32_t)value;
    }
    return WC_OK;
}

static enum wc_status read_row(const struct wc_vault *vault, const struct wc_pg_result *res,
                               int row, struct wc_record *r, struct wc_err *err)
{
    const char *secret = wc_pg_value(res, row, JWT_SECRET);
    r->suspend = wc_pg_is_true(res, row, SUSPEND);
    r->private_only = wc_pg_is_true(res, row, PRIVATE_ONLY);
    r->presence_enabled = wc_pg_is_true(res, row, PRESENCE_ENABLED);
    if (wc_pg_value(res, row, DB_TYPE) && !wc_record_add_database(r))
        return wc_err_set(err, WC_NOMEM, "out of memory");
    if (!read_texts(res, row, r))
        return wc_err_set(err, WC_NOMEM, "out of memory");
    enum wc_status st = read_numbers(res, row, r, err);
    if (st == WC_OK && secret)
        st = wc_store_unseal(vault, wc_slice_str(secret), "jwt_secret", &r->jwt_secret, err);
    if (st == WC_OK && r->has_database)
        st = wc_store_settings_read(vault, wc_pg_slice(res, row, DB_SETTINGS), &r->database, err);
    return st;
}

enum wc_status wc_store_row(const struct wc_vault *vault, const struct wc_pg_result *res, int row,
                            struct wc_record **out, struct wc_err *err)
{
    struct wc_record *r = wc_record_new(wc_store_row_id(res, row));
    if (!r)
        return wc_err_set(err, WC_NOMEM, "out of memory");
    enum wc_status st = read_row(vault, res, row, r, err);
    if (st == WC_OK)
        *out = r;
    else
        wc_record_free(r);
    return st;
}
